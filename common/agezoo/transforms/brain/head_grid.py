"""Sampling of scans: blurred to the target's resolution, on grids in world millimetres or at any points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from agezoo.transforms.brain.template import antialias_sigma


def blurred_to(voxels: np.ndarray, affine: np.ndarray, spacing_mm: float | Sequence[float]) -> np.ndarray:
    """Bring a scan to the resolution of larger voxels, on its own grid; float32.

    The voxels' edge may be given for each axis of the scan.

    Scans of 0.7 mm and of 2 mm then look alike after sampling, and fine ones do not alias.
    """
    edges_mm = np.linalg.norm(affine[:3, :3], axis=0)
    targets_mm = np.broadcast_to(np.asarray(spacing_mm, dtype=float), (3,))
    sigmas = [antialias_sigma(float(edge), float(target)) for edge, target in zip(edges_mm, targets_mm, strict=True)]
    return ndimage.gaussian_filter(np.asarray(voxels, dtype=np.float32), sigmas, truncate=3)


def world_grid(shape: Sequence[int], affine: np.ndarray, spacing_mm: float) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Smallest LAS grid in world millimetres that covers a scan, as affine and shape."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape])).reshape(3, -1)
    world = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = world.min(axis=1), world.max(axis=1)
    n0, n1, n2 = (int(np.ceil(extent / spacing_mm)) + 1 for extent in high - low)
    grid_affine = np.diag([-spacing_mm, spacing_mm, spacing_mm, 1.0])
    grid_affine[:3, 3] = high[0], low[1], low[2]
    return grid_affine, (n0, n1, n2)


def sampled(
    voxels: np.ndarray, affine: np.ndarray, grid_affine: np.ndarray, shape: Sequence[int], *, order: int = 1
) -> np.ndarray:
    """Values of a scan at the voxels of a grid, both with affines into the same world; 0 outside the scan."""
    to_index = np.linalg.inv(affine) @ grid_affine
    return ndimage.affine_transform(voxels, to_index[:3, :3], to_index[:3, 3], tuple(shape), order=order)
