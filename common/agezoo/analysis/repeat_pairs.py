"""Pairs of predictions of the same person: from a pair table, or from the repeat scans of a prediction table."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from agezoo.analysis.evaluation_rows import PREDICTED, rows_without_error
from agezoo.data.subject_table import read_table
from agezoo.errors import InputError

#: Columns of a pair table, in years.
PAIR_COLUMNS = ("first_years", "second_years")


def read_pairs(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table of pairs.

    Parameters
    ----------
    path
        CSV or another table with the columns ``first_years`` and ``second_years``, or a prediction table with repeat
        scans, as for :func:`pairs_of_repeats`.

    Returns
    -------
    DataFrame with ``first_years`` and ``second_years``.

    Raises
    ------
    InputError
        If it is neither, or a cell is not a number.
    """
    path = Path(path)
    frame = pd.read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else read_table(path).frame
    return as_pairs(frame, source=path)


def as_pairs(frame: pd.DataFrame, *, source: str | os.PathLike[str] = "table of pairs") -> pd.DataFrame:
    """Pairs from a table that is already in memory; otherwise as :func:`read_pairs`."""
    if set(PAIR_COLUMNS) <= set(frame.columns):
        numbers = {name: _years(frame[name], name, source) for name in PAIR_COLUMNS}
        kept = {name: frame[name] for name in ("weights_origin",) if name in frame}
        return pd.DataFrame(numbers | kept)
    if {"subject_id", PREDICTED} <= set(frame.columns):
        return pairs_of_repeats(frame, source=source)
    raise InputError(
        "not a table of pairs",
        source=source,
        found="columns " + ", ".join(map(str, frame.columns)),
        expected="first_years and second_years, or a prediction table with several sessions per subject_id",
    )


def pairs_of_repeats(
    table: pd.DataFrame, *, source: str | os.PathLike[str] = "prediction table", max_age_gap_years: float = 0.5
) -> pd.DataFrame:
    """First and second prediction of every person who was scanned again.

    Parameters
    ----------
    table
        Prediction table. Sessions are taken in the order of their names; of people with more than two scans the
        first two count.
    source
        For error messages.
    max_age_gap_years
        Scans further apart are no repeats: the person has aged between them. Without ages this is not checked.

    Returns
    -------
    DataFrame with ``first_years``, ``second_years`` and, where the table has it, ``weights_origin``.

    Raises
    ------
    InputError
        If nobody has two predictions.
    """
    frame = rows_without_error(table)
    frame = frame[frame["subject_id"].notna()].copy()
    for name in (PREDICTED, "age_years"):
        if name in frame:
            frame[name] = _years(frame[name], name, source)
    if "session" in frame:
        frame = frame.sort_values("session", kind="stable")
    pairs: list[dict[str, object]] = []
    for _, scans in frame.groupby("subject_id", sort=True):
        if len(scans) < 2:
            continue
        first, second = scans.iloc[0], scans.iloc[1]
        apart = abs(second["age_years"] - first["age_years"]) if "age_years" in scans else 0.0
        if not apart > max_age_gap_years:
            pair = {"first_years": float(first[PREDICTED]), "second_years": float(second[PREDICTED])}
            pairs.append(pair | {name: first[name] for name in ("weights_origin",) if name in scans})
    if not pairs:
        raise InputError(
            "the table holds no repeat scans",
            source=source,
            found=f"{frame['subject_id'].nunique()} subjects with one prediction each",
            expected=f"subjects with two or more rows, at most {max_age_gap_years:g} years apart",
        )
    return pd.DataFrame(pairs)


def _years(values: pd.Series, name: str, source: str | os.PathLike[str]) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = int((numbers.isna() & values.notna()).sum())
    if bad:
        raise InputError(f"column {name} has {bad} cells that are no numbers", source=source)
    return numbers
