"""Cox's partial likelihood with Efron's treatment of ties, by sums over sorted risk sets.

statsmodels fits the models that are reported. What stands here serves beside it: starting values, a look at whether
the data determine a coefficient at all, the many fits of cross-fitting, and the residuals of the
proportional-hazards test, each in a few passes over the sorted rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_MAX_STEPS = 40
# A coefficient whose information has sunk below this share of that at 0 is on its way to infinity.
_COLLAPSED = 1e-3
_LOSING = 0.1
# A covariate that keeps less than this share of its information beside the others is a sum of them.
_FLAT = 1e-9
# Log hazard ratio between two people at which the likelihood has no maximum.
_RUNAWAY = 200.0


@dataclass(frozen=True)
class Maximum:
    """Where the partial likelihood is largest.

    Attributes
    ----------
    coefficients
        Log hazard ratios per unit, shape ``(p,)``.
    covariance
        Inverse of the information there, shape ``(p, p)``; not a number where it has none.
    log_likelihood
        Its value there.
    determined
        Per coefficient, whether the data determine it: False where the likelihood rises towards infinity (monotone
        likelihood: the covariate separates those with from those without the event) or is flat.
    """

    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float
    determined: NDArray[np.bool_]


class PartialLikelihood:
    """Cox's partial likelihood of one table, ties by Efron's method.

    Parameters
    ----------
    time
        Follow-up in years, shape ``(n,)``.
    event
        Whether the event ended it, shape ``(n,)``; at least one.
    covariates
        Shape ``(n, p)``, finite. Centred and scaled covariates keep the sums exact.

    References
    ----------
    Efron B. The efficiency of Cox's likelihood function for censored data. J Am Stat Assoc 1977;72:557-565.
    """

    def __init__(self, time: ArrayLike, event: ArrayLike, covariates: ArrayLike) -> None:
        time = np.asarray(time, dtype=np.float64)
        event = np.asarray(event, dtype=bool)
        self.event_times: FloatArray = np.unique(time[event])
        # Rows censored before the first event are in no risk set.
        order = np.argsort(time, kind="stable")
        self._order = order[time[order] >= self.event_times[0]]
        self._x = np.asarray(covariates, dtype=np.float64)[self._order]
        time, event = time[self._order], event[self._order]
        self._starts = np.searchsorted(time, self.event_times)
        #: How many event times a row is at risk at; it leaves after the last of them.
        self._n_risk_sets = np.searchsorted(self.event_times, time, side="right")
        self._deaths = np.flatnonzero(event)
        self._death_set = self._n_risk_sets[self._deaths] - 1
        self._first_death = np.searchsorted(self._death_set, np.arange(len(self.event_times)))
        tied = np.bincount(self._death_set)
        # Efron: of d tied deaths the k-th (from 0) faces a risk set from which k/d of all d has gone.
        self._gone = (np.arange(len(self._deaths)) - self._first_death[self._death_set]) / tied[self._death_set]

    @property
    def death_rows(self) -> NDArray[np.int64]:
        """Rows of the events in ascending order of their times, shape ``(d,)``."""
        return self._order[self._deaths]

    def evaluate(self, coefficients: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Log partial likelihood, its gradient ``(p,)`` and the observed information ``(p, p)``."""
        predictor = self._x @ coefficients
        shift = predictor.max()
        hazard = np.exp(predictor - shift)
        at_risk, mean = self._means(hazard)
        value = float((predictor[self._deaths] - shift).sum() - np.log(at_risk).sum())
        gradient = self._x[self._deaths].sum(axis=0) - mean.sum(axis=0)
        # The second moments of all risk sets together: each row's square counts by the hazard it has been exposed to.
        increments = np.bincount(self._death_set, weights=1 / at_risk)
        exposure = np.concatenate([[0.0], np.cumsum(increments)])[self._n_risk_sets]
        spared = np.bincount(self._death_set, weights=self._gone / at_risk)
        exposure[self._deaths] -= spared[self._death_set]
        weighted = self._x * (hazard * exposure)[:, None]
        return value, gradient, weighted.T @ self._x - mean.T @ mean

    def maximise(self, start: FloatArray | None = None) -> Maximum:
        """Newton's method with step halving."""
        p = self._x.shape[1]
        at_zero = self.evaluate(np.zeros(p))[2]
        information_at_zero = _given_the_others(at_zero)
        coefficients = np.zeros(p) if start is None else np.asarray(start, dtype=np.float64)
        value, gradient, information = self.evaluate(coefficients)
        converged = False
        for _ in range(_MAX_STEPS):
            step = np.linalg.lstsq(information, gradient, rcond=1e-12)[0]
            gain = float(gradient @ step)
            if gain < 1e-12:
                converged = True
                break
            for _ in range(20):
                with np.errstate(all="ignore"):
                    new = self.evaluate(coefficients + step)
                # Far out on a monotone likelihood the hazards of a risk set vanish beside the largest: not a number.
                if np.isfinite(new[2]).all() and value - 1e-12 * abs(value) <= new[0] < np.inf:
                    break
                step = step / 2
            else:
                # No step raises the likelihood any more: its rounding hides what is left to gain.
                converged = gain < 1e-6
                break
            coefficients = coefficients + step
            value, gradient, information = new
            if np.ptp(self._x @ coefficients) > _RUNAWAY:
                break
        kept = _given_the_others(information)
        with np.errstate(invalid="ignore"):
            determined = (kept > _COLLAPSED * information_at_zero) & (information_at_zero > _FLAT * np.diag(at_zero))
        if not converged and determined.all():
            # Stopped on the way to infinity: the covariates that have lost most of their information lead there.
            determined = kept > _LOSING * information_at_zero
            if determined.all():
                determined[:] = False
        covariance: FloatArray = (
            np.linalg.inv(information).astype(np.float64) if determined.all() else np.full((p, p), np.nan)
        )
        return Maximum(coefficients, covariance, value, determined)

    def schoenfeld_residuals(self, coefficients: FloatArray) -> FloatArray:
        """Each event's covariates minus their mean over its risk set, weighted by the hazards; shape ``(d, p)``.

        Rows as :attr:`death_rows`. Events at one time share the mean of Efron's risk sets.
        """
        predictor = self._x @ coefficients
        _, mean = self._means(np.exp(predictor - predictor.max()))
        tied = np.bincount(self._death_set)
        shared = np.add.reduceat(mean, self._first_death, axis=0) / tied[:, None]
        return np.asarray(self._x[self._deaths] - shared[self._death_set])

    def _means(self, hazard: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Per event: sum of the hazards at risk ``(d,)`` and the covariates' weighted mean ``(d, p)``."""
        weighted = np.column_stack([hazard, self._x * hazard[:, None]])
        sums = np.cumsum(np.add.reduceat(weighted, self._starts, axis=0)[::-1], axis=0)[::-1]
        dying = np.add.reduceat(weighted[self._deaths], self._first_death, axis=0)
        left = sums[self._death_set] - self._gone[:, None] * dying[self._death_set]
        return left[:, 0], left[:, 1:] / left[:, :1]


def _given_the_others(information: FloatArray) -> FloatArray:
    """Information on each coefficient when the others are estimated too; 0 where there is none."""
    scale = np.sqrt(np.clip(np.diag(information), 0, None))
    if not (scale > 0).all():
        return np.where(scale > 0, np.diag(information), 0.0)
    correlation = information / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(correlation)
    with np.errstate(divide="ignore"):
        inverse_diagonal = (vectors**2 / np.clip(values, 1e-14, None)).sum(axis=1)
    return np.asarray(scale**2 / inverse_diagonal)
