"""The folder of a CT phantom cohort: whose it is, what it says of itself, and which scans are finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from agezoo.errors import InputError
from agezoo.phantoms.ct_cohort_plan import CohortParameters
from agezoo.phantoms.torso_labels import LABELS

try:
    import fcntl
except ImportError:  # Windows has no such lock; there, two writers of one folder are the user's to avoid.
    fcntl = None  # type: ignore[assignment]

TABLE = "cohort.csv"
DESCRIPTION = "cohort.json"
STATEMENT = (
    "Synthetic phantoms drawn by software; no person was scanned. Appearance depends on biological age = age + "
    "deviation. Ages predicted by a model trained on this cohort mean nothing for real people."
)
_LOCK = ".lock"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; wait for another process that holds it. A killed process gives it back."""
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file, not a folder for a phantom cohort", source=folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def checked_parameters(parameters: CohortParameters) -> CohortParameters:
    """Return the parameters, or raise `InputError` naming the first that is out of range."""
    low, high = parameters.age_range_years
    faults = [
        ("subjects", parameters.subjects, "a whole number from 1 to 9999", 1 <= parameters.subjects <= 9999),
        ("seed", parameters.seed, "0 or more", parameters.seed >= 0),
        ("age_range_years", parameters.age_range_years, "low < high within 18 and 95", 18 <= low < high <= 95),
        ("deviation_sd_years", parameters.deviation_sd_years, "0 to 15", 0 <= parameters.deviation_sd_years <= 15),
        ("repeat_fraction", parameters.repeat_fraction, "0 to 1", 0 <= parameters.repeat_fraction <= 1),
        (
            "second_scanner_fraction",
            parameters.second_scanner_fraction,
            "0 to 1",
            0 <= parameters.second_scanner_fraction <= 1,
        ),
    ]
    for name, found, expected, fine in faults:
        if not fine:
            raise InputError("phantom cohort parameter out of range", source=name, found=found, expected=expected)
    return parameters


def claim_folder(folder: Path, parameters: CohortParameters) -> None:
    """Make an empty folder the cohort's, or find that it already holds this cohort.

    Raises
    ------
    InputError
        The folder holds other files, or a cohort of other parameters (all differences are named).
    """
    description = folder / DESCRIPTION
    if description.is_file():
        try:
            stored = json.loads(description.read_text(encoding="utf-8"))["parameters"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                "not the description of a phantom cohort", source=description, remedy="choose another folder"
            ) from error
        wanted = json.loads(json.dumps(asdict(parameters)))
        other = sorted(key for key in wanted.keys() | stored.keys() if wanted.get(key) != stored.get(key))
        if other:
            raise InputError(
                "holds a phantom cohort of other parameters",
                source=folder,
                found=", ".join(f"{key} {stored.get(key)}" for key in other),
                expected=", ".join(f"{key} {wanted.get(key)}" for key in other),
                remedy="choose another folder, or delete this one to write the cohort anew",
            )
        return
    if any(entry.name != _LOCK for entry in folder.iterdir()):
        raise InputError(
            "is not empty and holds no phantom cohort", source=folder, remedy="choose a new or an empty folder"
        )
    for part in ("images", "masks", "scans"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_text(folder / "masks" / "labels.json", json.dumps(LABELS, indent=2) + "\n")
    write_text(description, cohort_description(parameters, None))


def cohort_description(parameters: CohortParameters, table: pd.DataFrame | None) -> str:
    """Return the content of ``cohort.json``; without a table the cohort is not complete."""
    content: dict[str, object] = {
        "what": STATEMENT,
        "origin": "phantom",
        "complete": table is not None,
        "parameters": asdict(parameters),
        "best_possible_mae_years": round(parameters.best_possible_mae_years, 3),
        "best_possible_mae_note": "sqrt(2/pi) x deviation_sd_years: biological age cannot tell more about age",
        "files": {
            TABLE: "one row per scan; image and mask are relative to this folder",
            "images/<scan>": "one DICOM CT series per scan",
            "masks/<scan>.nii.gz": "labels of the age-carrying regions on the CT's grid (RAS+ mm)",
            "masks/labels.json": "label values",
            "scans/<scan>.json": "one finished scan's row of the table",
        },
        "age_signs_without_mask": ["visceral fat", "rib and pelvic bone density"],
    }
    if table is not None:
        ages = table.drop_duplicates("subject_id")["age_years"]
        content["scans"] = len(table)
        content["scans_test"] = int(table["test"].sum())
        content["mean_guess_mae_years"] = round(float((ages - ages.mean()).abs().mean()), 3)
    return json.dumps(content, indent=2) + "\n"


def row_path(folder: Path, scan_name: str) -> Path:
    """Where a finished scan's row lies; the file is written last, so it tells that the scan is complete."""
    return folder / "scans" / f"{scan_name}.json"


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is never half there."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
