"""The BIDS side of a brain phantom cohort: file names, sidecars, tables of people and sessions."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from agezoo.phantoms.brain_plan import PlannedBrainScan, Space
from agezoo.phantoms.brain_scan import BrainScan
from agezoo.phantoms.cohort_folder import STATEMENT, write_text
from agezoo.phantoms.nifti_writer import write_nifti
from agezoo.phantoms.phantom_identity import MANUFACTURER
from agezoo.version import __version__

_BIDS_VERSION = "1.9.0"
_OWN_FILES = ("cohort.csv", "cohort.json", "masks/", "scans/", "datalist.json", ".lock")


def image_path(scan: PlannedBrainScan) -> Path:
    """Where a scan's image lies in the cohort's folder."""
    form = "_space-MNI152_desc-brain_T1w" if scan.space == "mni" else "_T1w"
    person, session = scan.subject.subject_id, scan.settings.session
    return Path(person) / session / "anat" / f"{person}_{session}{form}.nii.gz"


def write_scan(folder: Path, scan: PlannedBrainScan, content: BrainScan, *, mask: Path) -> Path:
    """Write a scan's image with its sidecar, and its labels; return the image's path in the folder."""
    image = image_path(scan)
    standard = scan.space == "mni"
    write_nifti(folder / image, content.voxels, content.affine, standard_space=standard)
    write_nifti(folder / mask, content.labels, content.affine, standard_space=standard)
    sidecar = folder / image.parent / image.name.replace(".nii.gz", ".json")
    write_text(sidecar, json.dumps(_sidecar(scan), indent=2) + "\n")
    return image


def _sidecar(scan: PlannedBrainScan) -> dict[str, object]:
    if scan.space == "mni":
        return {
            "SkullStripped": True,
            "SpatialReference": "FSL MNI152 2 mm grid" if not scan.settings.quick else "FSL MNI152 grid at 4 mm",
            "Description": "Synthetic brain as after extraction and affine registration; no person was scanned.",
        }
    return {
        "Modality": "MR",
        "Manufacturer": MANUFACTURER,
        "InstitutionName": scan.settings.site,
        "MagneticFieldStrength": 3 if scan.settings.site == "site_a" else 1.5,
        "PulseSequenceType": "synthetic T1-weighted gradient echo",
        "SliceThickness": max(scan.settings.voxel_mm),
        "Description": "Synthetic phantom drawn by software; no person was scanned.",
    }


def write_bids_tables(folder: Path, table: pd.DataFrame, space: Space) -> None:
    """Write ``participants.tsv``, one table of sessions per person, and the description of the data set."""
    people = table.drop_duplicates("subject_id")
    participants = pd.DataFrame(
        {
            "participant_id": people["subject_id"],
            "age": people["age_years"],
            "sex": people["sex"],
            "diagnosis": people["diagnosis"],
            "site": people["site"],
        }
    )
    write_text(folder / "participants.tsv", participants.to_csv(sep="\t", index=False))
    write_text(folder / "participants.json", json.dumps(_COLUMNS, indent=2) + "\n")
    for person, rows in table.groupby("subject_id", sort=False):
        sessions = pd.DataFrame({"session_id": rows["session"], "age": rows["age_years"], "site": rows["site"]})
        write_text(folder / str(person) / f"{person}_sessions.tsv", sessions.to_csv(sep="\t", index=False))
    description: dict[str, object] = {
        "Name": "AgeZoo brain phantoms",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative" if space == "mni" else "raw",
        "License": "CC0",
        "Acknowledgements": STATEMENT,
        "GeneratedBy": [{"Name": "AgeZoo phantom", "Version": __version__}],
    }
    write_text(folder / "dataset_description.json", json.dumps(description, indent=2) + "\n")
    write_text(folder / "README", STATEMENT + "\n")
    write_text(folder / ".bidsignore", "".join(f"{name}\n" for name in _OWN_FILES))


_COLUMNS = {
    "age": {"Description": "chronological age at the scan", "Units": "years"},
    "sex": {"Description": "sex", "Levels": {"F": "female", "M": "male"}},
    "diagnosis": {
        "Description": "planted diagnosis",
        "Levels": {"CN": "control", "MCI": "mild cognitive impairment", "AD": "Alzheimer's disease"},
    },
    "site": {"Description": "where the person was scanned"},
}
