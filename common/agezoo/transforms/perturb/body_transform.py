"""Perturbations of whole bodies as MONAI transforms, between reading a visit and standardising it."""

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
from agezoo.transforms.perturb.body_catalogue import BODY_PERTURBATIONS, INTENSITY
from agezoo.transforms.perturb.perturbation import NotApplicable
from agezoo.transforms.perturb.seeding import chance, one_of


class PerturbBody(Transform):
    """Perturb the channels of a body (C, X, Y, Z) in LAS as ``LoadBody`` gives them, all alike, on the same grid.

    What is left to chance (noise, directions) comes from `seed` and the perturbation's name, so that the grades of one
    perturbation differ in strength alone.

    Parameters
    ----------
    name
        A name of :data:`agezoo.transforms.perturb.body_catalogue.BODY_PERTURBATIONS`.
    grade
        Its strength, in the perturbation's unit.
    seed
        Seed of what is left to chance.

    Raises
    ------
    NotApplicable
        When called, for a change of brightness of several channels, of which some may be fractions.
    InputError
        For an unknown name; when called, for a grade or image that cannot be used.
    """

    def __init__(self, name: str, grade: float, *, seed: int = 0) -> None:
        self.perturbation = one_of(BODY_PERTURBATIONS, name)
        self.grade = float(grade)
        self.seed = int(seed)

    def __call__(self, img: MetaTensor) -> MetaTensor:
        channels = channel_array(img, spatial_dims=3, name="PerturbBody")
        if not isinstance(img, MetaTensor):
            raise InputError(
                "a perturbation needs a body with its geometry",
                found=f"{type(img).__name__} of shape {tuple(channels.shape)}",
                expected="a MetaTensor (C, X, Y, Z)",
                remedy="load the image with LoadBody",
            )
        if len(channels) > 1 and self.perturbation.name in INTENSITY:
            raise NotApplicable("a change of brightness needs a single channel", found=f"{len(channels)} channels")
        affine = np.asarray(img.affine, dtype=np.float64)
        spacing_mm = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
        changed = [
            self.perturbation.apply(
                channel, self.grade, spacing_mm=spacing_mm, rng=chance(self.seed, self.perturbation.name)
            )
            for channel in channels.astype(np.float32)
        ]
        plain = with_positive_strides(np.stack(changed))
        return MetaTensor(torch.from_numpy(plain), affine=torch.as_tensor(affine))


class PerturbBodyd(MapTransform):
    """Dictionary form of :class:`PerturbBody`."""

    def __init__(
        self, keys: KeysCollection, name: str, grade: float, *, seed: int = 0, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = PerturbBody(name, grade, seed=seed)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result
