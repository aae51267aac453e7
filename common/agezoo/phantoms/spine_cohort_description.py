"""What a spine phantom cohort says of itself: parameters it accepts, description, plan of the analysis."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd

from agezoo.phantoms.cohort_folder import STATEMENT, TABLE, in_range
from agezoo.phantoms.spine_follow_up import HAZARD_RATIOS, planted_effects
from agezoo.phantoms.spine_labels import LABELS, VERTEBRAL_COLUMN
from agezoo.phantoms.spine_plan import SpineCohortParameters

PLAN = "analysis_plan.json"
SIGNS = "signs.csv"


def checked_parameters(parameters: SpineCohortParameters) -> SpineCohortParameters:
    """Return the parameters, or raise `InputError` naming the first that is out of range."""
    ages = {name: getattr(parameters, name) for name in ("age_range_years", "vfa_age_range_years")}
    shares = {name: getattr(parameters, name) for name in ("repeat_fraction", "second_scanner_fraction")}
    people = parameters.subjects + parameters.vfa_subjects
    in_range(
        ("subjects", parameters.subjects, "a whole number from 0 to 9999", 0 <= parameters.subjects <= 9999),
        ("vfa_subjects", parameters.vfa_subjects, "0 to 9999", 0 <= parameters.vfa_subjects <= 9999),
        ("subjects + vfa_subjects", people, "at least one person", people > 0),
        ("seed", parameters.seed, "0 or more", parameters.seed >= 0),
        *((name, pair, "low < high within 40 and 99", 40 <= pair[0] < pair[1] <= 99) for name, pair in ages.items()),
        ("deviation_sd_years", parameters.deviation_sd_years, "0 to 15", 0 <= parameters.deviation_sd_years <= 15),
        *((name, share, "0 to 1", 0 <= share <= 1) for name, share in shares.items()),
    )
    return parameters


def cohort_description(parameters: SpineCohortParameters, table: pd.DataFrame | None) -> str:
    """Return the content of ``cohort.json``; without a table the cohort is not complete."""
    content: dict[str, object] = {
        "what": STATEMENT,
        "origin": "phantom",
        "complete": table is not None,
        "parameters": asdict(parameters),
        "best_possible_mae_years": round(parameters.best_possible_mae_years, 3),
        "best_possible_mae_note": "sqrt(2/pi) x deviation_sd_years: biological age cannot tell more about age",
        "follow_up": planted_effects(),
        "labels": LABELS,
        "vertebral_column": list(VERTEBRAL_COLUMN),
        "files": {
            TABLE: "one row per image; image and mask are relative to this folder",
            PLAN: "labels, end points and nested models for agezoo analyse",
            SIGNS: "the drawn ageing signs behind each image",
            "images/<image>.dcm": "one lateral radiograph (CR, DX) or DXA vertebral fracture assessment (OT)",
            "masks/<image>.png": "labels of the age-carrying regions on the stored image's grid",
            "masks/labels.json": "label values",
            "scans/<image>.json": "one finished image's row of the table",
        },
        "age_signs_without_mask": ["density of ribs, sacrum and iliac wings"],
        "follow_up_note": "follow-up starts at the first image; rows of repeat images have none",
    }
    if table is not None:
        content["images"] = len(table)
        content["images_test"] = int(table["test"].sum())
        content["by_modality"] = {
            str(modality): _bounds(rows.drop_duplicates("subject_id"), len(rows))
            for modality, rows in table.groupby("modality")
        }
    return json.dumps(content, indent=2) + "\n"


def _bounds(people: pd.DataFrame, images: int) -> dict[str, object]:
    ages = people["age_years"]
    return {
        "images": images,
        "people": len(people),
        "mean_guess_mae_years": round(float((ages - ages.mean()).abs().mean()), 3),
        "perfect_reader_mae_years": round(float(people["deviation_years"].abs().mean()), 3),
        "events": {name: int(people[f"event_{name}"].sum()) for name in HAZARD_RATIOS},
    }


def analysis_plan() -> str:
    """Return the content of ``analysis_plan.json``, a plan for `agezoo.analysis.plan.AnalysisPlan`."""
    fractures = [name for name in HAZARD_RATIOS if name != "death"]
    clinical = ["bmi", "smoking", "parental_hip_fracture", "previous_fracture"]
    smallest = ["age_years", "sex"]
    wider = [*smallest, "prevalent_vertebral_fracture", *clinical]
    plan = {
        "by": "modality",
        "labels": ["prevalent_vertebral_fracture", "osteoporosis"],
        "end_points": [
            *(_end_point(name, competing=f"competing_death_{name}") for name in fractures),
            _end_point("death"),
        ],
        "models": {"model 1": smallest, "model 2": wider, "model 3": [*wider, "osteoporosis"]},
        "site": "site",
    }
    return json.dumps(plan, indent=2) + "\n"


def _end_point(name: str, **competing: str) -> dict[str, str]:
    return {"name": name, "time": f"time_{name}_years", "event": f"event_{name}", **competing}
