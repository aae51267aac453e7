"""The sections of a report: what goes in, and their figures in the form that the template prints."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pandas as pd

from agezoo.analysis import figure_catalogue as catalogue
from agezoo.analysis.agreement import evaluate_pairs
from agezoo.analysis.evaluation_rows import EvaluationRows, evaluation_rows
from agezoo.analysis.metrics import evaluate_rows
from agezoo.analysis.plots.canvas import rendered
from agezoo.analysis.plots.catalogue import Plot, plots_of_pairs, plots_of_rows
from agezoo.analysis.repeat_pairs import as_pairs, read_pairs
from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError

TableSource: TypeAlias = pd.DataFrame | str | os.PathLike[str]

# Longer lists of failures are cut in the page; the prediction table has them all.
_SHOWN_FAILURES = 100


@dataclass(frozen=True)
class ReportSection:
    """A prediction table to be evaluated in a report.

    Attributes
    ----------
    name
        Heading, e.g. ``"Cross-validation (out of fold)"``.
    table
        The prediction table or its path.
    description
        What was evaluated, one or two sentences.
    sd_column
        Column that takes the place of ``aleatoric_sd_years``.
    """

    name: str
    table: TableSource
    description: str = ""
    sd_column: str | None = None


@dataclass(frozen=True)
class PairsSection:
    """Pairs of predictions of the same people, e.g. repeat scans, to be compared in a report.

    Attributes
    ----------
    name
        Heading, e.g. ``"Repeat scans"``.
    pairs
        Table with ``first_years`` and ``second_years``, or the path of such a table or of a prediction table with
        repeat scans.
    description
        What was compared.
    names
        The two members, for the axes.
    ddof
        As in :func:`agezoo.analysis.agreement.bland_altman`.
    """

    name: str
    pairs: TableSource
    description: str = ""
    names: tuple[str, str] = ("first", "second")
    ddof: int = 0


@dataclass(frozen=True)
class EvaluatedSection:
    """A section with its figures, in the form that the template prints.

    Attributes
    ----------
    name, slug, description
        Heading, the same as an anchor and in file names, and introduction.
    metrics
        For ``metrics.json``.
    cards, facts, tables, groups, failures
        Headline figures, what was evaluated, tables of figures and of groups, scans without a prediction.
    n_failures
        All scans without a prediction; the list may be cut.
    plots
        ``name``, ``alt``, ``reading`` and the pictures ``png`` and ``svg``.
    phantom
        Whether any prediction comes from phantom weights.
    """

    name: str
    slug: str
    description: str
    metrics: dict[str, Any]
    cards: list[dict[str, str]]
    facts: list[tuple[str, str]]
    tables: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    failures: list[dict[str, str]]
    n_failures: int
    plots: list[dict[str, Any]]
    phantom: bool


def evaluate_section(section: ReportSection | PairsSection, *, seed: int, n_bootstrap: int) -> EvaluatedSection:
    """Compute the figures of a section and draw its plots; raises :class:`InputError` for an unusable table."""
    if isinstance(section, PairsSection):
        return _evaluated_pairs(section)
    rows = evaluation_rows(section.table, source=section.name, sd_column=section.sd_column)
    metrics = evaluate_rows(rows, seed=seed, n_bootstrap=n_bootstrap)
    tables: list[dict[str, Any]] = [{"caption": "Accuracy", "rows": catalogue.table_rows(catalogue.ACCURACY, metrics)}]
    if "corrected" in metrics:
        tables.append(
            {
                "caption": "Corrected ages, for comparing people of different ages. How accurate the model is, the raw "
                "figures tell: the correction uses the true age, and must come from other people than these",
                "rows": catalogue.table_rows(catalogue.ACCURACY, metrics["corrected"]),
            }
        )
    uncertainty = catalogue.table_rows(catalogue.UNCERTAINTY, metrics)
    if uncertainty:
        caption = f"Stated uncertainty (total SD: {rows.sd_kind}; {metrics['n_with_sd']} scans)"
        tables.append({"caption": caption, "rows": uncertainty})
    bounds = catalogue.table_rows(catalogue.BOUNDS, metrics)
    if bounds:
        tables.append({"caption": f"Intervals of the table ({metrics['n_with_interval']} scans)", "rows": bounds})
    if "cohort_truth" in metrics:
        tables.append(
            {
                "caption": "Against the phantom cohort's planted truth",
                "rows": catalogue.table_rows(catalogue.TRUTH, metrics["cohort_truth"]),
            }
        )
    if "second_stage" in metrics:
        figures = metrics["second_stage"]
        caption = f"The second stage beside the first ({figures['n']} scans in {figures['n_bins']} bins of two or more)"
        tables.append({"caption": caption, "rows": catalogue.table_rows(catalogue.SECOND_STAGE, figures)})
    return EvaluatedSection(
        name=section.name,
        slug=slug(section.name),
        description=section.description,
        metrics=metrics,
        cards=_cards(_TABLE_CARDS, [row for table in tables for row in table["rows"]]),
        facts=_facts(rows, metrics),
        tables=tables,
        groups=[_group_table(*group) for group in _groups(metrics)],
        failures=rows.failures.head(_SHOWN_FAILURES).to_dict("records"),
        n_failures=len(rows.failures),
        plots=[_drawn(plot) for plot in plots_of_rows(rows, metrics)],
        phantom=rows.phantom,
    )


def _evaluated_pairs(section: PairsSection) -> EvaluatedSection:
    pairs = as_pairs(section.pairs) if isinstance(section.pairs, pd.DataFrame) else read_pairs(section.pairs)
    metrics = evaluate_pairs(pairs["first_years"], pairs["second_years"], ddof=section.ddof)
    figures = catalogue.table_rows(catalogue.AGREEMENT, metrics)
    facts = [("Pairs", str(metrics["n_pairs"]))]
    if metrics["n_incomplete"]:
        facts.append(("Pairs left out", f"{metrics['n_incomplete']} with an unknown member"))
    low, high = (catalogue.in_words(bound, "years", unit=False) for bound in metrics["sample_sd_limits_years"])
    divisor = "n" if section.ddof == 0 else f"n − {section.ddof}"
    facts.append(
        ("Limits of agreement", f"mean ∓ 1.96 SD, SD with divisor {divisor}; with n − 1: {low} to {high} years")
    )
    return EvaluatedSection(
        name=section.name,
        slug=slug(section.name),
        description=section.description,
        metrics=metrics,
        cards=_cards(_PAIR_CARDS, figures),
        facts=facts,
        tables=[{"caption": "Agreement", "rows": figures}],
        groups=[],
        failures=[],
        n_failures=0,
        plots=[_drawn(plot) for plot in plots_of_pairs(pairs, metrics, names=section.names)],
        phantom="phantom" in set(pairs["weights_origin"]) if "weights_origin" in pairs else False,
    )


_TABLE_CARDS = ("mae_years", "mae_of_guessing_the_mean_years", "best_possible_mae_years", "pcc", "coverage_90")
_PAIR_CARDS = ("mean_difference_years", "lower_limit_years", "upper_limit_years", "icc_2_1")


def _cards(keys: tuple[str, ...], rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The headline figures; of a figure that occurs twice (raw and corrected) the first, raw one."""
    by_key = {row["key"]: row for row in reversed(rows)}
    return [by_key[key] for key in keys if key in by_key]


def _facts(rows: EvaluationRows, metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What was evaluated: term and value, nothing that identifies a person."""
    ages = f"{metrics['age_min_years']:.0f} to {metrics['age_max_years']:.0f} years"
    subjects = f" of {metrics['n_subjects']} subjects" if metrics["n_subjects"] < metrics["n"] else ""
    facts = [("Scans", f"{metrics['n']}{subjects}, aged {ages}")]
    left_out = []
    if metrics["n_failed"]:
        left_out.append(f"{metrics['n_failed']} without a prediction")
    if metrics["n_without_age"]:
        left_out.append(f"{metrics['n_without_age']} without a known age")
    facts.append(("Left out", ", ".join(left_out) or "none"))
    for label, key in (
        ("Bundle", "bundle"),
        ("Bundle version", "bundle_version"),
        ("Weights", "weights_origin"),
        ("Weights sha256", "weights_sha256"),
    ):
        facts.append((label, ", ".join(rows.provenance[key]) or "not stated in the table"))
    verdict = metrics.get("second_stage", {}).get("verdict")
    notes = [*rows.notes, *([verdict[0].upper() + verdict[1:] + "."] if verdict else [])]
    return facts + [("Note", note) for note in notes]


def _groups(metrics: dict[str, Any]) -> list[tuple[str, str, dict[str, Any], bool]]:
    with_sd = "n_with_sd" in metrics
    names = {"F": "female", "M": "male", "unknown": "not known"}
    by_sex = {names[name]: group for name, group in metrics["by_sex"].items()}
    by_decade = {name.replace("-", "–"): group for name, group in metrics["by_decade"].items()}
    groups = [("By sex", "Sex", by_sex, with_sd), ("By decade of age", "Age (years)", by_decade, with_sd)]
    return [group for group in groups if group[2]]


def _group_table(caption: str, head: str, groups: dict[str, Any], with_sd: bool) -> dict[str, Any]:
    columns = [("mae_years", "MAE (years)", "years"), ("rmse_years", "RMSE (years)", "years"),
               ("bias_years", "Bias (years)", "years"), ("pcc", "r", "plain"),
               ("mae_of_guessing_the_mean_years", "MAE of guessing the group's mean", "years")]  # fmt: skip
    if with_sd:
        columns += [("coverage_90", "Inside 90 % interval", "percent"), ("rms_z", "RMS of error / SD", "plain")]
    return {
        "caption": caption,
        "head": [head, "n", *(label for _, label, _ in columns)],
        "rows": [
            [
                {"value": name, "interval": ""},
                {"value": str(group["n"]), "interval": ""},
                *(_cell(group, key, form) for key, _, form in columns),
            ]
            for name, group in groups.items()
        ],
    }


def _cell(group: dict[str, Any], key: str, form: str) -> dict[str, str]:
    interval = group["ci95"].get(key)
    return {
        "value": catalogue.in_words(group.get(key), form, unit=form == "percent"),
        "interval": "" if interval is None else catalogue.interval_in_words(interval, form),
    }


def _drawn(plot: Plot) -> dict[str, Any]:
    return {
        "name": plot.name,
        "alt": plot.alt,
        "reading": plot.reading,
        "png": rendered(plot.figure, "png"),
        "svg": rendered(plot.figure, "svg"),
    }


def split_section(section: ReportSection, column: str) -> list[ReportSection]:
    """One section per value of a column, in order of appearance, rows without a value last."""
    table = section.table
    if not isinstance(table, pd.DataFrame):
        table = read_predictions(table)
    if column not in table or table[column].isna().all():
        found = "columns " + ", ".join(map(str, table.columns))
        raise InputError(f"there is no column {column} to split by", source=section.name, found=found)
    parts = [(value, table[table[column] == value]) for value in table[column].dropna().unique()]
    if table[column].isna().any():
        parts.append(("not known", table[table[column].isna()]))
    return [replace(section, name=f"{column}: {value}", table=part) for value, part in parts]


def slug(name: str) -> str:
    """A section's name as an anchor and in file names."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "section"
