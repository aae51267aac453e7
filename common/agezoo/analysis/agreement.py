"""Agreement of two predictions of the same person: repeat scans, altered images, two models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from agezoo.errors import InputError

#: Fewer pairs than this are refused.
MIN_PAIRS = 3


def bland_altman(first: ArrayLike, second: ArrayLike, *, ddof: int = 0) -> dict[str, Any]:
    """Mean difference and 95 % limits of agreement.

    Parameters
    ----------
    first, second
        Paired values in years, shape ``(n,)``.
    ddof
        What is subtracted from n in the SD of the differences. 0 is what published age papers use; 1 gives the
        limits of the original method, wider by ``1 / (2 n)``.

    Returns
    -------
    dict: ``mean_difference_years`` (first - second), ``sd_difference_years``, ``lower_limit_years`` and
    ``upper_limit_years`` (mean -+ 1.96 SD), and for the mean and both limits a 95 % interval ``..._ci95`` from
    the t distribution with n - 1 degrees of freedom; the standard error of a limit is
    ``SD sqrt(1 / n + 1.96^2 / (2 (n - 1)))``.

    References
    ----------
    Bland JM, Altman DG. Measuring agreement in method comparison studies. Stat Methods Med Res 1999;8:135-160.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    n = difference.size
    mean, sd, sample_sd = difference.mean(), difference.std(ddof=ddof), difference.std(ddof=1)
    t = stats.t.ppf(0.975, n - 1)
    half_mean = t * sample_sd / np.sqrt(n)
    half_limit = t * sample_sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    lower, upper = mean - 1.96 * sd, mean + 1.96 * sd
    return {
        "mean_difference_years": float(mean),
        "mean_difference_years_ci95": [float(mean - half_mean), float(mean + half_mean)],
        "sd_difference_years": float(sd),
        "lower_limit_years": float(lower),
        "lower_limit_years_ci95": [float(lower - half_limit), float(lower + half_limit)],
        "upper_limit_years": float(upper),
        "upper_limit_years_ci95": [float(upper - half_limit), float(upper + half_limit)],
    }


def icc_2_1(values: ArrayLike) -> dict[str, Any]:
    """Intraclass correlation ICC(2,1): absolute agreement of single measurements, two-way random effects.

    Parameters
    ----------
    values
        One row per person, one column per measurement, shape ``(n, k)``, complete.

    Returns
    -------
    dict: ``icc_2_1`` and ``icc_2_1_ci95``; ``None`` where all values are equal, or the measurements agree exactly
    (then the coefficient is 1 and has no interval).

    References
    ----------
    Shrout PE, Fleiss JL. Psychol Bull 1979;86:420-428. Interval: McGraw KO, Wong SP. Psychol Methods 1996;1:30-46,
    table 7, case 2 (A,1).
    """
    x = np.asarray(values, dtype=np.float64)
    n, k = x.shape
    grand = x.mean()
    row_ms = k * ((x.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    column_ms = n * ((x.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    residual = x - x.mean(axis=1, keepdims=True) - x.mean(axis=0, keepdims=True) + grand
    error_ms = (residual**2).sum() / ((n - 1) * (k - 1))
    denominator = row_ms + (k - 1) * error_ms + k * (column_ms - error_ms) / n
    if denominator <= 0:
        return {"icc_2_1": None, "icc_2_1_ci95": None}
    icc = (row_ms - error_ms) / denominator
    if error_ms <= 1e-12 * row_ms or icc >= 1:
        return {"icc_2_1": float(icc), "icc_2_1_ci95": None}
    a = k * icc / (n * (1 - icc))
    b = 1 + k * icc * (n - 1) / (n * (1 - icc))
    freedom = (a * column_ms + b * error_ms) ** 2 / (
        (a * column_ms) ** 2 / (k - 1) + (b * error_ms) ** 2 / ((n - 1) * (k - 1))
    )
    f_low, f_high = stats.f.ppf(0.975, n - 1, freedom), stats.f.ppf(0.975, freedom, n - 1)
    rest = k * column_ms + (k * n - k - n) * error_ms
    low = n * (row_ms - f_low * error_ms) / (f_low * rest + n * row_ms)
    high = n * (f_high * row_ms - error_ms) / (rest + n * f_high * row_ms)
    return {"icc_2_1": float(icc), "icc_2_1_ci95": [float(low), float(high)]}


def evaluate_pairs(first: ArrayLike, second: ArrayLike, *, ddof: int = 0) -> dict[str, Any]:
    """Agreement figures of paired ages.

    Parameters
    ----------
    first, second
        Ages in years of the same people, shape ``(n,)``. Pairs with an unknown member are left out and counted.
    ddof
        As in :func:`bland_altman`.

    Returns
    -------
    dict: ``n_pairs``, ``n_incomplete``, the figures of :func:`bland_altman` and :func:`icc_2_1`,
    ``mean_absolute_difference_years``, ``pcc``, ``within_subject_sd_years`` (the SD of repeated predictions of one
    person, root of the mean of difference^2 / 2), and ``limits_ddof``, together with ``sample_sd_limits_years``: the
    limits with n - 1 in the SD.

    Raises
    ------
    InputError
        If the lists differ in length or fewer than ``MIN_PAIRS`` pairs are complete.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != two.shape:
        raise InputError("the two columns of a pair table differ in length", found=f"{one.size} and {two.size} values")
    complete = np.isfinite(one) & np.isfinite(two)
    if complete.sum() < MIN_PAIRS:
        raise InputError(
            "too few complete pairs",
            found=f"{int(complete.sum())} complete of {one.size}",
            expected=f"at least {MIN_PAIRS}",
        )
    one, two = one[complete], two[complete]
    difference = one - two
    sample = bland_altman(one, two, ddof=1)
    varied = one.std() > 0 and two.std() > 0
    return {
        "n_pairs": int(complete.sum()),
        "n_incomplete": int((~complete).sum()),
        **bland_altman(one, two, ddof=ddof),
        "limits_ddof": ddof,
        "sample_sd_limits_years": [sample["lower_limit_years"], sample["upper_limit_years"]],
        **icc_2_1(np.stack([one, two], axis=1)),
        "mean_absolute_difference_years": float(np.abs(difference).mean()),
        "within_subject_sd_years": float(np.sqrt((difference**2).mean() / 2)),
        "pcc": float(np.corrcoef(one, two)[0, 1]) if varied else None,
    }
