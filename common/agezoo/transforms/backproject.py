"""Carry a map on the two-view projection back into the CT volume it came from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.resample_grid import GRID, resample_back
from agezoo.transforms.slab_projection import THICKNESS, spread_over_slabs


def backproject_map(
    map_2d: np.ndarray,
    volume_shape: Sequence[int],
    affine: np.ndarray,
    *,
    grid: Sequence[int] = GRID,
    thickness: int = THICKNESS,
) -> tuple[np.ndarray, np.ndarray]:
    """Spread a saliency map over the slabs of the volume that its pixels summarise.

    A pixel of the projection is the maximum over the slab, so the map cannot tell the depth: all voxels of the
    slab that contributed to a pixel share its value. Outside the two slabs the volume is 0.

    Parameters
    ----------
    map_2d
        Array (grid[0] + grid[1], grid[2]) or with a leading channel axis of 1; coronal view first.
    volume_shape
        Shape of the volume that was projected, in the order of its axes (LAS).
    affine
        4x4 affine (voxel index to mm) of that volume.
    grid, thickness
        As they were when projecting.

    Returns
    -------
    tuple
        float32 volume of `volume_shape`, and its affine (a copy of `affine`): together an image that overlays
        the original scan.
    """
    plane = np.asarray(map_2d, dtype=np.float32)
    if plane.ndim == 3 and plane.shape[0] == 1:
        plane = plane[0]
    matrix = np.array(affine, dtype=float)
    if matrix.shape != (4, 4):
        raise InputError("an affine is a 4x4 matrix", source="affine", found=f"shape {matrix.shape}")
    slabs = spread_over_slabs(plane, volume_shape=grid, thickness=thickness)
    return resample_back(slabs, volume_shape=volume_shape), matrix
