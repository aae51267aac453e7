"""The table of an analysis: read, completed, and counted before anything is computed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from agezoo.analysis.binary_label import column_and_value
from agezoo.analysis.plan import AnalysisPlan
from agezoo.data.prediction_table import COLUMNS, TEXT_COLUMNS, YEARS_COLUMNS, read_predictions
from agezoo.data.table_cells import text_cell
from agezoo.data.table_file import read_table
from agezoo.errors import InputError

TableSource: TypeAlias = pd.DataFrame | str | os.PathLike[str]

_AGES = (0.0, 125.0)
_SAME_YEARS = 0.011


@dataclass(frozen=True)
class AnalysisInput:
    """A table with its rows sorted into those that count and those that do not.

    Attributes
    ----------
    table
        Rows with a prediction and no error, index 0..n-1, every column of a prediction table present; ``gap_years`` is
        that of the plan's prediction.
    name
        File name, or ``"table"``.
    n_rows
        Rows given.
    n_failed
        Rows without a prediction or with an error, left out everywhere.
    n_without_age
        Rows of ``table`` whose age is not known; they have no gap.
    missing
        One row per column that the plan uses: ``column``, ``used_as``, ``n_known``, ``n_missing``, of the rows of
        ``table``.
    """

    table: pd.DataFrame
    name: str
    n_rows: int
    n_failed: int
    n_without_age: int
    missing: pd.DataFrame

    @property
    def n_people(self) -> int:
        """People with a prediction; a row without a name is a person of its own."""
        named = self.table["subject_id"]
        return int(named.nunique() + named.isna().sum())

    @property
    def phantom(self) -> bool:
        """Whether any row was predicted with phantom weights."""
        return bool((self.table["weights_origin"] == "phantom").any())


def read_analysis_table(source: TableSource, plan: AnalysisPlan, *, name: str = "table") -> pd.DataFrame:
    """A prediction table, ours or one from elsewhere, with every column that the analyses expect.

    Parameters
    ----------
    source
        Table or path of one; ``age_years`` and the plan's prediction are needed. Rows without ``subject_id`` count as
        people of their own.
    plan
        Says which column holds the prediction.
    name
        For error messages about a table in memory.

    Raises
    ------
    InputError
        If it cannot be read, a needed column is absent, or cells are no ages.
    """
    prediction = plan.prediction
    if isinstance(source, pd.DataFrame):
        frame = source.reset_index(drop=True)
    else:
        name = Path(source).name
        frame = read_predictions(source) if prediction == "predicted_age_years" else _other_table(Path(source))
    doubled = frame.columns[frame.columns.duplicated()]
    if len(doubled):
        raise InputError("column names occur twice", source=name, found=", ".join(map(str, doubled)))
    missing = [column for column in ("age_years", prediction) if column not in frame]
    if missing:
        raise InputError(
            "column " + " and ".join(missing) + " is missing",
            source=name,
            found="columns " + ", ".join(map(str, frame.columns)),
            expected=f"age_years and {prediction}, in years",
            remedy="name the column of the predicted age with --prediction",
        )
    if frame.empty:
        raise InputError("the table has no rows", source=name)
    return _completed(frame, prediction, name)


def analysis_input(table: pd.DataFrame, plan: AnalysisPlan, *, name: str = "table") -> AnalysisInput:
    """Check that the plan's columns are there, set failed rows aside and count what is missing.

    Raises
    ------
    InputError
        If a column of the plan is absent (all that are there are listed), or no row has a prediction.
    """
    roles = plan_columns(plan, table.columns)
    absent = [column for column in roles if column not in table.columns]
    if absent:
        raise InputError(
            "columns that the plan names are not in the table: " + ", ".join(absent),
            source=name,
            found="columns " + ", ".join(map(str, sorted(table.columns))),
            remedy="correct the names, or bring the columns with --follow-up",
        )
    failed = table["error"].notna() | table[plan.prediction].isna()
    used = table[~failed].reset_index(drop=True)
    if used.empty:
        raise InputError("no row has a prediction", source=name, found=f"{len(table)} rows")
    return AnalysisInput(
        table=used,
        name=name,
        n_rows=len(table),
        n_failed=int(failed.sum()),
        n_without_age=int(used["age_years"].isna().sum()),
        missing=pd.DataFrame(
            [
                {
                    "column": column,
                    "used_as": role,
                    "n_known": int(used[column].notna().sum()),
                    "n_missing": int(used[column].isna().sum()),
                }
                for column, role in roles.items()
            ]
        ),
    )


def plan_columns(plan: AnalysisPlan, columns: pd.Index) -> dict[str, str]:
    """The columns that a plan uses, each with what it is used as."""
    roles: dict[str, list[str]] = {"age_years": ["age"], plan.prediction: ["prediction"]}

    def add(column: str | None, role: str) -> None:
        if column is not None and role not in roles.setdefault(column, []):
            roles[column].append(role)

    add(plan.by, "corrected apart by")
    if plan.reference_group is not None:
        column = column_and_value(plan.reference_group, columns)[0]
        # It may be that of another table, the reference.
        add(column if column in columns else None, "group that the correction is fitted on")
    for name in plan.labels:
        add(column_and_value(name, columns)[0], "label")
    for point in plan.end_points:
        add(point.time, f"time of {point.name}")
        add(point.event, f"event of {point.name}")
        add(point.competing, f"competing event of {point.name}")
    for names in plan.models.values():
        for name in names:
            add(name, "covariate")
    for name in plan.groups:
        add(column_and_value(name, columns)[0], "group")
    add(plan.site, "site")
    return {column: ", ".join(parts) for column, parts in roles.items()}


def _other_table(path: Path) -> pd.DataFrame:
    if path.suffix.lower() in (".parquet", ".pq"):
        if not path.is_file():
            raise InputError("no such table", source=path)
        return pd.read_parquet(path)
    return read_table(path).frame


def _completed(frame: pd.DataFrame, prediction: str, source: str) -> pd.DataFrame:
    years = {*YEARS_COLUMNS, prediction}
    columns: dict[str, pd.Series] = {}
    for name in dict.fromkeys((*COLUMNS, *map(str, frame.columns))):
        values = frame[name] if name in frame else pd.Series(np.nan, index=frame.index)
        if name in years or name == "fold":
            columns[name] = _numbers(values, name, source)
        elif name in TEXT_COLUMNS:
            columns[name] = pd.Series([text_cell(value) for value in values], index=frame.index, dtype="str")
        else:
            columns[name] = as_numbers_or_words(values)
    table = pd.DataFrame(columns)
    age = table["age_years"]
    strange = age.notna() & ~age.between(*_AGES)
    if strange.any():
        raise InputError(
            "column age_years has values that cannot be ages in years",
            source=source,
            found=f"{int(strange.sum())} outside 0..125, the first {age[strange].iloc[0]:g}",
            remedy="give ages in years (not months, days or a birth year)",
        )
    table["fold"] = table["fold"].round().astype("Int64")
    gap = table[prediction] - table["age_years"]
    if prediction == "predicted_age_years" and ((table["gap_years"] - gap).abs() > _SAME_YEARS).any():
        raise InputError(
            "column gap_years is not predicted_age_years minus age_years",
            source=source,
            remedy="leave gap_years out (it is computed), or correct its sign",
        )
    # A correction that came with the table belongs to the prediction that it was made for.
    corrected = table["corrected_age_years"]
    if prediction != "predicted_age_years":
        corrected = pd.Series(np.nan, index=table.index)
    return table.assign(
        gap_years=gap, corrected_age_years=corrected, corrected_gap_years=corrected - table["age_years"]
    )


def _numbers(values: pd.Series, name: str, source: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    blank = values.isna() | (values.astype(str).str.strip() == "")
    bad = (numbers.isna() & ~blank) | np.isinf(numbers)
    if bad.any():
        raise InputError(
            f"column {name} has {int(bad.sum())} cells that are no finite numbers",
            source=source,
            found=f"{values[bad].iloc[0]!r} in data row {int(np.flatnonzero(bad)[0]) + 1}",
            expected="plain numbers, or empty cells where the value is unknown",
        )
    return numbers


def as_numbers_or_words(values: pd.Series) -> pd.Series:
    """A column as float where every known cell is a number, as text otherwise; blanks and infinities are unknown."""
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        numbers = values.astype("float64")
        return numbers.where(np.isfinite(numbers))
    words = pd.Series([text_cell(value) for value in values], index=values.index, dtype="str")
    numbers = pd.to_numeric(words, errors="coerce").astype("float64")
    if words.notna().any() and not (numbers.isna() & words.notna()).any():
        return numbers.where(np.isfinite(numbers))
    return words
