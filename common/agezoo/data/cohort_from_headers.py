"""A cohort from DICOM headers alone: who, how old, which sex."""

from __future__ import annotations

import os
from pathlib import Path

from agezoo.data.cohort_draft import CohortDraft, known_sex, stored_image
from agezoo.data.datalist import DatalistRow
from agezoo.data.image_search import FoundScan, find_scans
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError


def draft_from_headers(
    images: str | os.PathLike[str], modality: str, keep_patient_id: bool, reader: str = "volume"
) -> CohortDraft:
    """Every DICOM study (radiograph) with an age as a draft; subjects are numbered in the order of their folders."""
    draft = CohortDraft()
    scans = find_scans(images, modality=modality, reader=reader)
    mute, scans_are = ("PNG, JPEG or TIFF file", "images") if reader == "radiograph" else ("NIfTI file", "studies")
    scans_are = "visits" if reader == "body" else scans_are
    if scans and all(scan.facts is None for scan in scans):
        raise InputError(
            f"{mute}s do not tell the age",
            source=images,
            remedy="bring a table with image, subject_id, age_years, sex"
            + (", or put participants.tsv into the BIDS dataset" if reader == "brain" else ""),
        )
    usable: list[FoundScan] = []
    for scan in scans:
        if scan.reason:
            draft.left_out[f"image that {scan.reason}"] += 1
        elif scan.facts is None:
            draft.left_out[f"{mute}, which does not tell the age"] += 1
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
            f"{anonymous} {scans_are} have no PatientID: each counts as a person of its own, so repeat scans of one "
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
                        image=stored_image(scan.files),
                        subject_id=subject,
                        age_years=facts.age_years,
                        sex=known_sex(facts.sex),
                        session=f"ses-{visit}" if len(own) > 1 else None,
                        covariates={"modality": scan.kind} if scan.kind else {},
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
