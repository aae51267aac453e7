"""Covariates of a regression as numbers: words become 0/1 columns, and what carries nothing is dropped and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agezoo.errors import InputError

#: A column of words with more different words than this is no category.
MAX_LEVELS = 30

# A covariate of which less than this share of its variance is left beside those before it is one of their sums.
_UNEXPLAINED = 1e-8

_SEXES = {"F": 0.0, "FEMALE": 0.0, "M": 1.0, "MALE": 1.0}


@dataclass(frozen=True)
class Design:
    """Covariates of the people who have them all.

    Attributes
    ----------
    matrix
        One column per parameter, complete; its index are the rows kept of the frame.
    left_out
        Reason -> number of rows left out for it.
    notes
        Covariates dropped, references of categories.
    """

    matrix: pd.DataFrame
    left_out: dict[str, int]
    notes: tuple[str, ...]


def covariate_design(frame: pd.DataFrame, names: Sequence[str]) -> Design:
    """Turn covariate columns into a matrix of numbers.

    ``sex`` becomes ``sex (M)``: 1 for men, 0 for women. A column of numbers stays as it is; a column of words becomes
    one 0/1 column per word but the most frequent, the reference. A column without any value, or with one value only,
    is dropped, as is one that follows exactly from those before it. Rows with an empty cell in a used column are left
    out.

    Raises
    ------
    InputError
        If a column is absent or its words are too many for a category.
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(
            "covariates that the plan names are not in the table: " + ", ".join(missing),
            found="columns " + ", ".join(map(str, frame.columns)),
            remedy="correct the names in the plan, or add the columns to the table",
        )
    notes: list[str] = []
    columns = {name: _sex(frame[name], notes) if name == "sex" else _plain(frame[name]) for name in names}
    for name in [name for name, values in columns.items() if values.isna().all()]:
        notes.append(f"Covariate {name} has no value in any row and is dropped.")
        del columns[name]
    complete = pd.Series(True, index=frame.index)
    left_out: dict[str, int] = {}
    for name, values in columns.items():
        lost = int((complete & values.isna()).sum())
        if lost:
            left_out[f"{name} unknown"] = lost
        complete &= values.notna()
    parts: dict[str, pd.Series] = {}
    for name, values in columns.items():
        values = values[complete]
        if values.nunique() < 2:
            notes.append(f"Covariate {name} is the same in all rows and is dropped.")
        elif pd.api.types.is_numeric_dtype(values):
            parts["sex (M)" if name == "sex" else name] = values.astype("float64")
        else:
            parts |= _dummies(values, name, notes)
    matrix = pd.DataFrame(parts, index=frame.index[complete], dtype="float64")
    return Design(matrix=_independent(matrix, notes), left_out=left_out, notes=tuple(notes))


def _sex(values: pd.Series, notes: list[str]) -> pd.Series:
    words = _words(values)
    numbers = words.str.upper().map(_SEXES).astype("float64")
    foreign = int((words.notna() & numbers.isna()).sum())
    if foreign:
        notes.append(f"Sex is neither F nor M in {foreign} rows and counts as unknown.")
    return numbers


def _plain(values: pd.Series) -> pd.Series:
    """Numbers where all cells are numbers, otherwise words; blank cells and infinities are unknown."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        numbers = values.astype("float64")
        return numbers.where(np.isfinite(numbers))
    words = _words(values)
    numbers = pd.to_numeric(words, errors="coerce").astype("float64")
    if not (words.notna() & numbers.isna()).any():
        return numbers.where(np.isfinite(numbers))
    return words


def _words(values: pd.Series) -> pd.Series:
    """Cells as trimmed text, blank ones unknown."""
    codes, known = pd.factorize(values)
    # A few different words stand in many rows: each is read once.
    texts = np.array([str(value).strip() or None for value in known] + [None], dtype=object)
    return pd.Series(texts[codes], index=values.index, dtype="str")


def _dummies(words: pd.Series, name: str, notes: list[str]) -> dict[str, pd.Series]:
    counts = words.value_counts()
    if len(counts) > MAX_LEVELS:
        raise InputError(
            f"covariate {name} is no category",
            found=f"{len(counts)} different words",
            expected=f"numbers, or at most {MAX_LEVELS} words",
            remedy="leave it out of the models, or group its values",
        )
    levels = sorted(counts.index, key=lambda level: (-counts[level], level))
    notes.append(f"Covariate {name}: compared with “{levels[0]}”, its most frequent value.")
    return {f"{name} ({level})": (words == level).astype("float64") for level in levels[1:]}


def _independent(matrix: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Without the columns that are a weighted sum of those before them and a constant."""
    if matrix.shape[1] < 2:
        return matrix
    correlation = np.corrcoef(matrix.to_numpy(), rowvar=False)
    kept: list[int] = [0]
    for j in range(1, matrix.shape[1]):
        shared = correlation[kept, j]
        unexplained = 1 - shared @ np.linalg.solve(correlation[np.ix_(kept, kept)], shared)
        if unexplained > _UNEXPLAINED:
            kept.append(j)
        else:
            notes.append(f"Covariate {matrix.columns[j]} follows from those named before it and is dropped.")
    return matrix.iloc[:, kept]
