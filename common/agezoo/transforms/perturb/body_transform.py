"""Perturbations of whole bodies as MONAI transforms, between reading a visit and standardising it."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from agezoo.transforms.load import with_positive_strides
from agezoo.transforms.perturb.body_catalogue import BODY_PERTURBATIONS, INTENSITY
from agezoo.transforms.perturb.graded_transform import (
    GradedTransform,
    GradedTransformd,
    channels_with_affine,
    spacing_of,
)
from agezoo.transforms.perturb.perturbation import NotApplicable


class PerturbBody(GradedTransform):
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

    catalogue = BODY_PERTURBATIONS

    def __call__(self, img: MetaTensor) -> MetaTensor:
        channels, affine = channels_with_affine(img, name="PerturbBody", only_one=False, reader="LoadBody")
        if len(channels) > 1 and self.perturbation.name in INTENSITY:
            raise NotApplicable("a change of brightness needs a single channel", found=f"{len(channels)} channels")
        spacing_mm = spacing_of(affine)
        changed = [
            self.perturbation.apply(channel, self.grade, spacing_mm=spacing_mm, rng=self.chance())
            for channel in channels.astype(np.float32)
        ]
        plain = with_positive_strides(np.stack(changed))
        return MetaTensor(torch.from_numpy(plain), affine=torch.as_tensor(affine))


class PerturbBodyd(GradedTransformd):
    """Dictionary form of :class:`PerturbBody`."""

    single = PerturbBody
