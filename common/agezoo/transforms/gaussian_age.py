"""From what a Gaussian head emits to an age in years and its two uncertainties."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor


class GaussianAge(Transform):
    """Mean, aleatoric SD and epistemic SD from one case's Gaussian head.

    The members of an ensemble are taken as an equal mixture: its mean is the mean of the means; its aleatoric variance
    is the mean of the predicted variances; its epistemic variance is the variance of the means over the members. A
    single network gives no epistemic SD (NaN, never 0).

    References
    ----------
    Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017.
    """

    def __call__(self, pred: Tensor) -> dict[str, Tensor]:
        """Return ``predicted_age_years``, ``aleatoric_sd_years`` and ``epistemic_sd_years``, each of shape (1,).

        Parameters
        ----------
        pred
            Shape (2,) or (M, 2): mean in years and log of the SD in years, of one network or of M.

        Raises
        ------
        ValueError
            If the last axis is not 2.
        """
        pred = torch.as_tensor(pred).detach().float()
        if pred.ndim not in (1, 2) or pred.shape[-1] != 2:
            raise ValueError(f"a Gaussian head emits (2,) or (M, 2), got {tuple(pred.shape)}")
        members = pred.reshape(-1, 2).double()
        means, variances = members[:, 0], torch.exp(2.0 * members[:, 1])
        epistemic = means.std(correction=0) if len(means) > 1 else means.new_tensor(float("nan"))
        return {
            "predicted_age_years": means.mean().float().reshape(1),
            "aleatoric_sd_years": variances.mean().sqrt().float().reshape(1),
            "epistemic_sd_years": epistemic.float().reshape(1),
        }


class GaussianAged(MapTransform):
    """Dictionary form of :class:`GaussianAge`: adds its three results beside `keys`."""

    def __init__(self, keys: KeysCollection = "pred", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError("one head at a time")
        self.transform = GaussianAge()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result.update(self.transform(result[key]))
        return result
