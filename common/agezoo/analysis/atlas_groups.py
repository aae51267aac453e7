"""How the share of each region differs between groups of people, and with age."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from agezoo.analysis.atlas_input import AtlasInput
from agezoo.analysis.atlas_null import compare_with_chance
from agezoo.analysis.atlas_regions import MIN_PEOPLE, interval
from agezoo.analysis.bootstrap import FloatArray, resample_counts
from agezoo.analysis.groups import adjusted_means
from agezoo.analysis.multiple_testing import holm
from agezoo.errors import InputError

SEX, AGE, AGERS, AGERS_ADJUSTED = (
    "female - male",
    "per 10 years of age",
    "accelerated - decelerated",
    "accelerated - decelerated, at equal age and sex",
)
_COLUMNS = [
    "comparison", "region", "n_first", "n_second", "difference", "difference_low", "difference_high",
    "enrichment_difference", "enrichment_difference_low", "enrichment_difference_high", "correlation", "method", "p",
    "p_adjusted",
]  # fmt: skip
# Entries of the matrices of permuted people that are held at once.
_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class _Comparison:
    """One row per person: what is compared with, and the mean shares of the person's scans that take part."""

    name: str
    x: FloatArray
    shares: FloatArray
    people: NDArray[np.intp]


def group_comparisons(atlas: AtlasInput, *, n_bootstrap: int = 2000, seed: int = 0) -> tuple[pd.DataFrame, list[str]]:
    """Compare women with men, ages, and accelerated with decelerated agers, region by region.

    A person is one observation: the mean of the person's scans that take part. Somebody who is an accelerated ager in
    one scan and a decelerated one in another is left out of that comparison. Ages enter as numbers: the slope of the
    share on age. The difference of two groups is the same slope on 0 and 1.

    Parameters
    ----------
    atlas
        What was read from the folder.
    n_bootstrap
        Resamples of people for the intervals, and permutations of people for the p values.
    seed
        Of both.

    Returns
    -------
    DataFrame
        Per comparison and region ``n_first`` and ``n_second`` (people; for age ``n_first`` has all), ``difference`` (of
        shares, first minus second, or per 10 years of age) with 95 % limits, the same as
        ``enrichment_difference`` (over the region's volume share), ``correlation`` (Spearman's, of share and age),
        ``method``, ``p`` (two-sided) and ``p_adjusted``: over the regions by the largest deviation of any region
        (permutation) or Holm (regression), times the number of comparisons.
    list of str
        Comparisons that were not made, and why.
    """
    rows, notes = [], []
    for comparison, note in _comparisons(atlas):
        notes += [note] if note else []
        if comparison is None:
            continue
        rows.append(_permuted(comparison, atlas, n_bootstrap, seed))
        if comparison.name == AGERS:
            try:
                rows.append(_adjusted(comparison, atlas))
            except InputError as error:
                notes.append(f"{AGERS_ADJUSTED}: not compared, {error}.")
    table = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=_COLUMNS)
    table["p_adjusted"] = np.minimum(table["p_adjusted"].astype("float64") * max(len(rows), 1), 1.0)
    return table[_COLUMNS], notes


def _comparisons(atlas: AtlasInput) -> Iterator[tuple[_Comparison | None, str]]:
    for name, first, second in ((SEX, "female", "male"), (AGERS, "accelerated", "decelerated")):
        none = np.zeros(len(atlas.person), dtype=bool)
        one, other = atlas.groups.get(first, none), atlas.groups.get(second, none)
        comparison = _by_person(atlas, name, one | other, one.astype(np.float64))
        mixed = ~np.isin(comparison.x, (0.0, 1.0))
        n_mixed = int(mixed.sum())
        kept = _Comparison(name, comparison.x[~mixed], comparison.shares[~mixed], comparison.people[~mixed])
        n_one, n_other = int(kept.x.sum()), int((1 - kept.x).sum())
        if min(n_one, n_other) < MIN_PEOPLE:
            yield None, f"{name}: not compared, with {n_one} and {n_other} people ({MIN_PEOPLE} each are needed)."
        else:
            yield kept, f"{name}: {n_mixed} people who are both are left out." if n_mixed else ""
        if name == SEX:
            yield _age(atlas)


def _age(atlas: AtlasInput) -> tuple[_Comparison | None, str]:
    age_years = pd.to_numeric(atlas.cases["age_years"], errors="coerce").to_numpy(dtype=np.float64)
    comparison = _by_person(atlas, AGE, np.isfinite(age_years), np.nan_to_num(age_years) / 10)
    n, spread = len(comparison.x), float(np.ptp(comparison.x)) if len(comparison.x) else 0.0
    if n < MIN_PEOPLE or spread < 1e-9:
        return None, f"{AGE}: not compared, {n} people with a known age that differs ({MIN_PEOPLE} are needed)."
    return comparison, ""


def _by_person(atlas: AtlasInput, name: str, rows: NDArray[np.bool_], x: FloatArray) -> _Comparison:
    people, code = np.unique(atlas.person[rows], return_inverse=True)
    n = np.bincount(code, minlength=len(people))
    means = [
        np.bincount(code, weights=values, minlength=len(people)) / n for values in (x[rows], *atlas.shares[rows].T)
    ]
    return _Comparison(name, means[0], np.stack(means[1:], axis=1), people)


def _permuted(comparison: _Comparison, atlas: AtlasInput, n_bootstrap: int, seed: int) -> pd.DataFrame:
    x, shares = comparison.x, comparison.shares
    rng = np.random.default_rng([seed, len(x)])
    everyone = np.ones((1, len(x)))
    slope = _slopes(everyone, x, shares)[0]
    draws, permuted = [np.empty((0, len(slope)))], [np.empty((0, len(slope)))]
    for counts in resample_counts(np.arange(len(x)), n_bootstrap=n_bootstrap, rng=rng):
        draws.append(_slopes(counts, x, shares))
    centred = x - x.mean()
    step = max(1, _CELLS // len(x))
    for start in range(0, n_bootstrap, step):
        orders = rng.permuted(np.tile(centred, (min(step, n_bootstrap - start), 1)), axis=1)
        permuted.append(orders @ (shares - shares.mean(axis=0)) / (centred @ centred))
    low, high = interval(np.concatenate(draws))
    table = _table(comparison, atlas, slope, low, high)
    table["method"] = "permutation of people"
    table["p"], table["p_adjusted"] = np.nan, np.nan
    if n_bootstrap >= 1:
        test = compare_with_chance(slope, np.concatenate(permuted))
        table["p"], table["p_adjusted"] = test.p_two_sided, test.p_two_sided_adjusted
    if comparison.name == AGE:
        age_ranks = rankdata(x)
        share_ranks = rankdata(shares, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            table["correlation"] = _slopes(everyone, age_ranks, share_ranks)[0] * (
                age_ranks.std() / share_ranks.std(axis=0)
            )
    return table


def _slopes(weights: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Slopes of the R columns of y on x for each of the m rows of weights, shape ``(m, R)``."""
    x, y = x - x.mean(), y - y.mean(axis=0)
    total = weights.sum(axis=1, keepdims=True)
    mean_x, mean_y = weights @ x[:, None] / total, weights @ y / total
    variance = weights @ (x**2)[:, None] / total - mean_x**2
    # A resample of one group alone has no slope; its variance is rounding.
    variance = np.where(variance > 1e-12 * np.mean(x**2), variance, np.nan)
    return np.asarray((weights @ (x[:, None] * y) / total - mean_x * mean_y) / variance)


def _adjusted(comparison: _Comparison, atlas: AtlasInput) -> pd.DataFrame:
    """Accelerated against decelerated by least squares with age and sex; HC3 limits and t test."""
    first, second = AGERS.split(" - ")
    taking_part = atlas.groups[first] | atlas.groups[second]
    cases = atlas.cases[taking_part].assign(person=atlas.person[taking_part])
    of_person = cases.groupby("person").agg(age_years=("age_years", "mean"), sex=("sex", "first"))
    covariates = of_person.loc[comparison.people].reset_index(drop=True)
    covariates["sex"] = covariates["sex"].astype("string")
    groups = pd.Series(np.where(comparison.x == 1, first, second))
    found = [
        adjusted_means(pd.Series(share), groups, covariates, reference=second).differences.loc[first]
        for share in comparison.shares.T
    ]
    figures = pd.DataFrame(found).reset_index(drop=True)
    table = _table(
        comparison, atlas, *(figures[name].to_numpy() for name in ("difference", "difference_low", "difference_high"))
    )
    table["comparison"], table["method"] = AGERS_ADJUSTED, "least squares, HC3"
    table["p"] = figures["p"].to_numpy()
    table["p_adjusted"] = holm(table["p"])
    return table


def _table(
    comparison: _Comparison, atlas: AtlasInput, difference: FloatArray, low: FloatArray, high: FloatArray
) -> pd.DataFrame:
    table = pd.DataFrame({"comparison": comparison.name, "region": atlas.region_names})
    two_groups = comparison.name != AGE
    table["n_first"] = int(comparison.x.sum()) if two_groups else len(comparison.x)
    table["n_second"] = int((1 - comparison.x).sum()) if two_groups else 0
    for suffix, values in (("", difference), ("_low", low), ("_high", high)):
        table[f"difference{suffix}"] = values
        table[f"enrichment_difference{suffix}"] = values / atlas.volume_shares
    table["correlation"] = np.nan
    return table
