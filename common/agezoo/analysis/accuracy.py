"""How far predicted ages are from true ages.

Every figure is computed from row counts: a row that a bootstrap resample drew twice counts twice. The plain
figures are the case in which every row counts once, so the estimate and its interval share one definition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

# Below this variance (years squared) ages count as constant: correlations and slopes have no meaning there.
_CONSTANT = 1e-9


def accuracy_figures(
    age_years: ArrayLike, predicted_age_years: ArrayLike, *, counts: ArrayLike | None = None
) -> dict[str, FloatArray]:
    """Accuracy figures of one or many resamples of the same rows.

    Parameters
    ----------
    age_years, predicted_age_years
        True and predicted ages in years, shape ``(n,)``, finite.
    counts
        How often each row counts, shape ``(n,)`` or ``(n_resamples, n)``; every row once when omitted.

    Returns
    -------
    dict of arrays of shape ``(n_resamples,)``; with error = predicted - true age, in years:

    ``mae_years``
        Mean of the absolute errors.
    ``mae_sd_years``
        Standard deviation of the absolute errors around their mean (divided by n, as published tables do).
    ``rmse_years``
        Root of the mean squared error.
    ``bias_years``
        Mean error; positive where ages are over-estimated.
    ``pcc``
        Pearson correlation of predicted and true age; not a number where either is constant.
    ``r2``
        Coefficient of determination: 1 - sum of squared errors / sum of squared deviations of the true ages from
        their mean. It falls below 0 for predictions that are worse than guessing the mean, and is not the square
        of ``pcc``.
    ``gap_age_slope``
        Slope of the least-squares line of the error on the true age, in years per year; negative where the young
        are over- and the old under-estimated.
    ``mae_of_guessing_the_mean_years``
        MAE of giving everyone the mean true age of the same rows: what a model that saw nothing would reach.
    """
    age = np.asarray(age_years, dtype=np.float64)
    predicted = np.asarray(predicted_age_years, dtype=np.float64)
    if age.ndim != 1 or age.shape != predicted.shape:
        raise ValueError(f"age_years {age.shape} and predicted_age_years {predicted.shape} must be equally long lists")
    weight = row_counts(counts, age.size)
    total = weight.sum(axis=1)
    deviation = age - age.mean()
    mean = (weight @ moment_terms(age, predicted)) / total[:, None]
    guess = (weight * np.abs(deviation[None, :] - mean[:, :1])).sum(axis=1) / total
    return {**figures_of_moments(mean), "mae_of_guessing_the_mean_years": guess}


def moment_terms(age_years: FloatArray, predicted_age_years: FloatArray) -> FloatArray:
    """What each row adds to the moments that most accuracy figures are made of, shape ``(n, 9)``.

    Sums over a person's rows can be resampled in place of the rows.
    """
    # Centred once, so that variances do not lose digits to large means.
    a, p = age_years - age_years.mean(), predicted_age_years - predicted_age_years.mean()
    error = predicted_age_years - age_years
    return np.stack([a, p, error, np.abs(error), error**2, a**2, p**2, a * p, a * error], axis=1)


def figures_of_moments(mean: FloatArray) -> dict[str, FloatArray]:
    """The figures of :func:`accuracy_figures`, but for guessing the mean, from means of :func:`moment_terms`.

    Parameters
    ----------
    mean
        Shape ``(n_resamples, 9)``.
    """
    mean_a, mean_p, bias, mae, mse, mean_aa, mean_pp, mean_ap, mean_ae = mean.T
    var_a, var_p = mean_aa - mean_a**2, mean_pp - mean_p**2
    cov_ap, cov_ae = mean_ap - mean_a * mean_p, mean_ae - mean_a * bias
    var_a = np.where(var_a > _CONSTANT, var_a, np.nan)
    var_p = np.where(var_p > _CONSTANT, var_p, np.nan)
    return {
        "mae_years": mae,
        "mae_sd_years": np.sqrt(np.maximum(mse - mae**2, 0.0)),
        "rmse_years": np.sqrt(mse),
        "bias_years": bias,
        "pcc": np.clip(cov_ap / np.sqrt(var_a * var_p), -1.0, 1.0),
        "r2": 1.0 - mse / var_a,
        "gap_age_slope": cov_ae / var_a,
    }


def row_counts(counts: ArrayLike | None, n: int) -> FloatArray:
    """Counts as a float matrix ``(n_resamples, n)``; one resample that holds every row once when ``None``."""
    if counts is None:
        return np.ones((1, n))
    weight = np.atleast_2d(np.asarray(counts, dtype=np.float64))
    if weight.ndim != 2 or weight.shape[1] != n:
        raise ValueError(f"counts of shape {weight.shape} do not fit {n} rows")
    return weight
