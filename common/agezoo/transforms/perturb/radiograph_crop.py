"""Parts of the body that the radiograph does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.transforms.perturb.radiograph_scale import black, grey_range, share

Geometry = tuple[tuple[float, ...], tuple[float, ...]]


def crop_cranial(image: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """View of the image without `fraction` of its rows at the head end."""
    return image[round(image.shape[0] * share(fraction, source="crop_cranial")) :]


def crop_caudal(image: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """View of the image without `fraction` of its rows at the foot end."""
    return image[: image.shape[0] - round(image.shape[0] * share(fraction, source="crop_caudal"))]


def crop_sides(image: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """View of the image without `fraction` of its columns, half of it on either side."""
    cut = round(image.shape[1] * share(fraction, source="crop_sides") / 2)
    return image[:, cut : image.shape[1] - cut]


def cranial_geometry(shape: Sequence[int], fraction: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``."""
    return (float(round(shape[0] * fraction)), 0.0), (1.0, 1.0)


def caudal_geometry(shape: Sequence[int], fraction: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``: nothing moves when the last rows go."""
    return (0.0, 0.0), (1.0, 1.0)


def sides_geometry(shape: Sequence[int], fraction: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``."""
    return (0.0, float(round(shape[1] * fraction / 2))), (1.0, 1.0)


def collimate(image: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Black out a frame, half of `fraction` of the height and of the width at each edge; the size stays."""
    return _framed(image, share(fraction, source="collimation"), black(image))


def leave_unexposed(image: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """The same frame in the brightest value: the field was collimated and the unexposed edge is not masked."""
    return _framed(image, share(fraction, source="border"), max(grey_range(image)[1], float(image.max())))


def _framed(image: np.ndarray, fraction: float, value: float) -> np.ndarray:
    rows, columns = (round(n * fraction / 2) for n in image.shape)
    result = np.full_like(image, value)
    inside = (slice(rows, image.shape[0] - rows), slice(columns, image.shape[1] - columns))
    result[inside] = image[inside]
    return result
