"""From a distribution over ages to an age in years and its two uncertainties."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform
from torch import Tensor

AGES = (40, 99)


class DistributionAge(Transform):
    """Rounded and unrounded expectation, aleatoric SD and epistemic SD from one case's logits over ages.

    The members of an ensemble are taken as an equal mixture: its expectation is the mean of theirs, its aleatoric
    variance the mean of their distributions' variances, its epistemic variance the variance of their expectations. A
    single network gives no epistemic SD (NaN, never 0).

    Parameters
    ----------
    ages
        First and last age in whole years; one logit stands for each.

    References
    ----------
    Pan et al., "Mean-variance loss for deep age estimation from a face", CVPR 2018.
    Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017.
    """

    def __init__(self, ages: Sequence[int] = AGES) -> None:
        first, last = ages
        if last <= first:
            raise ValueError(f"ages must be the first and a later last age, got {tuple(ages)}")
        self.ages = (int(first), int(last))

    def __call__(self, pred: Tensor) -> dict[str, Tensor]:
        """Return four tensors of shape (1,), all in years.

        ``predicted_age_years`` is the expectation rounded to whole years, a half upwards, as published;
        ``expected_age_years`` the expectation itself; ``aleatoric_sd_years`` and ``epistemic_sd_years`` its SDs.

        Parameters
        ----------
        pred
            Shape (n,) or (M, n): logits over the n ages, of one network or of M.

        Raises
        ------
        ValueError
            If the last axis is another.
        """
        first, last = self.ages
        n = last - first + 1
        pred = torch.as_tensor(pred).detach()
        if pred.ndim not in (1, 2) or pred.shape[-1] != n or not pred.numel():
            raise ValueError(
                f"a head over the ages {first} to {last} emits ({n},) or (M, {n}), got {tuple(pred.shape)}"
            )
        # In double precision, so that an expectation of exactly a half is rounded as on paper.
        chances = torch.softmax(pred.reshape(-1, n).double(), dim=1)
        ages = torch.arange(first, last + 1, dtype=torch.float64, device=chances.device)
        means = chances @ ages
        variances = (chances * (ages - means[:, None]).square()).sum(dim=1)
        expected = means.mean()
        epistemic = means.std(correction=0) if len(means) > 1 else means.new_tensor(float("nan"))
        return {
            "predicted_age_years": torch.floor(expected + 0.5).float().reshape(1),
            "expected_age_years": expected.float().reshape(1),
            "aleatoric_sd_years": variances.mean().sqrt().float().reshape(1),
            "epistemic_sd_years": epistemic.float().reshape(1),
        }


class DistributionAged(MapTransform):
    """Dictionary form of :class:`DistributionAge`: adds its four results beside `keys`."""

    def __init__(
        self, keys: KeysCollection = "pred", ages: Sequence[int] = AGES, *, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError("one head at a time")
        self.transform = DistributionAge(ages)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result.update(self.transform(result[key]))
        return result
