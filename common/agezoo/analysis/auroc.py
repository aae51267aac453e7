"""Area under the ROC curve (AUROC) with DeLong's variance, and the paired comparison of two scores.

The AUROC is the chance that a randomly drawn person with the label has a higher score than one without; a tie counts
one half.

References
----------
DeLong ER, DeLong DM, Clarke-Pearson DL. Biometrics 1988;44:837-845 (variance and paired test).
Sun X, Xu W. IEEE Signal Process Lett 2014;21:1389-1393 (the same from mid-ranks, in n log n time).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

FloatArray = NDArray[np.float64]

# A variance below this is rounding: every pair that decides between the scores is decided the same way.
_NO_VARIANCE = 1e-14


@dataclass(frozen=True)
class Auroc:
    """The AUROC of one score.

    Attributes
    ----------
    value
        0 to 1; 0.5 where the score tells nothing, below 0.5 where lower scores go with the label.
    variance
        DeLong's variance of the value.
    low, high
        95 % interval, normal on the logit scale and so inside 0..1; None where the score separates the two groups
        completely (value 0 or 1, variance 0) or a group has fewer than two people.
    n_positive, n_negative
        People with and without the label.
    """

    value: float
    variance: float
    low: float | None
    high: float | None
    n_positive: int
    n_negative: int


@dataclass(frozen=True)
class AurocDifference:
    """The difference of two AUROCs on the same people.

    Attributes
    ----------
    value
        First minus second.
    low, high
        95 % interval (normal), None where undefined.
    z, p
        DeLong's paired test, two-sided; None where the variance of the difference is 0, as for two scores that rank
        everyone alike.
    """

    value: float
    low: float | None
    high: float | None
    z: float | None
    p: float | None


def auroc(label: ArrayLike, score: ArrayLike) -> Auroc:
    """AUROC of one score with its 95 % interval.

    Parameters
    ----------
    label
        1 or True for people with the label, 0 or False for those without, shape ``(n,)``.
    score
        Any finite number that should be higher with the label, shape ``(n,)``.

    Raises
    ------
    ValueError
        If only one of the two groups is there, a label is neither 0 nor 1, or a score is not finite.
    """
    value, covariance = delong(label, np.asarray(score, dtype=np.float64)[None, :])
    return with_interval(float(value[0]), float(covariance[0, 0]), np.asarray(label))


def with_interval(value: float, variance: float, label: ArrayLike) -> Auroc:
    """An AUROC and its variance, as :func:`delong` gives them, with the 95 % interval."""
    positive = np.asarray(label).astype(bool)
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    low = high = None
    if 0 < value < 1 and variance > _NO_VARIANCE:
        half = norm.ppf(0.975) * np.sqrt(variance) / (value * (1 - value))
        low, high = float(expit(logit(value) - half)), float(expit(logit(value) + half))
    return Auroc(value, variance, low, high, n_positive, n_negative)


def paired_difference(label: ArrayLike, first: ArrayLike, second: ArrayLike) -> AurocDifference:
    """AUROC of the first minus AUROC of the second score of the same people, with interval and test.

    Parameters
    ----------
    label, first, second
        As in :func:`auroc`, shape ``(n,)``.

    Notes
    -----
    Not for a model against itself without one term, fitted and judged on the same rows: the test is not valid there.
    """
    value, covariance = delong(label, np.stack([np.asarray(first, float), np.asarray(second, float)]))
    return difference_of(value, covariance, 0, 1)


def difference_of(value: FloatArray, covariance: FloatArray, first: int, second: int) -> AurocDifference:
    """The difference of two of the AUROCs that :func:`delong` gave, by their positions."""
    difference = float(value[first] - value[second])
    variance = float(covariance[first, first] + covariance[second, second] - 2 * covariance[first, second])
    if not variance > _NO_VARIANCE:
        return AurocDifference(difference, None, None, None, None)
    sd = np.sqrt(variance)
    half = norm.ppf(0.975) * sd
    z = difference / sd
    return AurocDifference(
        difference, float(difference - half), float(difference + half), float(z), float(2 * norm.sf(abs(z)))
    )


def delong(label: ArrayLike, scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """AUROCs of several scores of the same people, and their covariance.

    Parameters
    ----------
    label
        As in :func:`auroc`, shape ``(n,)``.
    scores
        Shape ``(k, n)``.

    Returns
    -------
    Values ``(k,)`` and covariance ``(k, k)``; the covariance is not a number where a group has a single person.
    """
    truth, score = _checked(label, scores)
    positive, negative = score[:, truth], score[:, ~truth]
    m, n = positive.shape[1], negative.shape[1]
    # The mid-rank of a score among all, less its mid-rank in its own group, counts the people of the other group
    # below it, ties half.
    together = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    beats = (together[:, :m] - rankdata(positive, axis=1)) / n
    beaten = 1 - (together[:, m:] - rankdata(negative, axis=1)) / m
    value = beats.mean(axis=1)
    if min(m, n) < 2:
        return value, np.full((len(value), len(value)), np.nan)
    return value, np.atleast_2d(np.cov(beats)) / m + np.atleast_2d(np.cov(beaten)) / n


def _checked(label: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], FloatArray]:
    truth, score = np.asarray(label), np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or score.ndim != 2 or score.shape[1] != truth.size:
        raise ValueError(f"label {truth.shape} and scores {score.shape} do not fit together")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels are 0 or 1")
    if not np.isfinite(score).all():
        raise ValueError("scores must be finite")
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        raise ValueError("the AUROC needs people with and without the label")
    return truth, score
