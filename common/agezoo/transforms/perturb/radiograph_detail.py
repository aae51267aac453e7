"""Detail that was lost when the image was stored: larger pixels, lossy compression."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from agezoo.errors import InputError
from agezoo.transforms.perturb.perturbation import NotApplicable
from agezoo.transforms.perturb.radiograph_scale import pixel_mm

Geometry = tuple[tuple[float, ...], tuple[float, ...]]


def enlarge_pixels(image: np.ndarray, size_mm: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Average into pixels of about this edge, without gaps or overlap.

    The whole image is divided, so the pixels are as large as asked for within rounding.

    Raises
    ------
    NotApplicable
        If the pixels are that large already.
    InputError
        If fewer than 16 rows or columns would be left.
    """
    rows, columns = _count(image.shape, size_mm, spacing_mm)
    averaged = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32)).resize(
        (columns, rows), Image.Resampling.BOX
    )
    return np.asarray(averaged)


def large_geometry(shape: Sequence[int], size_mm: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``: the first large pixel is centred among the pixels that it is made of."""
    steps = tuple(n / new for n, new in zip(shape, _count(shape, size_mm, spacing_mm), strict=True))
    return tuple((step - 1) / 2 for step in steps), steps


def compress(image: np.ndarray, quality: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Store as JPEG of this quality (1 to 100, libjpeg's scale) and read back; 8 bits between darkest and brightest.

    Raises
    ------
    InputError
        If the quality is no whole number from 1 to 100, or the image is blank.
    """
    if quality != int(quality) or not 1 <= quality <= 100:
        raise InputError("no such quality", source="jpeg", found=quality, expected="a whole number, 1 to 100")
    low, high = float(image.min()), float(image.max())
    if not high > low:
        raise InputError("the image is blank", found=f"one grey value, {low:g}")
    grey = np.rint((image - np.float32(low)) * np.float32(255.0 / (high - low))).astype(np.uint8)
    stored = io.BytesIO()
    Image.fromarray(grey).save(stored, format="JPEG", quality=int(quality))
    read = np.asarray(Image.open(stored), dtype=np.float32)
    restored: np.ndarray = np.float32(low) + read * np.float32((high - low) / 255.0)
    return restored


def _count(shape: Sequence[int], size_mm: float, spacing_mm: Sequence[float]) -> tuple[int, int]:
    if size_mm <= 0:
        raise InputError("a size is needed", source="pixel_size", found=size_mm, expected="above 0 mm")
    sizes = pixel_mm(shape, spacing_mm)
    if max(sizes) * 1.01 >= size_mm:
        raise NotApplicable(
            "the pixels are that large already",
            found=f"{max(sizes):.3g} mm",
            expected=f"smaller than {size_mm:g} mm",
        )
    rows, columns = (round(n * s / size_mm) for n, s in zip(shape, sizes, strict=True))
    if min(rows, columns) < 16:
        raise InputError("too few pixels of this size", source="pixel_size", found=f"{rows} x {columns}", expected="16")
    return rows, columns
