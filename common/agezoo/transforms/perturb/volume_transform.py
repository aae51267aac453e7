"""Perturbations as MONAI transforms, between reading a volume and a recipe's own preprocessing."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from agezoo.transforms.load import with_positive_strides
from agezoo.transforms.perturb.graded_transform import (
    GradedTransform,
    GradedTransformd,
    channels_with_affine,
    spacing_of,
)
from agezoo.transforms.perturb.volume_catalogue import VOLUME_PERTURBATIONS


class PerturbVolume(GradedTransform):
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

    catalogue = VOLUME_PERTURBATIONS

    def __call__(self, img: MetaTensor) -> MetaTensor:
        volume, affine = channels_with_affine(img, name="PerturbVolume", only_one=True, reader="LoadVolume")
        spacing_mm = spacing_of(affine)
        rng = self.chance()
        changed = self.perturbation.apply(volume[0], self.grade, spacing_mm=spacing_mm, rng=rng)
        first, step = self.perturbation.placed(volume.shape[1:], self.grade, spacing_mm=spacing_mm)
        place = np.diag([*step, 1.0])
        place[:3, 3] = first
        return MetaTensor(
            torch.from_numpy(with_positive_strides(changed))[None], affine=torch.as_tensor(affine @ place)
        )


class PerturbVolumed(GradedTransformd):
    """Dictionary form of :class:`PerturbVolume`."""

    single = PerturbVolume
