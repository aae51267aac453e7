"""Water and fat that have changed places in a part of a station only: found and told, not mended."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from agezoo.transforms.body.body_region import filled_across
from agezoo.transforms.body.overlaps import Overlap
from agezoo.transforms.body.water_fat import WaterFat

# Share of an overlap in which two stations give opposite fat fractions. Motion makes some of it at the rims.
_OPPOSITE = 0.08
# Correlation of the fat fractions of neighbouring slices: near 1 in a body, lower at the knee, near -1 where a swap
# begins.
_TURNS = -0.5
# Difference of the median fat fractions inside the left and the right limb, over at least this length.
_LIMBS_DIFFER = 0.4
_LENGTH_MM = 25.0
_SLICE_STEP_MM = 9.0
_SMALLEST_LIMB_MM2 = 1500.0
_FEWEST_VOXELS = 50


def partial_swaps(pictures: Sequence[WaterFat], overlaps: Sequence[Overlap]) -> list[str]:
    """Notes on stations in which water and fat seem to have changed places in a part of the body.

    Three signs are looked for: neighbours that disagree in a part of their overlap, neighbouring slices of a station
    with opposite fat fractions, and a left limb whose inside is fat where the right one's is water, or the other way
    round. A swap of a patch inside the trunk that reaches no overlap is not found.

    Parameters
    ----------
    pictures
        Stations, head to foot, after swaps of whole stations were mended.
    overlaps
        Each with the next.
    """
    where: dict[int, list[str]] = {}
    for k, overlap in enumerate(overlaps, start=1):
        if not math.isnan(overlap.opposite_share) and overlap.opposite_share > _OPPOSITE:
            where.setdefault(k, []).append(
                f"disagrees with the next one in {overlap.opposite_share:.0%} of the overlap"
            )
    for k, picture in enumerate(pictures, start=1):
        where.setdefault(k, []).extend(_signs(picture))
    return [
        f"water and fat may have changed places in a part of station {k} (counted from the head): {', '.join(signs)}; "
        "look at the images"
        for k, signs in sorted(where.items())
        if signs
    ]


def _signs(picture: WaterFat) -> list[str]:
    fraction = picture.fraction
    if fraction is None:
        return []
    tissue = picture.signal > picture.threshold
    signs = []
    turns = [z for z in range(tissue.shape[2] - 1) if _turned(fraction, tissue, z)]
    if turns:
        signs.append("fat fraction turns round between two slices")
    sides = _differing_limbs(fraction, tissue, np.linalg.norm(picture.affine[:3, :3], axis=0))
    if sides:
        signs.append("left and right limbs have opposite fat fractions")
    return signs


def _turned(fraction: np.ndarray, tissue: np.ndarray, z: int) -> bool:
    both = tissue[:, :, z] & tissue[:, :, z + 1]
    if np.count_nonzero(both) < 4 * _FEWEST_VOXELS:
        return False
    one, other = fraction[:, :, z][both], fraction[:, :, z + 1][both]
    if min(one.std(), other.std()) < 0.1:
        return False
    return float(np.corrcoef(one, other)[0, 1]) < _TURNS


def _differing_limbs(fraction: np.ndarray, tissue: np.ndarray, edges_mm: np.ndarray) -> bool:
    """Whether pairs of limbs of like size differ inside, in slices that together are long enough."""
    step = max(1, round(_SLICE_STEP_MM / edges_mm[2]))
    fraction, tissue = fraction[:, :, ::step], tissue[:, :, ::step]
    body = filled_across(tissue)
    length_mm = 0.0
    for z in range(body.shape[2]):
        labels, n = ndimage.label(body[:, :, z])
        areas_mm2 = np.bincount(labels.reshape(-1), minlength=n + 1)[1:] * edges_mm[0] * edges_mm[1]
        limbs = [k + 1 for k in np.flatnonzero(areas_mm2 > _SMALLEST_LIMB_MM2)]
        if len(limbs) < 2:
            continue
        depth = ndimage.distance_transform_edt(body[:, :, z])
        inside = []
        for limb in limbs:
            part = labels == limb
            core = part & (depth > 0.4 * depth[part].max()) & tissue[:, :, z]
            if np.count_nonzero(core) >= _FEWEST_VOXELS:
                inside.append((areas_mm2[limb - 1], float(np.median(fraction[:, :, z][core]))))
        if any(
            abs(f - g) > _LIMBS_DIFFER and 0.6 < a / b < 1.7 for i, (a, f) in enumerate(inside) for b, g in inside[:i]
        ):
            length_mm += float(step * edges_mm[2])
    return length_mm >= _LENGTH_MM
