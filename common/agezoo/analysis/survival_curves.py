"""Curves of every end point by third of the gap, as a section of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.competing_risk import cumulative_incidence
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.gap_models import GAPS
from agezoo.analysis.kaplan_meier import THIRDS, gap_thirds, kaplan_meier, log_rank, number_at_risk
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.plots.kaplan_meier import CurveOfGroup, drawn_until, plot_curves
from agezoo.analysis.survival_data import CORRECTED, FollowUp
from agezoo.analysis.survival_discrimination import horizons_of
from agezoo.analysis.survival_words import file_name, in_words, p_in_words

Rows = list[dict[str, Any]]


def curves_finding(follows: Sequence[FollowUp], plan: AnalysisPlan) -> Finding:
    """Kaplan-Meier curves and cumulative incidence by third of the gap, log-rank tests, and their figures."""
    estimates: Rows = []
    tests: Rows = []
    plots: list[Plot] = []
    notes: list[str] = []
    for follow in follows:
        if not len(follow.frame):
            notes.append(f"{follow.end_point.name}: nobody is left to draw curves of.")
            continue
        part = _curves_of(follow, horizons_of(follow, plan.horizons_years))
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


def _curves_of(follow: FollowUp, horizons: Sequence[float]) -> tuple[Rows, Rows, list[Plot], list[str]]:
    """Kaplan-Meier estimates by third of the gap, and the cumulative incidence where there is a competing event.

    The corrected gap makes the thirds where the table has it, otherwise the raw one.

    Returns
    -------
    Rows of the estimates at the horizons, rows of the log-rank tests, plots, and notes.
    """
    name = follow.end_point.name
    has_corrected = CORRECTED in follow.frame and follow.frame[CORRECTED].notna().any()
    gap = "corrected" if has_corrected else "raw"
    known = follow.frame[GAPS[gap]].notna().to_numpy()
    time, event, status = follow.time[known], follow.event[known], follow.status[known]
    split = gap_thirds(follow.frame[GAPS[gap]].to_numpy(np.float64)[known])
    if split is None or not event.any():
        why = "the gap cannot be cut into three groups" if split is None else "there are no events"
        return [], [], [], [f"{name}: no curves by third of the gap, because {why}."]
    third, (low, high) = split
    test = log_rank(time, event, third)
    tests = [
        {
            "end_point": name,
            "gap": gap,
            "low_cut_years": low,
            "high_cut_years": high,
            "chi_square": test.chi_square,
            "df": test.df,
            "p": test.p,
            "trend_chi_square": test.trend_chi_square,
            "trend_p": test.trend_p,
            "n": len(time),
            "events": int(event.sum()),
        }
    ]
    labels = (
        f"lowest third (gap ≤ {_signed(low)} years)",
        "middle third",
        f"highest third (gap > {_signed(high)} years)",
    )
    estimates: Rows = []
    survival: list[CurveOfGroup] = []
    incidence: list[CurveOfGroup] = []
    for k, label in enumerate(labels):
        mine = third == k
        curve = kaplan_meier(time[mine], event[mine])
        survival.append(CurveOfGroup(label, curve, time[mine]))
        taken = cumulative_incidence(time[mine], status[mine]) if follow.end_point.competing else None
        if taken is not None:
            incidence.append(CurveOfGroup(label, taken, time[mine]))
        for horizon in horizons:
            free, free_low, free_high = curve.at(horizon)
            row = {
                "end_point": name,
                "gap": gap,
                "third": THIRDS[k],
                "horizon_years": horizon,
                "n": int(mine.sum()),
                "at_risk": int(number_at_risk(time[mine], [horizon])[0]),
                "events": int((event[mine] & (time[mine] <= horizon)).sum()),
                "event_free": free,
                "event_free_low": free_low,
                "event_free_high": free_high,
            }
            had = taken.at(horizon) if taken is not None else (np.nan,) * 3
            row |= dict(zip(("incidence", "incidence_low", "incidence_high"), had, strict=True))
            estimates.append(row)
    plots = _plots(follow, gap, survival, incidence, f"log-rank {p_in_words(test.p)}, trend {p_in_words(test.trend_p)}")
    return estimates, tests, plots, []


def _plots(
    follow: FollowUp, gap: str, survival: list[CurveOfGroup], incidence: list[CurveOfGroup], remark: str
) -> list[Plot]:
    name = in_words(follow.end_point.name)
    stem = file_name(follow.end_point.name)
    until = min(drawn_until(group) for group in survival)
    last = [group.curve.at(until)[0] for group in survival]
    plots = [
        Plot(
            f"kaplan_meier_{stem}",
            plot_curves(
                survival,
                title=f"Kaplan-Meier: {name}, by third of the {gap} gap",
                y="Without the event",
                remark=remark,
            ),
            f"Kaplan-Meier curves of {name} by third of the {gap} gap; {remark}; after {until:.1f} years "
            + ", ".join(f"{100 * value:.0f} % ({third})" for third, value in zip(THIRDS, last, strict=True))
            + " without the event.",
            "A lower curve means more or earlier events in that third; bands are pointwise 95 % intervals. The curves "
            "are not adjusted for age or anything else"
            + (", and the competing event counts as censoring." if incidence else "."),
        )
    ]
    if incidence:
        had = [group.curve.at(until)[0] for group in incidence]
        plots.append(
            Plot(
                f"cumulative_incidence_{stem}",
                plot_curves(
                    incidence,
                    title=f"Cumulative incidence: {name}, by third of the {gap} gap",
                    y="Has had the event",
                    remark="competing event taken into account",
                ),
                f"Cumulative incidence of {name} by third of the {gap} gap; after {until:.1f} years "
                + ", ".join(f"{100 * value:.0f} % ({third})" for third, value in zip(THIRDS, had, strict=True))
                + " have had the event.",
                "A higher curve means more or earlier events in that third, among people some of whom the competing "
                "event takes away first (Aalen-Johansen); not adjusted for age or anything else.",
            )
        )
    return plots


def _signed(years: float) -> str:
    return f"{years:+.1f}".replace("-", "−")
