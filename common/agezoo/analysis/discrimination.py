"""How well predicted age and gap tell people with a label from those without, alone and beside covariates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agezoo.analysis.auroc import Auroc, AurocDifference, delong, difference_of, with_interval
from agezoo.analysis.binary_label import BinaryLabel
from agezoo.analysis.counting import people as in_people
from agezoo.analysis.covariate_design import covariate_design
from agezoo.analysis.logistic import cross_fitted_scores, fit_logistic, likelihood_ratio_p
from agezoo.analysis.person_rows import first_sessions
from agezoo.errors import InputError

#: Gap columns by the word that tables and figures use.
GAPS = {"raw": "gap_years", "corrected": "corrected_gap_years"}

#: Scores that are judged, by the word that tables and figures use; the last is what the others are compared with.
SCORES = ("predicted age", "raw gap", "corrected gap", "chronological age")

#: What a phantom's maker planted, judged where the table has it; nothing can be read off its image beyond it.
PLANTED = "planted deviation"
_PLANTED_COLUMN = "deviation_years"

_GAP_TERM = "gap (per SD)"


@dataclass(frozen=True)
class LabelledPeople:
    """People whose label, age and prediction are known, one row each.

    Attributes
    ----------
    label
        Name of the label.
    frame
        The table's columns, index 0..n-1, and the scores by the names of :data:`SCORES`, and :data:`PLANTED` where the
        table has the deviation of phantoms.
    truth
        1 with the label, 0 without, shape ``(n,)``.
    left_out
        Reason -> number of rows left out for it.
    """

    label: str
    frame: pd.DataFrame
    truth: np.ndarray
    left_out: dict[str, int]


@dataclass(frozen=True)
class ScoreResult:
    """One score of one label.

    Attributes
    ----------
    label, score
        Names.
    auroc
        Of the score.
    against_age
        Its AUROC minus that of chronological age on the same people; None for chronological age itself and for the
        planted deviation, which is no score that anybody has.
    """

    label: str
    score: str
    auroc: Auroc
    against_age: AurocDifference | None


@dataclass(frozen=True)
class AdjustedResult:
    """The gap beside the covariates of one model.

    Attributes
    ----------
    label, gap, model
        Names; the gap is ``"raw"`` or ``"corrected"``.
    covariates
        As they entered the model, the gap aside.
    n, n_positive
        People and people with the label in the model.
    gap_sd_years
        SD of the gap among all people of the label who have one: the unit of the odds ratio, the same in every model.
    odds_ratio, low, high, p
        Per SD of the gap with 95 % interval (Wald); None without a fit.
    likelihood_ratio_p
        Of the model with against the model without the gap.
    without_gap, with_gap, difference
        AUROCs of both models on people that they were not fitted on; None where that could not be had.
    problem
        Why there is no fit.
    notes
        What must be said.
    """

    label: str
    gap: str
    model: str
    covariates: tuple[str, ...]
    n: int
    n_positive: int
    gap_sd_years: float | None
    odds_ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    likelihood_ratio_p: float | None = None
    without_gap: Auroc | None = None
    with_gap: Auroc | None = None
    difference: AurocDifference | None = None
    problem: str | None = None
    notes: tuple[str, ...] = ()


def labelled_people(table: pd.DataFrame, label: BinaryLabel, *, prediction: str) -> LabelledPeople:
    """Rows that can be judged, the first session of each person.

    Parameters
    ----------
    table
        Prediction table with ``age_years``, ``gap_years`` and ``corrected_gap_years``.
    label
        Of the same rows.
    prediction
        Column of the predicted age.

    Raises
    ------
    InputError
        If nobody with, or nobody without the label remains.
    """
    left_out: dict[str, int] = {}
    kept = pd.Series(True, index=table.index)
    for reason, good in (
        ("no prediction or no age", table[prediction].notna() & table["age_years"].notna()),
        (f"in neither group of {label.name}", ~label.neither),
        (f"{label.name} not known", label.values.notna()),
    ):
        lost = int((kept & ~good).sum())
        if lost:
            left_out[reason] = lost
        kept &= good
    rows = table[kept].assign(truth=label.values[kept])
    people = first_sessions(rows)
    if len(people) < len(rows):
        left_out["later session or second image of a person"] = len(rows) - len(people)
    frame = people.reset_index(drop=True)
    truth = frame["truth"].to_numpy(dtype=np.float64)
    if not len(truth) or truth.min() == truth.max():
        raise InputError(
            f"label {label.name}: two groups are needed",
            found=f"{int(truth.sum())} people with and {int(len(truth) - truth.sum())} without it",
        )
    scores = {
        "predicted age": frame[prediction],
        "raw gap": frame["gap_years"],
        "corrected gap": frame["corrected_gap_years"],
        "chronological age": frame["age_years"],
    }
    if _PLANTED_COLUMN in frame and pd.api.types.is_numeric_dtype(frame[_PLANTED_COLUMN]):
        scores[PLANTED] = frame[_PLANTED_COLUMN]
    frame = frame.drop(columns="truth").assign(**scores)
    return LabelledPeople(label.name, frame, truth, left_out)


def score_results(people: LabelledPeople) -> Iterator[ScoreResult]:
    """AUROC of every score that the people have, each against chronological age by DeLong's paired test."""
    for score in (*SCORES, PLANTED):
        if score not in people.frame:
            continue
        known = people.frame[score].notna().to_numpy()
        truth = people.truth[known]
        if not truth.size or truth.min() == truth.max():
            continue
        pair = people.frame.loc[known, [score, SCORES[-1]]].to_numpy(dtype=np.float64).T
        value, covariance = delong(truth, pair)
        yield ScoreResult(
            label=people.label,
            score=score,
            auroc=with_interval(float(value[0]), float(covariance[0, 0]), truth),
            against_age=None if score in (SCORES[-1], PLANTED) else difference_of(value, covariance, 0, 1),
        )


def adjusted_results(
    people: LabelledPeople, models: Mapping[str, Sequence[str]], *, seed: int = 0
) -> Iterator[AdjustedResult]:
    """Logistic regression of the label on the gap beside the covariates of each model, raw and corrected gap apart.

    Where the label itself is among the covariates of a model, it is left out there: it would explain itself.

    Raises
    ------
    InputError
        If a covariate is not in the table or cannot be used as one.
    """
    own_column = people.label.partition("=")[0]
    for model, columns in models.items():
        covariates = [name for name in columns if name != own_column]
        for gap, column in GAPS.items():
            if people.frame[column].notna().any():
                yield _adjusted(people, gap, column, model, covariates, seed)


def _adjusted(
    people: LabelledPeople, gap: str, column: str, model: str, columns: Sequence[str], seed: int
) -> AdjustedResult:
    frame = people.frame[people.frame[column].notna()]
    design = covariate_design(frame, columns)
    truth = people.truth[design.matrix.index.to_numpy()]
    notes = [*design.notes, *(f"{in_people(n)} left out: {reason}." for reason, n in design.left_out.items())]
    values = frame.loc[design.matrix.index, column].to_numpy(dtype=np.float64)
    sd = float(frame[column].std(ddof=1))
    names = tuple(design.matrix.columns)
    if len(values) < 2 or values.std() < 1e-9:
        problem = "the gap is the same in everybody, or too few people have all covariates"
        return AdjustedResult(people.label, gap, model, names, len(truth), int(truth.sum()), None, problem=problem)
    covariates = design.matrix.assign(**{_GAP_TERM: values / sd})
    try:
        fit = fit_logistic(truth, covariates)
    except InputError as error:
        return AdjustedResult(
            people.label, gap, model, names, len(truth), int(truth.sum()), sd, problem=str(error), notes=tuple(notes)
        )
    notes += fit.notes
    used = list(fit.table["covariate"])
    truth, covariates = truth[fit.rows], covariates.loc[fit.rows, used]
    row = fit.table.set_index("covariate").loc[_GAP_TERM]
    others = covariates.drop(columns=_GAP_TERM)
    comparison = _with_and_without(truth, others, covariates, fit.log_likelihood, seed, notes)
    return AdjustedResult(
        people.label,
        gap,
        model,
        tuple(others.columns),
        len(truth),
        int(truth.sum()),
        sd,
        odds_ratio=float(row["odds_ratio"]),
        low=float(row["odds_ratio_low"]),
        high=float(row["odds_ratio_high"]),
        p=float(row["p"]),
        likelihood_ratio_p=comparison[0],
        without_gap=comparison[1],
        with_gap=comparison[2],
        difference=comparison[3],
        notes=tuple(notes),
    )


def _with_and_without(
    truth: np.ndarray,
    others: pd.DataFrame,
    covariates: pd.DataFrame,
    log_likelihood: float,
    seed: int,
    notes: list[str],
) -> tuple[float | None, Auroc | None, Auroc | None, AurocDifference | None]:
    if not others.shape[1]:
        return None, None, None, None
    try:
        p = likelihood_ratio_p(fit_logistic(truth, others).log_likelihood, log_likelihood)
        scores = [cross_fitted_scores(truth, some, seed=seed) for some in (others, covariates)]
    except InputError as error:
        notes.append(f"The model without the gap, or one of the folds, could not be fitted: {error}.")
        return None, None, None, None
    value, covariance = delong(truth, np.stack(scores))
    one, two = (with_interval(float(value[i]), float(covariance[i, i]), truth) for i in (0, 1))
    return p, one, two, difference_of(value, covariance, 1, 0)
