"""Building a datalist from a folder of images with a table, or from DICOM headers alone."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from agezoo.data.autopet import select_autopet
from agezoo.data.datalist import Datalist, DatalistRow, absolute_path, save_datalist
from agezoo.data.datalist_check import content_faults
from agezoo.data.image_search import FoundScan, find_scans, is_nifti, matching_scans, resolve_image
from agezoo.data.splits import SplitSummary, assign_folds, draw_test_subjects, summarise_split
from agezoo.data.subject_table import SubjectTable, listed, read_subject_table
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError
from agezoo.registry import bundle_facts

Origin = Literal["phantom", "real"]
LAYOUTS = ("autopet",)


@dataclass
class BuildReport:
    """What was built.

    Attributes
    ----------
    path
        The file written.
    datalist
        Its content.
    splits
        Who is in the test section, in each fold, or in the training section without folds.
    left_out
        Reason -> how many images were left out for it.
    notes
        Repairs, choices and warnings, in words for the user.
    """

    path: Path
    datalist: Datalist
    splits: tuple[SplitSummary, ...]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    def render(self) -> str:
        """The report as text for a terminal."""
        lines = [f"{self.path}: {len(self.datalist)} images"]
        lines += [f"  {summary}" for summary in self.splits]
        lines += [f"  left out: {count} x {reason}" for reason, count in self.left_out.items()]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


@dataclass
class _Draft:
    """Rows on the way to a datalist: section, row with absolute image paths, and what is to be told."""

    rows: list[tuple[str, DatalistRow]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    has_sections: bool = False


def build_datalist(
    *,
    bundle: str,
    images: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str],
    folds: int | None = 5,
    seed: int = 0,
    test_fraction: float = 0.0,
    layout: str | None = None,
    all_studies: bool = False,
    origin: Origin | None = None,
    ages_from_headers: bool = False,
    keep_patient_id: bool = False,
    force: bool = False,
) -> BuildReport:
    """Build and write a datalist.

    Parameters
    ----------
    bundle
        Name of the bundle that it is for; it sets the DICOM modality and the age range that is remarked on.
    images
        Folder of NIfTI files and DICOM studies, at any depth. May be left out when the table has a column ``image``.
    table
        CSV with one row per image: ``image`` (relative to ``images`` or to the table), or else ``subject_id`` and,
        where a person has several scans, ``session``, both matched to whole folder and file names under ``images``;
        and ``age_years`` or ``age``, ``sex``, and optionally ``test`` (or ``split``), ``fold``, ``group``, ``site``,
        ``time_years``, ``event``. Other columns become covariates. Without a table, subjects, ages and sexes
        come from the DICOM headers, and subjects are called ``sub-0001`` and so on in the order of their folders.
    out
        The JSON file to write; image paths are stored relative to its folder.
    folds
        Cross-validation folds of the training rows; 0 or None for none. Folds that the table names are kept.
    seed
        Seed of the folds and of the test draw.
    test_fraction
        Share of subjects to draw into the test section, when the table does not name test rows.
    layout
        ``"autopet"`` for the public FDG-PET-CT-Lesions set; all rows go into the test section.
    all_studies
        With that layout: keep every fitting study of a person, not only the first.
    origin
        ``"phantom"`` or ``"real"``; by default phantom if ``cohort.json`` beside the table says so.
    ages_from_headers
        Fill empty age and sex cells of the table from the DICOM headers. Absent columns always are.
    keep_patient_id
        Without a table: use the header's PatientID as ``subject_id``. Only for pseudonymised data.
    force
        Replace ``out`` if it exists.

    Raises
    ------
    InputError
        If anything prevents a sound datalist; faults of single rows are reported all at once.
    """
    facts = bundle_facts(bundle)
    out = absolute_path(out)
    if out.exists() and not force:
        raise InputError("the file exists", source=out, remedy="choose another --out, or replace it with --force")
    if layout is not None and layout not in LAYOUTS:
        raise InputError("no such layout", found=layout, expected=", ".join(LAYOUTS))
    modality = facts.modalities[0]

    if layout == "autopet":
        draft = _from_autopet(images, table, facts.age_range_years, all_studies)
    elif table is not None:
        draft = _from_table(images, read_subject_table(table), modality, ages_from_headers)
    elif images is not None:
        draft = _from_headers(images, modality, keep_patient_id)
    else:
        raise InputError("nothing to build a datalist from", expected="--images, --table or both")
    _raise_all(draft.faults, table or images)
    if not draft.rows:
        raise InputError(
            "no usable images",
            source=images or table,
            found="; ".join(f"{count} x {reason}" for reason, count in draft.left_out.items()) or "none",
        )

    datalist = Datalist(bundle=bundle, origin=origin or _origin_of(table), folder=out.parent)
    for section, row in sorted(draft.rows, key=lambda item: _order(item[1])):
        datalist.section(section).append(row)
    _split(datalist, draft, folds=folds or 0, seed=seed, test_fraction=test_fraction)
    faults = content_faults(datalist, bundle=bundle, headers=False)
    _raise_all([str(fault) for fault in faults if fault.severity == "error"], table or images)
    draft.notes += [str(fault) for fault in faults if fault.severity == "warning"]
    save_datalist(datalist, out, overwrite=force)
    return BuildReport(out, datalist, _summaries(datalist), dict(draft.left_out), tuple(draft.notes))


def _raise_all(faults: Sequence[str], source: object) -> None:
    if faults:
        raise InputError(
            f"{len(faults)} fault{'s' if len(faults) > 1 else ''} prevent a datalist",
            source=None if source is None else str(source),
            found=listed(faults),
        )


def _order(row: DatalistRow) -> tuple[object, ...]:
    image = row.image if isinstance(row.image, str) else row.image[0]
    numbers_apart = [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", row.subject_id)
    ]
    return numbers_apart, row.session or "", image


def _origin_of(table: str | os.PathLike[str] | None) -> Origin | None:
    """Phantom if a ``cohort.json`` beside the table says ``"phantom": true``; otherwise not stated."""
    sidecar = None if table is None else Path(table).parent / "cohort.json"
    if sidecar is None or not sidecar.is_file():
        return None
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("not valid JSON", source=sidecar, found=str(error)) from error
    return "phantom" if isinstance(content, dict) and content.get("phantom") is True else None


def _from_autopet(
    images: str | os.PathLike[str] | None,
    table: str | os.PathLike[str] | None,
    age_range_years: tuple[float, float],
    all_studies: bool,
) -> _Draft:
    if images is None or table is None:
        raise InputError("--layout autopet needs the set's folder and its table", expected="--images and --table")
    selection = select_autopet(images, table, age_range_years=age_range_years, all_studies=all_studies)
    return _Draft([("test", row) for row in selection.rows], selection.left_out, has_sections=True)


def _from_headers(images: str | os.PathLike[str], modality: str, keep_patient_id: bool) -> _Draft:
    draft = _Draft()
    scans = find_scans(images, modality=modality)
    if scans and all(scan.facts is None for scan in scans):
        raise InputError(
            "NIfTI files do not tell the age",
            source=images,
            remedy="bring a table with image, subject_id, age_years, sex",
        )
    usable: list[FoundScan] = []
    for scan in scans:
        if scan.facts is None:
            draft.left_out["NIfTI file, which does not tell the age"] += 1
        elif scan.error is not None:
            draft.left_out["study without a usable series"] += 1
            draft.notes.append(f"left out: {scan.error}")
        elif scan.facts.age_years is None:
            draft.left_out["no age in the header"] += 1
        else:
            usable.append(scan)
    people: dict[str, list[FoundScan]] = {}
    anonymous = 0
    for scan in usable:
        key = scan.facts.patient_key if scan.facts is not None else None
        anonymous += key is None
        people.setdefault(key or f"#{len(people)}", []).append(scan)
    if anonymous:
        draft.notes.append(
            f"{anonymous} studies have no PatientID: each counts as a person of its own, so repeat scans of one "
            "person could land in different folds"
        )
    width = max(4, len(str(len(people))))
    for number, own in enumerate(people.values(), start=1):
        subject = f"sub-{number:0{width}d}"
        if keep_patient_id:
            subject = _patient_id(own[0].first_file) or subject
        for visit, scan in enumerate(own, start=1):
            facts = scan.facts or ScanFacts()
            draft.rows.append(
                (
                    "training",
                    DatalistRow(
                        image=_stored(scan.files),
                        subject_id=subject,
                        age_years=facts.age_years,
                        sex=_sex(facts.sex),
                        session=f"ses-{visit}" if len(own) > 1 else None,
                    ),
                )
            )
    if keep_patient_id:
        draft.notes.append(
            "subject_id is the PatientID of the headers: do not share the datalist unless it is a pseudonym"
        )
    return draft


def _patient_id(file: Path) -> str | None:
    import pydicom

    header = pydicom.dcmread(file, specific_tags=["PatientID"], stop_before_pixels=True, force=True)
    return str(header.get("PatientID", "")).strip() or None


def _stored(files: Sequence[Path]) -> str | list[str]:
    return str(files[0]) if len(files) == 1 else [str(file) for file in files]


def _sex(sex: str | None) -> Literal["F", "M"] | None:
    return "F" if sex == "F" else "M" if sex == "M" else None


def _from_table(
    images: str | os.PathLike[str] | None, table: SubjectTable, modality: str, ages_from_headers: bool
) -> _Draft:
    draft = _Draft(faults=list(table.faults), notes=list(table.notes), has_sections="section" in table.fields)
    if "image" not in table.fields and "subject_id" not in table.fields:
        raise InputError(
            "the table says neither which image nor which subject a row is about",
            source=table.path,
            expected="a column image, or subject_id",
            remedy="rename the fitting column; PatientID is not taken by itself because it may identify a person",
        )
    scans = _scans_of_rows(images, table, modality, draft)
    fill_age = ages_from_headers or "age_years" not in table.fields
    fill_sex = ages_from_headers or "sex" not in table.fields
    filled = 0
    for row, scan in zip(table.rows, scans, strict=True):
        if scan is None:
            continue
        age, sex = row.get("age_years"), row.get("sex")
        if (age is None and fill_age) or (sex is None and fill_sex):
            facts = scan.facts or _header_facts(scan.files[0], modality)
            filled += age is None and fill_age and facts.age_years is not None
            age = facts.age_years if age is None and fill_age else age
            sex = facts.sex if sex is None and fill_sex else sex
        section = row.get("section") or "training"
        if age is None and section != "test":
            draft.faults.append(f"line {row['line']}: no age, neither in the table" + (" nor in the header" * fill_age))
            continue
        values = {name: row.get(name) for name in ("session", "fold", "group", "site", "time_years", "event")}
        values |= {"image": _stored(scan.files), "age_years": age, "sex": sex, "covariates": row["covariates"]}
        values["subject_id"] = row.get("subject_id") or f"line-{row['line']:05d}"
        try:
            draft.rows.append((section, DatalistRow.model_validate(values)))
        except ValidationError as error:
            draft.faults += [f"line {row['line']}, {d['loc'][0]}: {d['msg']}" for d in error.errors()]
    if "subject_id" not in table.fields:
        draft.notes.append(
            "the table has no subject_id: each row counts as a person of its own, so repeat scans of one person could "
            "land in different folds"
        )
    if filled:
        draft.notes.append(f"{filled} ages were taken from the DICOM headers")
    return draft


def _scans_of_rows(
    images: str | os.PathLike[str] | None, table: SubjectTable, modality: str, draft: _Draft
) -> list[FoundScan | None]:
    """The scan that each row of the table means, None where that is a fault."""
    if "image" in table.fields:
        folders = [absolute_path(folder) for folder in (images, table.path.parent) if folder is not None]
        return [_named_scan(row, folders, draft) for row in table.rows]
    if images is None:
        raise InputError(
            "the table has no column image", source=table.path, remedy="say where the images are: --images DIR"
        )
    root = absolute_path(images)
    scans = find_scans(root, modality=modality)
    chosen: list[FoundScan | None] = []
    line_of: dict[FoundScan, int] = {}
    for row in table.rows:
        scan = _matched_scan(row, scans, root, draft)
        if scan is not None and scan in line_of:
            draft.faults.append(
                f"line {row['line']}: {scan.shown(root)} is already meant by line {line_of[scan]} "
                "(add a column session or image)"
            )
            scan = None
        if scan is not None:
            line_of[scan] = row["line"]
        chosen.append(scan)
    unused = len(scans) - len(line_of)
    if unused and not draft.faults:
        draft.left_out["image that no row of the table means"] = unused
    return chosen


def _named_scan(row: Mapping[str, Any], folders: Sequence[Path], draft: _Draft) -> FoundScan | None:
    if row.get("image") is None:
        draft.faults.append(f"line {row['line']}: no image")
        return None
    try:
        path = resolve_image(row["image"], folders)
    except ValueError as error:
        draft.faults.append(f"line {row['line']}: {error}")
        return None
    return FoundScan((path,), (), None, None, path)


def _matched_scan(row: Mapping[str, Any], scans: Sequence[FoundScan], root: Path, draft: _Draft) -> FoundScan | None:
    subject, session = row.get("subject_id"), row.get("session")
    if subject is None:
        draft.faults.append(f"line {row['line']}: no subject_id")
        return None
    matches = matching_scans(scans, subject, session)
    who = f"subject {subject!r}" + (f", session {session!r}" if session else "")
    if not matches:
        draft.faults.append(f"line {row['line']}: no image is named after {who}")
        return None
    if len(matches) > 1:
        shown = ", ".join(scan.shown(root) for scan in matches[:4]) + (", ..." if len(matches) > 4 else "")
        draft.faults.append(
            f"line {row['line']}: {len(matches)} images are named after {who}: {shown} (add a column session or image)"
        )
        return None
    if matches[0].error is not None:
        draft.faults.append(f"line {row['line']}: {matches[0].shown(root)}: {matches[0].error}")
        return None
    return matches[0]


def _header_facts(path: Path, modality: str) -> ScanFacts:
    from agezoo.data.read import discover_studies

    if is_nifti(path):
        return ScanFacts()
    try:
        studies = [study for study in discover_studies(path, modality=modality) if study.error is None]
    except InputError:
        return ScanFacts()
    # With two studies in one folder it is not known which one the row means.
    return studies[0].facts if len(studies) == 1 else ScanFacts()


def _split(datalist: Datalist, draft: _Draft, *, folds: int, seed: int, test_fraction: float) -> None:
    """Draw test rows and folds in place, where the table does not name them."""
    if test_fraction:
        if datalist.test:
            raise InputError(
                "the table names test rows already",
                found=f"{len(datalist.test)} test rows",
                remedy="leave out --test-fraction",
            )
        rows = datalist.training
        is_test = draw_test_subjects(*_keys(rows), fraction=test_fraction, seed=seed)
        datalist.training = [row for row, test in zip(rows, is_test, strict=True) if not test]
        datalist.test = [row for row, test in zip(rows, is_test, strict=True) if test]
        datalist.seed = seed
    given = datalist.fold_numbers()
    if given:
        datalist.folds = max(2, len(given))
        draft.notes.append("folds were taken from the table")
    elif folds and datalist.training and not datalist.validation:
        for row, fold in zip(
            datalist.training, assign_folds(*_keys(datalist.training), folds=folds, seed=seed), strict=True
        ):
            row.fold = int(fold)
        datalist.folds, datalist.seed = folds, seed


def _keys(rows: Sequence[DatalistRow]) -> tuple[list[str], list[float | None], list[str | None]]:
    return [row.subject_id for row in rows], [row.age_years for row in rows], [row.sex for row in rows]


def _summaries(datalist: Datalist) -> tuple[SplitSummary, ...]:
    parts: list[tuple[str, list[DatalistRow]]] = []
    numbers = datalist.fold_numbers()
    if numbers:
        parts += [(f"fold {n}", [row for row in datalist.training if row.fold == n]) for n in numbers]
    else:
        parts.append(("training", datalist.training))
    parts += [("validation", datalist.validation), ("test", datalist.test)]
    return tuple(summarise_split(name, *_keys(rows)) for name, rows in parts if rows)
