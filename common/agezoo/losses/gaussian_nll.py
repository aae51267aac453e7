"""Negative log-likelihood of a Gaussian whose mean and log SD a network predicts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LOWEST_SD_YEARS = 0.01
HIGHEST_SD_YEARS = 1000.0


class GaussianNLLLoss(nn.Module):
    r"""Mean over the batch of :math:`\log\sigma + \frac{(y - \mu)^2}{2 \sigma^2} + \frac{1}{2}\log 2\pi`.

    The network emits the mean in years and the natural log of the SD (not of the variance), as the published ct_age
    weights do. Between an SD of 0.01 and 1000 years the loss is exact. Outside, the SD is held at that bound and the
    distance of log sigma from it is added, so that the loss stays finite and its gradient always leads back.
    Computed in float32 at least, also under mixed precision, where squared errors in years overflow half precision.

    Parameters
    ----------
    constant
        Whether to include the constant :math:`\frac{1}{2}\log 2\pi`, which makes values comparable with other software.

    References
    ----------
    Nix and Weigend, "Estimating the mean and variance of the target probability distribution", ICNN 1994.
    """

    def __init__(self, constant: bool = True) -> None:
        super().__init__()
        self.constant = 0.5 * math.log(2.0 * math.pi) if constant else 0.0
        self.lowest = math.log(LOWEST_SD_YEARS)
        self.highest = math.log(HIGHEST_SD_YEARS)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss.

        Parameters
        ----------
        pred
            Shape (B, 2): mean in years and log of the SD in years.
        target
            Shape (B, 1) or (B,): age in years.

        Raises
        ------
        ValueError
            If the shapes are others.
        """
        if pred.ndim != 2 or pred.shape[1] != 2:
            raise ValueError(f"pred must have shape (B, 2) = mean and log SD, got {tuple(pred.shape)}")
        if target.numel() != pred.shape[0]:
            raise ValueError(f"target must hold one age per row of pred ({pred.shape[0]}), got {tuple(target.shape)}")
        pred = pred if pred.dtype == torch.float64 else pred.float()
        mean_years, log_sd = pred[:, 0], pred[:, 1]
        target = target.reshape(-1).to(pred)
        bounded = log_sd.clamp(self.lowest, self.highest)
        outside = (log_sd - bounded).abs()
        z = (target - mean_years) * torch.exp(-bounded)
        return (bounded + outside + 0.5 * z.square() + self.constant).mean()
