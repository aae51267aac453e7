"""Holm's correction for having tested more than once."""

from __future__ import annotations

import numpy as np
import pandas as pd


def holm(p: pd.Series) -> pd.Series:
    """p values held against all others of the same list, empty ones aside.

    The smallest of m is multiplied by m, the next by m - 1 and so on, never falling and at most 1: the chance of any
    false finding in the list stays below the level (Holm, Scand J Stat 1979;6:65-70).
    """
    known = p.dropna()
    order = known.to_numpy(dtype=np.float64).argsort(kind="stable")
    steps = known.to_numpy(dtype=np.float64)[order] * np.arange(len(known), 0, -1)
    result = pd.Series(np.nan, index=p.index, dtype="float64")
    result[known.index[order]] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(known) else steps
    return result
