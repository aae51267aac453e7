"""The prediction table: one row per image, written by every bundle and read by every analysis.

Raw and corrected ages never share a column, and a value that is not known is an empty cell, never 0. The table is
kept as CSV for people and as Parquet for programs, both with the same rounding.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from agezoo.data.atomic import written_atomically
from agezoo.data.datalist import NO_FOLD
from agezoo.data.table_cells import natural_key, number_cell, plain_cell, text_cell
from agezoo.data.table_file import read_table
from agezoo.errors import InputError

_log = logging.getLogger(__name__)

COLUMNS: tuple[str, ...] = (
    "subject_id",
    "image",
    "session",
    "fold",
    "age_years",
    "sex",
    "predicted_age_years",
    "aleatoric_sd_years",
    "epistemic_sd_years",
    "lower_years",
    "upper_years",
    "corrected_age_years",
    "gap_years",
    "corrected_gap_years",
    "qc",
    "qc_reasons",
    "error",
    "bundle",
    "bundle_version",
    "weights_sha256",
    "weights_origin",
)
"""Columns of every prediction table, in order; the datalist's own columns follow."""

YEARS_COLUMNS: tuple[str, ...] = tuple(name for name in COLUMNS if name.endswith("_years"))
TEXT_COLUMNS: tuple[str, ...] = tuple(name for name in COLUMNS if name not in (*YEARS_COLUMNS, "fold"))
_OWN_TEXT = ("group", "site")
_OWN_NUMBERS = ("time_years", "event")
_REGISTRATION = ("registration_overlap", "registration_correlation")
_RESULTS = (
    "expected_age_years",
    "first_stage_age_years",
    "discretised_age_years",
    "calibrated_sd_years",
    "gap_z",
    "interval_level",
    *_REGISTRATION,
)
"""Optional columns that only a prediction may fill: in one table a column must not mean two things."""
_DECIMALS = 4
_KEY = ["subject_id", "session", "image"]
_QC = ("pass", "warn", "fail")


def prediction_row(
    row: Mapping[str, Any],
    *,
    predicted_age_years: float | None = None,
    aleatoric_sd_years: float | None = None,
    epistemic_sd_years: float | None = None,
    lower_years: float | None = None,
    upper_years: float | None = None,
    corrected_age_years: float | None = None,
    expected_age_years: float | None = None,
    first_stage_age_years: float | None = None,
    discretised_age_years: float | None = None,
    calibrated_sd_years: float | None = None,
    gap_z: float | None = None,
    interval_level: float | None = None,
    registration_overlap: float | None = None,
    registration_correlation: float | None = None,
    modality: str | None = None,
    qc: str | None = None,
    qc_reasons: Sequence[str] | str = (),
    error: str | None = None,
    bundle: str | None = None,
    bundle_version: str | None = None,
    weights_sha256: str | None = None,
    weights_origin: str | None = None,
) -> dict[str, Any]:
    """One row of the prediction table from a datalist's row and what was predicted for it.

    Parameters
    ----------
    row
        A row of :meth:`agezoo.data.datalist.Datalist.rows` (also after collating and decollating), or any mapping with
        at least ``image`` or ``listed_image``. Its stand-ins for "unknown" become None again.
    predicted_age_years
        Raw prediction. None where there is none; then ``error`` says why.
    aleatoric_sd_years, epistemic_sd_years
        Standard deviations of the noise the model sees in the data, and of its own ignorance (an ensemble's spread).
    lower_years, upper_years
        90 % interval.
    corrected_age_years
        Prediction after bias correction.
    expected_age_years
        Prediction before rounding, of heads that round.
    first_stage_age_years, discretised_age_years
        Of a cascade: what its first stage predicts, and the multiple of some years next to it from which the second
        stage goes on.
    calibrated_sd_years
        SD that was brought to the size of the errors of people on whom the model was not trained.
    gap_z
        Gap in SDs of the gaps of people of the same age.
    interval_level
        Share of people whose age the interval shall hold, where it is not 0.9.
    registration_overlap, registration_correlation
        How well the image was brought onto the template: Dice of the masks, correlation of the intensities.
    modality
        Kind of image, for bundles that read several.
    qc
        ``"pass"``, ``"warn"`` or ``"fail"``; the reasons go into ``qc_reasons``, joined by ``"; "``.
    error
        Why there is no prediction.
    bundle, bundle_version, weights_sha256, weights_origin
        What predicted.

    Returns
    -------
    dict
        All of :data:`COLUMNS`, then ``group``, ``site``, ``time_years``, ``event`` as far as ``row`` has them, the
        results without a column in :data:`COLUMNS` as far as they are known, and the covariates. ``gap_years`` is
        prediction minus chronological age, ``corrected_gap_years`` the same of the corrected age. A covariate named
        like a column of the table gets the prefix ``covariate_``.

    Raises
    ------
    ValueError
        If there is neither a finite prediction nor an error, or both, or ``qc`` is another word.
    """
    age = number_cell(row.get("age_years"))
    predicted = number_cell(predicted_age_years)
    corrected = number_cell(corrected_age_years)
    problem = text_cell(error)
    if (predicted is None) == (problem is None):
        raise ValueError("a row holds either a finite predicted_age_years or an error")
    if text_cell(qc) is not None and qc not in _QC:
        raise ValueError(f"qc is one of {_QC}, not {qc!r}")
    fold = number_cell(row.get("fold"))
    reasons = qc_reasons if isinstance(qc_reasons, str) else "; ".join(qc_reasons)
    values: dict[str, Any] = {
        "subject_id": text_cell(row.get("subject_id")),
        "image": text_cell(row.get("listed_image")) or text_cell(row.get("image")),
        "session": text_cell(row.get("session")),
        "fold": None if fold is None or fold == NO_FOLD else int(fold),
        "age_years": age,
        "sex": text_cell(row.get("sex")),
        "predicted_age_years": predicted,
        "aleatoric_sd_years": number_cell(aleatoric_sd_years),
        "epistemic_sd_years": number_cell(epistemic_sd_years),
        "lower_years": number_cell(lower_years),
        "upper_years": number_cell(upper_years),
        "corrected_age_years": corrected,
        "gap_years": _difference(predicted, age),
        "corrected_gap_years": _difference(corrected, age),
        "qc": text_cell(qc),
        "qc_reasons": text_cell(reasons),
        "error": problem,
        "bundle": text_cell(bundle),
        "bundle_version": text_cell(bundle_version),
        "weights_sha256": text_cell(weights_sha256),
        "weights_origin": text_cell(weights_origin),
    }
    own: dict[str, Any] = {name: text_cell(row.get(name)) for name in _OWN_TEXT}
    own |= {name: number_cell(row.get(name)) for name in _OWN_NUMBERS}
    values |= {name: value for name, value in own.items() if value is not None}
    optional: dict[str, Any] = {
        "expected_age_years": number_cell(expected_age_years),
        "first_stage_age_years": number_cell(first_stage_age_years),
        "discretised_age_years": number_cell(discretised_age_years),
        "calibrated_sd_years": number_cell(calibrated_sd_years),
        "gap_z": number_cell(gap_z),
        "interval_level": number_cell(interval_level),
        "registration_overlap": number_cell(registration_overlap),
        "registration_correlation": number_cell(registration_correlation),
        "modality": text_cell(modality),
    }
    values |= {name: value for name, value in optional.items() if value is not None}
    for name, value in (row.get("covariates") or {}).items():
        values[f"covariate_{name}" if name in values or name in own or name in _RESULTS else name] = plain_cell(value)
    return values


def write_predictions(
    rows: Sequence[Mapping[str, Any]] | pd.DataFrame, folder: str | os.PathLike[str], *, stem: str = "predictions"
) -> Path:
    """Write ``<stem>.csv`` and ``<stem>.parquet`` into ``folder`` and return the CSV's path.

    Rows are sorted by subject, session and image; columns are :data:`COLUMNS`, then the others as they first appear.
    Each file is replaced as a whole, so a reader never sees half a table.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table = as_table(rows)
    path = folder / f"{stem}.csv"
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
    with written_atomically(path.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)
    return path


def as_table(rows: Sequence[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """Rows as a sorted table with every column of :data:`COLUMNS`, fixed types, years and overlaps with 4 decimals."""
    if isinstance(rows, pd.DataFrame):
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    names = [*COLUMNS, *dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)]
    own = [name for name in (*_OWN_TEXT, *_OWN_NUMBERS) if name in names]
    names = [*COLUMNS, *own, *(name for name in names if name not in COLUMNS and name not in own)]
    columns = {name: [plain_cell(row.get(name)) for row in rows] for name in names}
    order = sorted(range(len(rows)), key=lambda i: [natural_key(columns[name][i]) for name in _KEY])
    return pd.DataFrame({name: _typed(name, [values[i] for i in order]) for name, values in columns.items()})


def _typed(name: str, values: list[Any]) -> pd.Series:
    if name == "fold":
        return pd.Series([None if value is None else int(value) for value in values], dtype="Int64")
    known = [value for value in values if value is not None]
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if (
        name in YEARS_COLUMNS
        or name in _OWN_NUMBERS
        or (known and is_number and name not in (*TEXT_COLUMNS, *_OWN_TEXT))
    ):
        numbers = pd.Series([np.nan if value is None else float(value) for value in values], dtype="float64")
        return numbers.round(_DECIMALS) if name.endswith("_years") or name in _REGISTRATION else numbers
    return pd.Series([None if value is None else str(value) for value in values], dtype="str")


class PredictionTableWriter:
    """Collects rows while a run goes on and keeps each of them safe at once.

    Every appended row goes to ``<stem>.partial.jsonl`` and is flushed to disk, so a crash loses nothing that was
    predicted. :meth:`finish` (or leaving a ``with`` block without an exception) writes the sorted CSV and Parquet
    tables and removes the partial file. :func:`read_predictions` reads a partial file too.

    Parameters
    ----------
    folder, stem
        Where the tables go and what they are called.
    resume
        Keep the rows of an interrupted run in the same folder; :attr:`rows` then tells what need not be done again.
        Otherwise such rows are set aside as ``<stem>.interrupted.jsonl``.
    """

    def __init__(self, folder: str | os.PathLike[str], *, stem: str = "predictions", resume: bool = False) -> None:
        self.folder = Path(folder)
        self.stem = stem
        self.folder.mkdir(parents=True, exist_ok=True)
        self.partial = self.folder / f"{stem}.partial.jsonl"
        self.rows: list[dict[str, Any]] = []
        if self.partial.is_file():
            if resume:
                self.rows = _read_partial(self.partial)
                _log.info("%d rows of an interrupted run are kept", len(self.rows))
            else:
                self.partial.replace(self.folder / f"{stem}.interrupted.jsonl")
        # Rewritten rather than continued: a crash may have left half a line at the end.
        self._file = self.partial.open("w", encoding="utf-8")
        for row in self.rows:
            self._write(row)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row, usually one of :func:`prediction_row`, and make sure that it is on disk."""
        plain = {name: plain_cell(value) for name, value in row.items()}
        self.rows.append(plain)
        self._write(plain)

    def _write(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> Path:
        """Write the CSV and Parquet tables, remove the partial file and return the CSV's path."""
        path = write_predictions(self.rows, self.folder, stem=self.stem)
        self._file.close()
        self.partial.unlink(missing_ok=True)
        return path

    def __enter__(self) -> PredictionTableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self._file.close()


def _read_partial(path: Path) -> list[dict[str, Any]]:
    rows = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if number < len(lines):
                raise InputError(f"line {number} is not JSON", source=path) from None
            _log.warning("%s: the last line was cut off and is left out", path.name)
    return rows


def read_predictions(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a prediction table, ours or one from elsewhere.

    Parameters
    ----------
    path
        CSV (comma, semicolon or tab), Parquet, or the ``.partial.jsonl`` of an interrupted run. Only ``age_years`` and
        ``predicted_age_years`` are needed.

    Returns
    -------
    pandas.DataFrame
        All of :data:`COLUMNS`, absent ones empty, then the table's own columns. Identifiers stay text, leading zeros
        included. Where a table has no ``subject_id``, rows are called ``row-00001`` and so on, each counting as a
        person of its own. ``gap_years`` is filled in where it is empty.

    Raises
    ------
    InputError
        If the file cannot be read, a needed column is absent, a cell that must be a number is not, or a gap is not
        the prediction minus the age.
    """
    path = Path(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        table = _read_parquet(path)
    elif path.suffix.lower() == ".jsonl":
        table = as_table(_read_partial(path))
    else:
        table = read_table(path).frame
    missing = [name for name in ("age_years", "predicted_age_years") if name not in table.columns]
    if missing:
        raise InputError(
            "not a prediction table: column " + " and ".join(missing) + " is missing",
            source=path,
            found="columns " + ", ".join(map(str, table.columns)),
            expected="age_years and predicted_age_years, in years",
        )
    if "subject_id" not in table.columns or table["subject_id"].isna().all():
        table["subject_id"] = [f"row-{i:05d}" for i in range(1, len(table) + 1)]
    table = _with_types(table, path)
    _fill_gap(table, "gap_years", "predicted_age_years", path)
    _fill_gap(table, "corrected_gap_years", "corrected_age_years", path)
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError("no such table", source=path)
    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow raises many kinds, all meaning that the file is no Parquet
        raise InputError("not a Parquet file, or a damaged one", source=path) from error


def _with_types(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    own = [name for name in table.columns if name not in COLUMNS]
    for name in (*COLUMNS, *own):
        values = (
            table[name] if name in table.columns else pd.Series([None] * len(table), index=table.index, dtype=object)
        )
        if name in (*YEARS_COLUMNS, "fold", *_OWN_NUMBERS):
            numbers = _numbers(values, name, path)
            columns[name] = numbers.round().astype("Int64") if name == "fold" else numbers
        elif name in (*TEXT_COLUMNS, *_OWN_TEXT):
            columns[name] = pd.Series([text_cell(value) for value in values], index=table.index, dtype="str")
        else:
            columns[name] = _number_or_text(values)
    return pd.DataFrame(columns).reset_index(drop=True)


def _numbers(values: pd.Series, name: str, path: Path) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = numbers.isna() & values.notna()
    if bad.any():
        first = int(np.flatnonzero(bad.to_numpy())[0])
        raise InputError(
            f"column {name} has {int(bad.sum())} cells that are no numbers",
            source=path,
            found=f"{values.iloc[first]!r} in data row {first + 1}",
            expected="plain numbers, or empty cells where the value is unknown",
        )
    if np.isinf(numbers).any():
        raise InputError(f"column {name} holds infinite values", source=path)
    return numbers


def _number_or_text(values: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(values) or pd.api.types.is_numeric_dtype(values):
        return values
    numbers = pd.to_numeric(values, errors="coerce")
    if values.notna().any() and not (numbers.isna() & values.notna()).any():
        return numbers.astype("float64")
    return pd.Series([text_cell(value) for value in values], index=values.index, dtype="str")


def _fill_gap(table: pd.DataFrame, gap: str, age: str, path: Path) -> None:
    computed = table[age] - table["age_years"]
    wrong = (table[gap] - computed).abs() > 0.011
    if wrong.any():
        first = int(np.flatnonzero(wrong.to_numpy())[0])
        raise InputError(
            f"column {gap} is not {age} minus age_years",
            source=path,
            found=f"{table[gap].iloc[first]:g} instead of {computed.iloc[first]:g} in data row {first + 1}",
            remedy=f"leave {gap} out (it is computed), or correct its sign",
        )
    table[gap] = table[gap].fillna(computed)


def merge_predictions(tables: Iterable[pd.DataFrame | str | os.PathLike[str]]) -> pd.DataFrame:
    """Join prediction tables, usually the out-of-fold ones of a cross-validation, into one sorted table.

    Raises
    ------
    InputError
        If there is none, a row (subject, session and image) occurs twice, or the tables come from different bundles.
    """
    frames = [table if isinstance(table, pd.DataFrame) else read_predictions(table) for table in tables]
    if not frames:
        raise InputError("no prediction tables to merge")
    records = [
        record for frame in frames for record in frame.astype(object).where(frame.notna(), None).to_dict("records")
    ]
    merged = as_table(records)
    doubled = merged.duplicated(subset=_KEY, keep=False)
    if doubled.any():
        first = merged[doubled].iloc[0]
        raise InputError(
            f"{int(doubled.sum())} rows occur more than once in the tables to merge",
            found=f"subject {first['subject_id']}, image {first['image']}",
            expected="each image predicted by one fold's model only",
            remedy="merge the tables of one cross-validation, each once",
        )
    bundles = sorted(merged["bundle"].dropna().unique())
    if len(bundles) > 1:
        raise InputError("the tables come from different bundles", found=", ".join(bundles), expected="one bundle")
    return merged


@dataclass(frozen=True)
class TableFlags:
    """What a report must say of a table before it shows a number.

    Attributes
    ----------
    n_rows, n_predicted, n_failed
        Rows in all, rows with a prediction, rows with an error.
    n_phantom
        Rows predicted with phantom weights.
    weights_origins
        The origins that occur, in alphabetical order; ``"unknown"`` where the cell is empty.
    """

    n_rows: int
    n_predicted: int
    n_failed: int
    n_phantom: int
    weights_origins: tuple[str, ...]

    @property
    def phantom_weights(self) -> bool:
        """Whether any row comes from phantom weights."""
        return self.n_phantom > 0

    @property
    def banner(self) -> str | None:
        """Warning for the head of a report, or None."""
        if not self.phantom_weights:
            return None
        which = "all" if self.n_phantom == self.n_rows else f"{self.n_phantom} of {self.n_rows}"
        return (
            f"Phantom weights: {which} rows were predicted by a model trained on synthetic phantoms. "
            "These ages mean nothing for real people."
        )


def table_flags(table: pd.DataFrame) -> TableFlags:
    """Look through a prediction table for what a report must flag."""
    origins = (
        table["weights_origin"].fillna("unknown") if "weights_origin" in table else pd.Series("unknown", table.index)
    )
    predicted = table["predicted_age_years"].notna()
    return TableFlags(
        n_rows=len(table),
        n_predicted=int(predicted.sum()),
        n_failed=int((~predicted).sum()),
        n_phantom=int((origins == "phantom").sum()),
        weights_origins=tuple(sorted(origins.unique())),
    )


def _difference(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right
