"""What a brain phantom cohort says of itself, and which parameters it accepts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import get_args

import pandas as pd

from agezoo.phantoms.brain_ageing import EXTRA_HIPPOCAMPAL_YEARS
from agezoo.phantoms.brain_discrimination import auroc_of_deviation, expected_auroc
from agezoo.phantoms.brain_labels import LABELS
from agezoo.phantoms.brain_plan import DIAGNOSES, BrainCohortParameters, Space
from agezoo.phantoms.cohort_folder import STATEMENT, TABLE, in_range


def checked_parameters(parameters: BrainCohortParameters) -> BrainCohortParameters:
    """Return the parameters, or raise `InputError` naming the first that is out of range."""
    ages = {name: getattr(parameters, name) for name in ("age_range_years", "patient_age_range_years")}
    shares = {
        name: getattr(parameters, name)
        for name in ("mci_fraction", "ad_fraction", "second_site_fraction", "repeat_fraction")
    }
    spreads = {
        name: getattr(parameters, name)
        for name in ("deviation_sd_years", "mci_deviation_sd_years", "ad_deviation_sd_years")
    }
    shifts = {name: getattr(parameters, name) for name in ("mci_deviation_years", "ad_deviation_years")}
    patients = parameters.mci_fraction + parameters.ad_fraction
    in_range(
        ("subjects", parameters.subjects, "a whole number from 1 to 9999", 1 <= parameters.subjects <= 9999),
        ("seed", parameters.seed, "0 or more", parameters.seed >= 0),
        ("space", parameters.space, "head or mni", parameters.space in get_args(Space)),
        *((name, pair, "low < high within 18 and 95", 18 <= pair[0] < pair[1] <= 95) for name, pair in ages.items()),
        *((name, share, "0 to 1", 0 <= share <= 1) for name, share in shares.items()),
        ("mci_fraction + ad_fraction", patients, "at most 1", patients <= 1),
        *((name, sd, "0 to 15", 0 <= sd <= 15) for name, sd in spreads.items()),
        *((name, shift, "0 to 20", 0 <= shift <= 20) for name, shift in shifts.items()),
    )
    return parameters


def cohort_description(parameters: BrainCohortParameters, table: pd.DataFrame | None) -> str:
    """Return the content of ``cohort.json``; without a table the cohort is not complete."""
    form = "space-MNI152_desc-brain_T1w" if parameters.space == "mni" else "T1w"
    content: dict[str, object] = {
        "what": STATEMENT,
        "origin": "phantom",
        "complete": table is not None,
        "parameters": asdict(parameters),
        "best_possible_mae_years": round(parameters.best_possible_mae_years, 3),
        "best_possible_mae_note": "of controls; sqrt(2/pi) x deviation_sd_years: biological age cannot tell more",
        "diagnoses": {
            name: {
                "mean_deviation_years": parameters.deviation(name)[0],
                "deviation_sd_years": parameters.deviation(name)[1],
                "extra_hippocampal_years": EXTRA_HIPPOCAMPAL_YEARS[name],
            }
            for name in DIAGNOSES
        },
        "best_possible_auroc": {f"{name}/CN": _auroc(parameters, name, table) for name in DIAGNOSES if name != "CN"},
        "best_possible_auroc_note": (
            "of the planted deviation: over unlimited people, and over this cohort's test rows, one scan each. The "
            "hippocampi of patients have aged more than their brains, so that a reader of the images could do better."
        ),
        "labels": LABELS,
        "files": {
            TABLE: "one row per scan; image and mask are relative to this folder",
            f"sub-*/ses-*/anat/*_{form}.nii.gz": "one T1-weighted volume, with a JSON sidecar",
            "participants.tsv, sub-*/sub-*_sessions.tsv": "the people and their sessions, in BIDS's manner",
            "masks/<scan>.nii.gz": "labels of the age-carrying regions on the scan's own grid",
            "masks/labels.json": "label values",
            "scans/<scan>.json": "one finished scan's row of the table",
        },
        "age_signs_without_mask": ["fluid between the brain and the skull, beyond 2 mm from the cortex"],
    }
    if table is not None:
        people = table.drop_duplicates("subject_id")
        controls = people[people["diagnosis"] == "CN"]
        content["scans"] = len(table)
        content["scans_test"] = int(table["test"].sum())
        content["mean_guess_mae_years"] = _mean_guess(controls)
        content["perfect_reader_mae_years"] = _perfect_reader(controls)
        content["by_diagnosis"] = {
            name: {"people": len(rows), "perfect_reader_mae_years": _perfect_reader(rows)}
            for name, rows in ((name, people[people["diagnosis"] == name]) for name in DIAGNOSES)
            if len(rows)
        }
    return json.dumps(content, indent=2) + "\n"


def _auroc(parameters: BrainCohortParameters, diagnosis: str, table: pd.DataFrame | None) -> dict[str, float | None]:
    shift, sd = parameters.deviation(diagnosis)
    spread = sd > 0 or parameters.deviation_sd_years > 0
    expected = round(expected_auroc(shift, sd, parameters.deviation_sd_years), 4) if spread else None
    if table is None:
        return {"expected": expected}
    people = table[table["test"]].drop_duplicates("subject_id")
    deviation = {name: people.loc[people["diagnosis"] == name, "deviation_years"] for name in (diagnosis, "CN")}
    found = auroc_of_deviation(deviation[diagnosis], deviation["CN"])
    return {"expected": expected, "this_cohort": None if found != found else round(found, 4)}


def _mean_guess(people: pd.DataFrame) -> float | None:
    ages = people["age_years"]
    return round(float((ages - ages.mean()).abs().mean()), 3) if len(people) else None


def _perfect_reader(people: pd.DataFrame) -> float | None:
    return round(float(people["deviation_years"].abs().mean()), 3) if len(people) else None
