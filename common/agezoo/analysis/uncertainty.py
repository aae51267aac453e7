"""Whether the stated standard deviations (SD) fit the errors that were made.

An SD is read as that of a normal distribution around the predicted age.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from agezoo.analysis.accuracy import row_counts

FloatArray = NDArray[np.float64]

#: Central intervals, in per cent, whose coverage the tables list.
LEVELS_PERCENT = (50, 68, 90, 95)

#: Levels of the calibration curve, in per cent.
CURVE_PERCENT = (*range(5, 100, 5), 99)

# An error that equals its limit is inside. The tolerance keeps that true for decimal tables, where e.g. an error
# of 70.7 - 49 is 21.700000000000003.
_TIE = 1e-9


def total_sd_years(aleatoric_sd_years: ArrayLike, epistemic_sd_years: ArrayLike | None = None) -> FloatArray:
    """SD of the whole prediction: the root of aleatoric and epistemic variance, years.

    Parameters
    ----------
    aleatoric_sd_years
        SD that the model states for the person, shape ``(n,)``; not a number where unknown.
    epistemic_sd_years
        SD between the models of an ensemble; rows where it is not known take the aleatoric SD alone.
    """
    aleatoric = np.asarray(aleatoric_sd_years, dtype=np.float64)
    if epistemic_sd_years is None:
        return aleatoric
    return np.hypot(aleatoric, np.nan_to_num(np.asarray(epistemic_sd_years, dtype=np.float64), nan=0.0))


def coverage(z: ArrayLike, widths: ArrayLike, *, counts: ArrayLike | None = None) -> FloatArray:
    """Share of errors within ``width`` SDs of zero.

    Parameters
    ----------
    z
        Errors divided by their SD, shape ``(n,)``.
    widths
        Half widths of the interval in SDs, shape ``(k,)``.
    counts
        As in :func:`agezoo.analysis.accuracy.accuracy_figures`.

    Returns
    -------
    Shares 0..1, shape ``(n_resamples, k)``.
    """
    distance = np.abs(np.asarray(z, dtype=np.float64))
    weight = row_counts(counts, distance.size)
    inside = distance[:, None] <= np.asarray(widths, dtype=np.float64)[None, :] * (1 + _TIE)
    return (weight @ inside) / weight.sum(axis=1, keepdims=True)


def uncertainty_figures(
    error_years: ArrayLike, sd_years: ArrayLike, *, counts: ArrayLike | None = None
) -> dict[str, FloatArray]:
    """Calibration figures of one or many resamples of the same rows.

    Parameters
    ----------
    error_years
        Predicted - true age, shape ``(n,)``.
    sd_years
        Stated SD, positive, shape ``(n,)``.
    counts
        As in :func:`agezoo.analysis.accuracy.accuracy_figures`.

    Returns
    -------
    dict of arrays of shape ``(n_resamples,)``:

    ``coverage_50`` ... ``coverage_95``
        Share of true ages inside the central 50, 68, 90 and 95 % interval of the stated normal distribution.
    ``coverage_1_sigma``, ``coverage_1_96_sigma``
        Share within 1 and within 1.96 SD; 0.683 and 0.950 if the SDs are right.
    ``rms_z``
        Root mean square of error / SD; 1 if the SDs are right, above 1 if they are too small.
    ``nll``
        Mean negative log-likelihood of the true age, ``ln(SD) + (error / SD)^2 / 2 + ln(2 pi) / 2``; lower is
        better.
    ``spearman_sd_abs_error``
        Rank correlation of SD and absolute error; above 0 where larger SDs warn of larger errors.
    ``mean_sd_years``
        Mean stated SD.
    """
    error = np.asarray(error_years, dtype=np.float64)
    sd = np.asarray(sd_years, dtype=np.float64)
    weight = row_counts(counts, error.size)
    total = weight.sum(axis=1)
    z = error / sd
    widths = [norm.ppf(0.5 + level / 200) for level in LEVELS_PERCENT] + [1.0, 1.96]
    names = [f"coverage_{level}" for level in LEVELS_PERCENT] + ["coverage_1_sigma", "coverage_1_96_sigma"]
    figures = dict(zip(names, coverage(z, widths, counts=weight).T, strict=True))
    figures["rms_z"] = np.sqrt(weight @ z**2 / total)
    figures["nll"] = weight @ (np.log(sd) + z**2 / 2) / total + np.log(2 * np.pi) / 2
    figures["spearman_sd_abs_error"] = spearman(sd, np.abs(error), counts=weight)
    figures["mean_sd_years"] = weight @ sd / total
    return figures


def calibration_curve(
    error_years: ArrayLike, sd_years: ArrayLike, *, counts: ArrayLike | None = None
) -> dict[str, FloatArray]:
    """Share of true ages inside the central interval of each level of ``CURVE_PERCENT``, by level as text."""
    z = np.asarray(error_years, dtype=np.float64) / np.asarray(sd_years, dtype=np.float64)
    widths = [norm.ppf(0.5 + level / 200) for level in CURVE_PERCENT]
    return dict(zip(map(str, CURVE_PERCENT), coverage(z, widths, counts=counts).T, strict=True))


def spearman(x: ArrayLike, y: ArrayLike, *, counts: ArrayLike | None = None) -> FloatArray:
    """Spearman's rank correlation, ties by mean rank, of one or many resamples.

    The ranks are formed anew within each resample, where a row that counts twice is a tie with itself.

    Returns
    -------
    Shape ``(n_resamples,)``; not a number where either list is constant.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    weight = row_counts(counts, first.size)
    total = weight.sum(axis=1, keepdims=True)
    # Ranks 1..N have the mean (N + 1) / 2 however they are tied.
    a = _mid_ranks(first, weight) - (total + 1) / 2
    b = _mid_ranks(second, weight) - (total + 1) / 2
    spread = (weight * a * a).sum(axis=1) * (weight * b * b).sum(axis=1)
    return (weight * a * b).sum(axis=1) / np.sqrt(np.where(spread > 0, spread, np.nan))


def _mid_ranks(values: FloatArray, weight: FloatArray) -> FloatArray:
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    in_group = np.add.reduceat(weight[:, order], starts, axis=1)
    return (np.cumsum(in_group, axis=1) - in_group + (in_group + 1) / 2)[:, group]
