"""What a CT phantom cohort says of itself, and which parameters it accepts."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd

from agezoo.phantoms.cohort_folder import STATEMENT, TABLE, in_range
from agezoo.phantoms.ct_cohort_plan import CohortParameters


def checked_parameters(parameters: CohortParameters) -> CohortParameters:
    """Return the parameters, or raise `InputError` naming the first that is out of range."""
    low, high = parameters.age_range_years
    in_range(
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
    )
    return parameters


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
