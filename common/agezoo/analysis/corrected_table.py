"""Which correction a table of predictions gets, so that nobody is judged by a correction fitted on themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from agezoo.analysis.bias_correction import BiasCorrection, cross_fit
from agezoo.analysis.calibration import Calibration
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.reference_draw import drawn_folds, in_group

_FOLD = "fold of the correction"


@dataclass(frozen=True)
class Corrected:
    """A table with its corrected columns.

    Attributes
    ----------
    table
        ``corrected_age_years`` and ``corrected_gap_years`` filled as far as possible; for ``age_level`` ``gap_z`` too.
    how
        In words: which correction, fitted where.
    notes
        What was left empty and why.
    correction
        The correction, where one was fitted for the whole table.
    by_fold
        The corrections of a cross-fitted table by fold.
    """

    table: pd.DataFrame
    how: str
    notes: tuple[str, ...] = ()
    correction: BiasCorrection | None = None
    by_fold: Mapping[str, BiasCorrection] = field(default_factory=dict)


def corrected_table(
    table: pd.DataFrame,
    plan: AnalysisPlan,
    *,
    reference: pd.DataFrame | None = None,
    calibration: Calibration | None = None,
    seed: int = 0,
) -> Corrected:
    """Correct a table in the first of these ways that is open.

    Fitted on `reference`; cross-fitted over the table's own folds, if there are at least two; by `calibration`; the
    corrected ages that the table came with; not at all. With ``plan.correction`` "none" never. With
    ``plan.reference_group`` only those people of the reference or of the other folds are fitted on, and a table without
    folds is cross-fitted over folds that are drawn.

    Parameters
    ----------
    table
        Prediction table.
    plan
        Says which correction, and by which column apart.
    reference
        Prediction table of other people.
    calibration
        Calibration file of the weights that predicted.
    seed
        Of folds that are drawn.

    Raises
    ------
    InputError
        If people of the table are in the reference or the calibration, or the reference does not allow the fit.
    """
    if plan.correction == "none":
        return Corrected(_without(table), "not corrected, as the plan says")
    named = _in_words(plan.correction) + (f", apart by {plan.by}" if plan.by else "")
    group = plan.reference_group
    of_group = f" with {group}" if group else ""
    caution = f"Fitted on people{of_group} alone: the gap of all people together need not be level with age."
    said = (caution,) if group else ()
    if reference is not None:
        if group is not None:
            reference = reference[in_group(reference, group)].reset_index(drop=True)
        fitted, left_out = BiasCorrection.fit_where_possible(
            reference, plan.correction, by=plan.by, prediction=plan.prediction
        )
        result, notes = fitted.applied(table)
        how = f"{named}, fitted on a reference of {_size(fitted)}{of_group}"
        return Corrected(result, how, (*said, *left_out, *notes), fitted)
    has_gaps = table["age_years"].notna() & table[plan.prediction].notna()
    fit_on = None if group is None else in_group(table, group)
    has_folds = "fold" in table and table.loc[has_gaps, "fold"].nunique() >= 2
    if has_folds or fit_on is not None:
        folds = table["fold"] if has_folds else None
        if folds is None and fit_on is not None:
            folds = drawn_folds(table, fit_on, prediction=plan.prediction, seed=seed)
        result, notes, fits = cross_fit(
            table.assign(**{_FOLD: folds}), plan.correction, by=plan.by, fold=_FOLD, prediction=plan.prediction,
            fit_on=fit_on,
        )  # fmt: skip
        what = "folds" if has_folds else f"drawn folds (seed {seed})"
        how = f"{named}, cross-fitted: each of {len(fits)} {what} corrected by the people{of_group} of the others"
        return Corrected(result.drop(columns=_FOLD), how, (*said, *notes), by_fold=fits)
    if calibration is not None and calibration.correction is not None:
        return _by_calibration(table, plan, calibration, calibration.correction)
    came = "corrected_age_years" in table and table["corrected_age_years"].notna().any()
    if came and plan.prediction == "predicted_age_years":
        return Corrected(
            table.copy(),
            "the corrected ages that the table came with",
            ("Which correction made the corrected ages, and where it was fitted, the table does not say.",),
        )
    return Corrected(
        _without(table),
        "not corrected",
        (
            "There is nothing to fit a correction on: bring a reference of other people (for example the "
            "out-of-fold table of the cross-validation), the weights' calibration file, or a table with several folds.",
        ),
    )


def _by_calibration(
    table: pd.DataFrame, plan: AnalysisPlan, calibration: Calibration, correction: BiasCorrection
) -> Corrected:
    result, notes = correction.applied(table)
    how = (
        f"{_in_words(correction.method)}{f', apart by {correction.by}' if correction.by else ''}, from the calibration "
        f"file: fitted {calibration.fitted_on.how} on {_size(correction)}"
    )
    if (correction.method, correction.by) != (plan.correction, plan.by):
        asked = plan.correction + (f" by {plan.by}" if plan.by else "")
        notes = (f"The plan asks for {asked}; the calibration file holds another correction, which was used.", *notes)
    if correction.prediction != plan.prediction:
        notes = (f"The calibration corrects {correction.prediction}, the plan looks at {plan.prediction}.", *notes)
    return Corrected(result, how, notes, correction)


def _without(table: pd.DataFrame) -> pd.DataFrame:
    empty = {name: float("nan") for name in ("corrected_age_years", "corrected_gap_years")}
    return table.drop(columns="gap_z", errors="ignore").assign(**empty)


def _in_words(method: str) -> str:
    return {
        "beheshti": "Beheshti's correction (line of the gap on age)",
        "cole": "Cole's correction (line of predicted on true age, inverted)",
        "quadratic": "quadratic correction (gap on age and age squared)",
        "age_level": "age-level correction (mean gap at each age)",
    }[method]


def _size(correction: BiasCorrection) -> str:
    n_people = sum(group.n_subjects for group in correction.groups.values())
    return f"{correction.n_rows} rows of {n_people} people"
