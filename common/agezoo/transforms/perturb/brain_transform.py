"""Perturbations of heads and brains as MONAI transforms, between reading a T1 and bringing it to MNI space."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from agezoo.transforms.brain.template import mni_affine, mni_shape
from agezoo.transforms.load import with_positive_strides
from agezoo.transforms.perturb.brain_catalogue import BRAIN_PERTURBATIONS
from agezoo.transforms.perturb.brain_regrid import Regridded
from agezoo.transforms.perturb.graded_transform import (
    GradedTransform,
    GradedTransformd,
    channels_with_affine,
    spacing_of,
)
from agezoo.transforms.perturb.perturbation import NotApplicable

# No registration that a person looked at is further off than this, in degrees and mm.
_LARGEST_MISREGISTRATION = {"pitch": 10.0, "roll": 10.0, "yaw": 10.0, "shift": 10.0}
# The corner of a header's affine may be rounded.
_SAME_PLACE_MM = 0.1


class PerturbBrain(GradedTransform):
    """Perturb a channel-first T1 (1, X, Y, Z) in LAS, as ``LoadVolume`` gives it: a head or a brain alone.

    The affine of the MetaTensor follows; voxels become float32. The same transform gives the same result every time:
    what is left to chance (noise, directions) comes from `seed` and the perturbation's name, so that the grades of one
    perturbation differ in strength alone.

    Parameters
    ----------
    name
        A name of :data:`agezoo.transforms.perturb.brain_catalogue.BRAIN_PERTURBATIONS`.
    grade
        Its strength, in the perturbation's unit.
    seed
        Seed of what is left to chance.

    Raises
    ------
    NotApplicable
        When called, if the grade changes nothing of this image, or would turn or shift an image in MNI space further
        than any registration can be off.
    InputError
        For an unknown name; when called, for a grade or image that cannot be used.
    """

    catalogue = BRAIN_PERTURBATIONS

    def __call__(self, img: MetaTensor) -> MetaTensor:
        volume, affine = channels_with_affine(img, name="PerturbBrain", only_one=True, reader="LoadVolume")
        limit = _LARGEST_MISREGISTRATION.get(self.perturbation.name)
        if limit is not None and abs(self.grade) > limit and on_mni_grid(volume.shape[1:], affine):
            raise NotApplicable(
                "no image in MNI space lies that far off",
                found=self.perturbation.graded(self.grade),
                expected=f"at most {limit:g}",
            )
        spacing_mm = spacing_of(affine)
        voxels = volume[0].astype(np.float32)
        rng = self.chance()
        changed: np.ndarray | Regridded = self.perturbation.apply(voxels, self.grade, spacing_mm=spacing_mm, rng=rng)
        if isinstance(changed, Regridded):
            affine = affine @ changed.place
            changed = changed.voxels
        # A copy of its own: a view would share memory that the next grade reads.
        plain = with_positive_strides(np.array(changed, dtype=np.float32))
        return MetaTensor(torch.from_numpy(plain)[None], affine=torch.as_tensor(affine))


class PerturbBraind(GradedTransformd):
    """Dictionary form of :class:`PerturbBrain`; ``<key>_facts["field_of_view_mm"]`` follows where there is one."""

    single = PerturbBrain

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            image = self.transform(result[key])
            result[key] = image
            spacing_mm = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)
            extent_mm = (spacing_mm * image.shape[1:]).astype(np.float32)
            facts = {"spacing_mm": spacing_mm.astype(np.float32), "field_of_view_mm": extent_mm}
            result[f"{key}_facts"] = {**(result.get(f"{key}_facts") or {}), **facts}
        return result


def on_mni_grid(shape: tuple[int, ...], affine: np.ndarray) -> bool:
    """Whether a volume lies on FSL's MNI152 grid at some spacing."""
    spacing_mm = float(np.linalg.norm(affine[:3, 0]))
    if not 1.0 <= spacing_mm <= 8.0:
        return False
    same_shape = tuple(shape) == mni_shape(spacing_mm)
    return same_shape and bool(np.allclose(affine, mni_affine(spacing_mm), atol=_SAME_PLACE_MM))
