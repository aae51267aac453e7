"""The cohort tables that people bring: which column means what, and what its cells say."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from agezoo.data.table_file import RawTable, read_table
from agezoo.errors import InputError

_SHOWN_FAULTS = 40


FIELDS: dict[str, tuple[str, ...]] = {
    "image": ("image", "image_path"),
    "subject_id": ("subject_id", "subject", "participant_id"),
    "session": ("session", "session_id"),
    "age_years": ("age_years", "age"),
    "sex": ("sex", "gender"),
    "section": ("test", "section", "split"),
    "fold": ("fold",),
    "group": ("group", "diagnosis"),
    "site": ("site", "scanner"),
    "time_years": ("time_years",),
    "event": ("event",),
}
"""The columns that a datalist understands, each with the names it may have in a table (case does not matter)."""

_IDENTIFYING = re.compile(
    r"(patient|first|last|family|given|full|middle)_?name|sur_?name|name|patient_?id|mrn|medical_record(_number)?|"
    r"(patient_?)?birth_?(date|day)|date_of_birth|dob|geburtsdatum|vorname|nachname|address|street|phone|e_?mail|"
    r"ssn|insurance(_number)?|accession(_?number)?",
)


@dataclass
class SubjectTable:
    """A cohort table with its columns understood.

    Attributes
    ----------
    rows
        One dictionary per row: ``line`` (line number in the file) and those of :data:`FIELDS` that the table has,
        already converted; ``section`` is ``"training"``, ``"validation"`` or ``"test"``; ``covariates`` holds the rest.
    fields
        Which of :data:`FIELDS` the table has.
    faults
        Everything that could not be understood, one sentence each with its line.
    notes
        What was repaired or left out, in words for the user.
    """

    path: Path
    rows: list[dict[str, Any]]
    fields: tuple[str, ...]
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_subject_table(path: str | os.PathLike[str]) -> SubjectTable:
    """Read a cohort table; cells that cannot be understood are collected as faults, not raised one by one.

    Columns that may identify a person (names, birth dates, hospital numbers) are never carried on, and noted.

    Raises
    ------
    InputError
        If the file cannot be read as a table at all, or two columns mean the same.
    """
    path = Path(path)
    return understood_table(read_table(path), path)


def understood_table(raw: RawTable, path: Path) -> SubjectTable:
    """The cohort table in cells that were read already; otherwise as :func:`read_subject_table`."""
    notes = list(raw.notes)
    columns = _known_columns(raw.frame.columns, path)
    others = [name for name in raw.frame.columns if name not in columns.values()]
    identifying = [name for name in others if _IDENTIFYING.fullmatch(normal_name(name))]
    if identifying:
        notes.append("left out because they may identify a person: columns " + ", ".join(identifying))
    covariates = {name: _typed_covariate(raw.frame[name]) for name in others if name not in identifying}
    table = SubjectTable(path, [], tuple(columns), notes=notes)
    commas: set[str] = set()
    lines = [int(index) + 2 for index in raw.frame.index]
    texts: dict[str, list[str | None]] = {name: list(raw.frame[name]) for name in columns.values()}
    for position, line in enumerate(lines):
        cells = {name: column[position] for name, column in texts.items()}
        row: dict[str, Any] = {"line": line}
        for canonical, name in columns.items():
            try:
                row[canonical] = parse_field(canonical, cells[name])
            except ValueError as error:
                row[canonical] = None
                table.faults.append(f"line {line}, column {name}: {error}")
            if canonical in ("age_years", "time_years") and "," in (cells[name] or ""):
                commas.add(name)
        row["covariates"] = {
            name: values[position] for name, values in covariates.items() if values[position] is not None
        }
        table.rows.append(row)
    table.notes += [f"column {name}: decimal commas were read as decimal points" for name in sorted(commas)]
    return table


def _known_columns(names: Sequence[str], path: Path) -> dict[str, str]:
    normal = {name: normal_name(name) for name in names}
    columns: dict[str, str] = {}
    for canonical, aliases in FIELDS.items():
        found = [name for name, text in normal.items() if text in aliases]
        if len(found) > 1:
            exact = [name for name in found if normal[name] == aliases[0]]
            if canonical == "age_years" or len(exact) != 1:
                raise InputError(
                    f"two columns could be {canonical}",
                    source=path,
                    found=", ".join(found),
                    remedy="rename the one that is not meant",
                )
            found = exact
        if found:
            columns[canonical] = found[0]
    return columns


def normal_name(name: str) -> str:
    """A column's name in lower case with underscores: ``Subject ID`` and ``SubjectId`` become ``subject_id``."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s\-.()]+", "_", spaced).strip("_").lower()


def _typed_covariate(cells: pd.Series) -> list[Any]:
    """Cells of one column as bool, int or float when all known ones are, as text otherwise."""
    known = cells.dropna()
    if known.str.fullmatch(r"true|false", case=False).all():
        return [None if cell is None else cell.lower() == "true" for cell in cells]
    # Leading zeros mean a code, not a number.
    if known.str.fullmatch(r"[+-]?(0|[1-9]\d*)").all():
        return [None if cell is None else int(cell) for cell in cells]
    if known.str.fullmatch(r"[+-]?(0|[1-9]\d*)?(\.\d+)?(\.)?([eE][+-]?\d+)?").all():
        return [None if cell is None else float(cell) for cell in cells]
    return list(cells)


def parse_field(canonical: str, cell: str | None) -> Any:
    """One cell of a column of :data:`FIELDS`; None where empty, :class:`ValueError` in user words where unclear."""
    parsers = {
        "age_years": parse_age_years,
        "sex": parse_sex,
        "section": parse_section,
        "fold": _parse_fold,
        "time_years": _parse_number,
        "event": _parse_event,
    }
    if cell is None:
        return None
    return parsers[canonical](cell) if canonical in parsers else cell


_AGE_UNITS_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}


def parse_age_years(cell: str | None) -> float | None:
    """Age in years from a number (decimal point or comma) or a DICOM age string such as ``045Y`` or ``018M``."""
    if cell is None or not cell.strip():
        return None
    text = cell.strip()
    dicom = re.fullmatch(r"(\d{1,3})([DWMYdwmy])", text)
    if dicom:
        return int(dicom[1]) / _AGE_UNITS_PER_YEAR[dicom[2].upper()]
    age = _parse_number(text)
    if not 0 <= age <= 125:
        raise ValueError(f"{text!r} is no age in years (0 to 125)")
    return age


_FEMALE = {"f", "female", "woman", "w", "weiblich", "frau"}
_MALE = {"m", "male", "man", "männlich", "maennlich", "mann"}
_UNKNOWN_SEX = {"o", "u", "x", "other", "unknown", "diverse", "divers", "d", "?", "-"}


def parse_sex(cell: str | None) -> str | None:
    """``"F"``, ``"M"`` or None from the usual spellings.

    Numbers are refused: 0, 1 and 2 mean opposite things in different studies.
    """
    if cell is None or not cell.strip():
        return None
    text = cell.strip().lower()
    if text in _FEMALE:
        return "F"
    if text in _MALE:
        return "M"
    if text in _UNKNOWN_SEX:
        return None
    if re.fullmatch(r"\d+(\.0*)?", text):
        raise ValueError(f"{cell!r} does not say which sex is meant; write F or M")
    raise ValueError(f"{cell!r} is no known spelling of a sex; write F or M")


def parse_section(cell: str | None) -> str | None:
    """Section from a test flag (``true``/``1``/``yes``/``test``) or a split's name; None where empty."""
    if cell is None or not cell.strip():
        return None
    text = cell.strip().lower()
    if text in {"true", "1", "1.0", "yes", "y", "test", "testing", "x"}:
        return "test"
    if text in {"false", "0", "0.0", "no", "n", "train", "training"}:
        return "training"
    if text in {"val", "valid", "validation"}:
        return "validation"
    raise ValueError(f"{cell!r} is neither a flag (true/false, 1/0) nor train, validation or test")


def _parse_number(cell: str) -> float:
    if not re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", cell.strip()):
        raise ValueError(f"{cell!r} is no number")
    return float(cell.strip().replace(",", "."))


def _parse_fold(cell: str) -> int:
    number = _parse_number(cell)
    if number != int(number) or number < 0:
        raise ValueError(f"{cell!r} is no fold number (0, 1, 2, ...)")
    return int(number)


def _parse_event(cell: str) -> int:
    flags = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "false": 0, "no": 0}
    if cell.strip().lower() not in flags:
        raise ValueError(f"{cell!r} is neither 1 (event) nor 0 (censored)")
    return flags[cell.strip().lower()]


def listed(faults: Sequence[str]) -> str:
    """Faults as an indented list for an error message; the first forty when there are more."""
    shown = "".join(f"\n  - {fault}" for fault in faults[:_SHOWN_FAULTS])
    return shown + (f"\n  - and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else "")
