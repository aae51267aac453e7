"""The files about a prepared cohort as a whole: its table, its datalist and what BIDS wants of a derivative."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from agezoo.data.atomic import written_atomically
from agezoo.data.datalist import SECTIONS, Datalist, DatalistRow, Section, load_datalist, save_datalist
from agezoo.data.table_cells import number_cell, text_cell
from agezoo.errors import InputError
from agezoo.version import __version__
from agezoo.workflows.brain_preparation_cases import OVERLAYS, RECORDS, BrainCase, CaseRecord

TABLE = "preparation.csv"
PAGE = "preparation.html"
DATALIST = "datalist.json"

_COLUMNS = {
    "case": "case",
    "subject_id": "subject_id",
    "session": "session",
    "source": "source",
    "image": "image",
    "brain_state": "brain_state",
    "registration_overlap": "overlap",
    "registration_correlation": "correlation",
    "qc": "qc",
    "qc_reasons": "qc_reasons",
    "seconds": "seconds",
    "error": "error",
    "notes": "notes",
}
_OF_PEOPLE = ("sex", "fold", "group", "site", "time_years", "event")
_BIDS_VERSION = "1.9.0"


def preparation_table(records: Iterable[CaseRecord]) -> pd.DataFrame:
    """One row per case, failed ones included; a value that is not known is empty."""
    rows = [{name: getattr(record, field) for name, field in _COLUMNS.items()} for record in records]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    texts = [name for name in _COLUMNS if name not in ("registration_overlap", "registration_correlation", "seconds")]
    return table.assign(**{name: table[name].replace("", None) for name in texts})


def write_table(table: pd.DataFrame, path: Path, *, separator: str = ",", empty: str = "") -> None:
    """Write a table whole or not at all."""
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, sep=separator, na_rep=empty)


def finished_datalist(
    inputs: Sequence[str | Path], prepared: Sequence[tuple[BrainCase, CaseRecord]], *, bundle: str, out: Path
) -> Datalist:
    """The datalist of the finished brains.

    Rows that came from a datalist keep their section, fold and all columns. Other rows stand in the section that the
    dataset's table of people names, otherwise in ``training``; without an age always in ``test``, where none is asked
    for. Cases without a brain are named under ``left_out``, with the reason.

    Parameters
    ----------
    inputs
        What the user gave; datalists among them are looked up again for what a case's row does not tell.
    prepared
        Cases and what became of them.
    bundle
        For which it is.
    out
        Folder of the datalist.
    """
    given = [load_datalist(path) for path in map(Path, inputs) if path.is_file() and path.suffix.lower() == ".json"]
    originals: dict[tuple[str, str, str], list[tuple[Section, DatalistRow]]] = {}
    for datalist in given:
        for section in SECTIONS:
            plain_rows = datalist.rows(section)
            for plain, row in zip(plain_rows, datalist.section(section), strict=True):
                originals.setdefault(_key(plain), []).append((section, row))
    result = Datalist(
        bundle=bundle,
        origin=_origin(inputs, given),
        folds=given[0].folds if len(given) == 1 else None,
        seed=given[0].seed if len(given) == 1 else None,
        folder=out,
    )
    left_out: dict[str, str] = {}
    for case, record in prepared:
        found = originals.get(_key(case.row), [])
        section, row = found.pop(0) if found else _plain_row(case, record)
        if not record.is_finished:
            left_out[record.case] = record.error
            continue
        header = {"age_years": record.age_years, "sex": record.sex}
        known = {name: value for name, value in header.items() if getattr(row, name) is None and value is not None}
        result.section(section).append(row.model_copy(update={**known, "image": record.image}))
    return result.model_copy(update={"left_out": left_out}) if left_out else result


def write_datalist(datalist: Datalist, out: Path) -> Path:
    """Write ``datalist.json``."""
    return save_datalist(datalist, out / DATALIST)


def write_bids_files(datalist: Datalist, out: Path, *, recipe: str) -> None:
    """``dataset_description.json``, ``.bidsignore``, ``participants.tsv`` and one ``_sessions.tsv`` where needed."""
    description = {
        "Name": "T1-weighted brains in MNI152 space",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "agezoo",
                "Version": __version__,
                "Description": "agezoo prepare: bias-field correction, brain extraction and non-linear registration",
                "Recipe": recipe,
            }
        ],
    }
    _write_text(out / "dataset_description.json", json.dumps(description, indent=2) + "\n")
    _write_text(out / ".bidsignore", "\n".join([TABLE, PAGE, DATALIST, f"{RECORDS}/", f"{OVERLAYS}/"]) + "\n")
    people: dict[str, list[DatalistRow]] = {}
    for _, _, row in datalist.all_rows():
        people.setdefault(str(row.image).split("/")[0], []).append(row)
    participants = []
    for person, rows in sorted(people.items()):
        first = min(rows, key=lambda row: (row.age_years is None, row.age_years or 0.0))
        participants.append(
            {
                "participant_id": person,
                "age": first.age_years,
                "sex": next((row.sex for row in rows if row.sex), None),
                "group": first.group,
                "site": first.site,
            }
        )
        sessions = {row.image.split("/")[1]: row.age_years for row in rows if isinstance(row.image, str)}
        if any(name.startswith("ses-") for name in sessions):
            table = pd.DataFrame([{"session_id": name, "age": age} for name, age in sessions.items()])
            write_table(table, out / person / f"{person}_sessions.tsv", separator="\t", empty="n/a")
    table = pd.DataFrame(participants, columns=["participant_id", "age", "sex", "group", "site"])
    table = table[["participant_id", *(name for name in table.columns[1:] if table[name].notna().any())]]
    write_table(table, out / "participants.tsv", separator="\t", empty="n/a")


def _plain_row(case: BrainCase, record: CaseRecord) -> tuple[Section, DatalistRow]:
    """Section and row of a case that no datalist lists."""
    row = case.row
    age = number_cell(row.get("age_years"))
    age = record.age_years if age is None else age
    datalist_row = DatalistRow(
        image=record.image or case.image,
        subject_id=str(row["subject_id"]),
        session=text_cell(row.get("session")),
        age_years=age,
        covariates=dict(row.get("covariates") or {}),
        **{name: row.get(name) for name in _OF_PEOPLE},
    )
    section: Section = row.get("section") or ("test" if age is None else "training")
    return ("test" if age is None else section), datalist_row


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(row["image"]), str(row["subject_id"]), str(row.get("session") or "")


def _origin(inputs: Sequence[str | Path], given: Sequence[Datalist]) -> Literal["phantom", "real"] | None:
    """Phantom as soon as one input says so: its brains must never pass for real people's."""
    stated = {datalist.origin for datalist in given}
    for folder in (Path(path) for path in inputs):
        sidecar = folder / "cohort.json"
        if sidecar.is_file():
            try:
                content = json.loads(sidecar.read_text(encoding="utf-8"))
            except ValueError as error:
                raise InputError("not valid JSON", source=sidecar, found=str(error)) from error
            if content.get("origin") == "phantom" or content.get("phantom") is True:
                stated.add("phantom")
    return "phantom" if "phantom" in stated else "real" if stated == {"real"} else None


def _write_text(path: Path, text: str) -> None:
    with written_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
