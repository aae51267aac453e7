"""Stations whose water and fat have changed places, and how to tell.

A scanner's water-fat separation can settle on the wrong of two solutions, for a whole station or for a limb. In UK
Biobank this happens in about 2 % of people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from agezoo.data.dixon import DixonStation
from agezoo.transforms.body.body_region import filled_across
from agezoo.transforms.body.overlaps import Overlap, compare
from agezoo.transforms.body.station_places import visit_grid
from agezoo.transforms.body.water_fat import WaterFat, head_to_foot, water_fat

# The skin itself is water, and lies in the outermost voxel.
_SHELL_MM = (2.5, 9.0)
_SLICE_STEP_MM = 9.0
# Inner half of the depth of trunk or limb.
_CORE = 0.5
_FEWEST_VOXELS = 100
# How much a difference of 1 in each sign of a swap counts.
_WEIGHT_SHELL, _WEIGHT_CORE, _WEIGHT_OVERLAP = 5.0, 2.0, 3.0


@dataclass(frozen=True)
class SwapSigns:
    """What speaks for a station's water being water.

    Attributes
    ----------
    shell_over_core
        Mean fat fraction just below the skin minus that in the inner half of trunk or limbs. A swap turns its sign.
    core_median
        Median fat fraction of that inner half: muscle and organs, so below a half but for a swap.
    """

    shell_over_core: float
    core_median: float

    @property
    def score(self) -> float:
        """Above 0 where the station is as it should be, below for a swap; 0 where nothing is known."""
        if math.isnan(self.shell_over_core):
            return 0.0
        return _WEIGHT_SHELL * self.shell_over_core + _WEIGHT_CORE * 2 * (0.5 - self.core_median)


def swapped_stations(stations: Sequence[DixonStation]) -> tuple[int, ...]:
    """Stations of a visit whose water and fat images have changed places.

    Two facts decide together: the outermost centimetre of a body holds more fat than what lies deep inside it, and two
    neighbours must agree on the fat fraction of their overlap. Stations without fat images cannot be judged.

    Parameters
    ----------
    stations
        Stations of one visit, in any order.

    Returns
    -------
    tuple of int
        Numbers of these stations, 1 for the one nearest to the head.
    """
    pictures = [water_fat(station) for station in head_to_foot(stations)]
    grid = visit_grid([(picture.affine, picture.water.shape) for picture in pictures])
    return swapped_pictures(pictures, [compare(pictures, k, grid) for k in range(len(pictures) - 1)])


def swapped_pictures(pictures: Sequence[WaterFat], overlaps: Sequence[Overlap]) -> tuple[int, ...]:
    """As :func:`swapped_stations`, from what is known already: head to foot, and each with the next."""
    scores = [0.0 if picture.fat is None else swap_signs(picture).score for picture in pictures]
    bonds = [0.0 if math.isnan(o.fraction_correlation) else _WEIGHT_OVERLAP * o.fraction_correlation for o in overlaps]
    signs = _best_signs(scores, bonds)
    return tuple(k for k, sign in enumerate(signs, start=1) if sign < 0)


def swap_signs(picture: WaterFat) -> SwapSigns:
    """Compare the fat below the skin with the inside of a station, on slices some millimetres apart."""
    if picture.fat is None:
        return SwapSigns(math.nan, math.nan)
    edges_mm = np.linalg.norm(picture.affine[:3, :3], axis=0)
    step = max(1, round(_SLICE_STEP_MM / edges_mm[2]))
    chosen = WaterFat(
        picture.water[:, :, ::step], picture.fat[:, :, ::step], picture.affine, picture.threshold, picture.computed
    )
    fraction = chosen.fraction
    if fraction is None:
        return SwapSigns(math.nan, math.nan)
    signal = chosen.signal > picture.threshold
    body = filled_across(signal)
    shell, core = [], []
    for z in range(body.shape[2]):
        depth_mm = ndimage.distance_transform_edt(body[:, :, z], sampling=edges_mm[:2])
        labels, n = ndimage.label(body[:, :, z])
        deepest = np.zeros(n + 1)
        np.maximum.at(deepest, labels.reshape(-1), depth_mm.reshape(-1))
        tissue = signal[:, :, z]
        outer = tissue & (depth_mm > _SHELL_MM[0]) & (depth_mm <= _SHELL_MM[1])
        # A slender part has no inside that differs from its shell.
        inner = tissue & (depth_mm > np.maximum(_CORE * deepest[labels], 2 * _SHELL_MM[1]))
        shell.append(fraction[:, :, z][outer])
        core.append(fraction[:, :, z][inner])
    outside, inside = np.concatenate(shell), np.concatenate(core)
    if min(len(outside), len(inside)) < _FEWEST_VOXELS:
        return SwapSigns(math.nan, math.nan)
    return SwapSigns(float(outside.mean() - inside.mean()), float(np.median(inside)))


def _best_signs(scores: Sequence[float], bonds: Sequence[float]) -> list[int]:
    """Signs (1 as it should be, -1 swapped) of a chain that agree most with the scores and with the bonds between.

    Of all assignments the one with the largest sum of sign x score and sign x sign x bond (Viterbi); without
    any evidence nothing counts as swapped.
    """
    best = {1: (scores[0] + 1e-9, [1]), -1: (-scores[0], [-1])}
    for score, bond in zip(scores[1:], bonds, strict=True):
        ahead = {}
        for sign in (1, -1):
            value, before = max((best[p][0] + p * sign * bond, p) for p in (1, -1))
            ahead[sign] = (value + sign * score + (1e-9 if sign > 0 else 0.0), [*best[before][1], sign])
        best = ahead
    return max(best.values(), key=lambda pair: pair[0])[1]
