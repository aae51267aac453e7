"""Where the slices of a series lie: their order, their spacing, what is missing, doubled or tilted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import acos, degrees

import numpy as np

from agezoo.data.dicom_headers import SliceHeader, count_of
from agezoo.errors import InputError

# Two slices nearer than this are at the same place: positions are written with three decimals or fewer.
SAME_POSITION_MM = 0.02
# Positions rounded to 0.1 mm make gaps of 1.2 and 1.3 mm out of 1.25; more than that is uneven.
_GAP_TOLERANCE = 0.10
_MIN_SLICES = 3
_MAX_TILT_DEGREES = 45.0
_SPACING_RANGE_MM = (0.05, 50.0)


@dataclass(frozen=True)
class StackGeometry:
    """How slices form a volume.

    Parameters
    ----------
    order
        Indices of the slices from the first to the last place, one for each place.
    doubles
        Pairs of indices of slices at the same place; the first of each pair is in ``order``.
    origin_mm
        Centre of the first slice's first pixel, in DICOM patient coordinates (Left, Posterior, Superior).
    column_step_mm, row_step_mm, slice_step_mm
        Vectors from a pixel to the next column, the next row and the next slice.
    is_tilted
        Whether the slices are not perpendicular to the direction in which they are stacked.
    tilt_degrees
        Angle between the stacking direction and the slices' normal.
    """

    order: tuple[int, ...]
    doubles: tuple[tuple[int, int], ...]
    origin_mm: np.ndarray
    column_step_mm: np.ndarray
    row_step_mm: np.ndarray
    slice_step_mm: np.ndarray
    is_tilted: bool
    tilt_degrees: float


def slice_normal(orientation: Sequence[float]) -> np.ndarray:
    """Unit vector perpendicular to an image, from its row and column directions."""
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    normal = np.cross(row, column)
    length = float(np.linalg.norm(normal))
    return normal / length if length > 0 else normal


def heights_mm(headers: Sequence[SliceHeader]) -> np.ndarray:
    """Position of each slice along the normal of the first."""
    normal = slice_normal(headers[0].orientation or (1, 0, 0, 0, 1, 0))
    return np.array([np.dot(normal, header.position_mm or (0, 0, 0)) for header in headers])


def has_doubles(headers: Sequence[SliceHeader]) -> bool:
    """Whether two slices lie at the same place."""
    return bool((np.diff(np.sort(heights_mm(headers))) < SAME_POSITION_MM).any())


def stack_geometry(headers: Sequence[SliceHeader], *, source: str) -> StackGeometry:
    """Order and geometry of the slices of one series.

    Slices are ordered by their position along the normal, never by file name or instance number.

    Raises
    ------
    InputError
        If there are fewer than three places, a slice is missing, the spacing is uneven, or the slices do not form a
        straight stack.
    """
    orientation = headers[0].orientation
    spacing = headers[0].pixel_spacing_mm
    if orientation is None or spacing is None or any(header.position_mm is None for header in headers):
        raise InputError(
            "slices have no position, orientation or pixel spacing",
            source=source,
            expected="ImagePositionPatient, ImageOrientationPatient and PixelSpacing in every slice",
            remedy="export the original series from the archive",
        )
    row_direction, column_direction = np.array(orientation[:3]), np.array(orientation[3:])
    if (
        abs(np.linalg.norm(row_direction) - 1) > 0.01
        or abs(np.linalg.norm(column_direction) - 1) > 0.01
        or abs(row_direction @ column_direction) > 0.01
    ):
        raise InputError(
            "ImageOrientationPatient does not hold two perpendicular unit vectors",
            source=source,
            found=[round(value, 4) for value in orientation],
            remedy="export the original series from the archive",
        )
    if not all(_SPACING_RANGE_MM[0] <= value <= _SPACING_RANGE_MM[1] for value in spacing):
        raise InputError(
            "the pixel spacing is impossible",
            source=source,
            found=f"{spacing[0]:g} x {spacing[1]:g} mm",
            expected=f"{_SPACING_RANGE_MM[0]:g} to {_SPACING_RANGE_MM[1]:g} mm",
            remedy="export the original series from the archive",
        )

    heights = heights_mm(headers)
    order, doubles = _order(heights)
    if len(order) < _MIN_SLICES:
        raise InputError(
            "too few slices for a volume",
            source=source,
            found=count_of(len(order), "slice"),
            expected=f"at least {_MIN_SLICES}",
            remedy="give the folder that holds all slices of the series",
        )
    gap_mm = _even_gap(heights[list(order)], source)

    normal = slice_normal(orientation)
    positions = np.array([headers[index].position_mm for index in order])
    sideways = positions - positions[0] - np.outer(heights[list(order)] - heights[order[0]], normal)
    drift = sideways[-1] / (len(order) - 1)
    offsets = np.linalg.norm(sideways - np.outer(np.arange(len(order)), drift), axis=1)
    if offsets.max() > max(1.0, min(spacing)):
        raise InputError(
            "slices are shifted sideways against each other",
            source=source,
            found=f"up to {offsets.max():.1f} mm",
            expected="slices that form one straight stack",
            remedy="export the series as one reconstruction with one field of view",
        )
    is_tilted = float(np.linalg.norm(sideways[-1])) > max(1.0, min(spacing))
    step = normal * gap_mm + (drift if is_tilted else 0)
    tilt_degrees = degrees(acos(min(1.0, gap_mm / float(np.linalg.norm(step)))))
    if tilt_degrees > _MAX_TILT_DEGREES:
        raise InputError(
            "slices are not stacked on top of each other",
            source=source,
            found=f"{tilt_degrees:.0f} degrees between the stacking direction and the slices' normal",
            expected=f"at most {_MAX_TILT_DEGREES:.0f} degrees (gantry tilt)",
            remedy="export the original series from the archive",
        )
    return StackGeometry(
        order=order,
        doubles=doubles,
        origin_mm=positions[0],
        column_step_mm=row_direction * spacing[1],
        row_step_mm=column_direction * spacing[0],
        slice_step_mm=step,
        is_tilted=is_tilted,
        tilt_degrees=tilt_degrees if is_tilted else 0.0,
    )


def _order(heights: np.ndarray) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    order: list[int] = []
    doubles: list[tuple[int, int]] = []
    for index in np.argsort(heights, kind="stable").tolist():
        if order and heights[index] - heights[order[-1]] < SAME_POSITION_MM:
            doubles.append((order[-1], index))
        else:
            order.append(index)
    return tuple(order), tuple(doubles)


def _even_gap(heights: np.ndarray, source: str) -> float:
    """Distance between neighbours, if it is the same everywhere."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    if (np.abs(gaps / usual - 1) <= _GAP_TOLERANCE).all():
        return float(gaps.mean())
    # A missing slice widens a gap and never narrows one, so the narrowest is the one to count in.
    narrowest = float(gaps.min())
    multiples = gaps / narrowest
    whole = np.rint(multiples)
    if (np.abs(multiples - whole) <= _GAP_TOLERANCE).all():
        odd = whole > 1
        n_missing = int((whole - 1).sum())
        places = ", ".join(f"{heights[index]:.1f} mm" for index in np.flatnonzero(odd)[:3])
        raise InputError(
            "slices are missing",
            source=source,
            found=f"{count_of(n_missing, 'slice')} missing after {places}{' ...' if odd.sum() > 3 else ''} "
            f"(usual distance {narrowest:.2f} mm, largest {gaps.max():.2f} mm)",
            expected="one slice at every place",
            remedy="copy or export the series again",
        )
    raise InputError(
        "the distance between slices is uneven",
        source=source,
        found=f"{gaps.min():.2f} to {gaps.max():.2f} mm, usually {usual:.2f} mm",
        expected=f"equal distances (within {_GAP_TOLERANCE:.0%})",
        remedy="use a reconstruction with one slice distance, or resample the series to one",
    )
