"""Concordance and time-dependent AUC of every end point, as a section of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.cox import MIN_EVENTS
from agezoo.analysis.cross_fitted_risk import N_FOLDS
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.gap_models import GapModel
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.plots.time_dependent_auc import plot_time_dependent_auc
from agezoo.analysis.survival_data import FollowUp
from agezoo.analysis.survival_discrimination import RiskScores, auc_rows, concordance_rows, horizons_of
from agezoo.analysis.survival_words import file_name, in_words
from agezoo.analysis.time_dependent_auc import n_resamples

Rows = list[dict[str, Any]]


def discrimination_finding(
    follows: Sequence[FollowUp],
    models: Sequence[list[GapModel]],
    plan: AnalysisPlan,
    *,
    seed: int,
    n_bootstrap: int,
) -> Finding:
    """Harrell's C and time-dependent AUC of age, gap and models, and their change when the gap joins a model."""
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
        plots += _auc_plots(name, pd.DataFrame(single), plan)
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
            "with dynamic controls, weighted for censoring (Uno), with percentile bootstrap intervals by person. Both "
            "take the models as given; competing events end the follow-up of C like censoring, and people with one by "
            "the horizon are neither cases nor controls of the AUC."
        ),
        tables=tuple(
            FindingTable(*texts[name][:2], frames[name], texts[name][2]) for name in texts if len(frames[name])
        ),
        plots=tuple(plots),
        notes=tuple(notes),
    )


def _auc_plots(end_point: str, frame: pd.DataFrame, plan: AnalysisPlan) -> list[Plot]:
    """One plot, or none where no AUC is defined; models with the corrected gap where there is one, else the raw."""
    frame = frame[frame["auc"].notna()] if len(frame) else frame
    if not len(frame):
        return []
    singles = ["age", "raw gap", "corrected gap"]
    gap = "corrected" if "corrected gap" in set(frame["score"]) else "raw"
    pairs = [(model, f"{model} + {gap} gap") for model in plan.models]
    drawn = frame[frame["score"].isin([*singles, *(score for pair in pairs for score in pair)])]
    name = in_words(end_point)
    return [
        Plot(
            f"time_dependent_auc_{file_name(end_point)}",
            plot_time_dependent_auc(drawn, singles=singles, pairs=pairs, title=f"Time-dependent AUC: {name}"),
            f"Time-dependent AUC of {name}: "
            + "; ".join(f"{row.score} at {row.horizon_years:.3g} years {row.auc:.2f}" for row in drawn.itertuples())
            + ".",
            "Above the dashed line, people who had the event by the horizon tend to have higher scores than those "
            "without it then; open markers: a model without the gap, filled: with it; bars are 95 % intervals.",
        )
    ]
