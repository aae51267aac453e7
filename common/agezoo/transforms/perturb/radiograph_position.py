"""The patient stands obliquely, off the middle, nearer or farther, or faces the other way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from agezoo.errors import InputError
from agezoo.transforms.perturb.radiograph_scale import black, pixel_mm, switched_on


def rotate(image: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Turn about the middle of the image, to a side drawn by chance; black comes in."""
    return turn(image, degrees * _side(rng), spacing_mm=spacing_mm)


def turn(image: np.ndarray, degrees: float, *, spacing_mm: Sequence[float]) -> np.ndarray:
    """Turn about the middle of the image on its own grid; a positive angle turns what is at the top to the left.

    The angle is one in space, whatever the shape of the pixels.
    """
    height, width = pixel_mm(image.shape, spacing_mm)
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    # A point of the result (x, y) comes from this point of the source: to mm, back by the angle, to pixels.
    return _drawn(image, ((cos, -sin * height / width), (sin * width / height, cos)))


def magnify(image: np.ndarray, factor: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Enlarge about the middle of the image on its own grid; below 1 black comes in, above 1 the edges go.

    Raises
    ------
    InputError
        If the factor is not between 0.2 and 5.
    """
    if not 0.2 <= factor <= 5.0:
        raise InputError("no such magnification", source="magnification", found=factor, expected="0.2 to 5")
    return _drawn(image, ((1.0 / factor, 0.0), (0.0, 1.0 / factor)))


def shift(
    image: np.ndarray, distance_mm: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Move everything by `distance_mm` in a direction drawn by chance, rounded to whole pixels; black comes in."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    height, width = pixel_mm(image.shape, spacing_mm)
    return shifted(image, round(distance_mm * np.sin(angle) / height), round(distance_mm * np.cos(angle) / width))


def shifted(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The image moved down and to the right by whole pixels, black where nothing came from."""
    result = np.full_like(image, black(image))
    down, right = (_overlap(n, by) for n, by in zip(image.shape, (rows, columns), strict=True))
    result[down[0], right[0]] = image[down[1], right[1]]
    return result


def flip(image: np.ndarray, on: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Mirror left and right: the patient faces the other way."""
    return image[:, ::-1].copy() if switched_on(on, source="flip") else image


def _drawn(image: np.ndarray, matrix: tuple[tuple[float, float], tuple[float, float]]) -> np.ndarray:
    """The image with every point taken from `matrix` times the point (x, y), both from the middle, by cubics."""
    rows, columns = image.shape
    (a, b), (d, e) = matrix
    x, y = columns / 2, rows / 2
    coefficients = (a, b, x - a * x - b * y, d, e, y - d * x - e * y)
    drawn = np.asarray(
        Image.fromarray(np.ascontiguousarray(image, dtype=np.float32)).transform(
            (columns, rows), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=black(image)
        )
    )
    # Cubics overshoot at edges.
    return np.clip(drawn, image.min(), image.max())


def _overlap(n_pixels: int, by: int) -> tuple[slice, slice]:
    """Where pixels land and where they come from."""
    by = max(-n_pixels, min(n_pixels, by))
    return slice(max(by, 0), n_pixels + min(by, 0)), slice(max(-by, 0), n_pixels - max(by, 0))


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1
