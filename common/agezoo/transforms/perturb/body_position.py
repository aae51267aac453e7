"""A body lies otherwise, or less of it is shown. Each function takes and gives (X, Y, Z) in LAS, 0 outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from agezoo.transforms.perturb.perturbation import NotApplicable


def cut_top(image: np.ndarray, height_mm: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Set the body's uppermost part of this height to 0."""
    first, last = _extent(image, 2)
    return _kept(image, 2, first, last - _voxels(height_mm, spacing_mm[2]))


def cut_bottom(image: np.ndarray, height_mm: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Set the body's lowermost part of this height to 0."""
    first, last = _extent(image, 2)
    return _kept(image, 2, first + _voxels(height_mm, spacing_mm[2]), last)


def cut_sides(image: np.ndarray, width_mm: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Set this much of the body's width to 0 on either side."""
    first, last = _extent(image, 0)
    away = _voxels(width_mm, spacing_mm[0])
    return _kept(image, 0, first + away, last - away)


def shift(
    image: np.ndarray, distance_mm: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Move by `distance_mm` in a direction drawn by chance."""
    direction = rng.standard_normal(3)
    return _moved(image, np.eye(3), distance_mm * direction / np.linalg.norm(direction), spacing_mm)


def roll(image: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Turn about the head-foot axis, to either side by chance."""
    return _moved(image, _rotation(degrees, 2, rng), np.zeros(3), spacing_mm)


def tilt(image: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Turn about the front-back axis, to either side by chance."""
    return _moved(image, _rotation(degrees, 1, rng), np.zeros(3), spacing_mm)


def mirror(image: np.ndarray, grade: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Swap left and right; grade 0 does nothing."""
    return image[::-1] if grade else image


def _rotation(degrees: float, axis: int, rng: np.random.Generator) -> np.ndarray:
    side = 1 if rng.random() < 0.5 else -1
    return Rotation.from_rotvec(np.deg2rad(side * degrees) * np.eye(3)[axis]).as_matrix()


def _moved(image: np.ndarray, rotation: np.ndarray, by_mm: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Turn about the middle of the body and shift, by linear interpolation on the same grid."""
    if np.array_equal(rotation, np.eye(3)) and not np.any(by_mm):
        return image
    step = np.asarray(spacing_mm, dtype=float)
    body = image > 0
    centre = np.asarray(ndimage.center_of_mass(body)) if body.any() else (np.asarray(image.shape) - 1) / 2
    # A point of the result, in voxels, comes from this point of the source: to mm, back by the angle, to voxels.
    matrix = rotation.T * step[None, :] / step[:, None]
    source = centre - matrix @ (centre + by_mm / step)
    values = ndimage.affine_transform(image, matrix, offset=source, order=1)
    within = ndimage.affine_transform(body.astype(np.float32), matrix, offset=source, order=1)
    # At the edge the air's share is taken out again.
    return np.where(within >= 0.5, values / np.maximum(within, 0.5), 0).astype(np.float32)


def _extent(image: np.ndarray, axis: int) -> tuple[int, int]:
    """First and last index along an axis that shows the body."""
    others = tuple(other for other in range(3) if other != axis)
    shown = np.flatnonzero((image > 0).any(axis=others))
    if not shown.size:
        raise NotApplicable("the image shows no body")
    return int(shown[0]), int(shown[-1])


def _kept(image: np.ndarray, axis: int, first: int, last: int) -> np.ndarray:
    if last - first < 1:
        raise NotApplicable("nothing of the body would be left")
    result = np.zeros_like(image)
    part = tuple(slice(first, last + 1) if other == axis else slice(None) for other in range(3))
    result[part] = image[part]
    return result


def _voxels(length_mm: float, spacing_mm: float) -> int:
    count = round(length_mm / float(spacing_mm))
    if length_mm > 0 and not count:
        raise NotApplicable("less than half a voxel", found=f"{length_mm:g} mm of {spacing_mm:g} mm")
    return count
