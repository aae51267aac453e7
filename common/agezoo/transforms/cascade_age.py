"""From what a cascade of two stages emits to an age in years, its spread, and the first stage's part in it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor


class CascadeAge(Transform):
    """Age and epistemic SD from one case's output of a first stage alone or of the cascade.

    The members of an ensemble are averaged; the SD of their ages is the epistemic one. A single network gives no
    epistemic SD, a first stage alone no discretised age, and neither an aleatoric SD: NaN, never 0.
    """

    def __call__(self, pred: Tensor) -> dict[str, Tensor]:
        """Return five tensors of shape (1,), all in years.

        ``predicted_age_years``; ``aleatoric_sd_years`` (NaN) and ``epistemic_sd_years``; of a cascade also
        ``first_stage_age_years`` and ``discretised_age_years``, the first stage's age and the multiple of the bin's
        width to which the second stage adds its residual. Of an ensemble these two are means over the members.

        Parameters
        ----------
        pred
            Shape (1,) or (M, 1): age. Shape (3,) or (M, 3): age, discretised first-stage age, first-stage age. Of one
            network or of M, in years.

        Raises
        ------
        ValueError
            If the shape is another.
        """
        pred = torch.as_tensor(pred).detach()
        if pred.ndim not in (1, 2) or pred.shape[-1] not in (1, 3) or not pred.numel():
            raise ValueError(f"a cascade emits (1,), (3,), (M, 1) or (M, 3), got {tuple(pred.shape)}")
        members = pred.reshape(-1, pred.shape[-1]).double()
        ages = members[:, 0]
        unknown = ages.new_tensor(float("nan"))
        discretised, first_stage = members[:, 1:].mean(dim=0) if members.shape[1] == 3 else (unknown, unknown)
        results = {
            "predicted_age_years": ages.mean(),
            "aleatoric_sd_years": unknown,
            "epistemic_sd_years": ages.std(correction=0) if len(ages) > 1 else unknown,
            "first_stage_age_years": first_stage,
            "discretised_age_years": discretised,
        }
        return {name: value.float().reshape(1) for name, value in results.items()}


class CascadeAged(MapTransform):
    """Dictionary form of :class:`CascadeAge`: adds its five results beside `keys`."""

    def __init__(self, keys: KeysCollection = "pred", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError("one head at a time")
        self.transform = CascadeAge()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result.update(self.transform(result[key]))
        return result
