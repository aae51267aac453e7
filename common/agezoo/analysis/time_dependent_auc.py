"""Time-dependent AUC: how well a score told at the start who would have the event by a given time.

Cumulative cases against dynamic controls: cases have had the event by the horizon, controls are then still without
any event. Those censored before it are neither; cases are weighted up for them by the inverse probability of not
having been censored (IPCW).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# Rows times resamples: what bounds the bootstrap on large tables, whose intervals need fewer resamples to be steady.
_MAX_CELLS = 8_000_000
_MIN_RESAMPLES = 200

# Cells worked on at once: few enough to stay in the processor's cache.
_BLOCK = 200_000


@dataclass(frozen=True)
class HorizonAuc:
    """AUC of one score, or the difference of two, at one horizon.

    Attributes
    ----------
    value
        Estimate; not a number without cases or controls, or where nobody is followed up so long.
    low, high
        95 % percentile bootstrap interval over people; not a number where more than one resample in twenty has no
        estimate.
    n_cases, n_controls
        People with the event by the horizon, and without any event then.
    """

    value: float
    low: float
    high: float
    n_cases: int
    n_controls: int


def n_resamples(n: int, n_bootstrap: int) -> int:
    """Resamples for a table of n people: ``n_bootstrap``, on large tables fewer, but at least 200 of them."""
    return min(n_bootstrap, max(_MIN_RESAMPLES, _MAX_CELLS // max(n, 1)))


def time_dependent_auc(
    time: ArrayLike,
    status: ArrayLike,
    scores: Mapping[str, ArrayLike],
    horizons_years: Sequence[float],
    *,
    differences: Mapping[str, tuple[str, str]] | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> dict[tuple[str, float], HorizonAuc]:
    """Cumulative/dynamic AUC of several scores at several horizons, with bootstrap intervals.

    Parameters
    ----------
    time
        Years of follow-up, shape ``(n,)``.
    status
        0 censored, 1 event, 2 competing event, shape ``(n,)``. People with the competing event by the horizon are
        neither cases nor controls.
    scores
        Name -> score, higher for higher risk, shape ``(n,)``; ties count one half.
    horizons_years
        Times at which cases and controls are told apart.
    differences
        Name -> two names of scores; the AUC of the first minus that of the second on the same resamples.
    n_bootstrap
        Resamples of people, drawn with replacement; the censoring distribution is estimated anew in each. Bounded by
        :func:`n_resamples`; 0 gives no intervals.
    seed
        Equal seeds give equal intervals.

    Returns
    -------
    Estimates by name and horizon.

    References
    ----------
    Uno H et al. J Am Stat Assoc 2007;102:527-537. Hung H, Chiang CT. Stat Med 2010;29:2444-2454. Blanche P et al.
    Stat Med 2013;32:5381-5397 (competing events; controls are free of every event).
    """
    time, status = np.asarray(time, dtype=np.float64), np.asarray(status, dtype=np.int64)
    n = len(time)
    censoring = _Censoring(time, status)
    # Scores that order people alike (a model with the raw or with the corrected gap) are counted once.
    cells: dict[tuple[bytes, float], _Cell] = {}
    cell_of: dict[tuple[str, float], _Cell] = {}
    for name, score in scores.items():
        _, rank = np.unique(np.asarray(score, dtype=np.float64), return_inverse=True)
        for horizon in horizons_years:
            key = (rank.tobytes(), horizon)
            if key not in cells:
                cells[key] = _Cell(horizon, time, status, rank)
            cell_of[name, horizon] = cells[key]
    whole = np.ones((1, n))
    weights = censoring.case_weights(whole)
    values = {key: float(cell.auc(whole, weights)[0]) for key, cell in cell_of.items()}
    draws: dict[tuple[str, float], FloatArray] = {}
    m = n_resamples(n, n_bootstrap) if n_bootstrap > 0 else 0
    if m:
        rng = np.random.default_rng(seed)
        drawn: dict[int, list[FloatArray]] = {id(cell): [] for cell in cells.values()}
        step = max(1, _BLOCK // n)
        for start in range(0, m, step):
            counts = _resampled(n, min(step, m - start), rng)
            weights = censoring.case_weights(counts)
            for cell in cells.values():
                drawn[id(cell)].append(cell.auc(counts, weights))
        draws = {key: np.concatenate(drawn[id(cell)]) for key, cell in cell_of.items()}
    for name, (first, second) in (differences or {}).items():
        for horizon in horizons_years:
            values[name, horizon] = values[first, horizon] - values[second, horizon]
            if draws:
                draws[name, horizon] = draws[first, horizon] - draws[second, horizon]
    result = {}
    for (name, horizon), value in values.items():
        low, high = _interval(draws.get((name, horizon)), value)
        n_cases = int(((time <= horizon) & (status == 1)).sum())
        result[name, horizon] = HorizonAuc(value, low, high, n_cases, int((time > horizon).sum()))
    return result


class _Censoring:
    """Kaplan-Meier estimate of not being censored, just before each event."""

    def __init__(self, time: FloatArray, status: NDArray[np.int64]) -> None:
        self._times, self._moment = np.unique(time, return_inverse=True)
        self._censored = (status == 0).astype(np.float64)
        self._event = status == 1
        self._any_event = (status > 0).astype(np.float64)

    def case_weights(self, counts: FloatArray) -> FloatArray:
        """Weight of each person as a case, ``counts / G(time-)``; 0 for those without the event; shape ``(m, n)``."""
        everyone = self._by_time(counts)
        censored = self._by_time(counts * self._censored)
        events = self._by_time(counts * self._any_event)
        # Censored people outlive the events of their time, so those events have left the risk set of censoring.
        at_risk = np.cumsum(everyone[:, ::-1], axis=1)[:, ::-1] - events
        kept = 1 - np.divide(censored, at_risk, out=np.zeros_like(at_risk), where=at_risk > 0)
        before = np.cumprod(np.column_stack([np.ones(len(counts)), kept[:, :-1]]), axis=1)[:, self._moment]
        return np.divide(counts, before, out=np.zeros_like(counts), where=self._event & (before > 0))

    def _by_time(self, weights: FloatArray) -> FloatArray:
        m = len(self._times)
        return np.stack([np.bincount(self._moment, weights=row, minlength=m) for row in weights])


class _Cell:
    """Cases and controls of one horizon in the order of one score, ready for many weightings."""

    def __init__(self, horizon: float, time: FloatArray, status: NDArray[np.int64], rank: NDArray[np.int64]) -> None:
        self._cases = np.flatnonzero((time <= horizon) & (status == 1))
        controls = np.flatnonzero(time > horizon)
        self._controls = controls[np.argsort(rank[controls], kind="stable")]
        ordered = rank[self._controls]
        self._below = np.searchsorted(ordered, rank[self._cases], side="left")
        self._upto = np.searchsorted(ordered, rank[self._cases], side="right")

    def auc(self, counts: FloatArray, case_weights: FloatArray) -> FloatArray:
        """AUC of each weighting, shape ``(m,)`` for counts and weights of shape ``(m, n)``."""
        cases = case_weights[:, self._cases]
        below = np.zeros((len(counts), len(self._controls) + 1))
        np.cumsum(counts[:, self._controls], axis=1, out=below[:, 1:])
        total = cases.sum(axis=1) * below[:, -1]
        won = (cases * (below[:, self._below] + below[:, self._upto])).sum(axis=1) / 2
        return np.divide(won, total, out=np.full(len(counts), np.nan), where=total > 0)


def _resampled(n: int, m: int, rng: np.random.Generator) -> FloatArray:
    """How often each of n people is drawn in each of m resamples, shape ``(m, n)``."""
    drawn = rng.integers(n, size=(m, n)) + n * np.arange(m)[:, None]
    return np.bincount(drawn.ravel(), minlength=m * n).reshape(m, n).astype(np.float64)


def _interval(draws: FloatArray | None, value: float) -> tuple[float, float]:
    if draws is None or not np.isfinite(value):
        return float("nan"), float("nan")
    known = draws[np.isfinite(draws)]
    if len(known) < 0.95 * len(draws):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
