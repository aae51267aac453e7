"""Kaplan-Meier curves by third of the gap, people at risk, and log-rank tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from agezoo.analysis.partial_likelihood import PartialLikelihood
from agezoo.errors import MissingExtraError

FloatArray = NDArray[np.float64]

#: Thirds from the lowest to the highest gap.
THIRDS = ("lowest third", "middle third", "highest third")

_HALF_WIDTH = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class Curve:
    """A step function of time with pointwise 95 % limits, that holds from each time to the next.

    Attributes
    ----------
    times_years
        Where it steps, first 0, ascending, shape ``(k,)``.
    value, low, high
        Probability from that time on; limits not a number where they are not defined.
    end_years
        Longest follow-up: nothing is known beyond it.
    """

    times_years: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
    end_years: float

    def at(self, years: float) -> tuple[float, float, float]:
        """Value and limits at a time; not a number beyond the longest follow-up."""
        if years > self.end_years:
            return float("nan"), float("nan"), float("nan")
        k = int(np.searchsorted(self.times_years, years, side="right")) - 1
        return float(self.value[k]), float(self.low[k]), float(self.high[k])


@dataclass(frozen=True)
class LogRank:
    """Log-rank test of several groups, and its test for trend over groups in their order.

    Attributes
    ----------
    chi_square, df, p
        All groups are compared; not a number where fewer than two have anybody at risk.
    trend_chi_square, trend_p
        One degree of freedom: score test of a Cox model with the group's number.
    """

    chi_square: float
    df: int
    p: float
    trend_chi_square: float
    trend_p: float


def gap_thirds(gap: ArrayLike) -> tuple[NDArray[np.int64], tuple[float, float]] | None:
    """Third (0, 1, 2) that each gap falls into, and the two cuts in years.

    A gap equal to a cut belongs to the lower third. None where ties leave a third empty.
    """
    gap = np.asarray(gap, dtype=np.float64)
    if len(gap) < 3:
        return None
    low, high = np.quantile(gap, [1 / 3, 2 / 3])
    third = (gap > low).astype(np.int64) + (gap > high)
    return (third, (float(low), float(high))) if len(np.unique(third)) == 3 else None


def kaplan_meier(time: ArrayLike, event: ArrayLike) -> Curve:
    """Kaplan-Meier estimate of the chance of being without the event, with 95 % limits on the log-log scale.

    Parameters
    ----------
    time
        Years of follow-up, shape ``(n,)``, at least one.
    event
        Whether the event ended it, shape ``(n,)``.

    References
    ----------
    Kaplan EL, Meier P. J Am Stat Assoc 1958;53:457-481. Limits: Kalbfleisch JD, Prentice RL. The statistical analysis
    of failure time data, 2002, section 1.4.
    """
    survfunc = survival_library()
    time = np.asarray(time, dtype=np.float64)
    if not np.asarray(event, dtype=bool).any():
        one = np.ones(1)
        return Curve(np.zeros(1), one, one, one, float(time.max()))
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = survfunc.SurvfuncRight(time, np.asarray(event, dtype=np.float64))
    low, high = log_log_limits(np.asarray(estimate.surv_prob), np.asarray(estimate.surv_prob_se))
    return Curve(
        np.concatenate([[0.0], estimate.surv_times]),
        np.concatenate([[1.0], estimate.surv_prob]),
        np.concatenate([[1.0], low]),
        np.concatenate([[1.0], high]),
        float(time.max()),
    )


def log_log_limits(survival: FloatArray, se: FloatArray) -> tuple[FloatArray, FloatArray]:
    """95 % limits of a probability, symmetric on the log(-log) scale; not a number at 0 and 1."""
    inside = (survival > 0) & (survival < 1) & np.isfinite(se)
    low, high = np.full(len(survival), np.nan), np.full(len(survival), np.nan)
    s = survival[inside]
    spread = np.exp(_HALF_WIDTH * se[inside] / (s * np.abs(np.log(s))))
    low[inside], high[inside] = s**spread, s ** (1 / spread)
    return low, high


def number_at_risk(time: ArrayLike, at_years: ArrayLike) -> NDArray[np.int64]:
    """How many are followed up for at least each of the given times."""
    ordered = np.sort(np.asarray(time, dtype=np.float64))
    return np.asarray(len(ordered) - np.searchsorted(ordered, np.asarray(at_years, dtype=np.float64), side="left"))


def median_follow_up(time: ArrayLike, event: ArrayLike) -> float:
    """Median follow-up in years by the reverse Kaplan-Meier method: any event counts as censoring of the follow-up.

    Not a number where fewer than half were censored in it.

    References
    ----------
    Schemper M, Smith TL. A note on quantifying follow-up in studies of failure time. Control Clin Trials 1996;17:343-6.
    """
    curve = kaplan_meier(time, ~np.asarray(event, dtype=bool))
    reached = np.flatnonzero(curve.value <= 0.5)
    return float(curve.times_years[reached[0]]) if len(reached) else float("nan")


def log_rank(time: ArrayLike, event: ArrayLike, group: ArrayLike) -> LogRank:
    """Log-rank test that groups have the same hazard.

    Parameters
    ----------
    time, event
        Follow-up in years and whether the event ended it, shape ``(n,)``.
    group
        Number of each person's group, in the order of the trend, shape ``(n,)``.

    References
    ----------
    Mantel N. Cancer Chemother Rep 1966;50:163-170. Peto R, Peto J. J R Stat Soc A 1972;135:185-206.
    """
    survfunc = survival_library()
    time, event = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
    group = np.asarray(group)
    df = len(np.unique(group)) - 1
    nan = float("nan")
    if df < 1 or not event.any():
        return LogRank(nan, max(df, 0), nan, nan, nan)
    try:
        chi_square = float(survfunc.survdiff(time, event.astype(np.float64), group)[0])
    except np.linalg.LinAlgError:
        chi_square = nan
    number = group.astype(np.float64)[:, None]
    _, gradient, information = PartialLikelihood(time, event, number - number.mean()).evaluate(np.zeros(1))
    trend = float(gradient[0] ** 2 / information[0, 0]) if information[0, 0] > 0 else nan
    return LogRank(chi_square, df, float(stats.chi2.sf(chi_square, df)), trend, float(stats.chi2.sf(trend, 1)))


def survival_library() -> Any:
    """statsmodels' survival functions.

    Raises
    ------
    MissingExtraError
        If statsmodels is not installed.
    """
    try:
        from statsmodels.duration import survfunc
    except ModuleNotFoundError:
        raise MissingExtraError("statsmodels", "analysis", "Survival analysis") from None
    return survfunc
