"""What two neighbouring stations show of the part of the body that both have seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agezoo.transforms.body.axis_resampling import resampled
from agezoo.transforms.body.body_region import smoothed
from agezoo.transforms.body.station_places import VisitGrid, end_weights, heights_mm
from agezoo.transforms.body.water_fat import WaterFat

# Only where neither station counts for less than this: the outermost slices hold mostly coil fall-off.
_LEAST_WEIGHT = 0.1
_FEWEST_VOXELS = 200
_AT_MOST = 60_000


@dataclass(frozen=True)
class Overlap:
    """Comparison of a station with the next one towards the feet.

    Attributes
    ----------
    slices
        Slices of the visit's grid that both cover.
    ratio
        Signal of the upper station over that of the lower one (water and fat together): median over the voxels that
        are body in both; NaN if there are too few.
    correlation
        Pearson correlation of the two signals where either shows the body; NaN if there are too few voxels.
    agreement
        Dice coefficient of the two bodies.
    fraction_correlation
        Pearson correlation of the two fat fractions where both show the body; NaN where fat is not known.
    opposite_share
        Share of these voxels whose fat fractions are opposite: one near 1 minus the other, and far from it.
    gap_mm
        How far apart the stations are; 0 where they touch or overlap.
    """

    slices: int
    ratio: float
    correlation: float
    agreement: float
    fraction_correlation: float
    opposite_share: float
    gap_mm: float


def compare(pictures: Sequence[WaterFat], upper: int, grid: VisitGrid) -> Overlap:
    """Compare station `upper` with the one below it on the visit's grid.

    Stations that touch without overlapping are compared by their outermost slices.
    """
    heights = [heights_mm(picture.affine, picture.water.shape) for picture in pictures]
    (low, _), (_, high) = heights[upper], heights[upper + 1]
    slab = grid.slab(low, high)
    weights = [_weights(grid, slab, k, heights) for k in (upper, upper + 1)]
    chosen = np.flatnonzero((weights[0] > _LEAST_WEIGHT) & (weights[1] > _LEAST_WEIGHT))
    n = slab.stop - slab.start
    if not chosen.size:
        chosen = np.arange(n)
    if n:
        first = slab.start
        slab = slice(first + int(chosen[0]), first + int(chosen[-1]) + 1)
        places = [grid.part(slab)] * 2
    else:
        places = [_end_slice(pictures[upper], grid, 0), _end_slice(pictures[upper + 1], grid, -1)]
    one, other = (_seen(pictures[k], *place) for k, place in zip((upper, upper + 1), places, strict=True))
    return _compared(one, other, n, max(0.0, low - high))


def _weights(grid: VisitGrid, slab: slice, index: int, heights: Sequence[tuple[float, float]]) -> np.ndarray:
    affine, shape = grid.part(slab)
    return end_weights(affine[2, 3] + affine[2, 2] * np.arange(shape[2]), index, heights)


def _end_slice(picture: WaterFat, grid: VisitGrid, slice_index: int) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The visit's grid across, the station's own outermost slice along."""
    middle = (np.array(picture.water.shape) - 1) / 2
    middle[2] = slice_index % picture.water.shape[2]
    affine = grid.affine.copy()
    affine[2, 3] = (picture.affine[:3, :3] @ middle + picture.affine[:3, 3])[2]
    return affine, (grid.shape[0], grid.shape[1], 1)


@dataclass(frozen=True, eq=False)
class _Seen:
    signal: np.ndarray
    fraction: np.ndarray | None
    body: np.ndarray


def _seen(picture: WaterFat, affine: np.ndarray, shape: tuple[int, int, int]) -> _Seen:
    water = smoothed(resampled(picture.water, affine=picture.affine, grid_affine=affine, shape=shape))
    if picture.fat is None:
        return _Seen(water, None, water > picture.threshold)
    fat = smoothed(resampled(picture.fat, affine=picture.affine, grid_affine=affine, shape=shape))
    signal = water + fat
    body = signal > picture.threshold
    return _Seen(signal, np.divide(fat, signal, out=np.zeros_like(fat), where=signal > 0), body)


def _compared(one: _Seen, other: _Seen, slices: int, gap_mm: float) -> Overlap:
    both, either = one.body & other.body, one.body | other.body
    bodies = int(np.count_nonzero(one.body)) + int(np.count_nonzero(other.body))
    agreement = 2 * int(np.count_nonzero(both)) / max(1, bodies)
    if np.count_nonzero(both) < _FEWEST_VOXELS:
        return Overlap(slices, math.nan, math.nan, agreement, math.nan, math.nan, gap_mm)
    step = max(1, int(np.count_nonzero(both)) // _AT_MOST)
    a, b = one.signal[both][::step], other.signal[both][::step]
    ratio = float(np.exp(np.median(np.log(a) - np.log(b))))
    correlation = _pearson(one.signal[either][::step], other.signal[either][::step])
    fractions, opposite = math.nan, math.nan
    if one.fraction is not None and other.fraction is not None:
        f, g = one.fraction[both][::step], other.fraction[both][::step]
        fractions = _pearson(f, g)
        opposite = float(np.mean((np.abs(f - g) > 0.4) & (np.abs(f + g - 1) < 0.3)))
    return Overlap(slices, ratio, correlation, agreement, fractions, opposite, gap_mm)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else math.nan
