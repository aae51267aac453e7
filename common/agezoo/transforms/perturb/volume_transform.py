"""Perturbations as MONAI transforms, between reading a volume and a recipe's own preprocessing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array
from agezoo.transforms.load import with_positive_strides
from agezoo.transforms.perturb.seeding import chance, one_of
from agezoo.transforms.perturb.volume_catalogue import VOLUME_PERTURBATIONS


class PerturbVolume(Transform):
    """Perturb a channel-first CT volume (1, X, Y, Z) in LAS, as ``LoadVolume`` gives it.

    The affine of the MetaTensor follows. The same transform gives the same result every time: what is left to chance
    (noise, the side of a rotation) comes from `seed` and the perturbation's name, so that the grades of one
    perturbation differ in strength alone.

    Parameters
    ----------
    name
        A name of :data:`agezoo.transforms.perturb.volume_catalogue.VOLUME_PERTURBATIONS`.
    grade
        Its strength, in the perturbation's unit.
    seed
        Seed of what is left to chance.

    Raises
    ------
    InputError
        For an unknown name; when called, for a grade or volume that cannot be used.
    """

    def __init__(self, name: str, grade: float, *, seed: int = 0) -> None:
        self.perturbation = one_of(VOLUME_PERTURBATIONS, name)
        self.grade = float(grade)
        self.seed = int(seed)

    def __call__(self, img: MetaTensor) -> MetaTensor:
        volume = channel_array(img, spatial_dims=3, name="PerturbVolume")
        if volume.shape[0] != 1 or not isinstance(img, MetaTensor):
            raise InputError(
                "a perturbation needs one volume with its geometry",
                found=f"{type(img).__name__} of shape {tuple(volume.shape)}",
                expected="a MetaTensor (1, X, Y, Z)",
                remedy="load the image with LoadVolume",
            )
        affine = np.asarray(img.affine, dtype=np.float64)
        spacing_mm = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
        rng = chance(self.seed, self.perturbation.name)
        changed = self.perturbation.apply(volume[0], self.grade, spacing_mm=spacing_mm, rng=rng)
        first, step = self.perturbation.placed(volume.shape[1:], self.grade, spacing_mm=spacing_mm)
        place = np.diag([*step, 1.0])
        place[:3, 3] = first
        return MetaTensor(
            torch.from_numpy(with_positive_strides(changed))[None], affine=torch.as_tensor(affine @ place)
        )


class PerturbVolumed(MapTransform):
    """Dictionary form of :class:`PerturbVolume`."""

    def __init__(
        self, keys: KeysCollection, name: str, grade: float, *, seed: int = 0, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = PerturbVolume(name, grade, seed=seed)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result
