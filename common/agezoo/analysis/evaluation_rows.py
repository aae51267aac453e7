"""Which rows of a prediction table can be evaluated, and what has to be said about the others."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.uncertainty import total_sd_years
from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError

#: Fewer rows than this with an age and a prediction cannot be evaluated.
MIN_ROWS = 3

PREDICTED = "predicted_age_years"

_NEEDED = ("age_years", PREDICTED)
_NUMBERS = (
    *_NEEDED,
    "aleatoric_sd_years",
    "epistemic_sd_years",
    "lower_years",
    "upper_years",
    "corrected_age_years",
    "deviation_years",
    "biological_age_years",
    "first_stage_age_years",
    "discretised_age_years",
)
_OF_SOME_TABLES = _NUMBERS[-4:]
_SEXES = {"F": "F", "FEMALE": "F", "M": "M", "MALE": "M"}
_PROVENANCE = ("bundle", "bundle_version", "weights_origin", "weights_sha256")


@dataclass(frozen=True)
class EvaluationRows:
    """A prediction table sorted into what counts and what does not.

    Attributes
    ----------
    frame
        Rows with an age and a prediction, index 0..n-1: the table's columns as numbers, ``sex`` as F, M or None,
        ``cluster`` (number of the subject), ``decade`` (first year of the decade of age), ``error_years``
        (predicted - true) and ``sd_years`` (total SD, not a number where unknown).
    failures
        ``subject_id``, ``session`` and ``error`` of the rows without a prediction.
    n_without_age
        Rows with a prediction whose true age is not known.
    sd_kind
        ``"aleatoric and epistemic"``, ``"aleatoric"`` or None: what the total SD consists of.
    clustered
        Whether subjects are known by name, so that intervals can be drawn by subject.
    provenance
        The values of bundle, bundle_version, weights_origin and weights_sha256 that occur.
    notes
        What a reader of the figures must know about the table.
    """

    frame: pd.DataFrame
    failures: pd.DataFrame
    n_without_age: int
    sd_kind: str | None
    clustered: bool
    provenance: dict[str, list[str]]
    notes: tuple[str, ...] = field(default=())

    @property
    def phantom(self) -> bool:
        """Whether any row was predicted with phantom weights."""
        return "phantom" in self.provenance["weights_origin"]


def evaluation_rows(
    table: pd.DataFrame | str | os.PathLike[str], *, source: str = "prediction table", sd_column: str | None = None
) -> EvaluationRows:
    """Sort a prediction table into rows that count and rows that do not.

    Parameters
    ----------
    table
        A prediction table or the path of one; only ``age_years`` and ``predicted_age_years`` are needed.
    source
        Name of the table in error messages; a path names itself.
    sd_column
        Column that takes the place of ``aleatoric_sd_years`` (an SD in years), for tables from elsewhere.

    Raises
    ------
    InputError
        If a needed column is absent, a cell is not a finite number, an age lies outside 0..125 years, an SD is not
        positive, fewer than ``MIN_ROWS`` rows remain or all their ages are equal.
    """
    if not isinstance(table, pd.DataFrame):
        source = os.fspath(table)
        table = read_predictions(table)
    frame = _named(table, source, sd_column).reset_index(drop=True)
    for name in _NUMBERS:
        if name in frame:
            frame[name] = _numbers(frame[name], name, source)
        elif name not in _OF_SOME_TABLES:
            frame[name] = np.nan
    errors = _text(frame, "error")
    failed = _failed(frame)
    without_age = ~failed & frame["age_years"].isna()
    used = frame[~failed & ~without_age].reset_index(drop=True)
    _check(used, source, n=len(frame), n_failed=int(failed.sum()), n_without_age=int(without_age.sum()))

    notes: list[str] = []
    sex = _text(used, "sex").str.upper()
    used["sex"] = [_SEXES.get(value) if isinstance(value, str) else None for value in sex]
    n_foreign = int((sex.notna() & pd.isna(used["sex"])).sum())
    if n_foreign:
        notes.append(f"{_rows(n_foreign)} a sex that is neither F nor M; counted as unknown.")
    used["decade"] = (used["age_years"] // 10 * 10).astype(int)
    used["error_years"] = used["predicted_age_years"] - used["age_years"]
    used["cluster"], clustered = _clusters(used)
    used["sd_years"], sd_kind = _total_sd(used, notes)
    images = _text(used, "image").dropna()
    n_doubled = int(images.duplicated().sum())
    if n_doubled:
        notes.append(f"{n_doubled} images stand in the table more than once; every row counts.")
    if "qc" in used:
        for verdict in ("fail", "warn"):
            n_verdict = int((used["qc"] == verdict).sum())
            if n_verdict:
                notes.append(f"{_rows(n_verdict)} the quality verdict “{verdict}” and are counted all the same.")
    return EvaluationRows(
        frame=used,
        failures=_failures(frame[failed], errors[failed]),
        n_without_age=int(without_age.sum()),
        sd_kind=sd_kind,
        clustered=clustered,
        provenance={name: sorted(_text(frame, name).dropna().unique()) for name in _PROVENANCE},
        notes=tuple(notes),
    )


def rows_without_error(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a prediction table that hold a prediction and no error."""
    return table[~_failed(table)]


def _failed(frame: pd.DataFrame) -> pd.Series:
    return _text(frame, "error").notna() | _text(frame, PREDICTED).isna()


def _named(table: pd.DataFrame, source: str, sd_column: str | None) -> pd.DataFrame:
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise InputError("column names occur twice", source=source, found=", ".join(map(str, doubled)))
    missing = [name for name in (*_NEEDED, *([sd_column] if sd_column else [])) if name not in table.columns]
    if missing:
        raise InputError(
            "columns are missing: " + ", ".join(missing),
            source=source,
            found="columns " + ", ".join(map(str, table.columns)),
            expected="at least age_years and predicted_age_years, in years",
            remedy="rename the columns of the table",
        )
    if table.empty:
        raise InputError("the table has no rows", source=source)
    frame = table.copy()
    if sd_column and sd_column != "aleatoric_sd_years":
        if "aleatoric_sd_years" in frame and frame["aleatoric_sd_years"].notna().any():
            raise InputError(
                "the table has SDs in aleatoric_sd_years already",
                source=source,
                found=f"also {sd_column}",
                remedy="name one of the two columns",
            )
        frame["aleatoric_sd_years"] = frame[sd_column]
    return frame


def _numbers(values: pd.Series, name: str, source: str) -> pd.Series:
    blank = values.isna() | (values.astype(str).str.strip() == "")
    numbers = pd.to_numeric(values.where(~blank), errors="coerce").astype("float64")
    bad = ~blank & ~np.isfinite(numbers)
    if bad.any():
        raise InputError(
            f"column {name} has cells that are not finite numbers",
            source=source,
            found=f"{int(bad.sum())} such cells, the first in data row {int(np.flatnonzero(bad)[0]) + 1}",
            expected="a number of years, or an empty cell where it is not known",
        )
    return numbers


def _text(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame:
        return pd.Series([None] * len(frame), index=frame.index, dtype="str")
    text = [None if pd.isna(value) or not str(value).strip() else str(value).strip() for value in frame[name]]
    return pd.Series(text, index=frame.index, dtype="str")


def _check(used: pd.DataFrame, source: str, *, n: int, n_failed: int, n_without_age: int) -> None:
    if len(used) < MIN_ROWS:
        raise InputError(
            "too few rows to evaluate",
            source=source,
            found=f"{len(used)} of {n} rows with an age and a prediction "
            f"({n_failed} without a prediction, {n_without_age} without an age)",
            expected=f"at least {MIN_ROWS}",
        )
    age = used["age_years"]
    strange = ~age.between(0, 125)
    if strange.any():
        raise InputError(
            "column age_years has values that cannot be ages in years",
            source=source,
            found=f"{int(strange.sum())} outside 0..125, the first {age[strange].iloc[0]:g}",
            remedy="give ages in years (not months, days or a birth year)",
        )
    if np.ptp(age) < 1e-6:
        raise InputError(
            "all ages are equal, so there is nothing to compare predictions with",
            source=source,
            found=f"{age.iloc[0]:g} years in all {len(used)} rows",
        )
    for name in ("aleatoric_sd_years", "epistemic_sd_years"):
        # An ensemble whose models agree has an epistemic SD of 0; nobody's age is known with an aleatoric one of 0.
        bad = used[name] <= 0 if name.startswith("aleatoric") else used[name] < 0
        if bad.any():
            raise InputError(
                f"column {name} has standard deviations that are not positive",
                source=source,
                found=f"{int(bad.sum())} rows, the smallest {used[name].min():g}",
                expected="an SD in years, or an empty cell where it is not known",
                remedy="check that the column holds the SD and not its logarithm",
            )


def _clusters(used: pd.DataFrame) -> tuple[np.ndarray, bool]:
    """Number of each row's subject; a row without a name is a subject of its own."""
    names = _text(used, "subject_id")
    code, known = pd.factorize(names)
    lone = code < 0
    code = code.copy()
    code[lone] = len(known) + np.arange(int(lone.sum()))
    return code, bool(len(known))


def _total_sd(used: pd.DataFrame, notes: list[str]) -> tuple[np.ndarray, str | None]:
    has_sd = used["aleatoric_sd_years"].notna()
    if not has_sd.any():
        if used["epistemic_sd_years"].notna().any():
            notes.append("The table has an epistemic SD only; it is no SD of the prediction and is not evaluated.")
        return np.full(len(used), np.nan), None
    if not has_sd.all():
        notes.append(f"{_rows(int((~has_sd).sum()))} no SD; the uncertainty figures leave them out.")
    epistemic = used["epistemic_sd_years"]
    if not epistemic[has_sd].notna().any():
        return total_sd_years(used["aleatoric_sd_years"]), "aleatoric"
    n_alone = int((has_sd & epistemic.isna()).sum())
    if n_alone:
        notes.append(f"{_rows(n_alone)} an aleatoric SD only, which is taken as their total SD.")
    return total_sd_years(used["aleatoric_sd_years"], epistemic), "aleatoric and epistemic"


def _failures(failed: pd.DataFrame, errors: pd.Series) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "subject_id": _text(failed, "subject_id").fillna("unnamed"),
        "session": _text(failed, "session").fillna(""),
        "error": errors.fillna("no prediction"),
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def _rows(n: int) -> str:
    return "1 row has" if n == 1 else f"{n} rows have"
