"""Millimetres and grey values of radiographs, which often say neither what a pixel measures nor what a value means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.errors import InputError

ASSUMED_LONGER_SIDE_MM = 430.0
"""Longer side of the usual cassette of 35 x 43 cm, for images that do not state their spacing."""


def pixel_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> tuple[float, float]:
    """Height and width of a pixel in mm; where unknown, as if the image's longer side measured 430 mm.

    A length in mm is then a share of the image: 4.3 mm are 1 % of its longer side.
    """
    rows, columns = (float(s) for s in spacing_mm)
    if is_known(spacing_mm):
        return rows, columns
    assumed = ASSUMED_LONGER_SIDE_MM / max(shape)
    return assumed, assumed


def is_known(spacing_mm: Sequence[float]) -> bool:
    """Whether both distances are positive numbers."""
    return bool(np.isfinite(spacing_mm).all() and (np.asarray(spacing_mm) > 0).all())


def grey_range(image: np.ndarray) -> tuple[float, float]:
    """Black and white of the picture: its 1st and 99th percentile, so that one marker does not decide about them.

    Raises
    ------
    InputError
        If the image has only one grey value.
    """
    # Every third pixel along both axes is enough for percentiles and a tenth of the work.
    low, high = (float(v) for v in np.percentile(image[::3, ::3], (1.0, 99.0)))
    if not high > low:
        low, high = float(image.min()), float(image.max())
    if not high > low:
        raise InputError("the image is blank", found=f"one grey value, {low:g}")
    return low, high


def black(image: np.ndarray) -> float:
    """What comes in where the image shows nothing: its darkest value."""
    return float(image.min())


def share(value: float, *, source: str, most: float = 0.9) -> float:
    """A share of the image that can be taken away.

    Raises
    ------
    InputError
        If it is not in 0..`most`.
    """
    if not 0 <= value <= most:
        raise InputError(
            "cannot take away this part", source=source, found=value, expected=f"a fraction of 0 to {most:g}"
        )
    return float(value)


def switched_on(value: float, *, source: str) -> bool:
    """Whether a change that can only be made or not be made is to be made.

    Raises
    ------
    InputError
        If the grade is neither 0 nor 1.
    """
    if value not in (0, 1):
        raise InputError("this has no grades between", source=source, found=value, expected="0 or 1")
    return value == 1
