"""Label volumes on another grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.transforms.brain.head_grid import blurred_to, sampled


def labels_on_grid(labels: np.ndarray, affine: np.ndarray, grid_affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Labels at the voxels of a grid in the same space; a larger voxel gets the label that covers most of it.

    Every label is blurred to the new voxels' size and sampled there, as an image is, and the largest share counts, the
    background's (0) too.

    Parameters
    ----------
    labels
        Whole numbers (X, Y, Z).
    affine, grid_affine
        From voxel indices to millimetres of the common space (4, 4): of the labels and of the grid.
    shape
        Of the grid.

    Returns
    -------
    numpy.ndarray
        Of the labels' type; a copy where the grids are the same.
    """
    same = tuple(labels.shape) == tuple(shape) and np.allclose(affine, grid_affine, atol=1e-3)
    if same:
        return labels.copy()
    spacing_mm = _edges_along(np.asarray(affine, dtype=float), np.asarray(grid_affine, dtype=float))
    result = np.zeros(tuple(shape), dtype=labels.dtype)
    most = np.zeros(tuple(shape), dtype=np.float32)
    # Outside the labels' grid every share is 0, and so is the label.
    for value in np.unique(labels):
        share = sampled(blurred_to(labels == value, affine, spacing_mm), affine, grid_affine, shape)
        wins = share > most
        result[wins] = value
        most[wins] = share[wins]
    return result


def _edges_along(affine: np.ndarray, grid_affine: np.ndarray) -> list[float]:
    """Edge of the grid's voxels along each axis of the labels: that of the grid's axis nearest to it."""
    edges_mm = np.linalg.norm(grid_affine[:3, :3], axis=0)
    own = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    nearest = np.argmax(np.abs(own.T @ (grid_affine[:3, :3] / edges_mm)), axis=1)
    return [float(edges_mm[axis]) for axis in nearest]
