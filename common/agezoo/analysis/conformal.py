"""Intervals that hold the true age of 90 in 100 people, and SDs of the right size, from out-of-fold errors.

Split-conformal prediction: a person's error is compared with the errors of people on whom the model was not trained.
If new people are like those (exchangeable), the interval holds the true age at the chosen rate whatever the
distribution of the errors is; where they are older, sicker or scanned otherwise, it need not.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from agezoo.analysis.bias_correction import ALL, folds_apart, group_labels, require_columns
from agezoo.analysis.bias_methods import subject_weights
from agezoo.analysis.reference_people import subject_codes
from agezoo.analysis.uncertainty import total_sd_years
from agezoo.errors import InputError

FloatArray = NDArray[np.float64]

#: Fewer people than this give no interval: the rate that a quantile of so few errors reaches varies too much.
MIN_SUBJECTS = 20

_DISTRIBUTION = ("aleatoric_sd_years", "epistemic_sd_years")


class GroupIntervals(BaseModel):
    """What one group's errors say.

    Attributes
    ----------
    n_rows, n_subjects
        Rows with an age and a prediction, and their people.
    n_with_sd
        Rows that also have an SD.
    quantile_years
        Half width of the interval where a person has no SD; None with too few people.
    quantile_sd
        Half width in SDs where a person has one; None where the reference has too few.
    sd_factor
        What an SD is multiplied with so that it has the size of the errors: the root mean square of error / SD.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    n_rows: int
    n_subjects: int
    n_with_sd: int
    quantile_years: float | None = None
    quantile_sd: float | None = None
    sd_factor: float | None = None

    def half_width_years(self, sd_years: FloatArray) -> FloatArray:
        """Half width of the interval, shape ``(n,)``; an SD that is not a number means that there is none."""
        plain = np.full(sd_years.shape, np.nan if self.quantile_years is None else self.quantile_years)
        if self.quantile_sd is None:
            return plain
        return np.where(np.isfinite(sd_years), self.quantile_sd * sd_years, plain)

    def calibrated_sd_years(self, sd_years: FloatArray) -> FloatArray:
        """SD of the size of the errors, shape ``(n,)``."""
        return sd_years * (np.nan if self.sd_factor is None else self.sd_factor)


class Intervals(BaseModel):
    """Fitted intervals.

    Attributes
    ----------
    level
        Share of people whose true age the interval shall hold.
    by
        Column whose values were fitted apart; None: everybody together.
    prediction
        Column of the predicted age around which the interval lies.
    epistemic
        Whether the SD is the total one. False where the reference has aleatoric SDs alone (each person predicted by
        one model): then the same SD is used for others, although an ensemble would know its own spread.
    groups
        Fit per value of `by`; under :data:`agezoo.analysis.bias_correction.ALL` without one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Annotated[float, Field(gt=0, lt=1)]
    by: str | None = None
    prediction: str = "predicted_age_years"
    epistemic: bool
    groups: dict[str, GroupIntervals]

    def sd_years(self, aleatoric_sd_years: ArrayLike, epistemic_sd_years: ArrayLike | None) -> FloatArray:
        """The kind of SD that was fitted, shape ``(n,)``; not a number where it is unknown or not positive."""
        sd = total_sd_years(aleatoric_sd_years, epistemic_sd_years if self.epistemic else None)
        return np.where(sd > 0, sd, np.nan)

    def values(
        self, predicted_age_years: FloatArray, sd_years: FloatArray, group: str | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Lower bound, upper bound and calibrated SD of one group's people, each of shape ``(n,)``, in years."""
        fitted = self.groups.get(ALL if self.by is None else str(group))
        if fitted is None:
            empty = np.full(np.shape(predicted_age_years), np.nan)
            return empty, empty.copy(), empty.copy()
        half_width = fitted.half_width_years(sd_years)
        return predicted_age_years - half_width, predicted_age_years + half_width, fitted.calibrated_sd_years(sd_years)

    def applied(self, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """A copy of a table with ``lower_years``, ``upper_years`` and ``calibrated_sd_years``, and what to say of it.

        The people must be others than the reference's; :class:`agezoo.analysis.calibration.Calibration` sees to it.
        """
        require_columns(table, self.by, self.prediction)
        predicted = _floats(table, self.prediction)
        sd = self.sd_years(*(_floats(table, name) for name in _DISTRIBUTION))
        labels = group_labels(table, self.by)
        columns = {name: np.full(len(table), np.nan) for name in ("lower_years", "upper_years", "calibrated_sd_years")}
        for name in labels.dropna().unique():
            part = (labels == name).to_numpy()
            for column, values in zip(columns.values(), self.values(predicted[part], sd[part], name), strict=True):
                column[part] = values
        n_empty = int((np.isfinite(predicted) & np.isnan(columns["lower_years"])).sum())
        notes = (f"{n_empty} rows got no interval, as the reference has too few people like them.",) if n_empty else ()
        return table.assign(**columns), notes


def fit_intervals(
    table: pd.DataFrame, *, level: float = 0.9, by: str | None = None, prediction: str = "predicted_age_years"
) -> tuple[Intervals, tuple[str, ...]]:
    """Fit intervals and SD factors on predictions of people on whom the model was not trained.

    Parameters
    ----------
    table
        Prediction table with true ages. Where it has SDs, the error in SDs is what counts, so that the interval is
        wide where the model is unsure; otherwise the error in years. A person with several rows counts once, the
        rows sharing the weight (hierarchical conformal prediction).
    level
        Share of people whose true age the interval shall hold.
    by
        Column whose values are fitted apart.
    prediction
        Column of the predicted age.

    Returns
    -------
    The intervals and notes about groups that have too few people for one. With n people the half width is the
    error at rank ``ceil((n + 1) * level)``.

    Raises
    ------
    InputError
        If a column is missing or `level` is no share.

    References
    ----------
    Lei J et al. J Am Stat Assoc 2018;113:1094-1111. Lee Y, Barber RF, Willett R. arXiv:2306.06342 (repeated rows).
    """
    require_columns(table, by, prediction)
    if not 0 < level < 1:
        raise InputError("the level of an interval is a share", source="level", found=level, expected="e.g. 0.9")
    used = table[table["age_years"].notna() & table[prediction].notna()].reset_index(drop=True)
    aleatoric, epistemic = (_floats(used, name) for name in _DISTRIBUTION)
    # With some rows of one model and some of an ensemble, only the SD that all have is of one kind.
    has_epistemic = bool(np.isfinite(aleatoric).any() and np.isfinite(epistemic[np.isfinite(aleatoric)]).all())
    sd = total_sd_years(aleatoric, epistemic if has_epistemic else None)
    sd = np.where(sd > 0, sd, np.nan)
    error = np.abs(_floats(used, prediction) - _floats(used, "age_years"))
    subject, labels = subject_codes(used), group_labels(used, by)
    groups: dict[str, GroupIntervals] = {}
    notes: list[str] = []
    for name in sorted(labels.dropna().unique()) if by else [ALL]:
        part = (labels == name).to_numpy()
        groups[name] = _fit_group(error[part], sd[part], subject[part], level)
        if groups[name].quantile_years is None:
            who = f"{by} {name} has" if by else "The reference has"
            notes.append(f"{who} {groups[name].n_subjects} people, fewer than {_least(level)}: no interval.")
    return Intervals(level=level, by=by, prediction=prediction, epistemic=has_epistemic, groups=groups), tuple(notes)


def cross_fitted_intervals(
    table: pd.DataFrame,
    *,
    level: float = 0.9,
    by: str | None = None,
    fold: str = "fold",
    prediction: str = "predicted_age_years",
) -> pd.DataFrame:
    """Give each fold the intervals that the people of the other folds teach.

    Returns
    -------
    DataFrame
        A copy with ``lower_years``, ``upper_years`` and ``calibrated_sd_years``; empty where the other folds have too
        few people.

    Raises
    ------
    InputError
        If there are fewer than two folds.
    """
    columns = {name: np.full(len(table), np.nan) for name in ("lower_years", "upper_years", "calibrated_sd_years")}
    for _, inside, others in folds_apart(table, fold):
        fitted, _ = fit_intervals(table[others], level=level, by=by, prediction=prediction)
        part, _ = fitted.applied(table[inside])
        for name, column in columns.items():
            column[inside] = part[name]
    return table.assign(**columns)


def conformal_quantile(scores: FloatArray, subject: NDArray[np.intp], level: float) -> float | None:
    """The least score that at least `level` of n people and one more stay within; None where n is too small.

    Every person weighs 1, shared by the person's rows; the one to come has the score infinity. With one row each this
    is the score at rank ``ceil((n + 1) * level)``.
    """
    weight = subject_weights(subject)
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weight[order])
    # A little slack, so that sums of thirds count as the whole numbers that they are.
    needed = level * (weight.sum() + 1) - 1e-9
    if reached.size == 0 or reached[-1] < needed:
        return None
    return float(scores[order][np.searchsorted(reached, needed)])


def _fit_group(error: FloatArray, sd: FloatArray, subject: NDArray[np.intp], level: float) -> GroupIntervals:
    with_sd = np.isfinite(sd)
    enough, enough_sd = (len(np.unique(rows)) >= MIN_SUBJECTS for rows in (subject, subject[with_sd]))
    z = error[with_sd] / sd[with_sd]
    factor = None
    if enough_sd:
        weight = subject_weights(subject[with_sd])
        root = float(np.sqrt(weight @ z**2 / weight.sum()))
        factor = root if root > 0 else None
    return GroupIntervals(
        n_rows=int(error.size),
        n_subjects=len(np.unique(subject)),
        n_with_sd=int(with_sd.sum()),
        quantile_years=conformal_quantile(error, subject, level) if enough else None,
        quantile_sd=conformal_quantile(z, subject[with_sd], level) if enough_sd else None,
        sd_factor=factor,
    )


def _least(level: float) -> int:
    return max(MIN_SUBJECTS, int(np.ceil(level / (1 - level) - 1e-9)))


def _floats(table: pd.DataFrame, name: str) -> FloatArray:
    if name not in table:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(dtype=np.float64, na_value=np.nan)
