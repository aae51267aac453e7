"""The part of a stored image that shows the patient: shutters, collimation and burnt-in borders are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from skimage.draw import polygon2mask

from agezoo.data.dicom_elements import numbers_of, texts_of

# A line belongs to a border if all but this share of its pixels differ from its median by less than the tolerance ...
_ODD_PIXELS = 0.03
_TOLERANCE = 0.03
# ... and letters burnt into a border may break this share of its lines.
_ODD_LINES = 0.25
# Behind the border this share of a line must differ from it, within this share of all lines.
_STRAIGHT, _EDGE = 0.35, 0.02
_SAMPLES_PER_LINE = 512
# A shutter that leaves less than this is written in other units than pixels.
_LEAST_OPEN = 0.05


@dataclass(frozen=True)
class Area:
    """A rectangle of a stored image, in pixels from its top left corner."""

    top: int
    left: int
    rows: int
    columns: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in the stored image."""
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)


def shuttered(dataset: Dataset, shape: tuple[int, int]) -> np.ndarray | None:
    """Pixels that the header's display shutter or collimator covers; None where it has neither.

    Rectangles, circles and polygons of DICOM PS3.3 C.7.6.11 and C.8.7.3, several of which leave what is inside all of
    them. Edges that are no part of the image (some devices write millimetres) are ignored.
    """
    covered = np.zeros(shape, dtype=bool)
    for module in ("Shutter", "Collimator"):
        for form in texts_of(dataset, f"{module}Shape"):
            is_open = _opening(dataset, module, form.upper(), shape)
            if is_open is not None and is_open.mean() >= _LEAST_OPEN:
                covered |= ~is_open
    if not covered.any() or (~covered).mean() < _LEAST_OPEN:
        return None
    return covered


def _opening(dataset: Dataset, module: str, form: str, shape: tuple[int, int]) -> np.ndarray | None:
    """Where a shutter is open; None if it cannot be understood. DICOM counts rows and columns from 1."""
    rows, columns = shape
    if form == "RECTANGULAR":
        edges = [
            numbers_of(dataset, f"{module}{edge}", 1)
            for edge in ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
        ]
        if any(edge is None for edge in edges):
            return None
        upper, lower, left, right = (int(edge[0]) for edge in edges if edge is not None)
        # Edges may lie just outside the image, where they cover nothing; further away they mean something else.
        if not (-1 <= upper < lower <= rows + 1 and -1 <= left < right <= columns + 1):
            return None
        is_open = np.zeros(shape, dtype=bool)
        is_open[max(upper, 0) : max(lower - 1, 0), max(left, 0) : max(right - 1, 0)] = True
        return is_open
    if form == "CIRCULAR":
        centre = numbers_of(dataset, f"CenterOfCircular{module}", 2)
        radius = numbers_of(dataset, f"RadiusOfCircular{module}", 1)
        if centre is None or radius is None:
            return None
        y, x = np.ogrid[1 : rows + 1, 1 : columns + 1]
        is_inside: np.ndarray = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius[0] ** 2
        return is_inside
    if form == "POLYGONAL":
        texts = texts_of(dataset, f"VerticesOfThePolygonal{module}")
        values = numbers_of(dataset, f"VerticesOfThePolygonal{module}", len(texts))
        if values is None or len(values) < 6 or len(values) % 2:
            return None
        return np.asarray(polygon2mask(shape, np.reshape(values, (-1, 2)) - 1))
    return None


def picture_area(pixels: np.ndarray, outside: np.ndarray | None = None) -> Area:
    """The rectangle that is left when lines of nothing but border are taken off at the four sides.

    A row or column is border if nearly all of its pixels have one value and the picture begins behind it at a straight
    edge: black, white and grey frames, unexposed collimated strips. Air beside the body is as flat, but ends at
    the curve of the skin, and is kept.

    Parameters
    ----------
    pixels
        (rows, columns), any units.
    outside
        Where there is no picture; lines of it are taken off whatever their value.
    """
    rows, columns = pixels.shape
    step = max(1, min(rows, columns) // _SAMPLES_PER_LINE)
    sample = pixels[::step, ::step]
    top, bottom, left, right = 0, rows, 0, columns
    if outside is not None:
        seen = sample[~outside[::step, ::step]]
        sample = seen if seen.size else sample
        top, bottom = _first_and_last(~outside, axis=1)
        left, right = _first_and_last(~outside, axis=0)
    tolerance = _TOLERANCE * float(np.ptp(np.percentile(sample, (0.5, 99.5))))
    for _ in range(3):
        before = (top, bottom, left, right)
        lines = pixels[top:bottom, left : right : max(1, (right - left) // _SAMPLES_PER_LINE)]
        top, bottom = top + _border(lines, tolerance), bottom - _border(lines[::-1], tolerance)
        lines = pixels[top : bottom : max(1, (bottom - top) // _SAMPLES_PER_LINE), left:right].T
        left, right = left + _border(lines, tolerance), right - _border(lines[::-1], tolerance)
        if before == (top, bottom, left, right):
            break
    return Area(top, left, bottom - top, right - left)


def _first_and_last(inside: np.ndarray, axis: int) -> tuple[int, int]:
    places = np.flatnonzero(inside.any(axis=axis))
    return (int(places[0]), int(places[-1]) + 1) if places.size else (0, inside.shape[1 - axis])


def _border(lines: np.ndarray, tolerance: float) -> int:
    """How many lines at the beginning are border; never more than half of them."""
    half = lines[: len(lines) // 2]
    median = np.median(half, axis=1)
    is_flat = (np.abs(half - median[:, None]) > tolerance).mean(axis=1) <= _ODD_PIXELS
    share = np.cumsum(is_flat) / np.arange(1, len(half) + 1)
    flat = np.flatnonzero(is_flat & (share >= 1 - _ODD_LINES))
    reach = max(4, round(_EDGE * len(lines)))
    # From the inside outwards, because a border may lie beside air, which is flat as well but not cut off straight.
    for last in flat[::-1]:
        if _begins_behind(lines, int(last), reach, tolerance):
            return int(last) + 1
    return 0


def _begins_behind(lines: np.ndarray, last: int, reach: int, tolerance: float) -> bool:
    behind, value = lines[last + 1 : last + 1 + reach], np.median(lines[last])
    return bool((np.abs(behind - value) > tolerance).mean(axis=1).max(initial=0) >= _STRAIGHT)
