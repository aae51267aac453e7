"""A part of a table's own people set aside as the reference of the bias correction, the others reported."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agezoo.analysis.bias_correction import group_labels
from agezoo.analysis.binary_label import binary_label
from agezoo.analysis.reference_people import subject_codes
from agezoo.data.splits import assign_folds, draw_test_subjects
from agezoo.errors import InputError

#: Folds that are drawn for a table that has none.
DRAWN_FOLDS = 5


def in_group(table: pd.DataFrame, group: str) -> NDArray[np.bool_]:
    """Which rows are of the reference group, ``column=value`` or a column of 0 and 1.

    Raises
    ------
    InputError
        If the column is absent, nobody has the value, or a bare column is not binary.
    """
    try:
        return (binary_label(table, group).values == 1).to_numpy(dtype=np.bool_)
    except InputError as error:
        raise InputError(
            f"the reference group {group} cannot be read", source="reference_group", found=str(error),
            expected="COLUMN=VALUE with a value that the reference has, or a column of 0 and 1",
        ) from None  # fmt: skip


def drawn_folds(
    table: pd.DataFrame, in_reference: NDArray[np.bool_], *, prediction: str, seed: int, folds: int = DRAWN_FOLDS
) -> pd.Series:
    """Folds by person for a cross-fitted correction of a table that has none; reference group and others apart.

    Parameters
    ----------
    table
        Prediction table with ``age_years`` and, if known, ``sex``.
    in_reference
        Rows that the correction may be fitted on, shape ``(n,)``; a person with one such row counts among them.
    prediction
        Column of the predicted age; rows without a prediction or an age get no fold.
    seed, folds
        The same seed gives the same folds.

    Raises
    ------
    InputError
        If the reference group has fewer people than there are folds.
    """
    usable = (table["age_years"].notna() & table[prediction].notna()).to_numpy(dtype=np.bool_)
    person = subject_codes(table)
    reference = np.isin(person, person[in_reference & usable])
    n_reference = len(np.unique(person[in_reference & usable]))
    if n_reference < folds:
        raise InputError(
            "too few people in the reference group to fit a correction that reports none of them",
            source="reference group",
            found=f"{n_reference} people with an age and a prediction",
            expected=f"at least {folds}",
            remedy="bring a reference of other people",
        )
    numbers = np.full(len(table), np.nan)
    sexes = table["sex"] if "sex" in table else pd.Series(None, index=table.index, dtype=object)
    for side in (reference, ~reference):
        rows = np.flatnonzero(side & usable)
        n_people = len(np.unique(person[rows]))
        if not n_people:
            continue
        numbers[rows] = assign_folds(
            [f"{code:09d}" for code in person[rows]],
            table["age_years"].to_numpy(dtype=float)[rows],
            [value if isinstance(value, str) else None for value in sexes.iloc[rows]],
            folds=min(folds, max(2, n_people)),
            seed=seed,
        )
    return pd.Series(numbers, index=table.index).astype("Int64")


def set_reference_aside(
    table: pd.DataFrame, fraction: float, *, by: str | None, prediction: str, seed: int, group: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Draw a reference by person, spread evenly over age and sex, apart for every value of a column.

    The draw is that of :func:`agezoo.data.transfer.transfer_split`: for the same people, fraction and seed the same
    are set aside, so that correcting a model on these people and fine-tuning it on them are judged on the same others.

    Parameters
    ----------
    table
        Prediction table with ``subject_id``, ``age_years`` and, if known, ``sex``.
    fraction
        Share of the people that become the reference.
    by
        Column whose values are drawn from apart; None draws from everybody together.
    prediction
        Column of the predicted age; rows without a prediction or an age cannot be a reference.
    seed
        The same seed gives the same people.
    group
        Draw from these people alone, see :attr:`agezoo.analysis.plan.AnalysisPlan.reference_group`; the others are all
        reported.

    Returns
    -------
    reported, reference, note
        The two parts, and what a reader must know of the draw.

    Raises
    ------
    InputError
        If `fraction` is out of range, or no group has two people to draw from. A single group without is left as it is
        and said.
    """
    if not 0 < fraction < 1:
        raise InputError(
            "the share of people to set aside is out of range",
            source="reference_fraction",
            found=fraction,
            expected="more than 0 and less than 1, e.g. 0.3",
        )
    usable = table["age_years"].notna() & table[prediction].notna()
    if group is not None:
        usable &= in_group(table, group)
    labels = group_labels(table, by)
    aside = np.zeros(len(table), dtype=bool)
    too_few: list[str] = []
    for name in sorted(labels[usable].dropna().unique()):
        rows = np.flatnonzero((usable & (labels == name)).to_numpy())
        part = table.iloc[rows]
        if part["subject_id"].nunique() < 2:
            too_few.append(name)
            continue
        sexes = part["sex"] if "sex" in part else pd.Series(None, index=part.index, dtype=object)
        reported = draw_test_subjects(
            part["subject_id"].astype(str).tolist(),
            part["age_years"].to_numpy(dtype=float),
            [value if isinstance(value, str) else None for value in sexes],
            fraction=1 - fraction,
            seed=seed,
        )
        aside[rows] = ~reported
    if not aside.any():
        raise InputError(
            "too few people to set some of them aside as a reference",
            source=by or "the table",
            found=f"{table.loc[usable, 'subject_id'].nunique()} people with an age and a prediction",
            remedy="bring a reference of other people",
        )
    people = set(table.loc[aside, "subject_id"])
    # Somebody with images of two kinds stands on one side only.
    whole = table["subject_id"].isin(people).to_numpy()
    note = (
        f"{len(people)} people ({int(whole.sum())} rows) were drawn as the reference of the bias correction "
        f"({fraction:.0%}{f' of those with {group}' if group else ''}{f', apart by {by}' if by else ''}, seed {seed}) "
        "and are not reported."
    )
    if too_few:
        note += f" Nobody was drawn from {by} {', '.join(too_few)}: too few people."
    return table[~whole].reset_index(drop=True), table[whole].reset_index(drop=True), note
