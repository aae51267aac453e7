"""Parts of the body that the scan does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.errors import InputError

Geometry = tuple[tuple[float, ...], tuple[float, ...]]


def crop_cranial(volume_hu: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """View of the volume without `fraction` of its slices at the head end."""
    return volume_hu[:, :, : volume_hu.shape[2] - _count(volume_hu.shape[2], fraction)]


def crop_caudal(volume_hu: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """View of the volume without `fraction` of its slices at the foot end."""
    return volume_hu[:, :, _count(volume_hu.shape[2], fraction) :]


def crop_lateral(volume_hu: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """View of the volume without `fraction` of its width, half of it on either side."""
    cut = _count(volume_hu.shape[0], fraction / 2)
    return volume_hu[cut : volume_hu.shape[0] - cut]


def cranial_geometry(shape: Sequence[int], fraction: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``: nothing moves when the last slices go."""
    return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def caudal_geometry(shape: Sequence[int], fraction: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``."""
    return (0.0, 0.0, float(_count(shape[2], fraction))), (1.0, 1.0, 1.0)


def lateral_geometry(shape: Sequence[int], fraction: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``."""
    return (float(_count(shape[0], fraction / 2)), 0.0, 0.0), (1.0, 1.0, 1.0)


def _count(n_voxels: int, fraction: float) -> int:
    if not 0 <= fraction <= 0.9:
        raise InputError("cannot cut this part off", source="crop", found=fraction, expected="a fraction of 0 to 0.9")
    return round(n_voxels * fraction)
