"""Is the gap associated with what happens later? Hazard ratios, discrimination and curves of each end point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.cox import MIN_EVENTS
from agezoo.analysis.cross_fitted_risk import N_FOLDS
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.gap_models import GAP_TERM, GapModel, fit_gap_models
from agezoo.analysis.kaplan_meier import median_follow_up, survival_library
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.plots.forest import plot_forest
from agezoo.analysis.plots.time_dependent_auc import plot_time_dependent_auc
from agezoo.analysis.survival_curves import curves_of
from agezoo.analysis.survival_data import CORRECTED, FollowUp, follow_up
from agezoo.analysis.survival_discrimination import RiskScores, auc_rows, concordance_rows, horizons_of
from agezoo.analysis.survival_words import counted, file_name, gathered, in_words, p_in_words
from agezoo.analysis.time_dependent_auc import n_resamples
from agezoo.errors import InputError

Rows = list[dict[str, Any]]

# A proportional-hazards test below this is remarked on.
_VIOLATED = 0.05


def survival_findings(
    table: pd.DataFrame, plan: AnalysisPlan, *, seed: int = 0, n_bootstrap: int = 2000
) -> list[Finding]:
    """Everything about the plan's end points.

    Parameters
    ----------
    table
        Prediction table with ``gap_years``, ``corrected_gap_years`` (may be empty or absent), ``age_years``, ``sex``
        and the plan's columns.
    plan
        End points, models and horizons.
    seed
        Of the split into folds and of the bootstrap.
    n_bootstrap
        Resamples for the intervals of the time-dependent AUC; fewer on large tables
        (:func:`agezoo.analysis.time_dependent_auc.n_resamples`).

    Returns
    -------
    Nothing without end points; otherwise "Survival: hazard ratios", "Survival: discrimination" and "Survival: curves".

    Raises
    ------
    InputError
        If a column that the plan names is absent or holds what it cannot hold.
    MissingExtraError
        If statsmodels is not installed.
    """
    if not plan.end_points:
        return []
    survival_library()
    if "gap_years" not in table:
        raise InputError("the table has no column gap_years", remedy="read it with agezoo.data.read_predictions")
    follows = [follow_up(table, end_point) for end_point in plan.end_points]
    models = [list(fit_gap_models(follow, plan.models)) for follow in follows]
    return [
        _hazard_ratios(follows, models, plan),
        _discrimination(follows, models, plan, seed=seed, n_bootstrap=n_bootstrap),
        _curves(follows, plan),
    ]


def _hazard_ratios(follows: Sequence[FollowUp], models: Sequence[list[GapModel]], plan: AnalysisPlan) -> Finding:
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
                "times the rate of events. ph_p tests whether the ratio is the same at all times. In a model with age, the "
                "raw gap and a gap corrected by a straight line on age carry the same information; their hazard ratios "
                "then differ because their SDs do.",
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


def _coefficient_rows(model: GapModel) -> Rows:
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
    remarks: list[tuple[str, str]] = []
    for model in models:
        context = f"{model.end_point}, {model.model}, {model.gap} gap"
        remarks += [(context, note) for note in model.notes]
        if model.problem:
            remarks.append((context, f"No hazard ratio: {model.problem}."))
        if model.left_out:
            remarks.append((context, f"People left out of the model: {counted(model.left_out)}."))
        if model.proportional_hazards is not None:
            remarks += [(context, text) for text in _violations(model.proportional_hazards)]
    notes += gathered(remarks, n_contexts=len(models))
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


def _discrimination(
    follows: Sequence[FollowUp],
    models: Sequence[list[GapModel]],
    plan: AnalysisPlan,
    *,
    seed: int,
    n_bootstrap: int,
) -> Finding:
    parts: dict[str, Rows] = {name: [] for name in ("c", "c_change", "auc", "auc_change")}
    notes: list[str] = []
    plots: list[Plot] = []
    for follow, fitted in zip(follows, models, strict=True):
        name = follow.end_point.name
        if follow.event.sum() < MIN_EVENTS:
            notes.append(
                f"{name}: {int(follow.event.sum())} events are too few for concordance and time-dependent AUC "
                f"(at least {MIN_EVENTS})."
            )
            continue
        scores = RiskScores(follow, fitted, seed=seed)
        notes += scores.problems
        single, change = concordance_rows(scores)
        parts["c"] += single
        parts["c_change"] += change
        single, change, n = auc_rows(
            scores, horizons_of(follow, plan.horizons_years), n_bootstrap=n_bootstrap, seed=seed
        )
        parts["auc"] += single
        parts["auc_change"] += change
        if n < len(follow.frame):
            notes.append(f"{name}: time-dependent AUC on the {n} of {len(follow.frame)} people who have all scores.")
        undefined = sorted({row["horizon_years"] for row in single if not np.isfinite(row["auc"])})
        if undefined:
            notes.append(
                f"{name}: no time-dependent AUC at {', '.join(f'{years:g}' for years in undefined)} years, where there "
                "are no cases yet or nobody is followed up any more."
            )
        resamples = n_resamples(max(n, 1), n_bootstrap)
        if n and resamples < n_bootstrap:
            notes.append(f"{name}: {resamples} instead of {n_bootstrap} resamples, because the table is large.")
        frame = pd.DataFrame(single)
        frame = frame[frame["auc"].notna()] if len(frame) else frame
        if len(frame):
            plots.append(
                Plot(
                    f"time_dependent_auc_{file_name(name)}",
                    plot_time_dependent_auc(frame, title=f"Time-dependent AUC: {in_words(name)}"),
                    f"Time-dependent AUC of {in_words(name)}: "
                    + "; ".join(
                        f"{row.score} at {row.horizon_years:.3g} years {row.auc:.2f}" for row in frame.itertuples()
                    )
                    + ".",
                    "Above the dashed line, people who had the event by the horizon tend to have higher scores than "
                    "those without it then; bars are 95 % intervals.",
                )
            )
    frames = {name: pd.DataFrame(rows) for name, rows in parts.items()}
    texts = {
        "c": (
            "concordance",
            "Harrell's C",
            "Of pairs in which one person is known to have had the event first, the share in which that person had the "
            "higher score; 0.5 is chance. Age and gaps as they are; a C below 0.5 means that lower values go with "
            "earlier events.",
        ),
        "c_change": (
            "concordance_change",
            "Change of Harrell's C when the gap joins the model",
            "Paired: the same people, and an interval that knows how alike the two scores are.",
        ),
        "auc": (
            "time_dependent_auc",
            "Time-dependent AUC",
            "Of one person with the event by the horizon and one without any event then, how often the first has the "
            "higher score.",
        ),
        "auc_change": (
            "time_dependent_auc_change",
            "Change of the time-dependent AUC when the gap joins the model",
            "Paired: both on the same people and resamples.",
        ),
    }
    return Finding(
        name="Survival: discrimination",
        description=(
            f"How well scores order people by risk. Scores of models are cross-fitted: each person's comes from a Cox "
            f"model fitted on the other folds of {N_FOLDS}, so that adding a useless variable does not seem to help. "
            "Harrell's C has intervals by the infinitesimal jackknife; time-dependent AUC compares cumulative cases "
            "with dynamic controls, weighted for censoring (Uno), with percentile bootstrap intervals by person. Both take "
            "the models as given; competing events end the follow-up of C like censoring, and people with one by the "
            "horizon are neither cases nor controls of the AUC."
        ),
        tables=tuple(
            FindingTable(*texts[name][:2], frames[name], texts[name][2]) for name in texts if len(frames[name])
        ),
        plots=tuple(plots),
        notes=tuple(notes),
    )


def _curves(follows: Sequence[FollowUp], plan: AnalysisPlan) -> Finding:
    estimates: Rows = []
    tests: Rows = []
    plots: list[Plot] = []
    notes: list[str] = []
    for follow in follows:
        if not len(follow.frame):
            notes.append(f"{follow.end_point.name}: nobody is left to draw curves of.")
            continue
        part = curves_of(follow, horizons_of(follow, plan.horizons_years))
        estimates += part[0]
        tests += part[1]
        plots += part[2]
        notes += part[3]
    tables = []
    if tests:
        tables.append(
            FindingTable(
                "log_rank",
                "Log-rank tests between thirds of the gap",
                pd.DataFrame(tests),
                "p: any difference between the thirds; trend_p: rising or falling from the lowest to the highest.",
            )
        )
    if estimates:
        frame = pd.DataFrame(estimates)
        if frame["incidence"].isna().all():
            frame = frame.drop(columns=["incidence", "incidence_low", "incidence_high"])
        tables.append(
            FindingTable(
                "survival_by_third",
                "Without the event, by third of the gap",
                frame,
                "event_free: Kaplan-Meier estimate, the competing event counting as censoring; incidence: share that "
                "has had the event when the competing event takes people away (Aalen-Johansen).",
            )
        )
    corrected = any(CORRECTED in follow.frame and follow.frame[CORRECTED].notna().any() for follow in follows)
    if not corrected:
        notes.append(
            "The thirds are made of the raw gap, which falls with age: the lowest third holds more old people. A bias "
            "correction takes that away."
        )
    return Finding(
        name="Survival: curves",
        description=(
            f"Kaplan-Meier curves of people in the lowest, middle and highest third of the "
            f"{'corrected' if corrected else 'raw'} gap, with people at risk under the axis and log-rank tests; where "
            "the plan names a competing event, the cumulative incidence beside them. Curves end where fewer than 10 "
            "people of a third are at risk. They are not adjusted for covariates; the Cox models are."
        ),
        tables=tuple(tables),
        plots=tuple(plots),
        notes=tuple(notes),
    )
