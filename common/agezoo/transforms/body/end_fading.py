"""Dark bands where stations meet: coils and slab profiles fade at both ends of a station."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from agezoo.transforms.body.body_region import smoothed
from agezoo.transforms.body.station_places import VisitGrid

# Log of the ratio of brightness within which both ends of a column through an overlap are one tissue.
_ALIKE = 0.2
_FEWEST_COLUMNS = 200
_MOST = 2.0


def fading_gains(
    signal: np.ndarray, grid: VisitGrid, heights: Sequence[tuple[float, float]], threshold: float
) -> np.ndarray:
    """By what the slices of a stitched body must be multiplied so that overlaps are as bright as their surroundings.

    An overlap is compared with the slices just outside of it, along columns through the body that hold like tissue at
    both of its ends: where the median column is darker than the straight line between them, the slice is raised.
    Nothing is ever darkened, and what lies outside the overlaps stays as it is.

    Parameters
    ----------
    signal
        Water and fat together (X, Y, Z), brightness of stations matched.
    grid
        Its grid.
    heights
        Lowest and highest face of every station in mm, head to foot.
    threshold
        Lowest smoothed signal of tissue.

    Returns
    -------
    numpy.ndarray
        float32 (Z,), from 1 to 2.
    """
    gains = np.ones(signal.shape[2], dtype=np.float32)
    for (low, _), (_, high) in pairwise(heights):
        slab = grid.slab(low, high)
        below, above = slab.start - 1, slab.stop
        if high <= low or below < 0 or above >= signal.shape[2]:
            continue
        part = smoothed(signal[:, :, below : above + 1])
        columns = (part > threshold).all(axis=2)
        logs = np.log(part[columns])
        logs = logs[np.abs(logs[:, 0] - logs[:, -1]) < _ALIKE]
        if len(logs) < _FEWEST_COLUMNS:
            continue
        share = np.linspace(0, 1, logs.shape[1], dtype=np.float32)
        dips = np.median(logs - (logs[:, :1] * (1 - share) + logs[:, -1:] * share), axis=0)
        gains[slab] = np.exp(-np.clip(dips[1:-1], -np.log(_MOST), 0))
    return gains
