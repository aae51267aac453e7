"""Everything that is wrong with a datalist, told at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from agezoo.data.datalist import SECTIONS, Datalist, DatalistRow, absolute_path, read_json, schema_faults
from agezoo.data.dixon_zip import is_zip
from agezoo.data.image_search import is_nifti
from agezoo.errors import InputError
from agezoo.registry import bundle_facts

Severity = Literal["error", "warning"]

_FEW_SUBJECTS = 30
_HEADER_AGE_TOLERANCE_YEARS = 1.0
_WIDE_AGE_GAP_YEARS = 15.0
_HEAD_BYTES = 1 << 16
_TRIES_FOR_A_HEADER = 20


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong or doubtful.

    Attributes
    ----------
    severity
        ``"error"``: the datalist cannot be used as it is; ``"warning"``: it can, and should be looked at.
    where
        ``training[3]`` (rows counted from 0, as programs do), a section, or ``datalist``.
    subject
        The ``subject_id`` concerned, or None.
    message
        What is wrong, in user words.
    """

    severity: Severity
    where: str
    subject: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.where}{f' (subject {self.subject})' if self.subject else ''}: {self.message}"


Rows = list[tuple[str, int, DatalistRow]]


def check_datalist(path: str | os.PathLike[str], *, bundle: str | None = None, headers: bool = True) -> list[Fault]:
    """Look through a datalist file and everything it names, and report every fault.

    Parameters
    ----------
    path
        The JSON file.
    bundle
        Judge ages by this bundle's range; by default by the bundle that the file names.
    headers
        Compare ages and sexes with the DICOM headers (one file of each image is opened).

    Returns
    -------
    list of Fault
        In the order of the file, errors and warnings; empty when all is well.

    Raises
    ------
    InputError
        If ``bundle`` is unknown. A file that is absent or not JSON is a fault, not an exception.
    """
    if bundle is not None:
        bundle_facts(bundle)
    try:
        document = read_json(path)
    except InputError as error:
        found = f" ({error.found})" if error.found else ""
        return [Fault("error", "datalist", None, f"{error.problem}{found}")]
    faults = [
        Fault(
            "error", fault.where, _subject_of(document, fault.section, fault.index), _said(fault.field, fault.message)
        )
        for fault in schema_faults(document)
    ]
    known = {*SECTIONS, *(name for name in Datalist.model_fields if name != "folder")}
    faults += [
        Fault("warning", "datalist", None, f"unknown key {key!r}; it is ignored")
        for key in document
        if key not in known
    ]
    datalist, places = _salvaged(document, absolute_path(path).parent)
    named = datalist.bundle
    if bundle is None and named is not None:
        try:
            bundle_facts(named)
        except InputError as error:
            faults.append(Fault("error", "datalist", None, f"unknown bundle {named!r}, expected {error.expected}"))
            named = None
    faults += _with_places(content_faults(datalist, bundle=bundle or named, headers=headers), places)
    return _in_file_order(faults)


def _said(field: str, message: str) -> str:
    return f"{field}: {message}" if field else message


def _subject_of(document: dict[str, Any], section: str, index: int | None) -> str | None:
    rows = document.get(section)
    if index is None or not isinstance(rows, list) or not isinstance(rows[index], dict):
        return None
    subject = rows[index].get("subject_id")
    return str(subject) if isinstance(subject, str | int) and subject != "" else None


def _salvaged(document: dict[str, Any], folder: Path) -> tuple[Datalist, dict[str, list[int]]]:
    """The rows that can be understood, without their faulty fields, and the index each has in the file."""
    datalist = Datalist(folder=folder)
    places: dict[str, list[int]] = {name: [] for name in SECTIONS}
    for name in SECTIONS:
        rows = document.get(name)
        for index, raw in enumerate(rows if isinstance(rows, list) else []):
            row = _salvaged_row(raw)
            if row is not None:
                datalist.section(name).append(row)
                places[name].append(index)
    for key in ("bundle", "folds"):
        try:
            setattr(datalist, key, getattr(Datalist.model_validate({key: document.get(key)}), key))
        except ValidationError:
            continue
    return datalist, places


def _salvaged_row(raw: object) -> DatalistRow | None:
    if not isinstance(raw, dict):
        return None
    try:
        return DatalistRow.model_validate(raw)
    except ValidationError as error:
        faulty = {str(detail["loc"][0]) for detail in error.errors()}
    if faulty & {"image", "subject_id"}:
        return None
    return DatalistRow.model_validate({key: value for key, value in raw.items() if key not in faulty})


def _with_places(faults: Sequence[Fault], places: dict[str, list[int]]) -> list[Fault]:
    """Faults with row numbers of the file instead of those among the rows that could be understood."""
    placed = []
    for fault in faults:
        section, _, rest = fault.where.partition("[")
        where = f"{section}[{places[section][int(rest[:-1])]}]" if rest else section
        placed.append(Fault(fault.severity, where, fault.subject, fault.message))
    return placed


def _in_file_order(faults: Sequence[Fault]) -> list[Fault]:
    def place(fault: Fault) -> tuple[int, int]:
        section, _, rest = fault.where.partition("[")
        return (SECTIONS.index(section) if section in SECTIONS else -1, int(rest[:-1]) if rest else -1)

    return sorted(faults, key=place)


def content_faults(datalist: Datalist, *, bundle: str | None, headers: bool) -> list[Fault]:
    """Faults of a datalist whose form is right; see :func:`check_datalist`."""
    rows: Rows = list(datalist.all_rows())
    if not rows:
        return [Fault("error", "datalist", None, "it has no rows")]
    reader = None if bundle is None else bundle_facts(bundle).reader
    is_radiograph = reader == "radiograph"
    faults = [
        *_image_faults(datalist, rows),
        *_duplicate_faults(datalist, rows),
        *_subject_faults(rows),
        *_age_faults(rows, bundle),
        *_fold_faults(datalist),
        *(_kind_faults(rows) if is_radiograph else ()),
        *(_cohort_faults(datalist) if reader == "brain" else ()),
    ]
    if headers:
        faults += _header_faults(datalist, rows, is_radiograph)
    return faults


def _fault(severity: Severity, place: tuple[str, int, DatalistRow], message: str) -> Fault:
    section, index, row = place
    return Fault(severity, f"{section}[{index}]", row.subject_id, message)


def _image_faults(datalist: Datalist, rows: Rows) -> Iterator[Fault]:
    for place in rows:
        paths = datalist.image_paths(place[2])
        absent = [path for path in paths if not path.exists()]
        if absent:
            more = f" and {len(absent) - 1} more files" if len(absent) > 1 else ""
            yield _fault("error", place, f"image is missing: {_relative(absent[0], datalist.folder)}{more}")
            continue
        empty = [path for path in paths if path.is_file() and path.stat().st_size == 0]
        if empty:
            yield _fault("error", place, f"file is empty: {_relative(empty[0], datalist.folder)}")
        if len(paths) == 1 and paths[0].is_dir() and not _files_of(paths):
            yield _fault("error", place, f"folder is empty: {_relative(paths[0], datalist.folder)}")


def _relative(path: Path, folder: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return str(path)


def _files_of(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        files += [file for file in inside if file.is_file() and not file.name.startswith(".")]
    return files


def _duplicate_faults(datalist: Datalist, rows: Rows) -> Iterator[Fault]:
    by_path: dict[tuple[Path, ...], tuple[str, int, DatalistRow]] = {}
    by_size: dict[tuple[int, ...], list[tuple[tuple[str, int, DatalistRow], list[Path]]]] = {}
    for place in rows:
        paths = datalist.image_paths(place[2])
        key = tuple(sorted(paths))
        if key in by_path:
            yield _fault("error", place, f"the same image as {_shown(by_path[key])}")
            continue
        by_path[key] = place
        files = [file for file in _files_of(paths) if file.exists()]
        if files:
            by_size.setdefault(tuple(sorted(file.stat().st_size for file in files)), []).append((place, files))
    for group in by_size.values():
        seen: dict[frozenset[str], tuple[str, int, DatalistRow]] = {}
        # Only images of equal size can be copies of each other, so nothing is read of the others.
        for place, files in group if len(group) > 1 else []:
            content = frozenset(_fingerprint(file) for file in files)
            if content in seen:
                yield _fault("error", place, f"a copy of the image of {_shown(seen[content])}")
            seen.setdefault(content, place)


def _shown(place: tuple[str, int, DatalistRow]) -> str:
    return f"{place[0]}[{place[1]}] (subject {place[2].subject_id})"


def _fingerprint(file: Path) -> str:
    """Hash of a file's beginning and middle; the beginning alone is air in many uncompressed NIfTI files."""
    with file.open("rb") as stream:
        head = stream.read(_HEAD_BYTES if is_nifti(file) else _HEAD_BYTES // 16)
        stream.seek(file.stat().st_size // 2)
        return hashlib.sha256(head + stream.read(_HEAD_BYTES // 16)).hexdigest()


def _subject_faults(rows: Rows) -> Iterator[Fault]:
    people: dict[str, Rows] = {}
    for place in rows:
        people.setdefault(place[2].subject_id, []).append(place)
    for own in people.values():
        first = own[0]
        sexes = {row.sex for _, _, row in own if row.sex}
        if len(sexes) > 1:
            yield _fault("error", first, "is both F and M in different rows")
        sections = {section for section, _, _ in own}
        if len(sections) > 1:
            yield _fault(
                "error", first, "is in more than one section: " + ", ".join(s for s in SECTIONS if s in sections)
            )
        folds = sorted({row.fold for section, _, row in own if section == "training" and row.fold is not None})
        if len(folds) > 1:
            yield _fault("error", first, f"is in more than one fold: {', '.join(map(str, folds))}")
        ages = [row.age_years for _, _, row in own if row.age_years is not None]
        if ages and max(ages) - min(ages) > _WIDE_AGE_GAP_YEARS:
            yield _fault("warning", first, f"ages in different rows range from {min(ages):g} to {max(ages):g} years")
        sessions: set[str | None] = set()
        for place in own:
            if place[2].session in sessions:
                name = f"session {place[2].session!r}" if place[2].session else "no session"
                yield _fault("warning", place, f"{name}, as another row of the same subject")
            sessions.add(place[2].session)


def _age_faults(rows: Rows, bundle: str | None) -> Iterator[Fault]:
    low, high = bundle_facts(bundle).age_range_years if bundle else (-np.inf, np.inf)
    for place in rows:
        section, _, row = place
        if row.age_years is None:
            if section == "test":
                yield _fault("warning", place, "no age: it will be predicted, but its error is not known")
            else:
                yield _fault("error", place, "no age, which training needs")
        elif not low <= row.age_years <= high:
            yield _fault(
                "warning", place, f"age {row.age_years:g} is outside the {low:g} to {high:g} years of {bundle}"
            )


def _fold_faults(datalist: Datalist) -> Iterator[Fault]:
    rows = datalist.training
    if not rows:
        return
    subjects = {row.subject_id for row in rows}
    if len(subjects) < _FEW_SUBJECTS:
        yield Fault(
            "warning", "training", None, f"only {len(subjects)} subjects: too few to train a model that generalises"
        )
    without = sum(row.fold is None for row in rows)
    if without == len(rows):
        if not datalist.validation:
            yield Fault(
                "warning",
                "training",
                None,
                "neither folds nor a validation section: nothing to choose the best model by",
            )
        return
    if without:
        yield Fault("error", "training", None, f"{without} of {len(rows)} rows have no fold, the others do")
    if datalist.validation:
        yield Fault("warning", "validation", None, "cross-validation by folds does not use this section")
    numbers = datalist.fold_numbers()
    if numbers != list(range(len(numbers))) or len(numbers) < 2:
        yield Fault("error", "training", None, f"folds are {numbers}, expected 0, 1, 2, ... without gaps, at least two")
    if datalist.folds is not None and datalist.folds != len(numbers):
        yield Fault("error", "training", None, f'{len(numbers)} folds occur, but "folds" says {datalist.folds}')
    members = {fold: {row.subject_id for row in rows if row.fold == fold} for fold in numbers}
    sizes = [len(people) for people in members.values()]
    if max(sizes) > 1.5 * min(sizes) and max(sizes) - min(sizes) > 2:
        yield Fault("warning", "training", None, f"folds are uneven: {min(sizes)} to {max(sizes)} subjects")
    ages = np.array([row.age_years for row in rows if row.age_years is not None and row.fold is not None])
    folds = np.array([row.fold for row in rows if row.age_years is not None and row.fold is not None])
    means = [float(ages[folds == fold].mean()) for fold in numbers if (folds == fold).any()]
    if min(sizes) >= 10 and means and max(means) - min(means) > 0.75 * ages.std():
        yield Fault(
            "warning", "training", None, f"mean ages of the folds range from {min(means):.1f} to {max(means):.1f} years"
        )


def _kind_faults(rows: Rows) -> Iterator[Fault]:
    from agezoo.data.radiograph_rows import kind_problem

    for place in rows:
        problem = kind_problem(place[2].covariates)
        if problem is not None:
            yield _fault("error", place, problem)


def _cohort_faults(datalist: Datalist) -> Iterator[Fault]:
    from agezoo.data.brain_rows import cohort_problems

    for where, problem in cohort_problems({name: datalist.section(name) for name in SECTIONS}):
        yield Fault("warning", where, None, problem)


def _header_faults(datalist: Datalist, rows: Rows, is_radiograph: bool) -> Iterator[Fault]:
    from agezoo.data.radiograph_rows import image_problems

    for place in rows:
        row = place[2]
        files = [file for file in _files_of(datalist.image_paths(row)) if file.exists()]
        if files and is_radiograph:
            for severity, problem in image_problems(files, row.covariates):
                yield _fault(severity, place, problem)
        elif not files or all(is_nifti(file) for file in files):
            continue
        try:
            told = _age_and_sex_of_zip(files[0]) if is_zip(files[0]) else _age_and_sex(files)
        except InputError as error:
            yield _fault("error", place, str(error))
            continue
        if told is None:
            if not is_radiograph:
                yield _fault("error", place, "neither a NIfTI file nor DICOM files")
            continue
        age_years, sex = told
        if age_years is not None and row.age_years is not None:
            # PatientAge alone counts completed years, so up to one more is agreement.
            low = age_years - _HEADER_AGE_TOLERANCE_YEARS
            high = age_years + _HEADER_AGE_TOLERANCE_YEARS
            if not low <= row.age_years <= high:
                yield _fault("warning", place, f"age is {row.age_years:g} here and {age_years:.1f} in the DICOM header")
        if sex is not None and row.sex is not None and sex != row.sex:
            yield _fault("warning", place, f"sex is {row.sex} here and {sex} in the DICOM header")


def _age_and_sex_of_zip(archive: Path) -> tuple[float | None, str | None] | None:
    """Age in years and sex as the first image in a zip tells them; None if there is no image."""
    from agezoo.data.dixon_source import open_zip

    with open_zip(archive, first_only=True) as source:
        headers = source.scan.headers
    return (headers[0].age_years, headers[0].sex) if headers else None


def _age_and_sex(files: Sequence[Path]) -> tuple[float | None, str | None] | None:
    """Age in years and sex as the first DICOM file tells them; None if there is none."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    from agezoo.data.subject_facts import age_at_scan, sex_of

    names = ["PatientAge", "PatientBirthDate", "StudyDate", "PatientSex"]
    for file in files[:_TRIES_FOR_A_HEADER]:
        try:
            header = dcmread(file, stop_before_pixels=True, specific_tags=[*names])
        except (InvalidDicomError, OSError, ValueError, EOFError):
            continue
        age, birth, study, sex = (str(header.get(name) or "") for name in names)
        return age_at_scan(age, birth, study)[0], sex_of(sex)
    return None


def render_faults(faults: Sequence[Fault], *, name: str = "datalist") -> str:
    """Faults as text for a terminal: a line that counts them, errors, then warnings."""
    errors = [fault for fault in faults if fault.severity == "error"]
    warnings = [fault for fault in faults if fault.severity == "warning"]
    if not faults:
        return f"{name}: no faults found"
    counts = f"{len(errors)} error{'s' * (len(errors) != 1)}, {len(warnings)} warning{'s' * (len(warnings) != 1)}"
    return "\n".join([f"{name}: {counts}", *(f"  {fault.severity}: {fault}" for fault in (*errors, *warnings))])
