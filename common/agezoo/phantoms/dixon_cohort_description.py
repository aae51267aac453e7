"""What a whole-body phantom cohort says of itself, and which parameters it accepts."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd

from agezoo.phantoms.body_ageing import REGION_SD_YEARS
from agezoo.phantoms.body_labels import LABELS, PLANTED_WEIGHTS
from agezoo.phantoms.body_plan import BodyCohortParameters
from agezoo.phantoms.cohort_folder import STATEMENT, TABLE, in_range


def checked_parameters(parameters: BodyCohortParameters) -> BodyCohortParameters:
    """Return the parameters, or raise `InputError` naming the first that is out of range."""
    low, high = parameters.age_range_years
    shares = {
        name: getattr(parameters, name) for name in ("second_scanner_fraction", "repeat_fraction", "swap_fraction")
    }
    in_range(
        ("subjects", parameters.subjects, "a whole number from 1 to 9999", 1 <= parameters.subjects <= 9999),
        ("seed", parameters.seed, "0 or more", parameters.seed >= 0),
        ("age_range_years", parameters.age_range_years, "low < high within 18 and 95", 18 <= low < high <= 95),
        ("deviation_sd_years", parameters.deviation_sd_years, "0 to 15", 0 <= parameters.deviation_sd_years <= 15),
        *((name, share, "0 to 1", 0 <= share <= 1) for name, share in shares.items()),
    )
    return parameters


def cohort_description(parameters: BodyCohortParameters, table: pd.DataFrame | None) -> str:
    """Return the content of ``cohort.json``; without a table the cohort is not complete."""
    content: dict[str, object] = {
        "what": STATEMENT,
        "origin": "phantom",
        "complete": table is not None,
        "parameters": asdict(parameters),
        "best_possible_mae_years": round(parameters.best_possible_mae_years, 3),
        "best_possible_mae_note": (
            "of a reader who sees the regions' ages and knows the cohort's age range; the deviations of the biological "
            "age and of the regions hide the rest of the chronological age"
        ),
        "planted_weights": dict(PLANTED_WEIGHTS),
        "planted_weights_note": "share of the information on biological age that each label carries",
        "region_sd_years": dict(REGION_SD_YEARS),
        "region_sd_note": "SD of each planted region's own age about the biological age; weights are shares of 1/SD^2",
        "labels": dict(LABELS),
        "files": {
            TABLE: "one row per scan; image and mask are relative to this folder",
            "images/<scan>.zip": "one examination: six Dixon stations of four contrasts as DICOM, and manifest.csv",
            "masks/<scan>.nii.gz": "labels of organs and tissues, in the patient space of the DICOM (RAS+ mm)",
            "masks/labels.json": "label values",
            "scans/<scan>.json": "one finished scan's row of the table",
        },
    }
    if table is not None:
        ages = table.drop_duplicates("subject_id")["age_years"]
        content["scans"] = len(table)
        content["scans_test"] = int(table["test"].sum())
        content["scans_with_swapped_stations"] = int((table["swapped_stations"] != "").sum())
        content["mean_guess_mae_years"] = round(float((ages - ages.mean()).abs().mean()), 3)
    return json.dumps(content, indent=2) + "\n"
