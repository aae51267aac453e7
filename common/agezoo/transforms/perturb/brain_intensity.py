"""What scanners and coils make of the same tissue: uneven, otherwise scaled, otherwise contrasted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.transforms import AdjustContrast, RandBiasField

from agezoo.errors import InputError
from agezoo.transforms.perturb.brain_regions import brain_alone, foreground, kept_apart, typical_brightness

_OUTERMOST_PERCENT = (1.0, 99.0)


def bias(image: np.ndarray, ratio: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Multiply by a smooth field whose largest value in head or brain is `ratio` times its smallest.

    The field is the exponential of a polynomial of third degree with coefficients drawn by chance (MONAI's
    ``RandBiasField``); its 1st and 99th percentile in head or brain count as its ends.

    Raises
    ------
    InputError
        If the ratio is below 1.
    """
    if not ratio >= 1:
        raise InputError("a ratio of at least 1 is needed", source="bias", found=ratio)
    if ratio == 1:
        return image
    field = RandBiasField(degree=3, coeff_range=(-1.0, 1.0), prob=1.0)
    field.set_random_state(seed=int(rng.integers(2**31)))
    logarithm = np.log(np.asarray(field(np.ones((1, *image.shape), np.float32)))[0], dtype=np.float32)
    mask = brain_alone(image, spacing_mm)
    low, high = np.percentile(logarithm[foreground(image) if mask is None else mask], _OUTERMOST_PERCENT)
    # Around the middle of its range, so that the image as a whole keeps its brightness.
    exponent = (logarithm - np.float32((low + high) / 2)) * np.float32(np.log(ratio) / (high - low))
    changed: np.ndarray = image * np.exp(exponent)
    return changed


def change_gamma(image: np.ndarray, gamma: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Bend the grey scale: the share t of the image's range goes to t to the power of `gamma`.

    Raises
    ------
    InputError
        If gamma is not positive.
    """
    if not gamma > 0:
        raise InputError("gamma is positive", source="gamma", found=gamma)
    return np.asarray(AdjustContrast(gamma)(image), dtype=np.float32)


def offset(image: np.ndarray, share: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Add a share of the median brightness to every voxel of a head, air included, or of a brain alone."""
    mask = brain_alone(image, spacing_mm)
    return kept_apart(image + np.float32(share * typical_brightness(image, mask)), mask)
