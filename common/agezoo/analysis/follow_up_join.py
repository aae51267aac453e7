"""Outcomes that stand in a table of their own, joined to the predictions by person."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from agezoo.analysis.analysis_input import as_numbers_or_words
from agezoo.analysis.counting import people, rows
from agezoo.data.table_file import read_table
from agezoo.errors import InputError

TOGETHER = "subject_id"


def joined_follow_up(
    table: pd.DataFrame, follow_up: pd.DataFrame | str | os.PathLike[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Add the columns of a table of outcomes to every row of the same person.

    Parameters
    ----------
    table
        Predictions with ``subject_id``.
    follow_up
        Table, or path of a CSV or Parquet table, with one row per ``subject_id``. A column that both have keeps the
        predictions' values; its empty cells are filled.

    Returns
    -------
    The joined table with the rows of `table`, and what must be said: people without outcomes, outcomes of people
    without a prediction, values that disagree.

    Raises
    ------
    InputError
        If ``subject_id`` is absent or occurs twice in the outcomes, or no person is in both tables.
    """
    source, outcomes = _read(follow_up)
    if TOGETHER not in outcomes:
        raise InputError(
            f"column {TOGETHER} is missing",
            source=source,
            found="columns " + ", ".join(map(str, outcomes.columns)),
            expected=f"{TOGETHER}, as in the predictions, and the columns of the outcomes",
        )
    outcomes = outcomes[outcomes[TOGETHER].notna()].assign(**{TOGETHER: lambda some: some[TOGETHER].astype(str)})
    doubled = outcomes[TOGETHER].duplicated()
    if doubled.any():
        raise InputError(
            f"{int(doubled.sum())} people stand in the table of outcomes more than once",
            source=source,
            found=f"for example {outcomes.loc[doubled, TOGETHER].iloc[0]}",
            expected=f"one row per {TOGETHER}",
        )
    named = table[TOGETHER].astype("str")
    shared = named.isin(set(outcomes[TOGETHER]))
    if not shared.any():
        raise InputError(
            "no person is in both tables",
            source=source,
            found=f"{TOGETHER} {outcomes[TOGETHER].iloc[0] if len(outcomes) else '(none)'} there, "
            f"{named.dropna().iloc[0] if named.notna().any() else '(none)'} among the predictions",
            expected="the same spelling, leading zeros included",
        )
    notes = []
    if not shared.all():
        lost = int(named[~shared].nunique() + named[~shared].isna().sum())
        notes.append(f"{people(lost)} with a prediction not in the table of outcomes.")
    alone = int((~outcomes[TOGETHER].isin(set(named.dropna()))).sum())
    if alone:
        notes.append(f"{people(alone)} of the table of outcomes without a prediction.")
    looked_up = outcomes.set_index(TOGETHER).reindex(named).reset_index(drop=True)
    looked_up.index = table.index
    columns: dict[str, pd.Series] = {}
    for name in looked_up.columns:
        values = as_numbers_or_words(looked_up[name])
        if name not in table or table[name].isna().all():
            columns[str(name)] = values
            continue
        differ = int((table[name].notna() & values.notna() & (table[name].astype(str) != values.astype(str))).sum())
        if differ:
            notes.append(
                f"Column {name} is in both tables and differs in {rows(differ)}; the value of the predictions counts."
            )
        columns[str(name)] = table[name].where(table[name].notna(), values)
    return table.assign(**columns), tuple(notes)


def _read(follow_up: pd.DataFrame | str | os.PathLike[str]) -> tuple[str, pd.DataFrame]:
    if isinstance(follow_up, pd.DataFrame):
        return "table of outcomes", follow_up
    path = Path(follow_up)
    if path.suffix.lower() in (".parquet", ".pq"):
        if not path.is_file():
            raise InputError("no such table", source=path)
        return path.name, pd.read_parquet(path)
    return path.name, read_table(path).frame
