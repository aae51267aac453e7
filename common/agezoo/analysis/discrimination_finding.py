"""The section on discrimination: tables, ROC curves and what must be said beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.binary_label import binary_label
from agezoo.analysis.counting import rows
from agezoo.analysis.discrimination import (
    GAPS,
    PLANTED,
    AdjustedResult,
    LabelledPeople,
    ScoreResult,
    adjusted_results,
    labelled_people,
    score_results,
)
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.gap_svm import N_FOLDS, N_REPEATS, svm_on_gap
from agezoo.analysis.multiple_testing import holm
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.plots.intervals import IntervalRow, plot_intervals
from agezoo.analysis.plots.roc import RocCurve, plot_roc
from agezoo.analysis.published_discrimination import PublishedAuc, published_auc, published_table
from agezoo.analysis.report_sections import slug
from agezoo.errors import InputError

_NAN = float("nan")

_PLANTED_READING = (
    " The planted deviation is what the phantoms' images were made from: no prediction can be expected to tell the "
    "groups apart better, apart from chance and from signs of the disease that are no ageing."
)


def discrimination_finding(table: pd.DataFrame, plan: AnalysisPlan, *, seed: int = 0) -> Finding:
    """Judge every label of the plan.

    Parameters
    ----------
    table
        Prediction table with ``gap_years`` and ``corrected_gap_years`` (which may be empty) and the columns that the
        plan names.
    plan
        Labels and models.
    seed
        Of the folds of cross-validated figures.

    Returns
    -------
    Finding
        Tables ``auroc``, ``odds_ratios``, ``auroc_with_gap``, ``svm_on_gap`` and, where the bundle's paper has such a
        figure, ``published``; plots ``roc_<label>`` and ``odds_ratios``. A label that cannot be judged is a note.
    """
    scores: list[ScoreResult] = []
    adjusted: list[AdjustedResult] = []
    machines: list[dict[str, Any]] = []
    plots: list[Plot] = []
    published: dict[str, PublishedAuc] = {}
    notes: list[str] = []
    for name in dict.fromkeys(plan.labels):
        try:
            people = labelled_people(table, binary_label(table, name), prediction=plan.prediction)
            own = list(score_results(people))
            models = list(adjusted_results(people, plan.models, seed=seed))
        except InputError as error:
            notes.append(f"Label {name} was not analysed: {error}.")
            continue
        scores += own
        adjusted += models
        notes += [f"{name}: {rows(n)} left out: {reason}." for reason, n in people.left_out.items()]
        notes += _notes_of_models(models)
        notes += _notes_of_scores(own)
        machines += _machine(people, seed, notes)
        found = published_auc(name, table)
        if found is not None:
            published[name] = found
        plots.append(_roc(people, own, taken=[plot.name for plot in plots]))
    forest = _forest(adjusted)
    return Finding(
        "Discrimination",
        "How well predicted age and gap tell people with a label from those without. One row per person (the first "
        "session), raw and corrected gaps apart.",
        (*_tables(scores, adjusted, machines), *published_table(published, machines, scores, phantom=_phantom(table))),
        (*plots, *([forest] if forest else [])),
        tuple(notes),
        tuple(_headlines(scores, adjusted, machines, published)),
    )


def _tables(
    scores: list[ScoreResult], adjusted: list[AdjustedResult], machines: list[dict[str, Any]]
) -> Iterator[FindingTable]:
    if scores:
        yield FindingTable(
            "auroc",
            "AUROC of single scores (DeLong)",
            _score_frame(scores),
            "0.5 tells nothing, 1 everything; below 0.5 lower values go with the label. The difference is the score's "
            "AUROC less that of chronological age on the same people. p is DeLong's paired test of it, p_holm the same "
            "held against all tests of this table (Holm). What a predicted age tells beyond age, the next table says."
            + (_PLANTED_READING if any(result.score == PLANTED for result in scores) else ""),
        )
    if adjusted:
        yield FindingTable(
            "odds_ratios",
            "Odds ratio per SD of the gap, adjusted",
            _odds_frame(adjusted),
            "Odds of the label for people whose gap is 1 SD higher and who are alike in the covariates; 1: none. With "
            "age as a covariate a linear correction of the gap changes little, for the model corrects by itself. "
            "p_holm holds p against all labels of the same model and gap (Holm).",
        )
    with_gap = [result for result in adjusted if result.with_gap is not None]
    if with_gap:
        yield FindingTable(
            "auroc_with_gap",
            "AUROC of the covariates without and with the gap",
            _with_gap_frame(with_gap),
            "Both models are judged on people that they were not fitted on (10 stratified folds). p is the "
            "likelihood-ratio test of adding the gap; DeLong's test is not valid for a model within a model and not "
            "used, the interval of the difference is a guide.",
        )
    if machines:
        yield FindingTable(
            "svm_on_gap",
            "Support vector machine on the gap alone",
            pd.DataFrame(machines),
            f"RBF kernel, C = 10, balanced classes; {N_REPEATS} times {N_FOLDS}-fold stratified cross-validation, "
            "judged on decision scores. AUROC and interval (DeLong) are those of each person's mean score; "
            "sd_over_repeats is what another split changes. It exceeds the AUROC of the gap only where both extremes "
            "of the gap count; where the gap tells nothing, cross-validation gives values somewhat below 0.5. "
            "balanced_accuracy: mean of sensitivity and specificity of the machine's own threshold.",
        )


def _score_frame(scores: list[ScoreResult]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [
            {
                "label": result.label,
                "score": result.score,
                "n": result.auroc.n_positive + result.auroc.n_negative,
                "n_positive": result.auroc.n_positive,
                **_auroc_cells("auroc", result.auroc),
                **_difference_cells("difference_from_age", result.against_age),
                "p": _number(result.against_age.p if result.against_age else None),
            }
            for result in scores
        ]
    )
    return frame.assign(p_holm=holm(frame["p"]))


def _odds_frame(adjusted: list[AdjustedResult]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [
            {
                "label": result.label,
                "model": result.model,
                "gap": result.gap,
                "covariates": ", ".join(result.covariates),
                "n": result.n,
                "n_positive": result.n_positive,
                "gap_sd_years": _number(result.gap_sd_years),
                "odds_ratio": _number(result.odds_ratio),
                "odds_ratio_low": _number(result.low),
                "odds_ratio_high": _number(result.high),
                "p": _number(result.p),
            }
            for result in adjusted
        ]
    )
    return frame.assign(p_holm=frame.groupby(["model", "gap"], sort=False)["p"].transform(holm))


def _with_gap_frame(adjusted: list[AdjustedResult]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "label": result.label,
                "model": result.model,
                "gap": result.gap,
                "n": result.n,
                **_auroc_cells("auroc_without", result.without_gap),
                **_auroc_cells("auroc_with", result.with_gap),
                **_difference_cells("difference", result.difference),
                "p": _number(result.likelihood_ratio_p),
            }
            for result in adjusted
        ]
    )


def _machine(people: LabelledPeople, seed: int, notes: list[str]) -> list[dict[str, Any]]:
    """A row of the table of support vector machines: on the corrected gap where there is one."""
    gap = next(name for name in ("corrected", "raw") if people.frame[GAPS[name]].notna().any())
    known = people.frame[GAPS[gap]].notna().to_numpy()
    try:
        result = svm_on_gap(people.truth[known], people.frame.loc[known, GAPS[gap]], seed=seed)
    except InputError as error:
        notes.append(f"{people.label}: {error}.")
        return []
    n = result.auroc.n_positive + result.auroc.n_negative
    if n < result.n_available:
        notes.append(
            f"{people.label}: the support vector machine saw a stratified random sample of {n} of "
            f"{result.n_available} people, for time."
        )
    row = {"label": people.label, "gap": gap, "n": n, "n_positive": result.auroc.n_positive}
    return [{**row, **_auroc_cells("auroc", result.auroc), "mean_of_repeats": result.mean_of_repeats,
             "sd_over_repeats": result.sd_of_repeats,
             **_auroc_cells("balanced_accuracy", result.balanced_accuracy)}]  # fmt: skip


def _roc(people: LabelledPeople, results: list[ScoreResult], *, taken: list[str]) -> Plot:
    shown = [result for result in results if result.score != "raw gap" or not _has(results, "corrected gap")]
    curves = []
    for result in shown:
        known = people.frame[result.score].notna().to_numpy()
        curves.append(RocCurve(result.score, people.truth[known], people.frame.loc[known, result.score], result.auroc))
    name = f"roc_{slug(people.label)}"
    # Labels such as "a b" and "a_b" make one file name.
    while name in taken:
        name += "_"
    return Plot(
        name,
        plot_roc(curves, title=people.label),
        f"ROC curves of {people.label}: " + ", ".join(f"{c.name} AUROC {c.auroc.value:.3f}" for c in curves) + ".",
        "The further a curve lies above the diagonal, the better that score tells the groups apart.",
    )


def _forest(adjusted: list[AdjustedResult]) -> Plot | None:
    gap = "corrected" if any(r.gap == "corrected" and r.odds_ratio is not None for r in adjusted) else "raw"
    rows = [
        IntervalRow(f"{r.label}, {r.model}", r.odds_ratio, r.low, r.high, f"n {r.n}, {r.n_positive} with")
        for r in adjusted
        if r.gap == gap and r.odds_ratio is not None and r.low is not None and r.high is not None
    ]
    if not rows:
        return None
    return Plot(
        "odds_ratios",
        plot_intervals(rows, title=f"{gap.capitalize()} gap", x="Odds ratio per SD of the gap", none_at=1.0, log=True),
        "Odds ratios with 95 % intervals: " + "; ".join(f"{row.name} {row.value:.2f}" for row in rows) + ".",
        "Right of the dashed line: the label is more frequent in people who look older than they are. A bar that "
        "crosses the line is compatible with no association.",
    )


def _notes_of_models(models: Iterable[AdjustedResult]) -> Iterator[str]:
    said: set[str] = set()
    for result in models:
        where = f"{result.label}, {result.model}"
        texts = [f"{where}: {note}" for note in result.notes]
        if result.problem:
            texts.insert(0, f"{where}, {result.gap} gap: no odds ratio: {result.problem}.")
        for text in texts:
            if text not in said:
                said.add(text)
                yield text


def _notes_of_scores(results: Iterable[ScoreResult]) -> Iterator[str]:
    for result in results:
        if result.auroc.value in (0.0, 1.0):
            yield (
                f"{result.label}: {result.score} separates the groups completely (AUROC {result.auroc.value:g}); such "
                "a value has no interval."
            )
        elif result.auroc.low is None:
            yield f"{result.label}: {result.score} has no interval, because a group is too small or the score constant."


def _headlines(
    scores: list[ScoreResult],
    adjusted: list[AdjustedResult],
    machines: list[dict[str, Any]],
    published: dict[str, PublishedAuc],
) -> Iterator[str]:
    by_machine = {row["label"]: row for row in machines}
    for label in dict.fromkeys(result.label for result in scores):
        own = {result.score: result for result in scores if result.label == label}
        line = f"{label}: AUROC of predicted age {_in_words(own['predicted age'].auroc)}"
        gap = "corrected gap" if "corrected gap" in own else "raw gap"
        line += f", of the {gap} {_in_words(own[gap].auroc)}" if gap in own else ""
        line += f", of chronological age {_in_words(own['chronological age'].auroc)}"
        if PLANTED in own:
            line += f", best possible (planted deviation) {_in_words(own[PLANTED].auroc)}"
        if label in published and label in by_machine:
            accuracy = by_machine[label]["balanced_accuracy"]
            line += f"; balanced accuracy of a support vector machine on the gap {accuracy:.3f}"
            line += f" (published for {published[label].groups}: {published[label].auc:.3f})"
        odds = [r for r in adjusted if r.label == label and r.odds_ratio is not None]
        if odds:
            best = next((r for r in odds if r.gap == "corrected"), odds[0])
            line += (
                f"; odds ratio per SD of the {best.gap} gap {best.odds_ratio:.2f} ({best.low:.2f} to {best.high:.2f}) "
                f"beside {', '.join(best.covariates) or 'nothing'}"
            )
        yield line


def _in_words(auroc: Any) -> str:
    interval = "" if auroc.low is None else f" ({auroc.low:.3f} to {auroc.high:.3f})"
    return f"{auroc.value:.3f}{interval}"


def _auroc_cells(name: str, auroc: Any) -> dict[str, float]:
    return {name: auroc.value, f"{name}_low": _number(auroc.low), f"{name}_high": _number(auroc.high)}


def _difference_cells(name: str, difference: Any) -> dict[str, float]:
    if difference is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), _NAN)
    return {name: difference.value, f"{name}_low": _number(difference.low), f"{name}_high": _number(difference.high)}


def _number(value: float | None) -> float:
    return _NAN if value is None else float(np.float64(value))


def _phantom(table: pd.DataFrame) -> bool:
    return "weights_origin" in table and bool((table["weights_origin"] == "phantom").any())


def _has(results: list[ScoreResult], score: str) -> bool:
    return any(result.score == score for result in results)
