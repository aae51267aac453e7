"""Cross-entropy over ages, drawn towards a narrow distribution around the right mean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from agezoo.errors import InputError

AGES = (40, 99)


class MeanVarianceLoss(nn.Module):
    r"""Mean-variance loss: :math:`\text{CE} + \lambda_1 \frac{(E - y)^2}{2} + \lambda_2 \sum_i p_i (i - E)^2`.

    :math:`p` is the softmax of the logits, :math:`E = \sum_i i p_i` its expectation and y the age, exact; the three
    terms are averaged over the batch. The class of an age is the nearest whole year, a half upwards: unlike the
    completed year, which is half a year too low on average, it draws the distribution to the same place as the mean
    term does. Ages in whole years, as in the paper, have the same class either way. Computed in float32 at least, also
    under mixed precision.

    Parameters
    ----------
    ages
        First and last age in whole years; one logit stands for each.
    mean_weight, variance_weight
        :math:`\lambda_1` and :math:`\lambda_2`.

    References
    ----------
    Pan et al., "Mean-variance loss for deep age estimation from a face", CVPR 2018.
    """

    def __init__(self, ages: Sequence[int] = AGES, mean_weight: float = 0.2, variance_weight: float = 0.05) -> None:
        super().__init__()
        first, last = ages
        if last <= first:
            raise ValueError(f"ages must be the first and a later last age, got {tuple(ages)}")
        if mean_weight < 0 or variance_weight < 0:
            raise ValueError(f"weights cannot be negative, got {mean_weight} and {variance_weight}")
        self.ages = (int(first), int(last))
        self.mean_weight = float(mean_weight)
        self.variance_weight = float(variance_weight)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss.

        Parameters
        ----------
        pred
            Shape (B, n): logits over the n ages.
        target
            Shape (B, 1) or (B,): age in years.

        Raises
        ------
        InputError
            If an age is unknown (NaN) or its nearest whole year is not among the ages.
        ValueError
            If the shapes are others.
        """
        cross_entropy, mean, variance = self.parts(pred, target)
        return cross_entropy + self.mean_weight * mean + self.variance_weight * variance

    def parts(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three terms without their weights: cross-entropy, mean term (years², halved), variance term (years²)."""
        first, last = self.ages
        n = last - first + 1
        if pred.ndim != 2 or pred.shape[1] != n:
            raise ValueError(f"pred must have shape (B, {n}), the logits over the ages, got {tuple(pred.shape)}")
        if target.numel() != pred.shape[0]:
            raise ValueError(f"target must hold one age per row of pred ({pred.shape[0]}), got {tuple(target.shape)}")
        pred = pred if pred.dtype == torch.float64 else pred.float()
        target = target.reshape(-1).to(pred)
        classes = torch.floor(target + 0.5) - first
        # A NaN is neither at least 0 nor anything else.
        within = (classes >= 0) & (classes < n) & (target >= first)
        if not bool(within.all()):
            outside = ", ".join(f"{age:g}" for age in target[~within][:4].tolist())
            raise InputError(
                "an age is unknown or not among those that the network tells apart",
                source="age_years",
                found=outside,
                expected=f"ages from {first} to less than {last + 0.5:g} years",
                remedy="leave these people out of the training (agezoo check lists them)",
            )
        log_chances = torch.log_softmax(pred, dim=1)
        chances = log_chances.exp()
        ages = torch.arange(first, last + 1, dtype=pred.dtype, device=pred.device)
        # Sums of products: mixed precision would carry a matrix product out in half precision.
        expected = (chances * ages).sum(dim=1)
        cross_entropy = -log_chances.gather(1, classes.long()[:, None]).mean()
        mean = 0.5 * (expected - target).square().mean()
        variance = (chances * (ages - expected[:, None]).square()).sum(dim=1).mean()
        return cross_entropy, mean, variance
