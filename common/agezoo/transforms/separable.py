"""Separable resampling of a volume: one weight matrix per axis, applied slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage, sparse

from agezoo.errors import InputError

# A weight this much smaller than the largest of its matrix is lost in float32 anyway. The prefilter decays by a
# factor 0.27 a voxel, so some 20 weights per target sample remain, whatever the size of the axis.
_NEGLIGIBLE = 1e-7


@lru_cache(maxsize=32)
def cubic_weights(n_source: int, n_target: int) -> sparse.csr_array:
    """Weights of cubic B-spline interpolation from `n_source` to `n_target` samples.

    Target sample i reads source position ``i * n_source / n_target``. The spline passes through the samples
    (its prefilter is part of the weights) and is mirrored about the first and the last one.

    Returns
    -------
    scipy.sparse.csr_array
        float32 matrix (n_target, n_source), shared through a cache: not to be changed. Rows of positions beyond
        the last source sample follow the mirrored spline; :func:`n_inside` tells how many rows lie inside.

    References
    ----------
    Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Processing Magazine 1999.
    """
    # Interpolation is linear in the samples, so filtering the identity yields the prefilter as a matrix.
    prefilter = ndimage.spline_filter1d(np.eye(n_source), order=3, axis=0, mode="mirror")
    positions = np.arange(n_target) * (n_source / n_target)
    first = np.floor(positions).astype(int) - 1
    sampling = np.zeros((n_target, n_source))
    period = 2 * (n_source - 1)
    for tap in range(4):
        index = first + tap
        folded = np.abs((index + n_source - 1) % period - (n_source - 1))
        np.add.at(sampling, (np.arange(n_target), folded), _cubic_b_spline(positions - index))
    return _as_sparse(sampling @ prefilter)


@lru_cache(maxsize=32)
def linear_weights(n_source: int, n_target: int) -> sparse.csr_array:
    """Weights of linear interpolation on the same grids as :func:`cubic_weights`; the ends are held constant."""
    positions = np.minimum(np.arange(n_target) * (n_source / n_target), n_source - 1)
    low = np.minimum(np.floor(positions).astype(int), n_source - 1)
    high = np.minimum(low + 1, n_source - 1)
    weights = np.zeros((n_target, n_source))
    rows = np.arange(n_target)
    np.add.at(weights, (rows, low), 1 - (positions - low))
    np.add.at(weights, (rows, high), positions - low)
    return _as_sparse(weights)


def n_inside(n_source: int, n_target: int) -> int:
    """Number of target samples whose source position is not beyond the last source sample."""
    # i * n_source <= (n_source - 1) * n_target, in integers because a rounded quotient may fall beyond the end.
    return (n_source - 1) * n_target // n_source + 1


def apply_separable(volume: np.ndarray, weights: Sequence[sparse.csr_array]) -> tuple[np.ndarray, float, float]:
    """Multiply every axis of a volume by its weight matrix.

    Works through the volume one slice of its slowest axis in memory at a time, so that an int16 scan never
    exists as floats and reversed or transposed views are not copied.

    Parameters
    ----------
    volume
        Any real 3D array (X, Y, Z), any strides.
    weights
        Three float32 matrices (target size, source size).

    Returns
    -------
    tuple
        The C-contiguous float32 volume of the target sizes, and the smallest and largest source value.

    Raises
    ------
    InputError
        If the volume holds values that are not finite numbers.
    """
    order = [int(axis) for axis in np.argsort([-abs(stride) for stride in volume.strides], kind="stable")]
    slow, middle, fast = (weights[axis] for axis in order)
    planes = np.empty((slow.shape[1], fast.shape[0], middle.shape[0]), dtype=np.float32)
    lowest, highest = np.inf, -np.inf
    for index, plane in enumerate(volume.transpose(order)):
        low, high = float(plane.min()), float(plane.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError(
                "the volume holds values that are not finite numbers",
                found=f"{int(np.count_nonzero(~np.isfinite(plane)))} of them in slice {index} of axis {order[0]}",
                expected="finite intensities (Hounsfield units for CT)",
                remedy="replace NaN and infinite values when writing the file, e.g. by -1024 outside the field of view",
            )
        lowest, highest = min(lowest, low), max(highest, high)
        # A sparse product reads its right factor row by row: the first one in the memory order of the scan.
        rows = middle @ plane.astype(np.float32, order="C")
        planes[index] = fast @ np.ascontiguousarray(rows.T)
    stacked = (slow @ planes.reshape(planes.shape[0], -1)).reshape(-1, *planes.shape[1:])
    axes = [order[0], order[2], order[1]]
    return np.ascontiguousarray(stacked.transpose(np.argsort(axes))), lowest, highest


def _cubic_b_spline(x: np.ndarray) -> np.ndarray:
    distance = np.abs(x)
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far)


def _as_sparse(weights: np.ndarray) -> sparse.csr_array:
    kept = np.where(np.abs(weights) > _NEGLIGIBLE * np.abs(weights).max(), weights, 0)
    return sparse.csr_array(kept.astype(np.float32))
