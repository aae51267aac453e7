"""Raw and corrected ages side by side, for the report of an analysis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.accuracy import FloatArray, accuracy_figures, figures_of_moments, moment_terms
from agezoo.analysis.bias_correction import BiasCorrection, group_labels
from agezoo.analysis.block_bootstrap import Block, resampled_rows
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
    accuracy, bounds = list(_accuracy_blocks(used, plan)), list(_interval_blocks(used, plan))
    rows = resampled_rows([*accuracy, *bounds], used["person"].to_numpy(), seed=seed, n_bootstrap=n_bootstrap)
    tables = [
        FindingTable(
            "raw_and_corrected",
            "Raw and corrected ages side by side",
            pd.DataFrame(rows[: len(accuracy)]),
            "gap_age_slope: years of gap per year of age; 0 means that the gap no longer depends on age. r and r2 "
            "compare with the spread of the true ages.",
        )
    ]
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
    if bounds:
        tables.append(
            FindingTable(
                "interval_coverage",
                "True ages inside the table's intervals",
                pd.DataFrame(rows[len(accuracy) :]),
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


def _accuracy_blocks(used: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Block]:
    for labels, part in _groups(used, plan):
        fixed = part[part["corrected"].notna()]
        versions = [("raw", part, "predicted")]
        if 0 < len(fixed) < len(part):
            versions.append(("raw, of those corrected", fixed, "predicted"))
        versions.append(("corrected", fixed, "corrected"))
        for version, some, column in versions:
            if len(some) >= MIN_ROWS:
                terms = moment_terms(some["age_years"].to_numpy(), some[column].to_numpy())
                yield Block({**labels, "ages": version}, some["person"].to_numpy(), terms, _accuracy)


def _accuracy(mean: FloatArray) -> dict[str, FloatArray]:
    found = figures_of_moments(mean)
    return {short: found[name] for name, short in _FIGURES.items()}


def _interval_blocks(used: pd.DataFrame, plan: AnalysisPlan) -> Iterator[Block]:
    for labels, part in _groups(used, plan):
        some = part[part["lower"].notna() & part["upper"].notna()]
        if len(some) >= MIN_ROWS:
            inside = (some["age_years"] >= some["lower"]) & (some["age_years"] <= some["upper"])
            terms = np.stack([inside.to_numpy(dtype=np.float64), (some["upper"] - some["lower"]).to_numpy()], axis=1)
            yield Block(labels, some["person"].to_numpy(), terms, _coverage)


def _coverage(mean: FloatArray) -> dict[str, FloatArray]:
    return {"coverage": mean[:, 0], "mean_width_years": mean[:, 1]}


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


def _groups(used: pd.DataFrame, plan: AnalysisPlan) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    yield ({plan.by: "all"} if plan.by else {}), used
    if plan.by:
        for name, part in used.groupby("group", sort=True):
            yield {plan.by: str(name)}, part


def _level_in_words(table: pd.DataFrame) -> str:
    levels = _numbers(table, "interval_level").dropna().unique() if "interval_level" in table else []
    return "the level of the interval" if len(levels) > 1 else f"{100 * (levels[0] if len(levels) else 0.9):g} %"


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table:
        return pd.Series(np.nan, index=range(len(table)))
    return pd.Series(pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
