"""The IXI data set's own table and file names (https://brain-development.org/ixi-dataset)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from agezoo.data.coded_cells import sex_codes
from agezoo.data.dicom_headers import count_of
from agezoo.data.people_table import NO_AGE, PeopleTable, Person
from agezoo.data.subject_table import normal_name, parse_age_years, parse_sex
from agezoo.data.table_cells import number_cell, text_cell
from agezoo.data.table_file import SPREADSHEETS, read_table
from agezoo.errors import InputError

SITES = ("Guys", "HH", "IOP")
"""Guy's Hospital (Philips 1.5 T), Hammersmith Hospital (Philips 3 T), Institute of Psychiatry (GE 1.5 T)."""

_NAME = re.compile(r"IXI(\d{1,3})(?!\d)(?:-?(Guys|HH|IOP)(?![A-Za-z]))?")
_DISAGREE = "rows of one IXI_ID disagree in age or sex"
_KEPT_MEASURES = {"height": "height_cm", "weight": "weight_kg"}


def ixi_name(path: Path) -> tuple[str, str | None] | None:
    """Subject and site from a file's or folder's name: ``IXI012-HH-1211-T1.nii.gz`` gives ``("IXI012", "HH")``.

    The nearest folder that bears such a name counts where the file does not; None where none does.
    """
    for part in (path.name, *(parent.name for parent in path.parents)):
        match = _NAME.search(part)
        if match is not None:
            return f"IXI{int(match[1]):03d}", match[2]
    return None


def is_ixi_table(path: Path) -> bool:
    """Whether a table is IXI's: by its column ``IXI_ID``, or, for a spreadsheet, by its name."""
    path = Path(path)
    if path.suffix.lower() in SPREADSHEETS:
        return path.stem.lower().startswith("ixi")
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return b"IXI_ID" in stream.readline().upper()


def read_ixi(path: Path) -> PeopleTable:
    """The people in IXI's table (``IXI.xls``, or that exported as CSV), called ``IXI`` and three digits.

    Ages are those of the column ``AGE``; what the codes of sex mean is read from the column's heading, ``SEX_ID (1=m,
    2=f)``. People whose rows disagree in age or sex have no age, so that they are left out like those whose cell is
    empty. Height and weight are
    kept as covariates where they are above 0; birth dates, dates of the scan and everything else are not.

    Raises
    ------
    InputError
        If the file is no such table, or a spreadsheet that pandas has no engine for.
    """
    path = Path(path)
    columns, lines, notes = _cells(path)
    names = {normal_name(name): name for name in columns}
    sex_column = next((name for normal, name in names.items() if normal.startswith("sex_id")), None)
    absent = [name for name in ("ixi_id", "age") if name not in names]
    if absent or sex_column is None:
        raise InputError(
            "not IXI's table",
            source=path,
            found="columns " + ", ".join(columns),
            expected="IXI_ID, SEX_ID (1=m, 2=f) and AGE",
            remedy="if it is another table, say --format csv",
        )
    people = PeopleTable(path, notes=notes)
    codes = sex_codes(sex_column)
    rows: dict[str, list[Person]] = {}
    for position, line in enumerate(lines):
        cells = {name: column[position] for name, column in columns.items()}
        number = _number(cells[names["ixi_id"]]).upper().removeprefix("IXI")
        try:
            if not number.isdigit():
                raise ValueError(f"{cells[names['ixi_id']]!r} is no IXI_ID")
            person = _person(cells, names, sex_column, codes)
            rows.setdefault(f"IXI{int(number):03d}", []).append(person)
        except ValueError as error:
            people.faults.append(f"{path.name}, line {line}: {error}")
    for subject, several in rows.items():
        disagree = len({(one.age_years, one.sex) for one in several}) > 1
        people.people[subject, None] = Person(why_no_age=_DISAGREE) if disagree else several[0]
    for why in (_DISAGREE, NO_AGE):
        count = sum(person.age_years is None and person.why_no_age == why for person in people.people.values())
        if count:
            people.notes.append(f"{count_of(count, 'person')} left out: {why}")
    kept = {"ixi_id", "age", normal_name(sex_column), *_KEPT_MEASURES}
    dropped = [name for normal, name in names.items() if normal not in kept]
    if dropped:
        people.notes.append("not carried on: columns " + ", ".join(dropped))
    return people


def _person(
    cells: Mapping[str, str | None], names: Mapping[str, str], sex_column: str, codes: dict[str, str]
) -> Person:
    sex = _number(cells[sex_column])
    measures = {}
    for normal, covariate in _KEPT_MEASURES.items():
        value = number_cell(cells[names[normal]]) if normal in names else None
        if value is not None and value > 0:
            measures[covariate] = value
    return Person(parse_age_years(cells[names["age"]]), parse_sex(codes.get(sex, sex)), covariates=measures)


def _number(cell: str | None) -> str:
    """A whole number as text, also where a spreadsheet made it 12.0."""
    return (cell or "").removesuffix(".0")


def _cells(path: Path) -> tuple[dict[str, list[str | None]], list[int], list[str]]:
    """Columns of texts, None where empty; the line of each row in its file; and what was repaired."""
    if path.suffix.lower() not in SPREADSHEETS:
        raw = read_table(path)
        columns = {str(name): list(raw.frame[name]) for name in raw.frame.columns}
        return columns, [int(index) + 2 for index in raw.frame.index], list(raw.notes)
    if not path.is_file():
        raise InputError("no such table", source=path)
    try:
        sheet = pd.read_excel(path, dtype=str)
    except ImportError as error:
        raise InputError(
            "this spreadsheet cannot be read here",
            source=path,
            found="pandas without an engine for it",
            expected="a CSV file",
            remedy="open it and save as CSV (UTF-8), or install xlrd (for .xls) or openpyxl (for .xlsx)",
        ) from error
    except Exception as error:  # each engine has errors of its own for a damaged file
        raise InputError("cannot be read as a spreadsheet", source=path, found=type(error).__name__) from error
    columns = {str(name): [text_cell(cell) for cell in sheet[name]] for name in sheet.columns}
    return columns, list(range(2, len(sheet) + 2)), []
