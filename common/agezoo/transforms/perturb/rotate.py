"""The patient lies rolled or obliquely in the scanner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from agezoo.transforms.perturb.slabs import AIR_HU, map_slices


def roll(volume_hu: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Rotate about the head-foot axis through the middle of the image, in a direction drawn by chance."""
    return turn(volume_hu, degrees * _side(rng), axis=2, spacing_mm=spacing_mm)


def tilt(volume_hu: np.ndarray, degrees: float, *, spacing_mm: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Rotate about the front-back axis through the middle of the image, in a direction drawn by chance."""
    return turn(volume_hu, degrees * _side(rng), axis=1, spacing_mm=spacing_mm)


def turn(volume_hu: np.ndarray, degrees: float, *, axis: int, spacing_mm: Sequence[float]) -> np.ndarray:
    """Rotate every plane across `axis` about its centre, by cubic splines, with air (-1024 HU) coming in.

    A positive angle turns the first of the plane's two axes towards the second. The grid stays as it is, and values
    are limited to the range of their plane, so that splines do not overshoot at the skin.

    Parameters
    ----------
    volume_hu
        3D array in HU.
    degrees
        Angle in space, whatever the shape of the voxels.
    axis
        The axis that stays where it is.
    spacing_mm
        Distances of voxel centres.
    """
    step = np.delete(np.asarray(spacing_mm, dtype=float), axis)
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    # A point of the result, in voxels, comes from this point of the source: to mm, back by the angle, to voxels.
    matrix = rotation * step[None, :] / step[:, None]
    centre = (np.delete(np.asarray(volume_hu.shape), axis) - 1) / 2

    def turned(plane: np.ndarray, _: int) -> np.ndarray:
        result: np.ndarray = ndimage.affine_transform(
            plane, matrix, offset=centre - matrix @ centre, order=3, mode="constant", cval=AIR_HU
        )
        return np.clip(result, min(float(plane.min()), AIR_HU), plane.max(), out=result)

    return map_slices(volume_hu, turned, axis=axis)


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1
