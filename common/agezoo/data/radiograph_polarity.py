"""A look at a finished radiograph for signs that bone is dark in it."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

_BANDS, _COLUMNS = 16, 24
# In ranks of 0 to 1: how much brighter both sides must be than the middle, and in what share of the bands.
_BRIGHTER = 0.15
_SHARE_OF_BANDS = 0.8


def looks_inverted(pixels: np.ndarray) -> bool:
    """Whether both sides of the image are clearly brighter than its middle nearly all the way down.

    The beam passes more body in the middle than at the sides, beyond which there is air. So in an image with bright
    bone the sides are the darker parts; the reverse, from head to foot and on both sides, speaks for dark bone. It
    is a hint, not a proof: white strips of collimation that were not cut away look like it too. For that reason nothing
    is turned because of it.

    Parameters
    ----------
    pixels
        (rows, columns), at least 24 pixels each way.
    """
    rows, columns = pixels.shape
    trimmed = pixels[: rows // _BANDS * _BANDS, : columns // _COLUMNS * _COLUMNS]
    blocks = trimmed.reshape(_BANDS, rows // _BANDS, _COLUMNS, columns // _COLUMNS).mean(axis=(1, 3))
    rank = rankdata(blocks).reshape(blocks.shape) / blocks.size
    middle = rank[:, _COLUMNS // 3 : -_COLUMNS // 3].mean(axis=1)
    sides = np.minimum(rank[:, : _COLUMNS // 8].mean(axis=1), rank[:, -_COLUMNS // 8 :].mean(axis=1))
    return bool((sides > middle + _BRIGHTER).mean() >= _SHARE_OF_BANDS)
