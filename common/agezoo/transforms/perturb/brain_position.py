"""Head or brain lies otherwise than it might: turned, shifted, mirrored, or stored with other axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from agezoo.transforms.perturb.brain_regions import brain_alone, continued, foreground, kept_apart
from agezoo.transforms.perturb.brain_regrid import Regridded


def pitch(image: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Nod about the left-right axis, upwards or downwards by chance."""
    return turned(image, degrees * _side(rng), axis=0, spacing_mm=spacing_mm)


def roll(image: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Lean about the front-back axis, to the left or to the right by chance."""
    return turned(image, degrees * _side(rng), axis=1, spacing_mm=spacing_mm)


def yaw(image: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Turn about the head-foot axis, to the left or to the right by chance."""
    return turned(image, degrees * _side(rng), axis=2, spacing_mm=spacing_mm)


def shift(
    image: np.ndarray, distance_mm: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Move by `distance_mm` in a direction drawn by chance."""
    direction = rng.standard_normal(3)
    return moved(image, np.eye(3), distance_mm * direction / np.linalg.norm(direction), spacing_mm=spacing_mm)


def turned(image: np.ndarray, degrees: float, *, axis: int, spacing_mm: Sequence[float]) -> np.ndarray:
    """Turn about an axis through the middle of head or brain; a positive angle turns the next axis to the one after."""
    rotation = Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()
    return moved(image, rotation, np.zeros(3), spacing_mm=spacing_mm)


def moved(
    image: np.ndarray, rotation: np.ndarray, distance_mm: np.ndarray, *, spacing_mm: Sequence[float]
) -> np.ndarray:
    """Turn about the middle of head or brain and shift, by cubic splines within the range of the image's values.

    The grid stays as it is; what comes in from outside is 0. A brain alone keeps its edge: its values are continued
    outwards before they are interpolated, and its mask moves along.

    Parameters
    ----------
    image
        (X, Y, Z).
    rotation
        (3, 3), in space.
    distance_mm
        Along the three axes.
    spacing_mm
        Distances of voxel centres.
    """
    if np.array_equal(rotation, np.eye(3)) and not np.any(distance_mm):
        return image
    mask = brain_alone(image, spacing_mm)
    step = np.asarray(spacing_mm, dtype=float)
    shown = foreground(image) if mask is None else mask
    centre = np.asarray(ndimage.center_of_mass(shown))
    # A point of the result, in voxels, comes from this point of the source: to mm, back by the angle, to voxels.
    matrix = rotation.T * step[None, :] / step[:, None]
    source = centre - matrix @ (centre + distance_mm / step)
    if mask is None:
        result = ndimage.affine_transform(image, matrix, offset=source, order=3, mode="constant", cval=0.0)
        return np.clip(result, min(float(image.min()), 0.0), image.max(), out=result)
    values = ndimage.affine_transform(continued(image, mask), matrix, offset=source, order=3, mode="nearest")
    place = ndimage.affine_transform(mask.astype(np.float32), matrix, offset=source, order=1)
    inside = image[mask]
    return kept_apart(np.clip(values, inside.min(), inside.max()), place >= 0.5)


def mirror(image: np.ndarray, grade: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Swap the two halves of the head about the middle of the image; grade 0 does nothing."""
    return image[::-1] if grade else image


def reorient(
    image: np.ndarray, grade: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray | Regridded:
    """Store the same voxels with axes towards back, head and right, as sagittal scans often are; 0 does nothing."""
    if not grade:
        return image
    n_left, n_front, _ = image.shape
    place = np.array([[0, 0, -1, n_left - 1], [-1, 0, 0, n_front - 1], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=float)
    return Regridded(image[::-1, ::-1].transpose(1, 2, 0), place)


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1
