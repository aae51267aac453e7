"""The gap of groups of people: spread, effect size, and difference at equal age and sex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import gammaln
from scipy.stats import norm

from agezoo.analysis.binary_label import column_and_value
from agezoo.analysis.counting import people
from agezoo.analysis.covariate_design import covariate_design
from agezoo.errors import InputError, MissingExtraError

#: Smaller groups are listed and not compared: a robust variance needs more.
MIN_PER_GROUP = 5

#: A column with more values is no grouping.
MAX_GROUPS = 30


@dataclass(frozen=True)
class Grouping:
    """Groups of people.

    Attributes
    ----------
    column
        Where they come from.
    values
        The group of every row as text, None where not known; the table's index.
    reference
        The group that the others are compared with.
    others
        The other groups, the largest first.
    """

    column: str
    values: pd.Series
    reference: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class AdjustedMeans:
    """Means and differences of groups at equal age and sex, in years.

    Attributes
    ----------
    means
        Index: groups; ``mean``, ``mean_low``, ``mean_high``: mean at the mean of the covariates over all groups.
    differences
        Index: groups but the reference; ``difference``, ``difference_low``, ``difference_high``, ``p``.
    p_any
        Whether the groups differ at all (Wald test); not a number for a single group.
    covariates
        As they entered the model.
    notes
        Covariates dropped, rows left out.
    """

    means: pd.DataFrame
    differences: pd.DataFrame
    p_any: float
    covariates: tuple[str, ...]
    notes: tuple[str, ...]


def grouping(table: pd.DataFrame, name: str) -> Grouping:
    """Read the groups of a column.

    Parameters
    ----------
    table
        The table.
    name
        A column, the largest group being the reference, or ``column=value`` to name another reference.

    Raises
    ------
    InputError
        If the column or the reference is absent, or the values are too many for groups.
    """
    column, reference = column_and_value(name, table.columns)
    if column not in table.columns:
        raise InputError(
            f"group {name}: there is no column {column}", found="columns " + ", ".join(map(str, table.columns))
        )
    values = pd.Series([_word(value) for value in table[column]], index=table.index, dtype=object)
    counts = values.value_counts()
    if not 1 <= len(counts) <= MAX_GROUPS:
        raise InputError(
            f"column {column} holds no groups",
            found=f"{len(counts)} different values",
            expected=f"at most {MAX_GROUPS}, at least one",
        )
    order = sorted(counts.index, key=lambda group: (-counts[group], group))
    if reference is None:
        reference = order[0]
    elif reference not in order:
        raise InputError(f"column {column} has no group {reference}", found="the groups " + ", ".join(order))
    return Grouping(column, values, reference, tuple(group for group in order if group != reference))


def hedges_g(one: ArrayLike, reference: ArrayLike) -> dict[str, float]:
    """Standardised mean difference of two groups, corrected for small samples.

    Parameters
    ----------
    one, reference
        Values, at least two each.

    Returns
    -------
    dict: ``hedges_g`` (one minus reference, in pooled SDs), ``hedges_g_low`` and ``hedges_g_high`` (95 %, normal with
    the variance ``J^2 (1 / n1 + 1 / n2 + d^2 / (2 (n1 + n2)))``); not a number where both groups are constant.

    References
    ----------
    Hedges LV, Olkin I. Statistical methods for meta-analysis. Academic Press 1985 (J from the gamma function).
    Borenstein M et al. Introduction to meta-analysis. Wiley 2009, chapter 4 (variance).
    """
    a, b = np.asarray(one, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    freedom = a.size + b.size - 2
    pooled = np.sqrt((((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / freedom) if freedom > 0 else 0.0
    if min(a.size, b.size) < 2 or pooled < 1e-12:
        return dict.fromkeys(("hedges_g", "hedges_g_low", "hedges_g_high"), float("nan"))
    d = (a.mean() - b.mean()) / pooled
    small = np.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2) if freedom > 1 else 1.0
    half = norm.ppf(0.975) * small * np.sqrt(1 / a.size + 1 / b.size + d**2 / (2 * (a.size + b.size)))
    g = small * d
    return {"hedges_g": float(g), "hedges_g_low": float(g - half), "hedges_g_high": float(g + half)}


def adjusted_means(
    gap_years: pd.Series, groups: pd.Series, covariates: pd.DataFrame, *, reference: str
) -> AdjustedMeans:
    """Means of the gap by group at the mean age and share of sexes of everybody, by least squares.

    Variances are robust against unequal spread (HC3; MacKinnon and White, J Econometrics 1985;29:305-325); intervals
    and tests use the t distribution. One row per person is expected.

    Parameters
    ----------
    gap_years
        Complete, one per person.
    groups
        Group of each person as text, each with at least ``MIN_PER_GROUP`` people.
    covariates
        Columns to adjust for, usually ``age_years`` and ``sex``; people with an empty cell are left out.
    reference
        Group that the others are compared with.

    Raises
    ------
    InputError
        If a group has too few people left, or groups and covariates cannot be told apart.
    """
    try:
        import statsmodels.api as sm
    except ImportError as error:
        raise MissingExtraError("statsmodels", "analysis", "Regression") from error
    design = covariate_design(covariates, list(covariates.columns))
    kept = design.matrix.index
    y, group, others = gap_years.loc[kept], groups.loc[kept], design.matrix
    counts = group.value_counts()
    short = [name for name in dict.fromkeys([reference, *groups]) if counts.get(name, 0) < MIN_PER_GROUP]
    if short:
        raise InputError(
            f"too few people with all of {', '.join(covariates.columns)} in group {', '.join(short)}",
            expected=f"at least {MIN_PER_GROUP} each",
        )
    names = [reference, *(name for name in counts.index if name != reference)]
    # One column per group and centred covariates: the coefficients are the means at the mean of the covariates.
    matrix = pd.DataFrame({name: (group == name).astype("float64") for name in names})
    for name in others:
        centred = others[name] - others[name].mean()
        matrix[f"covariate {name}"] = centred / centred.std()
    if np.linalg.matrix_rank(matrix.to_numpy()) < matrix.shape[1]:
        raise InputError("the groups and the covariates cannot be told apart", found=", ".join(others.columns))
    fit = sm.OLS(y.to_numpy(dtype=np.float64), matrix.to_numpy()).fit(cov_type="HC3", use_t=True)
    bounds = np.asarray(fit.conf_int())[: len(names)]
    means = pd.DataFrame(
        {"mean": np.asarray(fit.params)[: len(names)], "mean_low": bounds[:, 0], "mean_high": bounds[:, 1]}, index=names
    )
    contrasts = np.zeros((len(names) - 1, matrix.shape[1]))
    contrasts[:, 0] = -1
    contrasts[np.arange(len(names) - 1), np.arange(1, len(names))] = 1
    rows: dict[str, Any] = {name: [] for name in ("difference", "difference_low", "difference_high", "p")}
    p_any = float("nan")
    if len(contrasts):
        test = fit.t_test(contrasts)
        limits = np.atleast_2d(test.conf_int())
        rows = {
            "difference": np.atleast_1d(test.effect),
            "difference_low": limits[:, 0],
            "difference_high": limits[:, 1],
            "p": np.atleast_1d(test.pvalue),
        }
        p_any = float(np.squeeze(fit.f_test(contrasts).pvalue))
    notes = [*design.notes, *(f"{people(n)} left out: {reason}." for reason, n in design.left_out.items())]
    return AdjustedMeans(means, pd.DataFrame(rows, index=names[1:]), p_any, tuple(others.columns), tuple(notes))


def _word(value: object) -> str | None:
    if pd.isna(value):
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return text or None
