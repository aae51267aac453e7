"""The external test set of Kerber et al. 2023: healthy controls of the public FDG-PET-CT-Lesions data.

The set (Gatidis et al., Sci Data 2022, 9:601) is one folder per person, ``PETCT_<hash>``, with one folder per study
that holds ``CT.nii.gz``; its table has ``Subject ID``, ``age`` (like ``045Y``), ``sex`` and ``diagnosis``, in the
archive's edition with one row per DICOM series. The paper tested on one CT of each person whose diagnosis is
NEGATIVE and whose age is 20 to 85 years (PLOS ONE 2023, 18(11):e0292993).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from agezoo.data.datalist import DatalistRow, absolute_path
from agezoo.data.subject_table import normal_name, parse_age_years, parse_sex
from agezoo.data.table_file import read_table
from agezoo.errors import InputError

_IMAGE = "CT.nii.gz"
_NEEDED = ("subject_id", "age", "sex", "diagnosis")


@dataclass(frozen=True)
class _StudyRecord:
    """One study as the table tells it."""

    subject_id: str
    folder: str | None
    date: tuple[int, int, int] | None
    age_years: float | None
    sex: str | None
    diagnosis: str


@dataclass
class AutopetSelection:
    """Rows for the test section and what was left out.

    Attributes
    ----------
    rows
        Datalist rows with absolute image paths, in order of subject and study.
    left_out
        Reason -> number of CT images (or of people, where the reason says so).
    """

    rows: list[DatalistRow] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def select_autopet(
    images: str | os.PathLike[str],
    table: str | os.PathLike[str],
    *,
    age_range_years: tuple[float, float] = (20.0, 85.0),
    all_studies: bool = False,
) -> AutopetSelection:
    """Choose the healthy controls.

    Parameters
    ----------
    images
        Folder with the ``PETCT_...`` folders at any depth.
    table
        The set's metadata table.
    age_range_years
        Lowest and highest age that is kept, both included.
    all_studies
        Keep every fitting study of a person instead of the first one.

    Raises
    ------
    InputError
        If the table lacks a column, or no ``CT.nii.gz`` is there.
    """
    root = absolute_path(images)
    studies = _read_studies(Path(table))
    found = _find_images(root, studies)
    selection = AutopetSelection()
    for subject in sorted(studies):
        kept = 0
        for image in found.get(subject, []):
            record = _record_of(image, studies[subject])
            reason = _reason_against(record, age_range_years)
            if reason is None and kept and not all_studies:
                reason = "further study of a person already in the list"
            if reason is not None or record is None:
                selection.left_out[reason or "no row of the table fits the study"] += 1
                continue
            kept += 1
            selection.rows.append(
                DatalistRow(
                    image=str(image),
                    subject_id=subject,
                    age_years=record.age_years,
                    sex="F" if record.sex == "F" else "M" if record.sex == "M" else None,
                    session=f"ses-{kept}" if all_studies else None,
                    group=record.diagnosis,
                )
            )
    absent = [subject for subject in studies if subject not in found]
    if absent:
        selection.left_out["people of the table without a CT.nii.gz"] = len(absent)
    if found.get(""):
        selection.left_out["CT.nii.gz of people who are not in the table"] = len(found[""])
    return selection


def _reason_against(record: _StudyRecord | None, age_range_years: tuple[float, float]) -> str | None:
    low, high = age_range_years
    if record is None:
        return "no row of the table fits the study"
    if record.diagnosis.upper() != "NEGATIVE":
        return "diagnosis other than NEGATIVE"
    if record.age_years is None:
        return "no age in the table"
    if not low <= record.age_years <= high:
        return f"age outside {low:g} to {high:g} years"
    return None


def _read_studies(path: Path) -> dict[str, list[_StudyRecord]]:
    frame = read_table(path).frame
    columns = {normal_name(name): name for name in frame.columns}
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise InputError(
            "not the metadata table of FDG-PET-CT-Lesions: no column " + ", ".join(missing),
            source=path,
            found="columns " + ", ".join(frame.columns),
            expected="Subject ID, age, sex, diagnosis",
        )
    studies: dict[str, dict[_StudyRecord, None]] = {}
    for line, cells in zip(frame.index + 2, frame.to_dict("records"), strict=True):
        text = {name: cells[column] or "" for name, column in columns.items()}
        if not text["subject_id"]:
            continue
        try:
            record = _record(text)
        except ValueError as error:
            raise InputError("a cell cannot be understood", source=path, found=f"line {line}: {error}") from None
        studies.setdefault(record.subject_id, {})[record] = None
    # The archive's table has a row per series (CT, PET, segmentation), equal in all that is looked at here.
    return {subject: list(records) for subject, records in studies.items()}


def _record(text: Mapping[str, str]) -> _StudyRecord:
    subject = text["subject_id"]
    location = text.get("file_location") or text.get("study_location") or ""
    parts = PurePosixPath(location.replace("\\", "/")).parts
    after = parts[parts.index(subject) + 1 :] if subject in parts else ()
    return _StudyRecord(
        subject_id=subject,
        folder=after[0] if after else None,
        date=_date(text.get("study_date", "")),
        age_years=parse_age_years(text["age"]),
        sex=parse_sex(text["sex"]),
        diagnosis=text["diagnosis"],
    )


def _date(text: str) -> tuple[int, int, int] | None:
    """Year, month and day from the start of ``03-23-2003...``, as the archive writes dates, or ``3/23/2003``."""
    match = re.match(r"(\d{1,2})[-/](\d{1,2})[-/](\d{4})", text)
    return (int(match[3]), int(match[1]), int(match[2])) if match else None


def _find_images(root: Path, studies: Mapping[str, object]) -> dict[str, list[Path]]:
    """CT images by subject, each subject's in order of study date; those of unknown people under ``""``."""
    if not root.is_dir():
        raise InputError("no such folder of images", source=root)
    found: dict[str, list[Path]] = {}
    for image in root.rglob(_IMAGE):
        subject = next((part for part in image.parts if part in studies), "")
        found.setdefault(subject, []).append(image)
    if not found:
        raise InputError(
            f"no {_IMAGE} under the folder",
            source=root,
            expected="PETCT_<hash>/<study>/CT.nii.gz, as the set's NIfTI edition or its conversion script leaves them",
        )
    for paths in found.values():
        paths.sort(key=lambda path: (_date(path.parent.name) or (0, 0, 0), path.parent.name))
    return found


def _record_of(image: Path, records: list[_StudyRecord]) -> _StudyRecord | None:
    """The table's study that an image belongs to: by folder, else by date, else if only one is possible."""
    study = image.parent.name
    by_folder = [record for record in records if record.folder == study]
    date = _date(study)
    by_date = [record for record in records if date is not None and record.date == date]
    for candidates in (by_folder, by_date, records):
        if len({(record.age_years, record.sex, record.diagnosis) for record in candidates}) == 1:
            return candidates[0]
        if candidates:
            return None
    return None
