"""Scores of one map against the regions of one case that are known to carry age."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agezoo.explain.localisation import area_share, energy_inside, pointing_hit, random_map

ALL_REGIONS = "all_regions"
"""Name of the union of a case's regions."""

SCORES = ("pointing_hit", "energy_inside", "area_share")
"""Columns that :func:`region_scores` gives per region."""

# Feature maps of layer3 have this size for an image of 224 x 224, so random maps of it are as smooth as a CAM.
_COARSE = (14, 14)
_RANDOM_DRAWS = 25


def with_union(regions: Mapping[str, np.ndarray], patient: np.ndarray) -> dict[str, np.ndarray]:
    """Regions cut to the patient, without empty ones, and before them their union, :data:`ALL_REGIONS`.

    Parameters
    ----------
    regions
        Boolean masks by name, each of the image's shape.
    patient
        Boolean mask of the patient.

    Returns
    -------
    dict
        Empty if nothing of any region is within the patient.
    """
    inside = {name: np.asarray(region, dtype=bool) & patient for name, region in regions.items()}
    seen = {name: region for name, region in inside.items() if region.any()}
    return {ALL_REGIONS: np.any(list(seen.values()), axis=0), **seen} if seen else {}


def region_scores(
    saliency: np.ndarray, regions: Mapping[str, np.ndarray], patient: np.ndarray, *, tolerance_voxels: float
) -> dict[str, dict[str, float]]:
    """Pointing hit, energy inside and chance level per region.

    What lies outside the patient is left out, as it is from every picture that a user sees. A map that is empty there
    is a miss with no energy inside.

    Parameters
    ----------
    saliency
        Map of the image's shape; only positive values count.
    regions
        From :func:`with_union`.
    patient
        Boolean mask of the patient.
    tolerance_voxels
        A largest value within this distance of the region is a hit.

    Returns
    -------
    dict
        Region -> ``pointing_hit`` and ``energy_inside`` as in :mod:`agezoo.explain.localisation`, and
        ``area_share``: the share of the patient that the region covers, which an even map would get as energy inside.
    """
    shown = np.where(patient, saliency, 0)
    return {
        name: {
            "pointing_hit": float(np.nan_to_num(pointing_hit(shown, region, tolerance_voxels=tolerance_voxels))),
            "energy_inside": float(np.nan_to_num(energy_inside(shown, region))),
            "area_share": area_share(region, within=patient),
        }
        for name, region in regions.items()
    }


def random_scores(
    regions: Mapping[str, np.ndarray], patient: np.ndarray, *, tolerance_voxels: float, seed: int
) -> dict[str, dict[str, float]]:
    """:func:`region_scores` of maps that know nothing and are as smooth as a CAM, mean over 25 of them."""
    draws = [
        region_scores(
            random_map(patient.shape, coarse_shape=_COARSE, seed=seed * _RANDOM_DRAWS + draw),
            regions,
            patient,
            tolerance_voxels=tolerance_voxels,
        )
        for draw in range(_RANDOM_DRAWS)
    ]
    return {
        name: {score: float(np.mean([draw[name][score] for draw in draws])) for score in SCORES} for name in regions
    }
