"""Logistic regression of a label on covariates, refusing what would give nonsense numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm

from agezoo.errors import InputError, MissingExtraError

FloatArray = NDArray[np.float64]

#: Fewer people of the rarer group per parameter than this: no fit.
MIN_EVENTS_PER_PARAMETER = 5

#: Fewer than this: a fit with a caution (Peduzzi et al., J Clin Epidemiol 1996;49:1373-1379).
WANTED_EVENTS_PER_PARAMETER = 10

# On standardised covariates; beyond, the likelihood has no maximum and the fit only stopped on its way to infinity.
_RUNAWAY = 15.0


@dataclass(frozen=True)
class LogisticFit:
    """A fitted model.

    Attributes
    ----------
    table
        One row per covariate, named ``covariate``, with ``odds_ratio``, ``odds_ratio_low``, ``odds_ratio_high`` (95 %,
        Wald), per unit of the covariate, and ``p`` (Wald).
    log_likelihood
        At the maximum.
    events_per_parameter
        People of the rarer group per covariate.
    rows
        Which of the rows given were used, shape ``(n,)``.
    notes
        What must be said.
    """

    table: pd.DataFrame
    log_likelihood: float
    events_per_parameter: float
    rows: NDArray[np.bool_]
    notes: tuple[str, ...]


def fit_logistic(label: ArrayLike, covariates: pd.DataFrame) -> LogisticFit:
    """Fit by maximum likelihood.

    Parameters
    ----------
    label
        0 or 1, shape ``(n,)``.
    covariates
        Complete columns of numbers, ``n`` rows, none constant and none the sum of others.

    Returns
    -------
    LogisticFit
        Where everybody of one side of a 0/1 covariate is in the same group, its odds ratio is 0 or infinite; that
        covariate and the rows of that side are left out (the limit of the fit), and a note says so.

    Raises
    ------
    InputError
        If too few people are in the rarer group, or the covariates separate the two groups completely.
    """
    y = np.asarray(label, dtype=np.float64)
    used, names, notes = _without_empty_cells(y, covariates)
    y = y[used]
    x = covariates.loc[used, names].to_numpy(dtype=np.float64)
    per_parameter = events_per_parameter(y, len(names))
    mean, sd = x.mean(axis=0), x.std(axis=0)
    if (sd < 1e-12).any():
        raise InputError(f"covariate {names[int(np.argmin(sd))]} is the same in everybody who remains")
    if per_parameter < WANTED_EVENTS_PER_PARAMETER:
        notes.append(
            f"{per_parameter:.1f} people of the rarer group per parameter; below "
            f"{WANTED_EVENTS_PER_PARAMETER} the odds ratios are uncertain beyond their intervals."
        )
    coefficients, covariance, log_likelihood = _maximum(y, (x - mean) / sd)
    beta, error = coefficients[1:] / sd, np.sqrt(np.diag(covariance))[1:] / sd
    half = norm.ppf(0.975) * error
    table = pd.DataFrame(
        {
            "covariate": names,
            "odds_ratio": np.exp(beta),
            "odds_ratio_low": np.exp(beta - half),
            "odds_ratio_high": np.exp(beta + half),
            "p": 2 * norm.sf(np.abs(beta / error)),
        }
    )
    return LogisticFit(table, log_likelihood, per_parameter, used, tuple(notes))


def events_per_parameter(label: FloatArray, n_parameters: int) -> float:
    """People of the rarer group per parameter; raises :class:`InputError` below the least that allows a fit."""
    rarer = int(min(label.sum(), len(label) - label.sum()))
    found = f"{rarer} people in the rarer group for {n_parameters} parameters"
    if rarer < MIN_EVENTS_PER_PARAMETER * n_parameters:
        raise InputError(
            "too few people for a logistic regression",
            found=found,
            expected=f"at least {MIN_EVENTS_PER_PARAMETER * n_parameters}",
        )
    return rarer / n_parameters


def likelihood_ratio_p(smaller: float, larger: float, *, n_added: int = 1) -> float:
    """p of the likelihood-ratio test of nested models from their log-likelihoods on the same rows."""
    return float(chi2.sf(max(2 * (larger - smaller), 0.0), n_added))


def cross_fitted_scores(label: ArrayLike, covariates: pd.DataFrame, *, seed: int = 0, n_folds: int = 10) -> FloatArray:
    """The linear predictor of every person from a model that was fitted on the others (stratified folds).

    Judged on its own rows a model looks better than it is, and a larger one better than a smaller one.

    Raises
    ------
    InputError
        As :func:`fit_logistic`, for any fold.
    """
    from sklearn.model_selection import StratifiedKFold

    y, x = np.asarray(label, dtype=np.float64), covariates.to_numpy(dtype=np.float64)
    mean, sd = x.mean(axis=0), x.std(axis=0)
    z = (x - mean) / np.where(sd > 0, sd, 1.0)
    score = np.empty(len(y))
    for train, held_out in StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(z, y):
        coefficients, _, _ = _maximum(y[train], z[train])
        score[held_out] = coefficients[0] + z[held_out] @ coefficients[1:]
    return score


def _maximum(y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Coefficients (constant first), their covariance and the log-likelihood on standardised covariates."""
    try:
        from statsmodels.discrete.discrete_model import Logit
        from statsmodels.tools.sm_exceptions import PerfectSeparationError
    except ImportError as error:
        raise MissingExtraError("statsmodels", "analysis", "Logistic regression") from error
    with warnings.catch_warnings():
        # Their causes, separation and singular matrices, are looked for below.
        warnings.simplefilter("ignore")
        try:
            fit = Logit(y, np.column_stack([np.ones(len(y)), z])).fit(disp=0, maxiter=60)
            coefficients, covariance = np.asarray(fit.params), np.asarray(fit.cov_params())
        except (PerfectSeparationError, np.linalg.LinAlgError):
            raise _separated() from None
    spread = np.diag(covariance)
    if (
        not fit.mle_retvals["converged"]
        or not np.isfinite(spread).all()
        or (spread < 0).any()
        or max(np.abs(coefficients[1:]).max(initial=0), np.sqrt(spread[1:]).max(initial=0)) > _RUNAWAY
    ):
        raise _separated()
    return coefficients, covariance, float(fit.llf)


def _separated() -> InputError:
    return InputError(
        "the covariates separate people with and without the label completely, so no odds ratio is finite",
        remedy="use fewer covariates, or look at the groups themselves",
    )


def _without_empty_cells(y: FloatArray, covariates: pd.DataFrame) -> tuple[NDArray[np.bool_], list[str], list[str]]:
    """Rows and covariates without those 0/1 covariates of which one side knows one group only."""
    used, names, notes = np.ones(len(y), dtype=bool), list(covariates.columns), []
    for name in covariates.columns:
        values = covariates[name].to_numpy()
        if not np.isin(values, (0, 1)).all():
            continue
        for side in (0, 1):
            cell = used & (values == side)
            if cell.any() and len(np.unique(y[cell])) == 1 and len(np.unique(y[used & ~cell])) == 2:
                group = "with" if y[cell][0] else "without"
                notes.append(
                    f"All {int(cell.sum())} people whose {name} is {side} are {group} the label: its odds ratio is not "
                    "finite, so it and they are left out."
                )
                used &= ~cell
                names.remove(name)
                break
    return used, names, notes
