"""Scores of one map against the regions of one case that are known to carry age."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from agezoo.explain.localisation import area_share, energy_inside, pointing_hit, random_map

ALL_REGIONS = "all_regions"
"""Name of the union of a case's regions."""

SCORES = ("pointing_hit", "energy_inside", "area_share")
"""Columns that :func:`region_scores` gives per region."""

_RANDOM_DRAWS = 25


@dataclass(frozen=True)
class CaseRegions:
    """Where the age of one case is known to be.

    Attributes
    ----------
    patient
        Boolean mask of the patient, the image's shape.
    inside
        Boolean masks by name, each within the patient and not empty; the first is :data:`ALL_REGIONS`, their union.
    near
        The same names: everything within the tolerance of the pointing game.
    """

    patient: np.ndarray
    inside: dict[str, np.ndarray]
    near: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, regions: Mapping[str, np.ndarray], patient: np.ndarray, *, tolerance_voxels: float
    ) -> CaseRegions | None:
        """From boolean masks by name; None if nothing of any region is within the patient."""
        cut = {name: np.asarray(region, dtype=bool) & patient for name, region in regions.items()}
        seen = {name: region for name, region in cut.items() if region.any()}
        if not seen:
            return None
        inside = {ALL_REGIONS: np.any(list(seen.values()), axis=0), **seen}
        near = {name: _near(region, tolerance_voxels) for name, region in inside.items()}
        return cls(patient, inside, near)

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The regions without their union."""
        return {name: region for name, region in self.inside.items() if name != ALL_REGIONS}


def _near(region: np.ndarray, tolerance_voxels: float) -> np.ndarray:
    """Everything within the tolerance of a region that is not empty."""
    (box,) = ndimage.find_objects(region.astype(np.uint8))
    margin = math.ceil(tolerance_voxels)
    # Distances are worked out about the region alone, which in a whole body is a small part.
    around = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in box)
    near = np.zeros(region.shape, dtype=bool)
    near[around] = ndimage.distance_transform_edt(~region[around]) <= tolerance_voxels
    return near


def region_scores(saliency: np.ndarray, regions: CaseRegions) -> dict[str, dict[str, float]]:
    """Pointing hit, energy inside and chance level per region.

    What lies outside the patient is left out, as it is from every picture that a user sees. A map that is empty there
    is a miss with no energy inside.

    Parameters
    ----------
    saliency
        Map of the image's shape; only positive values count.
    regions
        Of the case.

    Returns
    -------
    dict
        Region -> ``pointing_hit`` and ``energy_inside`` as in :mod:`agezoo.explain.localisation`, and
        ``area_share``: the share of the patient that the region covers, which an even map would get as energy inside.
    """
    shown = np.where(regions.patient, saliency, 0)
    return {
        name: {
            "pointing_hit": float(np.nan_to_num(pointing_hit(shown, regions.near[name]))),
            "energy_inside": float(np.nan_to_num(energy_inside(shown, region))),
            "area_share": area_share(region, within=regions.patient),
        }
        for name, region in regions.inside.items()
    }


def random_scores(regions: CaseRegions, *, coarse_shape: tuple[int, ...], seed: int) -> dict[str, dict[str, float]]:
    """:func:`region_scores` of maps that know nothing, mean over 25 of them.

    Parameters
    ----------
    regions
        Of the case.
    coarse_shape
        Cells of a class-activation map of this image, see :func:`agezoo.explain.layer_view.cam_grid`: the random maps
        are as smooth as that.
    seed
        Of the maps.
    """
    draws = [
        region_scores(
            random_map(regions.patient.shape, coarse_shape=coarse_shape, seed=seed * _RANDOM_DRAWS + draw), regions
        )
        for draw in range(_RANDOM_DRAWS)
    ]
    return {
        name: {score: float(np.mean([draw[name][score] for draw in draws])) for score in SCORES}
        for name in regions.inside
    }
