"""A whole body from the stations of one visit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agezoo.data.dixon import DixonStation, read_dixon
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError
from agezoo.transforms.body.axis_resampling import resampled
from agezoo.transforms.body.body_region import body_region, signal_threshold, smoothed
from agezoo.transforms.body.end_fading import fading_gains
from agezoo.transforms.body.overlaps import Overlap, compare
from agezoo.transforms.body.partial_swap import partial_swaps
from agezoo.transforms.body.station_places import VisitGrid, end_weights, heights_mm, visit_grid
from agezoo.transforms.body.swap import swapped_pictures
from agezoo.transforms.body.water_fat import FROM_ECHOES, WaterFat, head_to_foot, water_fat

Source = str | Path | Sequence[str | Path]

# A step that the matching of brightness is expected to find; larger ones are told.
_USUAL_STEP = 1.25
# Correlation of what two stations show of their overlap below which the person has moved: some 10 mm across.
_MOVED = 0.7
# Dice coefficient of two stations' bodies in their overlap below which they are not of one examination.
_SAME_BODY = 0.6


@dataclass(frozen=True, eq=False)
class BodyVolume:
    """Water and fat of a whole body on one grid.

    Attributes
    ----------
    water, fat
        float32 (X, Y, Z), axes growing towards left, front and head; fat is None where it is not known. Air around the
        body is 0 unless it was to be kept.
    affine
        Voxel index to RAS+ mm.
    facts
        What is known of the scan; its notes tell what was found and mended.
    n_stations
        How many stations were put together.
    swapped
        Stations (1 = nearest to the head) whose water and fat had changed places and were exchanged.
    body
        Where the body is, with lungs and bowel; None where air was to be kept.
    threshold
        Lowest smoothed signal (water and fat together) that is no noise.
    factors
        By what each station's brightness was multiplied, head to foot.
    overlaps
        Each station compared with the next one towards the feet, before brightness was matched.
    """

    water: np.ndarray
    fat: np.ndarray | None
    affine: np.ndarray
    facts: ScanFacts
    n_stations: int = 1
    swapped: tuple[int, ...] = ()
    body: np.ndarray | None = None
    threshold: float = 0.0
    factors: tuple[float, ...] = (1.0,)
    overlaps: tuple[Overlap, ...] = ()


def read_body(source: Source, *, mask_air: bool = True, level_overlaps: bool = False) -> BodyVolume:
    """Read one visit and put its stations together.

    Parameters
    ----------
    source
        Zip or folder of DICOM, or NIfTI volumes, as :func:`agezoo.data.dixon.read_dixon` takes them.
    mask_air
        Set everything outside the body to 0. Scanners leave noise there, and the published recipe takes the voxels
        above 0 for the body. Air inside the body stays as it is.
    level_overlaps
        Raise overlaps that are darker than their surroundings, see :mod:`agezoo.transforms.body.end_fading`. The
        published recipe does not say so; a network must see bodies that were read the same way in training and later.

    Raises
    ------
    InputError
        If the scan cannot be read, a station shows no body, or neighbouring stations leave a gap or do not show the
        same body in their overlap.
    """
    scan = read_dixon(source)
    name = source if isinstance(source, str | Path) else (Path(source[0]).parent if len(source) else "")
    try:
        return stitch(scan.stations, scan.facts, mask_air=mask_air, level_overlaps=level_overlaps)
    except InputError as error:
        raise InputError(
            error.problem, source=str(name), found=error.found, expected=error.expected, remedy=error.remedy
        ) from error


def stitch(
    stations: Sequence[DixonStation], facts: ScanFacts, *, mask_air: bool = True, level_overlaps: bool = False
) -> BodyVolume:
    """Put the stations of one visit together.

    Stations whose water and fat have changed places are mended first. Each station gets one factor for all contrasts,
    so that the fat fraction is untouched: the ratio of the signals in the overlaps, chained from the central station.
    In the overlaps the stations are mixed with weights that fall smoothly to nothing at their ends.

    Parameters
    ----------
    stations
        In any order.
    facts
        Of the visit; notes are added.
    mask_air, level_overlaps
        As in :func:`read_body`.
    """
    pictures = [water_fat(station) for station in head_to_foot(stations)]
    notes = [FROM_ECHOES] if any(picture.computed for picture in pictures) else []
    grid = visit_grid([(picture.affine, picture.water.shape) for picture in pictures])
    overlaps = [compare(pictures, k, grid) for k in range(len(pictures) - 1)]
    notes += _overlap_notes(overlaps, float(grid.affine[2, 2]))
    swapped = swapped_pictures(pictures, overlaps)
    pictures = [picture.exchanged() if k in swapped else picture for k, picture in enumerate(pictures, start=1)]
    if swapped:
        notes.append(f"water and fat had changed places in {_stations(swapped)}; exchanged")
    notes += partial_swaps(
        pictures, [compare(pictures, k, grid) for k in range(len(pictures) - 1)] if swapped else overlaps
    )
    factors = matching_factors([overlap.ratio for overlap in overlaps])
    notes += _factor_notes(factors)
    water = _blended(pictures, lambda picture: picture.water, factors, grid)
    fat = None
    if all(picture.fat is not None for picture in pictures):
        fat = _blended(pictures, lambda picture: picture.fat, factors, grid)
    if level_overlaps:
        heights = [heights_mm(picture.affine, picture.water.shape) for picture in pictures]
        tissue = float(np.median([p.threshold * f for p, f in zip(pictures, factors, strict=True)]))
        gains = fading_gains(water if fat is None else water + fat, grid, heights, tissue)
        for image in (water, fat):
            if image is not None:
                image *= gains
    body, threshold = _without_air(water, fat) if mask_air else (None, 0.0)
    facts = facts.with_notes(*notes)
    return BodyVolume(
        water, fat, grid.affine, facts, len(pictures), swapped, body, threshold, factors, tuple(overlaps)
    )  # fmt: skip


def matching_factors(ratios: Sequence[float]) -> tuple[float, ...]:
    """Factor for each station's brightness from the ratios of neighbours (upper over lower), head to foot.

    The central station keeps its brightness, so that no chain of ratios is longer than half the body. A ratio that is
    not known counts as 1.
    """
    steps = [0.0 if math.isnan(ratio) else math.log(ratio) for ratio in ratios]
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    return tuple(float(factor) for factor in np.exp(logs - logs[len(logs) // 2]))


def _overlap_notes(overlaps: Sequence[Overlap], slice_mm: float) -> list[str]:
    notes = []
    for k, overlap in enumerate(overlaps, start=1):
        pair = f"stations {k} and {k + 1} (counted from the head)"
        if overlap.gap_mm > slice_mm:
            raise InputError(
                "the stations leave a gap along the body",
                found=f"{overlap.gap_mm:.0f} mm between {pair}",
                expected="stations that overlap, or at least touch",
                remedy="look for a station that was not exported",
            )
        if math.isnan(overlap.ratio):
            raise InputError(
                "neighbouring stations do not show the same part of the body",
                found=f"no common body in the overlap of {pair}",
                remedy="check that all stations are of one visit and that none is empty",
            )
        if overlap.agreement < _SAME_BODY:
            raise InputError(
                "neighbouring stations do not fit together",
                found=f"bodies that agree by {overlap.agreement:.2f} (Dice) in the overlap of {pair}",
                expected=f"at least {_SAME_BODY}",
                remedy="check that all stations are of one visit and of one person",
            )
        if overlap.slices == 0:
            notes.append(f"{pair} touch without an overlap; their brightness was matched by the slices at the seam")
        if _likeness(overlap) < _MOVED:
            notes.append(f"{pair} may have moved against each other (correlation {_likeness(overlap):.2f})")
    return notes


def _likeness(overlap: Overlap) -> float:
    """Correlation of the fat fractions, whatever has been exchanged; of the signals where fat is not known.

    Where fat is about as bright as water, the sum of both shows little but noise and coils.
    """
    return overlap.correlation if math.isnan(overlap.fraction_correlation) else abs(overlap.fraction_correlation)


def _factor_notes(factors: Sequence[float]) -> list[str]:
    large = [k for k, factor in enumerate(factors) if abs(math.log(factor)) > math.log(_USUAL_STEP)]
    if not large:
        return []
    told = ", ".join(f"station {k + 1} x {factors[k]:.2f}" for k in large)
    return [f"brightness matched between the stations: {told}"]


def _stations(numbers: Sequence[int]) -> str:
    listed = ", ".join(map(str, numbers))
    return f"station{'s' if len(numbers) > 1 else ''} {listed} (counted from the head)"


def _blended(
    pictures: Sequence[WaterFat],
    image_of: Callable[[WaterFat], np.ndarray | None],
    factors: Sequence[float],
    grid: VisitGrid,
) -> np.ndarray:
    """One contrast of all stations on the grid of the visit; 0 where no station reaches."""
    heights = [heights_mm(picture.affine, picture.water.shape) for picture in pictures]
    total = np.zeros(grid.shape, dtype=np.float32)
    weights = np.zeros(grid.shape, dtype=np.float32)
    for index, picture in enumerate(pictures):
        slab = grid.slab(*heights[index])
        affine, shape = grid.part(slab)
        z_mm = affine[2, 3] + affine[2, 2] * np.arange(shape[2])
        weight = end_weights(z_mm, index, heights)
        values = resampled(np.asarray(image_of(picture)), picture.affine, affine, shape)
        values *= weight * np.float32(factors[index])
        total[:, :, slab] += values
        weights[:, :, slab] += _covered(picture, affine, shape) * weight
    np.divide(total, weights, out=total, where=weights > 0)
    return total


def _covered(picture: WaterFat, affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """1 where a station's field of view reaches, else 0; broadcast along the body."""
    across = np.ones((*picture.water.shape[:2], 1), dtype=np.float32)
    middle = picture.affine @ np.array([0, 0, (picture.water.shape[2] - 1) / 2, 0])
    own, target = picture.affine.copy(), affine.copy()
    own[:, 3] += middle
    target[2, 3] = own[2, 3]
    reached = resampled(across, own, target, (*shape[:2], 1))
    return (reached > 0.5).astype(np.float32)


def _without_air(water: np.ndarray, fat: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Set air to 0 in place; where the body is, and the lowest signal that is no noise."""
    mean = smoothed(water if fat is None else water + fat)
    threshold = signal_threshold(mean, level=0.0 if fat is None else None)
    body = body_region(mean, threshold)
    for image in (water, fat):
        if image is not None:
            image *= body
    return body, threshold
