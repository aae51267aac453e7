"""Grey values that were exposed, displayed or stored in another way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.perturbation import NotApplicable
from agezoo.transforms.perturb.radiograph_scale import grey_range, switched_on


def change_gamma(image: np.ndarray, gamma: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Bend the grey scale: a grey value at the share t of the image's whole range goes to ``t ** gamma``.

    Raises
    ------
    InputError
        If gamma is not positive.
    """
    if gamma <= 0:
        raise InputError("the exponent of a grey scale is positive", source="gamma", found=gamma)
    if gamma == 1:
        return image
    low, high = _whole_range(image)
    bent: np.ndarray = np.float32(low) + np.float32(high - low) * (
        (image - np.float32(low)) / np.float32(high - low)
    ) ** np.float32(gamma)
    return bent


def narrow_window(image: np.ndarray, part: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Keep only the middle `part` of the grey range; all beyond is black or white and cannot be told apart.

    Raises
    ------
    InputError
        If the part is not in (0, 1].
    """
    if not 0 < part <= 1:
        raise InputError(
            "a part of the grey range is needed", source="window", found=part, expected="above 0, at most 1"
        )
    if part == 1:
        return image
    low, high = grey_range(image)
    cut = (1.0 - part) / 2 * (high - low)
    return np.clip(image, np.float32(low + cut), np.float32(high - cut))


def coarsen(image: np.ndarray, bits: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Store in ``2 ** bits`` equal steps between the darkest and the brightest value.

    Raises
    ------
    NotApplicable
        If the image has no more grey values than that.
    InputError
        If `bits` is no whole number from 1 to 16.
    """
    if bits != int(bits) or not 1 <= bits <= 16:
        raise InputError("a number of bits is needed", source="bits", found=bits, expected="a whole number, 1 to 16")
    low, high = _whole_range(image)
    steps = 2 ** int(bits) - 1
    found = np.unique(image).size
    if found <= steps + 1:
        raise NotApplicable(
            "the image has no more grey values than that", found=f"{found}", expected=f"more than {steps + 1}"
        )
    places = np.rint((image - np.float32(low)) * np.float32(steps / (high - low)))
    coarse: np.ndarray = np.float32(low) + places * np.float32((high - low) / steps)
    return coarse


def invert(image: np.ndarray, on: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Swap black and white: bone is dark, as when the photometric interpretation was ignored."""
    if not switched_on(on, source="inversion"):
        return image
    low, high = _whole_range(image)
    inverted: np.ndarray = np.float32(low + high) - image
    return inverted


def _whole_range(image: np.ndarray) -> tuple[float, float]:
    low, high = float(image.min()), float(image.max())
    if not high > low:
        raise InputError("the image is blank", found=f"one grey value, {low:g}")
    return low, high
