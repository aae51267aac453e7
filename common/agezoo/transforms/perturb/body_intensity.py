"""What scanners, coils and stitching make of the same body. Each function takes and gives (X, Y, Z), 0 outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.transforms import RandBiasField
from scipy import ndimage

from agezoo.errors import InputError

_OUTERMOST_PERCENT = (1.0, 99.0)
_FWHM_PER_SD = 2.0 * np.sqrt(2.0 * np.log(2.0))
_STATIONS = 6
_STEP_WIDTH_MM = 30.0
# What stays of a body must stay above 0, by which standardisation knows it.
_DARKEST_SHARE = 1e-4


def add_rician_noise(
    image: np.ndarray, share: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Magnitude of the image with complex noise whose SD is `share` of the body's median.

    Raises
    ------
    InputError
        If the share is negative.
    """
    if share < 0:
        raise InputError("noise has no negative strength", source="noise", found=share)
    body = image > 0
    sd = share * _brightness(image)
    real = image + sd * rng.standard_normal(image.shape, dtype=np.float32)
    return _within(np.hypot(real, sd * rng.standard_normal(image.shape, dtype=np.float32)), body)


def bias(image: np.ndarray, ratio: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Multiply by a smooth field (MONAI's ``RandBiasField``) that spans `ratio` in the body.

    Its 1st and 99th percentile in the body count as its ends.

    Raises
    ------
    InputError
        If the ratio is below 1.
    """
    if not ratio >= 1:
        raise InputError("a ratio of at least 1 is needed", source="bias", found=ratio)
    field = RandBiasField(degree=3, coeff_range=(-1.0, 1.0), prob=1.0)
    field.set_random_state(seed=int(rng.integers(2**31)))
    logarithm = np.log(np.asarray(field(np.ones((1, *image.shape), np.float32)))[0], dtype=np.float32)
    low, high = np.percentile(logarithm[image > 0], _OUTERMOST_PERCENT)
    # Around the middle of its range, so that the body as a whole keeps its brightness.
    exponent = (logarithm - (low + high) / 2) * np.log(ratio) / (high - low)
    return (image * np.exp(exponent)).astype(np.float32)


def step_station(
    image: np.ndarray, factor: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Multiply one sixth of the body's height, drawn by chance, by `factor`, with edges of 3 cm.

    Raises
    ------
    InputError
        If the factor is not positive.
    """
    if not factor > 0:
        raise InputError("a factor is positive", source="station_step", found=factor)
    shown = np.flatnonzero((image > 0).any(axis=(0, 1)))
    edges = np.linspace(shown[0], shown[-1] + 1, _STATIONS + 1)
    station = int(rng.integers(_STATIONS))
    z = np.arange(image.shape[2])
    inside = np.minimum(z - edges[station], edges[station + 1] - 1 - z) * float(spacing_mm[2])
    weight = np.clip(inside / _STEP_WIDTH_MM + 0.5, 0, 1)
    return (image * factor**weight).astype(np.float32)


def smooth(image: np.ndarray, fwhm_mm: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Smooth by a Gaussian of this full width at half maximum; the body is not mixed with the air.

    Raises
    ------
    InputError
        If the width is negative.
    """
    if fwhm_mm < 0:
        raise InputError("a width is not negative", source="smoothing", found=fwhm_mm)
    if fwhm_mm == 0:
        return image
    sd = [fwhm_mm / _FWHM_PER_SD / float(s) for s in spacing_mm]
    body = image > 0
    share = ndimage.gaussian_filter(body.astype(np.float32), sd)
    return _within(ndimage.gaussian_filter(image, sd) / np.where(body, share, 1), body)


def _brightness(image: np.ndarray) -> float:
    body = image[image > 0]
    return float(np.median(body)) if body.size else 0.0


def _within(changed: np.ndarray, body: np.ndarray) -> np.ndarray:
    darkest = _DARKEST_SHARE * float(changed[body].max()) if body.any() else 0.0
    return np.where(body, np.maximum(changed, darkest), 0).astype(np.float32)
