"""Risk scores of a Cox model for people whom the fit has not seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from agezoo.analysis.partial_likelihood import PartialLikelihood

#: Parts into which the people are split.
N_FOLDS = 10


def folds_of_people(event: ArrayLike, *, seed: int = 0, n_folds: int = N_FOLDS) -> NDArray[np.int64]:
    """A fold for each person, at random, the events spread evenly; shape ``(n,)``."""
    event = np.asarray(event, dtype=bool)
    rng = np.random.default_rng(seed)
    folds = np.empty(len(event), dtype=np.int64)
    start = 0
    for group in (event, ~event):
        rows = rng.permutation(np.flatnonzero(group))
        # The second group goes on where the first ended, so that no fold is larger by more than one.
        folds[rows] = (np.arange(len(rows)) + start) % n_folds
        start += len(rows)
    return folds


def cross_fitted_risk(
    time: ArrayLike, event: ArrayLike, covariates: pd.DataFrame, folds: ArrayLike
) -> NDArray[np.float64] | None:
    """Linear predictor of a Cox model, each person's from a fit on the other folds.

    Scores of different folds are comparable: covariates are centred once, on everybody, so that a predictor is the
    log hazard ratio against the average person.

    Parameters
    ----------
    time, event, covariates
        As for :func:`agezoo.analysis.cox.fit_cox`.
    folds
        Fold of each person, shape ``(n,)``.

    Returns
    -------
    Shape ``(n,)``; None where the other folds of some fold do not determine the coefficients.
    """
    time, event = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
    folds = np.asarray(folds)
    values = covariates.to_numpy(np.float64)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    if event.sum() < 2:
        return None
    start = PartialLikelihood(time, event, values).maximise()
    if not start.determined.all():
        return None
    risk = np.empty(len(time))
    for fold in np.unique(folds):
        seen = folds != fold
        if not event[seen].any():
            return None
        fit = PartialLikelihood(time[seen], event[seen], values[seen]).maximise(start.coefficients)
        if not fit.determined.all():
            return None
        risk[~seen] = values[~seen] @ fit.coefficients
    return risk
