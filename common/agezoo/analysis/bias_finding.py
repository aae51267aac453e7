"""Raw and corrected ages side by side, for the report of an analysis."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.accuracy import FloatArray, accuracy_figures
from agezoo.analysis.bias_correction import BiasCorrection, group_labels
from agezoo.analysis.bootstrap import estimate_with_intervals
from agezoo.analysis.corrected_table import Corrected
from agezoo.analysis.evaluation_rows import MIN_ROWS
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.bias import plot_gap_against_age
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.reference_people import subject_codes

#: Figures that stand side by side, with their name in the table.
_FIGURES = {
    "mae_years": "mae_years",
    "rmse_years": "rmse_years",
    "bias_years": "bias_years",
    "pcc": "r",
    "r2": "r2",
    "gap_age_slope": "gap_age_slope",
}

_CAUTION = (
    "How accurate the model is, the raw rows tell. A correction takes age out of the gap with the help of the true "
    "age, so the corrected figures look good for any model, one that sees nothing included; the corrected ages serve "
    "to compare people of different ages (Butler et al. 2021, de Lange et al. 2022)."
)


def bias_finding(corrected: Corrected, plan: AnalysisPlan, *, seed: int = 0, n_bootstrap: int = 2000) -> Finding:
    """The section on bias and its correction.

    Parameters
    ----------
    corrected
        From :func:`agezoo.analysis.corrected_table.corrected_table`.
    plan
        The plan that it was made with; with ``plan.by`` every value gets rows of its own.
    seed, n_bootstrap
        Of the bootstrap intervals, which draw whole people.

    Returns
    -------
    Finding
        Tables ``raw_and_corrected``, ``bias_coefficients`` and, where the table has intervals,
        ``interval_coverage``; plots ``gap_against_age_raw`` and ``gap_against_age_corrected``. The corrected rows
        hold the people whose ages could be corrected, and so do the raw rows beside them where those are fewer.
    """
    table = corrected.table
    frame = pd.DataFrame(
        {
            "age_years": _numbers(table, "age_years"),
            "predicted": _numbers(table, plan.prediction),
            "corrected": _numbers(table, "corrected_age_years"),
            "lower": _numbers(table, "lower_years"),
            "upper": _numbers(table, "upper_years"),
            "person": subject_codes(table),
            "group": group_labels(table, plan.by).fillna("not known").to_numpy(),
        }
    )
    used = frame[frame["age_years"].notna() & frame["predicted"].notna()].reset_index(drop=True)
    notes = [*corrected.notes]
    if len(used) < len(frame):
        notes.append(f"{len(frame) - len(used)} of {len(frame)} rows have no age or no prediction and are left out.")
    if used["corrected"].notna().any():
        notes.append(_CAUTION)
    if len(used) < MIN_ROWS:
        return Finding(
            "Bias correction",
            f"Ages: {corrected.how}.",
            notes=(*notes, f"{len(used)} rows have an age and a prediction; at least {MIN_ROWS} are needed."),
        )
    tables = [_side_by_side(used, plan, seed=seed, n_bootstrap=n_bootstrap)]
    coefficients = _coefficients(corrected)
    if len(coefficients):
        tables.append(
            FindingTable(
                "bias_coefficients",
                "Coefficients of the correction and where they were fitted",
                coefficients,
                "Beheshti and quadratic: predicted − true age = constant + linear × age (+ square × age²), which is "
                "subtracted. Cole: predicted = constant + linear × age, which is inverted.",
            )
        )
    intervals = _interval_coverage(used, plan, seed=seed, n_bootstrap=n_bootstrap)
    if len(intervals):
        tables.append(
            FindingTable(
                "interval_coverage",
                "True ages inside the table's intervals",
                intervals,
                f"Should be {_level_in_words(table)}; below it the intervals are too narrow for these people.",
            )
        )
    return Finding(
        "Bias correction",
        f"Predicted ages as they are and corrected. Correction: {corrected.how}.",
        tuple(tables),
        tuple(_plots(used)),
        tuple(notes),
    )


def _side_by_side(used: pd.DataFrame, plan: AnalysisPlan, *, seed: int, n_bootstrap: int) -> FindingTable:
    rows: list[dict[str, Any]] = []
    for group, part in _groups(used, plan):
        fixed = part[part["corrected"].notna()]
        versions = [("raw", part, "predicted")]
        if 0 < len(fixed) < len(part):
            versions.append(("raw, of those corrected", fixed, "predicted"))
        versions.append(("corrected", fixed, "corrected"))
        for version, some, column in versions:
            if len(some) < MIN_ROWS:
                continue
            first = {plan.by: group} if plan.by else {}
            rows.append({**first, "ages": version, "n": len(some), "n_people": some["person"].nunique()})
            rows[-1] |= _figures(some, column, seed=[seed, zlib.crc32(group.encode())], n_bootstrap=n_bootstrap)
    return FindingTable(
        "raw_and_corrected",
        "Raw and corrected ages side by side",
        pd.DataFrame(rows),
        "gap_age_slope: years of gap per year of age; 0 means that the gap no longer depends on age. r and r2 compare "
        "with the spread of the true ages.",
    )


def _figures(some: pd.DataFrame, column: str, *, seed: list[int], n_bootstrap: int) -> dict[str, float]:
    age, value = some["age_years"].to_numpy(), some[column].to_numpy()

    def figures(counts: FloatArray | None) -> dict[str, FloatArray]:
        found = accuracy_figures(age, value, counts=counts)
        return {name: found[name] for name in _FIGURES}

    estimates, bounds = estimate_with_intervals(figures, some["person"], n_bootstrap=n_bootstrap, seed=seed)
    return _flat({_FIGURES[name]: value for name, value in estimates.items()},
                 {_FIGURES[name]: value for name, value in bounds.items()})  # fmt: skip


def _interval_coverage(used: pd.DataFrame, plan: AnalysisPlan, *, seed: int, n_bootstrap: int) -> pd.DataFrame:
    rows = []
    for group, part in _groups(used, plan):
        some = part[part["lower"].notna() & part["upper"].notna()]
        if len(some) < MIN_ROWS:
            continue
        inside = ((some["age_years"] >= some["lower"]) & (some["age_years"] <= some["upper"])).to_numpy(dtype=float)
        width = (some["upper"] - some["lower"]).to_numpy()

        def figures(
            counts: FloatArray | None, inside: FloatArray = inside, width: FloatArray = width
        ) -> dict[str, FloatArray]:
            weight = np.ones((1, inside.size)) if counts is None else counts
            total = weight.sum(axis=1)
            return {"coverage": weight @ inside / total, "mean_width_years": weight @ width / total}

        estimates, bounds = estimate_with_intervals(
            figures, some["person"], n_bootstrap=n_bootstrap, seed=[seed, zlib.crc32(group.encode())]
        )
        first = {plan.by: group} if plan.by else {}
        rows.append({**first, "n": len(some), "n_people": some["person"].nunique(), **_flat(estimates, bounds)})
    return pd.DataFrame(rows)


def _coefficients(corrected: Corrected) -> pd.DataFrame:
    fits: dict[str, BiasCorrection] = dict(corrected.by_fold)
    if corrected.correction is not None:
        fits[""] = corrected.correction
    rows = []
    for fold, fit in fits.items():
        for name, group in fit.groups.items():
            constant, linear, square = (*group.coefficients, *[float("nan")] * 3)[:3]
            row: dict[str, Any] = {"method": fit.method}
            row |= {"corrects_fold": fold} if fold else {}
            row |= {fit.by: name} if fit.by else {}
            row |= {"constant": constant, "linear": linear, "square": square}
            row |= {"n_ages": len(group.levels)} if group.levels else {}
            rows.append(row | {"fitted_on_rows": group.n_rows, "fitted_on_people": group.n_subjects,
                               "age_min_years": group.age_min_years, "age_max_years": group.age_max_years})  # fmt: skip
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _plots(used: pd.DataFrame) -> Iterator[Plot]:
    gaps = {
        "raw": used.assign(gap=used["predicted"] - used["age_years"]),
        "corrected": used[used["corrected"].notna()].assign(gap=lambda part: part["corrected"] - part["age_years"]),
    }
    # Gaps of one prediction that went astray must not flatten all others.
    limit = max(float(np.percentile(part["gap"].abs(), 99.5)) for part in gaps.values() if len(part)) * 1.05
    for name, part in gaps.items():
        if len(part) < MIN_ROWS:
            continue
        slope = accuracy_figures(part["age_years"], part["age_years"] + part["gap"])["gap_age_slope"][0]
        yield Plot(
            f"gap_against_age_{name}",
            plot_gap_against_age(part, what=name.capitalize(), limit_years=max(limit, 1.0)),
            f"Scatter plot of the {name} gap against true age of {len(part)} rows; slope {slope:+.2f} years per year.",
            "A falling line means that the young come out too old and the old too young."
            if name == "raw"
            else "After correction the line should be level; what scatter remains is the gap that is analysed.",
        )


def _groups(used: pd.DataFrame, plan: AnalysisPlan) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "all", used
    if plan.by:
        yield from used.groupby("group", sort=True)


def _flat(estimates: dict[str, float | None], bounds: dict[str, list[float] | None]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in estimates.items():
        low, high = bounds[name] or (None, None)
        for key, number in ((name, value), (f"{name}_low", low), (f"{name}_high", high)):
            flat[key] = float("nan") if number is None else number
    return flat


def _level_in_words(table: pd.DataFrame) -> str:
    levels = _numbers(table, "interval_level").dropna().unique() if "interval_level" in table else []
    return "the level of the interval" if len(levels) > 1 else f"{100 * (levels[0] if len(levels) else 0.9):g} %"


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table:
        return pd.Series(np.nan, index=range(len(table)))
    return pd.Series(pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
