"""Perturbations of radiographs as MONAI transforms, between reading an image and a recipe's own preprocessing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import NdarrayOrTensor

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array, like
from agezoo.transforms.perturb.graded_transform import GradedTransform, GradedTransformd
from agezoo.transforms.perturb.radiograph_catalogue import RADIOGRAPH_PERTURBATIONS

_UNKNOWN_MM = (np.nan, np.nan)


class PerturbRadiograph(GradedTransform):
    """Perturb a channel-first radiograph (1, rows, columns), bone bright, as it was read.

    The same transform gives the same result every time: what is left to chance (noise, directions) comes from `seed`
    and the perturbation's name, so that the grades of one perturbation differ in strength alone.

    Parameters
    ----------
    name
        A name of :data:`agezoo.transforms.perturb.radiograph_catalogue.RADIOGRAPH_PERTURBATIONS`.
    grade
        Its strength, in the perturbation's unit.
    seed
        Seed of what is left to chance.

    Raises
    ------
    InputError
        For an unknown name; when called, for a grade or image that cannot be used.
    """

    catalogue = RADIOGRAPH_PERTURBATIONS

    def __call__(self, img: NdarrayOrTensor, spacing_mm: Sequence[float] = _UNKNOWN_MM) -> NdarrayOrTensor:
        """The perturbed image; `spacing_mm` between rows and between columns, NaN where the image does not tell."""
        image = channel_array(img, spatial_dims=2, name="PerturbRadiograph")
        if image.shape[0] != 1:
            raise InputError(
                "a perturbation needs one image", found=f"shape {tuple(image.shape)}", expected="(1, rows, columns)"
            )
        rng = self.chance()
        plane = image[0].astype(np.float32)
        changed = self.perturbation.apply(plane, self.grade, spacing_mm=spacing_mm, rng=rng)
        perturbed: NdarrayOrTensor = like(np.require(changed, np.float32, ["C", "W"])[None], img)
        return perturbed


class PerturbRadiographd(GradedTransformd):
    """Dictionary form of :class:`PerturbRadiograph`.

    The spacing is taken from ``<key>_facts["field_of_view_mm"]``, which follows where the field of view changes. What
    the facts say of the part of the stored image that is shown (``area``) is taken out, because a perturbed image is
    no part of the stored one any more.
    """

    single = PerturbRadiograph
    transform: PerturbRadiograph

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            facts = dict(result.get(f"{key}_facts") or {})
            shape = tuple(result[key].shape[1:])
            spacing_mm = radiograph_spacing_mm(facts, shape)
            result[key] = self.transform(result[key], spacing_mm)
            _, step = self.transform.perturbation.placed(shape, self.transform.grade, spacing_mm=spacing_mm)
            extent = [n * s * by for n, s, by in zip(result[key].shape[1:], spacing_mm, step, strict=True)]
            facts["field_of_view_mm"] = np.asarray([np.nan, extent[1], extent[0]], dtype=np.float32)
            facts["spacing_mm"] = np.asarray([np.nan, spacing_mm[1] * step[1], spacing_mm[0] * step[0]], np.float32)
            facts.pop("area", None)
            result[f"{key}_facts"] = facts
        return result


def radiograph_spacing_mm(facts: Mapping[str, Any], shape: Sequence[int]) -> tuple[float, float]:
    """Spacing between rows and between columns in mm from the facts of an image as read; NaN where unknown."""
    extent = facts.get("field_of_view_mm")
    if extent is None:
        return _UNKNOWN_MM
    _, width, height = (float(v) for v in extent)
    return height / shape[0], width / shape[1]
