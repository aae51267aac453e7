"""Resampling between grids whose axes are parallel: linear, blurred where voxels become larger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, sparse

from agezoo.transforms.brain.template import antialias_sigma
from agezoo.transforms.separable import apply_separable

# Offsets of voxel centres below this share of a voxel are rounding of the header, not a shift.
_SAME_PLACE = 2e-3


def resampled(voxels: np.ndarray, affine: np.ndarray, grid_affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Values of a volume at the voxels of a grid; 0 outside the volume's field of view.

    Interpolation is linear; where the grid's voxels are larger, the volume is blurred to their resolution first. The
    half voxel around the outermost centres belongs to the field of view and repeats them.

    Parameters
    ----------
    voxels
        Real array (X, Y, Z).
    affine, grid_affine
        From voxel indices to millimetres of the common space (4, 4).
    shape
        Of the grid.

    Returns
    -------
    numpy.ndarray
        float32 array of that shape.
    """
    size = (int(shape[0]), int(shape[1]), int(shape[2]))
    to_index = np.linalg.inv(affine) @ grid_affine
    scale = np.diag(to_index)[:3]
    if not _parallel(to_index):
        return _oblique(voxels, affine, grid_affine, to_index, size)
    firsts = to_index[:3, 3]
    steps = np.rint(firsts)
    if np.allclose(scale, 1.0, atol=_SAME_PLACE / max(size)) and np.allclose(firsts, steps, atol=_SAME_PLACE):
        return _moved(voxels, steps.astype(int), size)
    edges_mm = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    weights = [
        axis_weights(n, first + factor * np.arange(m), antialias_sigma(float(edge), float(edge * abs(factor))))
        for n, m, first, factor, edge in zip(voxels.shape, size, firsts, scale, edges_mm, strict=True)
    ]
    return apply_separable(voxels, weights)[0]


def axis_weights(n_source: int, positions: np.ndarray, sigma: float = 0.0) -> sparse.csr_array:
    """Matrix (positions, source samples) that blurs an axis and interpolates it linearly; zero rows outside of it.

    Parameters
    ----------
    n_source
        Samples of the axis.
    positions
        Places to read, in source samples.
    sigma
        SD of the blur in source samples; 0 for none.
    """
    inside = (positions >= -0.5 - _SAME_PLACE) & (positions <= n_source - 0.5 + _SAME_PLACE)
    held = np.clip(positions, 0, n_source - 1)
    low = np.minimum(np.floor(held).astype(int), max(n_source - 2, 0))
    rows = np.arange(len(positions))
    matrix = np.zeros((len(positions), n_source))
    np.add.at(matrix, (rows, low), (1 - (held - low)) * inside)
    np.add.at(matrix, (rows, np.minimum(low + 1, n_source - 1)), (held - low) * inside)
    if sigma > 0:
        matrix = matrix @ ndimage.gaussian_filter1d(np.eye(n_source), sigma, axis=0, truncate=3, mode="nearest")
    return sparse.csr_array(matrix.astype(np.float32))


def _parallel(to_index: np.ndarray) -> bool:
    off = to_index[:3, :3] - np.diag(np.diag(to_index[:3, :3]))
    return bool(np.abs(off).max() < 1e-3 * np.abs(np.diag(to_index)[:3]).min())


def _moved(voxels: np.ndarray, first: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The same voxels counted from another one on."""
    result = np.zeros(shape, dtype=np.float32)
    low = np.maximum(first, 0)
    high = np.minimum(first + np.array(shape), voxels.shape)
    if (high > low).all():
        there = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
        result[there] = voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return result


def _oblique(
    voxels: np.ndarray, affine: np.ndarray, grid_affine: np.ndarray, to_index: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    edges_mm = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    targets_mm = np.linalg.norm(np.asarray(grid_affine)[:3, :3], axis=0)
    sigmas = [antialias_sigma(float(edge), float(target)) for edge, target in zip(edges_mm, targets_mm, strict=True)]
    blurred = ndimage.gaussian_filter(np.asarray(voxels, dtype=np.float32), sigmas, truncate=3)
    moved: np.ndarray = ndimage.affine_transform(
        blurred, to_index[:3, :3], to_index[:3, 3], shape, order=1, mode="grid-constant"
    )
    return moved
