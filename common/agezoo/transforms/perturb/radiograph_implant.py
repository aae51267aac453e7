"""Implants as a lateral radiograph shows them: rods and pedicle screws, a hip prosthesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.radiograph_column import Column, find_column
from agezoo.transforms.perturb.radiograph_scale import grey_range, pixel_mm

LEVEL_MM = 36.0
_LOWEST_LEVEL = 0.86
_BRIGHTER = 0.1


@dataclass(frozen=True)
class Bar:
    """A capsule of metal: everything within `radius_mm` of the line between two points (x, y) from the upper left."""

    start_mm: tuple[float, float]
    end_mm: tuple[float, float]
    radius_mm: float


def spinal_screws(image: np.ndarray, levels: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Draw a pair of pedicle screws into each of `levels` lower vertebrae, joined by two rods behind the column.

    Raises
    ------
    InputError
        If `levels` is no whole number from 1 to 12.
    """
    if levels != int(levels) or not 1 <= levels <= 12:
        raise InputError("a number of levels is needed", source="metal_screws", found=levels, expected="1 to 12")
    column = find_column(image, spacing_mm=spacing_mm)
    heights = [_LOWEST_LEVEL * column.height_mm - LEVEL_MM * level for level in range(int(levels))]
    bars = []
    # The two sides lie over one another but for the obliqueness that every positioning leaves.
    for aside in (0.0, 6.0):
        for y in heights:
            bars.append(Bar(_beside(column, y + aside, 34.0), _beside(column, y + aside - 3.0, -10.0), 3.2))
        lower, upper = heights[0] + 9.0 + aside, heights[-1] - 9.0 + aside
        bars.append(Bar(_beside(column, lower, 36.0 + aside), _beside(column, upper, 36.0 + aside), 2.75))
    return with_metal(image, bars, spacing_mm=spacing_mm)


def hip_prosthesis(
    image: np.ndarray, head_diameter_mm: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray:
    """Draw head, neck and stem of a hip prosthesis over the lower end of the column, the stem leaving at the foot end.

    Raises
    ------
    InputError
        If the head's diameter is not between 10 and 100 mm.
    """
    if not 10 <= head_diameter_mm <= 100:
        raise InputError("no such head", source="metal_hip", found=head_diameter_mm, expected="10 to 100 mm")
    column = find_column(image, spacing_mm=spacing_mm)
    y = column.height_mm - 75.0
    head, bend = _beside(column, y, -12.0), _beside(column, y + 38.0, -4.0)
    stem = _beside(column, y + 170.0, -18.0)
    bars = [Bar(head, head, head_diameter_mm / 2), Bar(head, bend, 7.0), Bar(bend, stem, 8.0)]
    return with_metal(image, bars, spacing_mm=spacing_mm)


def with_metal(image: np.ndarray, bars: Sequence[Bar], *, spacing_mm: Sequence[float]) -> np.ndarray:
    """A copy of the image with metal over it, brighter by a tenth of the grey range than anything else.

    Pixels at the edge of the metal get its share of their area.
    """
    height, width = pixel_mm(image.shape, spacing_mm)
    low, high = grey_range(image)
    value = np.float32(max(float(image.max()), high) + _BRIGHTER * (high - low))
    result = np.array(image, dtype=np.float32, copy=True)
    for bar in bars:
        window = _window(bar, image.shape, height, width)
        part = result[window]
        y = ((np.arange(window[0].start, window[0].stop) + 0.5) * height)[:, None]
        x = ((np.arange(window[1].start, window[1].stop) + 0.5) * width)[None, :]
        depth = bar.radius_mm - _distance_mm(bar, x, y)
        share = np.clip(0.5 + depth / min(height, width), 0.0, 1.0).astype(np.float32)
        np.maximum(part, part + share * (value - part), out=part)
    return result


def _beside(column: Column, y_mm: float, behind_mm: float) -> tuple[float, float]:
    """A point at a height, so far behind the column's line."""
    return column.at(y_mm) + column.back * behind_mm, y_mm


def _window(bar: Bar, shape: tuple[int, ...], height: float, width: float) -> tuple[slice, slice]:
    """The pixels around a bar, as far as they are in the image."""
    slices = []
    for axis, size, n in ((1, height, shape[0]), (0, width, shape[1])):
        low, high = sorted((bar.start_mm[axis], bar.end_mm[axis]))
        first = int(np.clip(np.floor((low - bar.radius_mm) / size) - 1, 0, n))
        slices.append(slice(first, int(np.clip(np.ceil((high + bar.radius_mm) / size) + 1, first, n))))
    return slices[0], slices[1]


def _distance_mm(bar: Bar, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance of points from the line of a bar."""
    along_x, along_y = bar.end_mm[0] - bar.start_mm[0], bar.end_mm[1] - bar.start_mm[1]
    length = along_x**2 + along_y**2
    px, py = x - bar.start_mm[0], y - bar.start_mm[1]
    t = np.clip((px * along_x + py * along_y) / length, 0.0, 1.0) if length else 0.0
    distance: np.ndarray = np.hypot(px - t * along_x, py - t * along_y)
    return distance
