"""Straightening of scans whose slices are tilted against the direction in which they are stacked."""

from __future__ import annotations

import numpy as np


def shear_along_slices(stack: np.ndarray, *, slices_per_row: float, fill: float) -> tuple[np.ndarray, int]:
    """Move each row of a stack along the slice axis, so that slices become perpendicular to it.

    In a scan with gantry tilt, the pixel of row ``j`` in slice ``k`` lies at the height ``k + j * slices_per_row``
    (in slices) along the stacking direction. The result has at height ``K`` what lies there, interpolated linearly
    between the two nearest slices. The stack grows so that nothing is lost; its new corners, which were never
    scanned, hold ``fill``.

    Parameters
    ----------
    stack
        Shape (slices, rows, columns).
    slices_per_row
        How far along the slice axis one row lies above the one before, in slices.
    fill
        Value of places that were not scanned (air).

    Returns
    -------
    numpy.ndarray
        Shape (more slices, rows, columns), same type; whole-number types are rounded to the nearest.
    int
        Height of the result's first slice, in slices of the input (zero or negative).
    """
    n_slices, n_rows, n_columns = stack.shape
    heights = np.arange(n_rows) * slices_per_row
    first = int(np.floor(heights.min()))
    n_out = int(np.ceil(heights.max())) + n_slices - first
    is_whole = np.issubdtype(stack.dtype, np.integer)
    out = np.full((n_out, n_rows, n_columns), fill, stack.dtype)
    for row, height in enumerate(heights):
        # Output slice K samples input slice K + first - height, which lies between two slices.
        offset = height - first
        start = int(np.ceil(offset))
        weight = start - offset
        column = stack[:, row, :].astype(np.float32)
        if weight == 0:
            out[start : start + n_slices, row, :] = stack[:, row, :]
            continue
        blended = (1 - weight) * column[:-1] + weight * column[1:]
        out[start : start + n_slices - 1, row, :] = np.rint(blended) if is_whole else blended
    return out, first
