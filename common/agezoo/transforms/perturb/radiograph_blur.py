"""Unsharpness of the focal spot and of a patient who moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.perturb.radiograph_scale import pixel_mm

_SD_OF_FWHM = 1.0 / np.sqrt(8.0 * np.log(2.0))


def blur(image: np.ndarray, fwhm_mm: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Blur by a Gaussian of this full width at half maximum, as a large focal spot far from the detector does."""
    sd = [_length(fwhm_mm, "blur") * _SD_OF_FWHM / s for s in pixel_mm(image.shape, spacing_mm)]
    blurred: np.ndarray = ndimage.gaussian_filter(image, sd, mode="nearest")
    return blurred


def motion(
    image: np.ndarray, distance_mm: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Average the image along a straight path of this length, in a direction drawn by chance.

    The patient moves at constant speed while the picture is taken; the path lies evenly about where everything was.
    """
    distance = _length(distance_mm, "motion")
    angle = rng.uniform(0.0, np.pi)
    height, width = pixel_mm(image.shape, spacing_mm)
    along = np.array([distance * np.sin(angle) / height, distance * np.cos(angle) / width])
    kernel = path_kernel(along)
    blurred: np.ndarray = ndimage.convolve(image, kernel, mode="nearest")
    return blurred


def path_kernel(along: np.ndarray) -> np.ndarray:
    """Weights (rows, columns) of a straight path through the middle pixel, `along` pixels long; their sum is 1."""
    reach = np.ceil(np.abs(along) / 2).astype(int)
    kernel = np.zeros(2 * reach + 1, dtype=np.float64)
    steps = max(1, int(np.ceil(8 * np.abs(along).max())))
    for t in (np.arange(steps) + 0.5) / steps - 0.5:
        point = reach + t * along
        corner = np.floor(point).astype(int)
        rest = point - corner
        for row, weight_row in ((0, 1 - rest[0]), (1, rest[0])):
            for column, weight_column in ((0, 1 - rest[1]), (1, rest[1])):
                if weight_row * weight_column > 0:
                    kernel[corner[0] + row, corner[1] + column] += weight_row * weight_column
    return (kernel / kernel.sum()).astype(np.float32)


def _length(value_mm: float, source: str) -> float:
    if value_mm < 0:
        raise InputError("a length in mm is needed", source=source, found=value_mm, expected="0 or more")
    return value_mm
