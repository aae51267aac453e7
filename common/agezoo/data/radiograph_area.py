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

    A row or column is border if nearly all of its pixels have one value, and that is among the darkest or brightest of
    the image: black and white frames, unexposed collimated strips, and strips where the beam met air alone.

    Parameters
    ----------
    pixels
        (rows, columns), any units.
    outside
        Where there is no picture; counts as border whatever its value.
    """
    rows, columns = pixels.shape
    step = max(1, min(rows, columns) // _SAMPLES_PER_LINE)
    sample = pixels[::step, ::step]
    if outside is not None:
        seen = sample[~outside[::step, ::step]]
        sample = seen if seen.size else sample
    low, high = (float(value) for value in np.percentile(sample, (0.5, 99.5)))
    top, bottom, left, right = 0, rows, 0, columns
    for _ in range(3):
        before = (top, bottom, left, right)
        across = _border_lines(pixels, outside, (top, bottom, left, right), 0, low, high)
        top, bottom = top + _run(across), bottom - _run(across[::-1])
        across = _border_lines(pixels, outside, (top, bottom, left, right), 1, low, high)
        left, right = left + _run(across), right - _run(across[::-1])
        if before == (top, bottom, left, right):
            break
    return Area(top, left, bottom - top, right - left)


def _border_lines(
    pixels: np.ndarray,
    outside: np.ndarray | None,
    box: tuple[int, int, int, int],
    axis: int,
    low: float,
    high: float,
) -> np.ndarray:
    """For each row (axis 0) or column (axis 1) of the box, whether it is border."""
    top, bottom, left, right = box
    step = max(1, ((right - left) if axis == 0 else (bottom - top)) // _SAMPLES_PER_LINE)
    index = (
        (slice(top, bottom), slice(left, right, step)) if axis == 0 else (slice(top, bottom, step), slice(left, right))
    )
    lines = pixels[index] if axis == 0 else pixels[index].T
    median = np.median(lines, axis=1)
    tolerance = _TOLERANCE * (high - low)
    is_odd = np.abs(lines - median[:, None]) > tolerance
    is_extreme = (median <= low + tolerance) | (median >= high - tolerance)
    if outside is None:
        border: np.ndarray = (is_odd.mean(axis=1) <= _ODD_PIXELS) & is_extreme
        return border
    away = outside[index] if axis == 0 else outside[index].T
    mostly_away = (~away).mean(axis=1) <= _ODD_PIXELS
    return mostly_away | (((is_odd & ~away).mean(axis=1) <= _ODD_PIXELS) & is_extreme)


def _run(border: np.ndarray) -> int:
    """How many lines to take off at the beginning, at most half of them."""
    half = border[: len(border) // 2]
    if not half.size or not half[:3].any():
        return 0
    share = np.cumsum(half) / np.arange(1, len(half) + 1)
    fitting = np.flatnonzero(half & (share >= 1 - _ODD_LINES))
    return int(fitting[-1]) + 1 if fitting.size else 0
