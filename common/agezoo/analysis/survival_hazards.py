"""Hazard ratios of the gap for every end point and model, as a section of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.gap_models import GAP_TERM, GapModel
from agezoo.analysis.kaplan_meier import median_follow_up
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.plots.forest import plot_forest
from agezoo.analysis.survival_data import FollowUp
from agezoo.analysis.survival_words import counted, gathered, in_words, p_in_words

# A proportional-hazards test below this is remarked on.
_VIOLATED = 0.05


def hazard_ratio_finding(follows: Sequence[FollowUp], models: Sequence[list[GapModel]], plan: AnalysisPlan) -> Finding:
    """Follow-up, hazard ratios per SD of the gap, all coefficients, and the forest plot."""
    fitted = [model for part in models for model in part]
    ratios = pd.DataFrame([_ratio_row(model) for model in fitted], columns=_RATIO_COLUMNS)
    coefficients = pd.DataFrame(
        [row for model in fitted for row in _coefficient_rows(model)], columns=_COEFFICIENT_COLUMNS
    )
    plots: tuple[Plot, ...] = ()
    known = ratios[ratios["hr"].notna()]
    if len(known):
        strongest = "; ".join(
            f"{in_words(row.end_point)}, {row.model}, {row.gap}: {row.hr:.2f} ({row.hr_low:.2f} to {row.hr_high:.2f})"
            for row in known.itertuples()
        )
        plots = (
            Plot(
                "forest",
                plot_forest(known),
                f"Forest plot of hazard ratios per SD of the gap: {strongest}.",
                "Right of the line at 1: people who look older than they are have the event sooner; an interval across "
                "the line is compatible with no association.",
            ),
        )
    return Finding(
        name="Survival: hazard ratios",
        description=(
            "Cox proportional hazards regression of each end point on the gap (predicted minus true age), raw and "
            "where there is one corrected, beside the covariates of each model; ties by Efron's method, fitted by "
            "statsmodels on the rows of this table. Hazard ratios are per SD of the gap among the end point's people. "
            + "; ".join(f"{name}: {', '.join(columns) or 'no covariate'}" for name, columns in plan.models.items())
            + "."
        ),
        tables=(
            FindingTable(
                "follow_up",
                "Follow-up",
                pd.DataFrame([_follow_row(follow) for follow in follows]),
                "One row per person counts. The median follow-up is by the reverse Kaplan-Meier method.",
            ),
            FindingTable(
                "hazard_ratios",
                "Hazard ratio per SD of the gap",
                ratios,
                "A hazard ratio of 1.5 means: at any time, somebody whose gap is one SD larger has one and a half "
                "times the rate of events. ph_p tests whether the ratio is the same at all times. In a model with age, "
                "the raw gap and a gap corrected by a straight line on age carry the same information; their hazard "
                "ratios then differ because their SDs do.",
            ),
            FindingTable(
                "cox_coefficients",
                "All covariates of the Cox models",
                coefficients,
                f"Per unit of the covariate; “{GAP_TERM}” per SD. rho above 0: the hazard ratio rises with time "
                "(scaled Schoenfeld residuals against 1 minus the Kaplan-Meier estimate; Grambsch and Therneau). "
                "Hazard ratios of covariates beside the gap are adjusted for it and are no effects to be interpreted "
                "alone.",
            ),
        ),
        plots=plots,
        notes=tuple(_ratio_notes(follows, fitted, plan)),
    )


_RATIO_COLUMNS = [
    "end_point",
    "model",
    "gap",
    "hr",
    "hr_low",
    "hr_high",
    "p",
    "coefficient",
    "se",
    "gap_sd_years",
    "n",
    "events",
    "parameters",
    "ph_chi_square",
    "ph_p",
    "ph_global_p",
    "left_out",
    "problem",
]
_COEFFICIENT_COLUMNS = [
    "end_point",
    "model",
    "gap",
    "covariate",
    "hr",
    "hr_low",
    "hr_high",
    "p",
    "coefficient",
    "se",
    "ph_rho",
    "ph_chi_square",
    "ph_p",
]


def _ratio_row(model: GapModel) -> dict[str, Any]:
    row: dict[str, Any] = {
        "end_point": model.end_point,
        "model": model.model,
        "gap": model.gap,
        "gap_sd_years": model.gap_sd_years,
        "left_out": counted(model.left_out),
        "problem": model.problem or "",
    }
    if model.fit is None or model.proportional_hazards is None:
        return row
    line = model.fit.table.set_index("covariate").loc[GAP_TERM]
    check = model.proportional_hazards.set_index("covariate")
    return {
        **row,
        **{name: float(line[name]) for name in ("hr", "hr_low", "hr_high", "p", "coefficient", "se")},
        "n": model.fit.n,
        "events": model.fit.n_events,
        "parameters": len(model.fit.table),
        "ph_chi_square": float(check["chi_square"][GAP_TERM]),
        "ph_p": float(check["p"][GAP_TERM]),
        "ph_global_p": float(check["p"]["global"]),
    }


def _coefficient_rows(model: GapModel) -> list[dict[str, Any]]:
    if model.fit is None or model.proportional_hazards is None:
        return []
    check = model.proportional_hazards.set_index("covariate")
    return [
        {
            "end_point": model.end_point,
            "model": model.model,
            "gap": model.gap,
            **{name: row[name] for name in ("covariate", "hr", "hr_low", "hr_high", "p", "coefficient", "se")},
            "ph_rho": float(check["rho"][row["covariate"]]),
            "ph_chi_square": float(check["chi_square"][row["covariate"]]),
            "ph_p": float(check["p"][row["covariate"]]),
        }
        for row in model.fit.table.to_dict("records")
    ]


def _follow_row(follow: FollowUp) -> dict[str, Any]:
    some = len(follow.frame) > 0
    return {
        "end_point": follow.end_point.name,
        "rows": follow.n_rows,
        "people": len(follow.frame),
        "events": int(follow.event.sum()),
        "competing_events": int((follow.status == 2).sum()) if follow.end_point.competing else np.nan,
        "person_years": float(follow.time.sum()),
        "median_follow_up_years": median_follow_up(follow.time, follow.status > 0) if some else np.nan,
        "longest_follow_up_years": float(follow.time.max()) if some else np.nan,
        "left_out": counted(follow.left_out),
    }


def _ratio_notes(follows: Sequence[FollowUp], models: Sequence[GapModel], plan: AnalysisPlan) -> list[str]:
    notes = [note for follow in follows for note in follow.notes]
    notes += [
        f"{follow.end_point.name}: {len(follow.frame)} of {follow.n_rows} rows are analysed; left out: "
        f"{counted(follow.left_out)}."
        for follow in follows
        if follow.left_out
    ]
    competing = [follow.end_point for follow in follows if follow.end_point.competing]
    if competing:
        notes.append(
            "Competing events ("
            + ", ".join(f"{point.competing} for {point.name}" for point in competing)
            + ") count as censoring in the Cox models, whose hazard ratios are therefore cause-specific: they say how "
            "the rate among those still alive and free of the event depends on the gap, not how the share of people "
            "who will ever have it does. The cumulative incidence stands beside the Kaplan-Meier curves."
        )
    remarks: list[tuple[tuple[str, ...], str]] = []
    contexts = [(model.end_point, model.model, f"{model.gap} gap") for model in models]
    for context, model in zip(contexts, models, strict=True):
        remarks += [(context, note) for note in model.notes]
        if model.problem:
            remarks.append((context, f"No hazard ratio: {model.problem}."))
        if model.left_out:
            remarks.append((context, f"People left out of the model: {counted(model.left_out)}."))
        if model.proportional_hazards is not None:
            remarks += [(context, text) for text in _violations(model.proportional_hazards)]
    notes += gathered(remarks, contexts)
    without_age = [name for name, columns in plan.models.items() if "age_years" not in columns]
    if without_age:
        notes.append(
            f"{', '.join(without_age)}: without age among the covariates. A raw gap falls with age, so that its hazard "
            "ratio there mixes the two."
        )
    if plan.by and (ignored := [name for name, columns in plan.models.items() if plan.by not in columns]):
        notes.append(
            f"{', '.join(ignored)}: {plan.by} is not among the covariates; people of all its values are analysed "
            "together."
        )
    return notes


def _violations(check: pd.DataFrame) -> list[str]:
    rows = check.set_index("covariate")
    texts = []
    if rows["p"][GAP_TERM] < _VIOLATED:
        direction = "rises" if rows["rho"][GAP_TERM] > 0 else "falls"
        texts.append(
            f"The hazard ratio of the gap {direction} with time ({p_in_words(rows['p'][GAP_TERM])}), so that hazards "
            "are not proportional; the ratio given is an average over the follow-up."
        )
    others = [name for name in rows.index if name not in (GAP_TERM, "global") and rows["p"][name] < _VIOLATED]
    if others:
        texts.append(
            "Hazards are not proportional for "
            + ", ".join(f"{name} ({p_in_words(rows['p'][name])})" for name in others)
            + "."
        )
    return texts
