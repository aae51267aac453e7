"""Working through a volume one axial slice at a time, so that an int16 scan never exists as floats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

AIR_HU = -1024.0


def map_slices(volume_hu: np.ndarray, change: Callable[[np.ndarray, int], np.ndarray], *, axis: int = 2) -> np.ndarray:
    """Apply ``change(slice as float32, index)`` to every slice along `axis` and keep the volume's type.

    Returns
    -------
    numpy.ndarray
        New array of the same shape, type and order in memory; whole-number types are rounded and limited to their
        range.
    """
    result = np.empty_like(volume_hu)
    source, target = np.moveaxis(volume_hu, axis, 0), np.moveaxis(result, axis, 0)
    for index in range(source.shape[0]):
        target[index] = as_type(change(source[index].astype(np.float32), index), volume_hu.dtype)
    return result


def as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float values in the type of a volume: rounded and limited to the range where it holds whole numbers."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
    return values.astype(dtype, copy=False)
