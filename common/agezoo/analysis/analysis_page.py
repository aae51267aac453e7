"""The page of an analysis: findings in the form that its template prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.analysis_input import AnalysisInput
from agezoo.analysis.corrected_table import Corrected
from agezoo.analysis.counting import people, rows
from agezoo.analysis.figure_catalogue import in_words
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.html_page import data_uri, page_environment
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.canvas import rendered
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.report_sections import slug
from agezoo.version import __version__

# Longer tables are cut in the page; the CSV has them whole.
_SHOWN_ROWS = 60

# For people who compute further: in the CSV alone.
_CSV_ONLY = ("coefficient", "se", "ph_chi_square", "parameters")

# Longer texts may be broken over lines in a cell.
_WHOLE = 18

# More notes than this are folded away until they are asked for.
_OPEN_NOTES = 6

_HEADS = {
    "auroc": "AUROC",
    "best_possible_auroc": "Best possible AUROC",
    "published_auc": "Published AUC",
    "auroc_without": "AUROC without the gap",
    "auroc_with": "AUROC with the gap",
    "auc": "AUC",
    "auc_without": "AUC without the gap",
    "auc_with": "AUC with the gap",
    "auc_change": "Change of the AUC",
    "hr": "Hazard ratio",
    "icc_2_1": "ICC(2,1)",
    "p_holm": "p (Holm)",
    "ph_p": "p of proportional hazards",
    "ph_global_p": "p of proportional hazards, all covariates",
    "n_positive": "n with label",
    "r2": "R²",
    "hedges_g": "Hedges’ g",
    "mae_years": "MAE (years)",
    "rmse_years": "RMSE (years)",
    "se": "SE",
    "sd_over_repeats": "SD over repeats",
    "gap_sd_years": "SD of the gap (years)",
    "sd_gap_years": "SD of the gap (years)",
    "ph_rho": "ρ of the residuals with time",
    "person_years": "Person-years",
    "n_missing": "Missing",
    "n_known": "Known",
}


@dataclass(frozen=True)
class DrawnPlot:
    """A plot as picture files."""

    name: str
    alt: str
    reading: str
    png: bytes
    svg: bytes


def drawn(plot: Plot) -> DrawnPlot:
    """Render a plot."""
    png = rendered(plot.figure, "png")
    # The layout is settled; finding it anew for the second file takes as long as drawing it.
    plot.figure.set_layout_engine("none")
    return DrawnPlot(plot.name, plot.alt, plot.reading, png, rendered(plot.figure, "svg"))


def analysis_page(
    title: str,
    given: AnalysisInput,
    corrected: Corrected,
    plan: AnalysisPlan,
    findings: Sequence[Finding],
    plots: Sequence[DrawnPlot],
    result: dict[str, Any],
    *,
    seed: int,
    n_bootstrap: int,
) -> str:
    """The page as text; pictures and style are inside it, and it asks for nothing from outside."""
    pictures = {plot.name: plot for plot in plots}
    sections = [
        {
            "name": finding.name,
            "slug": slug(finding.name),
            "description": finding.description,
            "plots": [pictures[plot.name] for plot in finding.plots],
            "tables": [page_table(table) for table in finding.tables],
            "notes": finding.notes,
            "folded": len(finding.notes) > _OPEN_NOTES,
        }
        for finding in findings
    ]
    missing = FindingTable("missing_data", "Columns that the analysis uses", given.missing)
    return (
        page_environment()
        .get_template("analysis_page.html.j2")
        .render(
            title=title,
            phantom=given.phantom,
            facts=_facts(given, corrected, plan, result),
            headlines=[re.sub(r"(?<![\w.])-(?=\d)", "−", line) for line in result["headlines"]],
            notes=result["notes"],
            cautions=list(_cautions(corrected, plan)),
            missing=page_table(missing),
            sections=sections,
            seed=seed,
            n_bootstrap=n_bootstrap,
            made_on=date.today().isoformat(),
            version=__version__,
            data_uri=data_uri,
        )
    )


def page_table(table: FindingTable) -> dict[str, Any]:
    """Heads and cells of a table: intervals below their figure, rounded, dashes where nothing is known.

    Columns without any value, and those of :data:`_CSV_ONLY`, are not shown.
    """
    frame = table.frame
    bounds = {
        f"{name}_{end}"
        for name in frame.columns
        for end in ("low", "high")
        if f"{name}_low" in frame and f"{name}_high" in frame
    }
    shown = [name for name in frame.columns if name not in (*bounds, *_CSV_ONLY) and not _empty(frame[name])]
    rows = [
        [
            {
                "value": cell_in_words(row[name], name),
                "interval": _interval(row, name) if f"{name}_low" in bounds else "",
                # A word or a number is not to be broken over lines; a list of covariates is.
                "whole": pd.api.types.is_numeric_dtype(frame[name]) or len(str(row[name])) <= _WHOLE,
            }
            for name in shown
        ]
        for row in frame.head(_SHOWN_ROWS).to_dict("records")
    ]
    return {
        "name": table.name,
        "caption": table.caption,
        "reading": _with_heads(table.reading, [str(name) for name in shown]),
        "head": [head_in_words(str(name)) for name in shown],
        "rows": rows,
        "more_columns": any(name in frame for name in _CSV_ONLY),
        "n_hidden": max(len(frame) - _SHOWN_ROWS, 0),
        "has_intervals": bool(bounds),
    }


def _empty(values: pd.Series) -> bool:
    return len(values) > 0 and all(cell_in_words(value, "") in ("–", "") for value in values)


def _with_heads(reading: str, columns: Sequence[str]) -> str:
    """The reading with the names of columns as the head of the page's table has them."""
    for name in sorted(columns, key=len, reverse=True):
        if "_" in name:
            reading = re.sub(rf"\b{re.escape(name)}\b", f"“{head_in_words(name)}”", reading)
    return reading


def head_in_words(name: str) -> str:
    """A column's name for people; a unit in the name goes into brackets."""
    if name in _HEADS:
        return _HEADS[name]
    text, unit = (name[: -len("_years")], " (years)") if name.endswith("_years") else (name, "")
    text = text.replace("_", " ")
    return (text if len(text) == 1 or text.startswith(("n ", "p ")) else text[:1].upper() + text[1:]) + unit


def cell_in_words(value: Any, name: str) -> str:
    """A cell as the page prints it."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return str(value) or "–"
    number = float(value)
    if np.isinf(number):
        return "∞" if number > 0 else "−∞"
    if name == "p" or name.startswith("p_") or name.endswith("_p"):
        return "<0.001" if number < 0.001 else f"{number:.3f}"
    if isinstance(value, int | np.integer) or (number.is_integer() and (name.startswith("n_") or abs(number) >= 2)):
        return f"{int(number)}".replace("-", "−")
    return in_words(number, "years" if name.endswith("_years") or _is_ratio(name) else "plain", unit=False)


def _is_ratio(name: str) -> bool:
    return name in ("hr", "odds_ratio") or name.endswith("_ratio")


def _interval(row: dict[str, Any], name: str) -> str:
    low, high = (cell_in_words(row[f"{name}_{end}"], name) for end in ("low", "high"))
    return "" if "–" in (low, high) else f"{low} to {high}"


def _facts(
    given: AnalysisInput, corrected: Corrected, plan: AnalysisPlan, result: dict[str, Any]
) -> list[tuple[str, str]]:
    counts, provenance = result["counts"], result["provenance"]
    ages = "" if counts["age_min_years"] is None else (
        f", aged {counts['age_min_years']:.0f} to {counts['age_max_years']:.0f} years"
    )  # fmt: skip
    left_out = [
        f"{rows(n)} {what}"
        for n, what in (
            (given.n_failed, "without a prediction (left out everywhere)"),
            (given.n_without_age, "without a known age (no gap)"),
        )
        if n
    ]
    facts = [
        ("Table", given.name),
        ("Rows", f"{len(given.table)} with a prediction, of {people(given.n_people)}{ages}"),
        ("Left out", ", ".join(left_out) or "none"),
        ("Raw age", plan.prediction),
        ("Corrected age", corrected.how),
    ]
    labels = [
        ("Labels", ", ".join(plan.labels)),
        ("End points", ", ".join(_end_point(point) for point in plan.end_points)),
        ("Models", "; ".join(f"{name}: {', '.join(columns)}" for name, columns in plan.models.items())),
        ("Groups", ", ".join(plan.groups)),
        ("Site", plan.site or ""),
    ]
    facts += [(term, text) for term, text in labels if text]
    for term, key in (("Bundle", "bundle"), ("Weights", "weights_origin"), ("Weights sha256", "weights_sha256")):
        facts.append((term, ", ".join(provenance[key]) or "not stated in the table"))
    return facts


def _end_point(point: Any) -> str:
    competing = f", competing {point.competing}" if point.competing else ""
    return f"{point.name} ({point.time}, {point.event}{competing})"


def _cautions(corrected: Corrected, plan: AnalysisPlan) -> list[str]:
    cautions = [
        "Accuracy is that of the raw ages. After the true age has been used to take age out of the gap, no accuracy is "
        "claimed: the corrected ages serve to compare people.",
        "A gap regresses to the mean: the young come out too old and the old too young, so a raw gap is a stand-in "
        "for age. Age therefore stays in every model, also beside the corrected gap.",
        "An association is no cause. People with a larger gap may differ in what was not measured, and a gap may be "
        "the model’s error as well as the person’s biology.",
        "The more that is tested, the more is found by chance. Where several tests stand in a table, p (Holm) holds "
        "them against each other; across tables nothing does. State beforehand which was the question.",
    ]
    without_age = [name for name, columns in plan.models.items() if "age_years" not in columns]
    if without_age:
        cautions.append(f"Without age among the covariates: {', '.join(without_age)}. Do not read these alone.")
    if corrected.table["corrected_age_years"].isna().all():
        cautions.append("There are no corrected ages in this analysis; every gap is raw.")
    return cautions
