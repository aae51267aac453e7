"""A cohort from a table and a folder: which image each row means, and what is known of its person."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agezoo.data.cohort_draft import CohortDraft, stored_image
from agezoo.data.datalist import DatalistRow, absolute_path
from agezoo.data.image_search import FoundScan, find_scans, is_nifti, matching_scans, resolve_image
from agezoo.data.subject_table import SubjectTable
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError


def draft_from_table(
    images: str | os.PathLike[str] | None,
    table: SubjectTable,
    modality: str,
    ages_from_headers: bool,
    reader: str = "volume",
) -> CohortDraft:
    """Rows of a table as a draft; what is wrong with single rows is collected in its faults.

    With reader ``"radiograph"`` the column ``modality`` (in any case) holds the kind of image, which is filled from the
    header where the images were searched for and the cell is empty.
    """
    draft = CohortDraft(faults=list(table.faults), notes=list(table.notes))
    if "image" not in table.fields and "subject_id" not in table.fields:
        raise InputError(
            "the table says neither which image nor which subject a row is about",
            source=table.path,
            expected="a column image, or subject_id",
            remedy="rename the fitting column; PatientID is not taken by itself because it may identify a person",
        )
    scans = _scans_of_rows(images, table, modality, reader, draft)
    fill_age = ages_from_headers or "age_years" not in table.fields
    fill_sex = ages_from_headers or "sex" not in table.fields
    folders = _folders(images, table)
    filled = 0
    lost_masks: list[str] = []
    for row, scan in zip(table.rows, scans, strict=True):
        if scan is None:
            continue
        age, sex = row.get("age_years"), row.get("sex")
        if (age is None and fill_age) or (sex is None and fill_sex):
            facts = scan.facts or _header_facts(scan.files[0], modality, reader)
            filled += age is None and fill_age and facts.age_years is not None
            age = facts.age_years if age is None and fill_age else age
            sex = facts.sex if sex is None and fill_sex else sex
        section = row.get("section") or "training"
        if age is None and section != "test":
            draft.faults.append(f"line {row['line']}: no age, neither in the table" + (" nor in the header" * fill_age))
            continue
        values = {name: row.get(name) for name in ("session", "fold", "group", "site", "time_years", "event")}
        values |= {"image": stored_image(scan.files), "age_years": age, "sex": sex}
        covariates = _with_mask(row["covariates"], folders, lost_masks)
        values["covariates"] = _with_kind(covariates, scan) if reader == "radiograph" else covariates
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
    if lost_masks:
        draft.notes.append(f"{len(lost_masks)} masks that the table names are not there, for example {lost_masks[0]!r}")
    if filled:
        draft.notes.append(f"{filled} ages were taken from the DICOM headers")
    return draft


def _scans_of_rows(
    images: str | os.PathLike[str] | None, table: SubjectTable, modality: str, reader: str, draft: CohortDraft
) -> list[FoundScan | None]:
    """The scan that each row of the table means, None where that is a fault."""
    if "image" in table.fields:
        folders = _folders(images, table)
        return [_named_scan(row, folders, draft, reader) for row in table.rows]
    if images is None:
        raise InputError(
            "the table has no column image", source=table.path, remedy="say where the images are: --images DIR"
        )
    root = absolute_path(images)
    scans = find_scans(root, modality=modality, reader=reader)
    chosen: list[FoundScan | None] = []
    line_of: dict[FoundScan, int] = {}
    for row in table.rows:
        scan = _matched_scan(row, scans, root, draft, reader)
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


def _folders(images: str | os.PathLike[str] | None, table: SubjectTable) -> list[Path]:
    """Where paths of the table are looked for."""
    return [absolute_path(folder) for folder in (images, table.path.parent) if folder is not None]


def _named_scan(row: Mapping[str, Any], folders: Sequence[Path], draft: CohortDraft, reader: str) -> FoundScan | None:
    if row.get("image") is None:
        draft.faults.append(f"line {row['line']}: no image")
        return None
    try:
        path = resolve_image(row["image"], folders)
    except ValueError as error:
        draft.faults.append(f"line {row['line']}: {error}")
        return None
    if reader == "brain" and path.is_dir():
        return _only_brain(path, row, draft)
    return FoundScan((path,), (), None, None, path)


def _only_brain(folder: Path, row: Mapping[str, Any], draft: CohortDraft) -> FoundScan | None:
    """The T1-weighted scan in a folder that a row names, which may hold other series too."""
    try:
        scans = find_scans(folder, modality="MR", reader="brain")
    except InputError as error:
        draft.faults.append(f"line {row['line']}: {error}")
        return None
    if len(scans) > 1:
        shown = ", ".join(scan.shown(folder) for scan in scans[:4]) + (", ..." if len(scans) > 4 else "")
        draft.faults.append(f"line {row['line']}: {row['image']} holds {len(scans)} brains: {shown} (name one)")
        return None
    if scans[0].error is not None:
        draft.faults.append(f"line {row['line']}: {scans[0].error}")
        return None
    return scans[0]


def _matched_scan(
    row: Mapping[str, Any], scans: Sequence[FoundScan], root: Path, draft: CohortDraft, reader: str
) -> FoundScan | None:
    subject, session = row.get("subject_id"), row.get("session")
    if subject is None:
        draft.faults.append(f"line {row['line']}: no subject_id")
        return None
    matches = matching_scans(scans, subject, session)
    if not matches and reader == "brain":
        # BIDS labels are letters and digits alone: P-07_a is prepared as sub-P07a.
        matches = matching_scans(scans, _as_label(subject), session and _as_label(session))
    # A frontal view beside the lateral one is not a second candidate.
    usable = [scan for scan in matches if not scan.reason]
    matches = usable or matches
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


def _as_label(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", name)


def _with_mask(covariates: Mapping[str, Any], folders: Sequence[Path], lost: list[str]) -> dict[str, Any]:
    """Covariates whose ``mask`` is the path of a file, found as images are; one that is not there goes to `lost`."""
    mask = covariates.get("mask")
    if not isinstance(mask, str) or not mask:
        return dict(covariates)
    try:
        return {**covariates, "mask": str(resolve_image(mask, folders))}
    except ValueError:
        lost.append(mask)
        return dict(covariates)


def _with_kind(covariates: Mapping[str, Any], scan: FoundScan) -> dict[str, Any]:
    """Covariates whose ``modality`` is a kind of image in lower case, whatever the case of the column and the cell."""
    kept = {name: value for name, value in covariates.items() if name.lower() != "modality"}
    kind = next((value for name, value in covariates.items() if name.lower() == "modality"), None) or scan.kind
    return {**kept, "modality": kind.lower() if isinstance(kind, str) else kind} if kind else kept


def _header_facts(path: Path, modality: str, reader: str) -> ScanFacts:
    from agezoo.data.radiograph_search import find_radiographs
    from agezoo.data.read import discover_studies

    if is_nifti(path):
        return ScanFacts()
    if reader == "radiograph":
        usable = [image for image in find_radiographs(path) if image.error is None]
        return (usable[0].facts if len(usable) == 1 else None) or ScanFacts()
    if reader == "body":
        from agezoo.data.body_search import find_bodies

        bodies = find_bodies(path)
        return (bodies[0].facts if len(bodies) == 1 else None) or ScanFacts()
    contrast = "T1" if reader == "brain" else ""
    try:
        studies = [
            study for study in discover_studies(path, modality=modality, contrast=contrast) if study.error is None
        ]
    except InputError:
        return ScanFacts()
    # With two studies in one folder it is not known which one the row means.
    return studies[0].facts if len(studies) == 1 else ScanFacts()
