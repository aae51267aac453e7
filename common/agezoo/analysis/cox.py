"""Cox's proportional hazards regression: hazard ratios with intervals, and whether the hazards are proportional.

statsmodels fits (ties by Efron's method); what it sums row by row is summed here over sorted risk sets
(:mod:`agezoo.analysis.partial_likelihood`), which takes a fiftieth of the time on large tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from agezoo.analysis.partial_likelihood import PartialLikelihood
from agezoo.errors import InputError, MissingExtraError

FloatArray = NDArray[np.float64]

#: Fewer events than this are not fitted.
MIN_EVENTS = 5

#: Fewer events per parameter than this are fitted with a warning.
EVENTS_PER_PARAMETER = 10


@dataclass(frozen=True)
class CoxFit:
    """A fitted Cox model.

    Attributes
    ----------
    table
        One row per covariate: ``covariate``, ``coefficient`` (log hazard ratio per unit), ``se``, ``hr``, ``hr_low``,
        ``hr_high`` (95 %, Wald), ``z``, ``p``.
    covariance
        Of the coefficients, shape ``(p, p)``.
    log_likelihood
        Partial, at the maximum.
    n, n_events
        People and events in the fit.
    rows
        Whether a person given is in the fit, shape ``(n given,)``.
    notes
        Covariates that were taken out, and few events.
    """

    table: pd.DataFrame
    covariance: FloatArray
    log_likelihood: float
    n: int
    n_events: int
    rows: NDArray[np.bool_]
    notes: tuple[str, ...] = field(default=())

    @property
    def coefficients(self) -> FloatArray:
        """Log hazard ratios per unit, shape ``(p,)``."""
        return self.table["coefficient"].to_numpy(np.float64)


def fit_cox(time: ArrayLike, event: ArrayLike, covariates: pd.DataFrame) -> CoxFit:
    """Fit Cox's proportional hazards regression, ties by Efron's method.

    Parameters
    ----------
    time
        Years of follow-up, above 0, shape ``(n,)``.
    event
        Whether the event ended the follow-up, shape ``(n,)``. People whose follow-up a competing event ended count as
        censored, which makes the hazard ratios cause-specific.
    covariates
        One column of finite numbers per covariate, ``n`` rows, no column constant.

    Returns
    -------
    CoxFit
        A 0/1 covariate with all events on one side has an infinite coefficient; in that limit the people of the
        other side carry no information about the other coefficients. They and the covariate are taken out, with a
        note.

    Raises
    ------
    MissingExtraError
        If statsmodels is not installed.
    InputError
        If there are fewer than ``MIN_EVENTS`` events, or the likelihood has no maximum because a covariate, or a sum of
        several, separates people with from people without the event, or follows from the others.

    References
    ----------
    Cox DR. Regression models and life-tables. J R Stat Soc B 1972;34:187-220.
    Heinze G, Schemper M. A solution to the problem of monotone likelihood in Cox regression. Biometrics
    2001;57:114-119 (what separation does).
    """
    regression = _regression_class()
    time, event = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=bool)
    if event.sum() < MIN_EVENTS:
        raise InputError(
            "too few events for hazard ratios", found=f"{int(event.sum())} events", expected=f"at least {MIN_EVENTS}"
        )
    covariates, rows, notes = _without_one_sided(covariates, event)
    time, event = time[rows], event[rows]
    n_events, n_parameters = int(event.sum()), covariates.shape[1]
    if n_parameters == 0:
        raise InputError("no covariate is left whose hazard ratio could be estimated", found="; ".join(notes) or None)
    if n_events < EVENTS_PER_PARAMETER * n_parameters:
        notes.append(
            f"{n_events} events for {n_parameters} parameters: fewer than {EVENTS_PER_PARAMETER} each, so that the "
            "hazard ratios tend to be too extreme and the intervals too narrow."
        )
    values = covariates.to_numpy(np.float64)
    centre, scale = values.mean(axis=0), values.std(axis=0)
    scaled = (values - centre) / scale
    likelihood = PartialLikelihood(time, event, scaled)
    maximum = likelihood.maximise()
    if not maximum.determined.all():
        names = ", ".join(covariates.columns[~maximum.determined])
        raise InputError(
            "the hazard ratios cannot be estimated: the likelihood has no maximum (monotone likelihood)",
            found=f"{names}: separates people with from people without the event, or follows from other covariates",
            remedy="use fewer covariates or more events",
        )
    model = regression(time, scaled, likelihood=likelihood)
    result = model.fit(start_params=maximum.coefficients, method="newton", disp=False)
    coefficients = np.asarray(result.params) / scale
    covariance = np.asarray(result.cov_params()) / np.outer(scale, scale)
    se = np.sqrt(np.diag(covariance))
    z = coefficients / se
    half = stats.norm.ppf(0.975) * se
    table = pd.DataFrame(
        {
            "covariate": list(covariates.columns),
            "coefficient": coefficients,
            "se": se,
            "hr": np.exp(coefficients),
            "hr_low": np.exp(coefficients - half),
            "hr_high": np.exp(coefficients + half),
            "z": z,
            "p": 2 * stats.norm.sf(np.abs(z)),
        }
    )
    return CoxFit(
        table=table,
        covariance=covariance,
        log_likelihood=float(result.llf),
        n=len(time),
        n_events=n_events,
        rows=rows,
        notes=tuple(notes),
    )


def proportional_hazards_test(time: ArrayLike, event: ArrayLike, covariates: pd.DataFrame, fit: CoxFit) -> pd.DataFrame:
    """Test whether hazard ratios change with time, by scaled Schoenfeld residuals.

    A residual is an event's covariate minus its weighted mean over those at risk; when hazards are proportional,
    residuals do not drift with time. Time enters as 1 minus the Kaplan-Meier estimate just before the event, which
    spreads the events evenly.

    Parameters
    ----------
    time, event, covariates
        As given to :func:`fit_cox`.
    fit
        Its result.

    Returns
    -------
    One row per covariate of the fit and a last one ``"global"``: ``covariate``, ``rho`` (correlation of the scaled
    residuals with time: above 0, the hazard ratio rises with time), ``chi_square``, ``df``, ``p``. Not a number where
    all events share one time.

    References
    ----------
    Grambsch PM, Therneau TM. Proportional hazards tests and diagnostics based on weighted residuals. Biometrika
    1994;81:515-526 (with the average variance of the residuals).
    """
    time, event = np.asarray(time, dtype=np.float64)[fit.rows], np.asarray(event, dtype=bool)[fit.rows]
    names = list(fit.table["covariate"])
    values = covariates.loc[fit.rows, names].to_numpy(np.float64)
    centred = values - values.mean(axis=0)
    likelihood = PartialLikelihood(time, event, centred)
    residuals = likelihood.schoenfeld_residuals(fit.coefficients)
    moment = 1 - _survival_just_before(time[likelihood.death_rows], time, event)
    moment = moment - moment.mean()
    n_events, spread = len(residuals), float((moment**2).sum())
    scaled = residuals @ fit.covariance
    drift = moment @ residuals
    p = len(names)
    if spread > 1e-12:
        chi_square = n_events * (drift @ fit.covariance) ** 2 / (np.diag(fit.covariance) * spread)
        together = float(n_events * drift @ fit.covariance @ drift / spread)
        rho = (moment @ scaled) / np.sqrt(spread * ((scaled - scaled.mean(axis=0)) ** 2).sum(axis=0))
    else:
        chi_square, together, rho = np.full(p, np.nan), np.nan, np.full(p, np.nan)
    table = pd.DataFrame(
        {
            "covariate": [*names, "global"],
            "rho": [*rho, np.nan],
            "chi_square": [*chi_square, together],
            "df": [*[1] * p, p],
        }
    )
    table["p"] = stats.chi2.sf(table["chi_square"], table["df"])
    return table


def _survival_just_before(moments: FloatArray, time: FloatArray, event: NDArray[np.bool_]) -> FloatArray:
    from statsmodels.duration.survfunc import SurvfuncRight

    curve = SurvfuncRight(time, event.astype(np.float64))
    survival = np.concatenate([[1.0], curve.surv_prob])
    return np.asarray(survival[np.searchsorted(curve.surv_times, moments)])


def _without_one_sided(
    covariates: pd.DataFrame, event: NDArray[np.bool_]
) -> tuple[pd.DataFrame, NDArray[np.bool_], list[str]]:
    """Without 0/1 covariates whose events all lie on one side, and without the people of the other side."""
    rows = np.ones(len(event), dtype=bool)
    notes: list[str] = []
    remaining = covariates
    while True:
        for name in remaining.columns:
            values = remaining[name].to_numpy()
            if np.ptp(values) == 0:
                notes.append(f"{name} is the same in everyone who is left and is dropped.")
                remaining = remaining.drop(columns=name)
                break
            if not np.isin(values, (0.0, 1.0)).all():
                continue
            one = values == 1
            has_event = event[rows]
            eventless = one if not has_event[one].any() else ~one if not has_event[~one].any() else None
            if eventless is not None:
                which = name if eventless is one else f"not {name}"
                notes.append(
                    f"None of the {int(eventless.sum())} people with “{which}” had the event, so that no hazard ratio "
                    "exists for it; they and the covariate are left out of this model."
                )
                rows[np.flatnonzero(rows)[eventless]] = False
                remaining = remaining.loc[~eventless].drop(columns=name)
                break
        else:
            return remaining, rows, notes


@cache
def _regression_class() -> Any:
    """statsmodels' regression with its sums over rows replaced by those over sorted risk sets."""
    try:
        from statsmodels.duration.hazard_regression import PHReg
    except ModuleNotFoundError:
        raise MissingExtraError("statsmodels", "analysis", "Survival analysis") from None

    class SortedPHReg(PHReg):
        def __init__(self, endog: FloatArray, exog: FloatArray, *, likelihood: PartialLikelihood) -> None:
            # The parent would list every row's risk sets, which takes longer than the fit and is not used.
            super(PHReg, self).__init__(endog, exog)
            self._likelihood = likelihood
            self.surv = self.entry = self.strata = self.offset = self.groups = None
            self.status, self.ties, self.nobs = None, "efron", len(endog)
            self.df_model, self.df_resid = float(exog.shape[1]), float(len(endog) - exog.shape[1])

        def loglike(self, params: FloatArray) -> float:
            return self._likelihood.evaluate(np.asarray(params))[0]

        def score(self, params: FloatArray) -> FloatArray:
            return self._likelihood.evaluate(np.asarray(params))[1]

        def hessian(self, params: FloatArray) -> FloatArray:
            return -self._likelihood.evaluate(np.asarray(params))[2]

    return SortedPHReg
