"""The people of a BIDS dataset: ``participants.tsv``, its data dictionary, and the tables of their sessions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from agezoo.data.coded_cells import are_dates, explained_groups, explained_sexes, is_capped_age
from agezoo.data.dicom_headers import count_of
from agezoo.data.people_table import NO_AGE, PeopleTable
from agezoo.data.subject_table import FIELDS, SubjectTable, normal_name, understood_table
from agezoo.data.table_cells import natural_key
from agezoo.data.table_file import RawTable, read_table
from agezoo.errors import InputError

# Further names that columns have in published datasets, each for a column that a datalist understands.
_FURTHER_NAMES = {
    "age": ("age_at_scan", "scan_age", "age_at_mri", "age_at_visit", "age_yrs"),
    "group": ("dx", "diagnosis_group", "dx_group", "clinical_status"),
    "site": ("site_id", "institution", "center", "centre"),
}
_CANONICAL = {"age": "age_years", "group": "group", "site": "site"}
_YEARS_PER_UNIT = {"year": 1.0, "yr": 1.0, "month": 1 / 12, "week": 7 / 365.25, "day": 1 / 365.25}
_WHEN = re.compile(r"(.*_)?(date|datetime|acq_time|birth|birthday|dob)(_.*)?")
CAPPED = "age given as a bound (such as 89+), not as an age"


def read_participants(path: Path) -> PeopleTable:
    """The people in a ``participants.tsv``, and in the ``sub-*_sessions.tsv`` of its dataset.

    Names of columns may be any that a cohort table may have, and those that published datasets use (``dx``,
    ``age_at_scan`` ...), in any case. Sex is read from every usual spelling; codes only where ``Levels`` or
    ``Description`` in ``participants.json`` explain them. Ages follow ``Units`` there (years unless it says months,
    weeks or days). Ages that are only bounds (``89+``) count as unknown. Ages in a session's table go before the
    participant's own. Columns with dates or anything that may identify a person are left out.

    Raises
    ------
    InputError
        If the file is no table, or has no column ``participant_id``.
    """
    path = Path(path)
    people = PeopleTable(path)
    table, why_no_age = _prepared(path, people, dictionary=_dictionary(path.with_suffix(".json")))
    if "subject_id" not in table.fields:
        raise InputError("the table does not say whom a row is about", source=path, expected="a column participant_id")
    sessions = [_labelled("ses", row.get("session")) for row in table.rows]
    people.add(table, [_labelled("sub", row.get("subject_id")) for row in table.rows], sessions, why_no_age)
    for one in sorted(path.parent.glob("sub-*/sub-*_sessions.tsv"), key=lambda file: natural_key(file.name)):
        _add_sessions(one, people)
    n_capped = sum(person.why_no_age == CAPPED for person in people.people.values())
    if n_capped:
        people.notes.append(
            f"{count_of(n_capped, 'age')} given only as a bound (such as 89+): unknown, because such a person can "
            "neither be trained on nor judged"
        )
    people.notes = list(dict.fromkeys(people.notes))
    return people


def _add_sessions(path: Path, people: PeopleTable) -> None:
    dictionary = _dictionary(path.with_suffix(".json")) or _dictionary(path.parent.parent / "sessions.json")
    table, why_no_age = _prepared(path, people, dictionary=dictionary)
    if "session" not in table.fields:
        people.faults.append(f"{path.name}: no column session_id")
        return
    subject = path.name.removesuffix("_sessions.tsv")
    sessions = [_labelled("ses", row.get("session")) for row in table.rows]
    people.add(table, [subject] * len(table.rows), sessions, why_no_age)


def _labelled(entity: str, name: object) -> str | None:
    """A participant or session with its prefix, which some tables leave out."""
    if name is None:
        return None
    return str(name) if str(name).startswith(f"{entity}-") else f"{entity}-{name}"


def _dictionary(path: Path) -> dict[str, Mapping[str, Any]]:
    """Column (normalised) -> what a data dictionary says of it; empty without one."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError("not valid JSON", source=path, found=str(error)) from error
    if not isinstance(content, Mapping):
        return {}
    return {normal_name(str(name)): column for name, column in content.items() if isinstance(column, Mapping)}


def _prepared(
    path: Path, people: PeopleTable, *, dictionary: Mapping[str, Mapping[str, Any]]
) -> tuple[SubjectTable, list[str]]:
    """A table with codes explained, units converted and dates left out; and why each row has no age, if it has none."""
    raw = read_table(path)
    frame = _without_dates(raw.frame, people)
    frame = _with_known_names(frame)
    for name in frame.columns:
        column, normal = dictionary.get(normal_name(name)) or {}, normal_name(name)
        cells = list(frame[name])
        if normal in FIELDS["sex"]:
            cells = _translated(cells, explained_sexes(column))
        elif normal in FIELDS["group"] or normal in _FURTHER_NAMES["group"]:
            cells = _translated(cells, explained_groups(column))
        elif normal in FIELDS["age_years"]:
            cells = [_age_cell(cell, _years_per_unit(column)) for cell in cells]
        frame[name] = pd.Series(cells, index=frame.index, dtype=object)
    why_no_age = _take_capped(frame)
    table = understood_table(RawTable(frame, raw.separator, raw.notes), path)
    people.notes += table.notes
    people.faults += [_with_remedy(f"{path.name}, {fault}", path) for fault in table.faults]
    return table, why_no_age


def _without_dates(frame: pd.DataFrame, people: PeopleTable) -> pd.DataFrame:
    dated = [name for name in frame.columns if _WHEN.fullmatch(normal_name(name)) or are_dates(frame[name])]
    if dated:
        people.notes.append("left out because they hold dates: columns " + ", ".join(dated))
    return frame.drop(columns=dated)


def _with_known_names(frame: pd.DataFrame) -> pd.DataFrame:
    normal = {normal_name(name): name for name in frame.columns}
    renamed = {}
    for target, further in _FURTHER_NAMES.items():
        if not any(alias in normal for alias in FIELDS[_CANONICAL[target]]):
            found = next((normal[alias] for alias in further if alias in normal), None)
            if found is not None:
                renamed[found] = target
    return frame.rename(columns=renamed)


def _translated(cells: list[str | None], codes: Mapping[str, str]) -> list[str | None]:
    return [codes.get(re.sub(r"\.0+$", "", cell), cell) if cell else cell for cell in cells]


def _years_per_unit(column: Mapping[str, Any]) -> float:
    unit = str(column.get("Units", "")).lower().strip()
    return next((years for name, years in _YEARS_PER_UNIT.items() if unit.startswith(name)), 1.0)


def _age_cell(cell: str | None, years_per_unit: float) -> str | None:
    if cell is None or years_per_unit == 1.0 or not re.fullmatch(r"\d+(\.\d+)?", cell):
        return cell
    return f"{float(cell) * years_per_unit:.4f}"


def _take_capped(frame: pd.DataFrame) -> list[str]:
    """Empty the ages that are only bounds, in place; why each row has no age, if it has none."""
    why = [NO_AGE] * len(frame)
    for name in frame.columns:
        if normal_name(name) in FIELDS["age_years"]:
            capped = [cell is not None and is_capped_age(cell) for cell in frame[name]]
            why = [CAPPED if bound else NO_AGE for bound in capped]
            kept = [None if bound else cell for cell, bound in zip(frame[name], capped, strict=True)]
            frame[name] = pd.Series(kept, index=frame.index, dtype=object)
    return why


def _with_remedy(fault: str, path: Path) -> str:
    if "does not say which sex" not in fault:
        return fault
    return f"{fault}, or explain the code under Levels in {path.with_suffix('.json').name}"
