"""From what a regression head emits, with or without its own SD, to an age in years and its two uncertainties."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor

from agezoo.transforms.gaussian_age import GaussianAge


class RegressedAge(Transform):
    """Age, aleatoric SD and epistemic SD from one case's head of one output (age) or two (mean and log of the SD).

    The members of an ensemble are averaged; the SD of their ages is the epistemic one, NaN for a single network. A head
    of one output has no aleatoric SD (NaN, never 0); of one with two, all is as in
    :class:`~agezoo.transforms.GaussianAge`.
    """

    def __call__(self, pred: Tensor) -> dict[str, Tensor]:
        """Return ``predicted_age_years``, ``aleatoric_sd_years`` and ``epistemic_sd_years``, each of shape (1,).

        Parameters
        ----------
        pred
            Shape (1,) or (M, 1): age in years. Shape (2,) or (M, 2): mean in years and log of the SD in years. Of one
            network or of M.

        Raises
        ------
        ValueError
            If the shape is another.
        """
        pred = torch.as_tensor(pred).detach()
        if pred.ndim not in (1, 2) or pred.shape[-1] not in (1, 2) or not pred.numel():
            raise ValueError(f"a regression head emits (1,), (2,), (M, 1) or (M, 2), got {tuple(pred.shape)}")
        points = pred.shape[-1] == 1
        # An SD of one year stands in for the one that is not known, which moves neither age nor epistemic SD.
        result = GaussianAge()(torch.cat([pred, torch.zeros_like(pred)], dim=-1) if points else pred)
        if points:
            result["aleatoric_sd_years"] = torch.full_like(result["aleatoric_sd_years"], float("nan"))
        return result


class RegressedAged(MapTransform):
    """Dictionary form of :class:`RegressedAge`: adds its three results beside `keys`."""

    def __init__(self, keys: KeysCollection = "pred", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError("one head at a time")
        self.transform = RegressedAge()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result.update(self.transform(result[key]))
        return result
