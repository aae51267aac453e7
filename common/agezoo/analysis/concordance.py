"""Harrell's C: how often the person who has the event first was the one predicted to be at higher risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

_HALF_WIDTH = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Concordance:
    """Harrell's C of one risk score.

    Attributes
    ----------
    c
        Share of the comparable pairs in which the earlier event goes with the higher risk, equal risks counting one
        half; 0.5 is chance. Not a number without comparable pairs.
    se
        Standard error by the infinitesimal jackknife.
    low, high
        95 % interval, c -+ 1.96 se, cut at 0 and 1.
    n_pairs
        Comparable pairs.
    influence
        What each person adds to c, shape ``(n,)``; the squares sum to ``se ** 2``.
    """

    c: float
    se: float
    low: float
    high: float
    n_pairs: int
    influence: FloatArray


@dataclass(frozen=True)
class ConcordanceChange:
    """Change of C from one risk score to another on the same people: ``change``, ``se``, 95 % interval, ``p``."""

    change: float
    se: float
    low: float
    high: float
    p: float


def harrell_c(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> Concordance:
    """Harrell's concordance index with a 95 % interval.

    A pair is comparable when one person had the event and the other was still followed up then without it: followed
    up longer, or censored at that very time. Two events at one time are not comparable.

    Parameters
    ----------
    time
        Follow-up, shape ``(n,)``.
    event
        Whether the event ended it, shape ``(n,)``; a competing event counts as censoring.
    risk
        Any score that is higher for higher risk, shape ``(n,)``. Ties count one half.

    References
    ----------
    Harrell FE, Lee KL, Mark DB. Stat Med 1996;15:361-387. Therneau TM, Atkinson E. Concordance (vignette of R's
    survival package; ties and the infinitesimal jackknife).
    """
    time, event = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
    _, rank = np.unique(np.asarray(risk, dtype=np.float64), return_inverse=True)
    n = len(time)
    # Events stand before those censored at the same time, who outlived them.
    _, moment = np.unique(time, return_inverse=True)
    moment = 2 * moment + ~event
    order = np.argsort(moment, kind="stable")
    moment, rank, is_event = moment[order], rank[order], event[order]
    events = np.flatnonzero(is_event)
    # Each event against the later ones: those of lower and of equal risk.
    later = np.searchsorted(moment, moment[events], side="right")
    n_later = n - later
    sorted_rank = np.sort(rank)
    below_all, upto_all = (np.searchsorted(sorted_rank, rank[events] + more) for more in (0, 1))
    below, upto = _counts(rank, later, rank[events])
    below, upto = below_all - below, upto_all - upto
    concordant, pairs = np.zeros(n), np.zeros(n)
    concordant[events] = (below + upto) / 2
    pairs[events] = n_later
    # Each person against the earlier events: those of higher and of equal risk.
    earlier = np.searchsorted(moment[events], moment, side="left")
    below, upto = _counts(rank[events], earlier, rank)
    concordant += earlier - (below + upto) / 2
    pairs += earlier
    total = float(n_later.sum())
    if total == 0:
        return Concordance(np.nan, np.nan, np.nan, np.nan, 0, np.full(n, np.nan))
    c = float(concordant.sum() / (2 * total))
    influence = np.empty(n)
    influence[order] = (concordant - c * pairs) / total
    se = float(np.sqrt((influence**2).sum()))
    low, high = max(0.0, c - _HALF_WIDTH * se), min(1.0, c + _HALF_WIDTH * se)
    return Concordance(c, se, low, high, int(total), influence)


def concordance_change(without: Concordance, with_: Concordance) -> ConcordanceChange:
    """Change of C between two scores of the same people, in the same order, with a paired interval.

    The standard error comes from the difference of the two influences, so that it takes the correlation of the two
    scores into account. Not a number where it is 0 (the scores order everybody alike) for ``p``.
    """
    change = with_.c - without.c
    se = float(np.sqrt(((with_.influence - without.influence) ** 2).sum()))
    p = float(2 * stats.norm.sf(abs(change) / se)) if se > 1e-12 else np.nan
    return ConcordanceChange(change, se, change - _HALF_WIDTH * se, change + _HALF_WIDTH * se, p)


def _counts(
    ranks: NDArray[np.int64], firsts: NDArray[np.int64], limits: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per query, how many of the first ``firsts`` ranks are below ``limits``, and how many below or equal.

    The first k entries are a union of aligned blocks, one per binary digit of k; in each sorted block a binary search
    counts, which takes ``n log^2 n`` time in all.
    """
    below, upto = np.zeros(len(firsts), dtype=np.int64), np.zeros(len(firsts), dtype=np.int64)
    if len(ranks) == 0 or len(firsts) == 0:
        return below, upto
    step = int(max(ranks.max(), limits.max())) + 2
    for level in range(len(ranks).bit_length()):
        asked = np.flatnonzero((firsts >> level) & 1)
        if len(asked) == 0:
            continue
        block = (firsts[asked] >> level) - 1
        keys = np.sort((np.arange(len(ranks)) >> level) * step + ranks)
        sought = block * step + limits[asked]
        below[asked] += np.searchsorted(keys, sought) - (block << level)
        upto[asked] += np.searchsorted(keys, sought + 1) - (block << level)
    return below, upto
