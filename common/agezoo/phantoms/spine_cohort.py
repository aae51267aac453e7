"""Write a spine phantom cohort to disk: DICOM files, label masks, tables."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from agezoo.phantoms.cohort_folder import DESCRIPTION, TABLE, claim_folder, only_writer, row_path, write_text
from agezoo.phantoms.cohort_pool import write_missing
from agezoo.phantoms.spine_ageing import OSTEOPOROSIS_T_SCORE, t_score
from agezoo.phantoms.spine_anatomy import subject_signs
from agezoo.phantoms.spine_cohort_description import PLAN, SIGNS, analysis_plan, checked_parameters, cohort_description
from agezoo.phantoms.spine_detector import DxaScan, dxa_display, radiograph_display
from agezoo.phantoms.spine_dicom_writer import spine_dicom
from agezoo.phantoms.spine_follow_up import UNIFORMS, clinical_risk_factors, follow_up
from agezoo.phantoms.spine_labels import LABELS
from agezoo.phantoms.spine_layer import Picture
from agezoo.phantoms.spine_plan import PlannedSpineImage, SpineCohortParameters, plan_spine_cohort
from agezoo.phantoms.spine_projection import Projection, project_spine
from agezoo.phantoms.spine_storage import store_picture
from agezoo.phantoms.written_cohort import WrittenCohort


class SpineCohort(WrittenCohort[SpineCohortParameters]):
    """A cohort of spine phantoms on disk."""


def write_spine_cohort(
    out: str | Path,
    *,
    subjects: int,
    vfa_subjects: int = 0,
    seed: int,
    age_range_years: tuple[float, float] = (40.0, 90.0),
    vfa_age_range_years: tuple[float, float] = (65.0, 90.0),
    deviation_sd_years: float = 3.0,
    repeat_fraction: float = 0.1,
    second_scanner_fraction: float = 0.2,
    quick: bool = False,
    workers: int = 2,
    progress: bool = True,
) -> SpineCohort:
    """Write a cohort of phantom lateral spine images with a known ageing signal and follow-up.

    The folder then holds ``images/<image>.dcm``, ``masks/<image>.png`` (labels of the age-carrying regions on the
    stored image's grid), ``masks/labels.json``, ``cohort.csv`` (one row per image: who, how aged, baseline covariates,
    follow-up), ``analysis_plan.json`` and ``cohort.json`` (parameters, bounds, planted hazard ratios).

    Parameters
    ----------
    out
        Folder; new, empty, or holding the same cohort complete or interrupted: finished images are kept.
    subjects, vfa_subjects, seed, age_range_years, vfa_age_range_years, deviation_sd_years
        See `SpineCohortParameters`. The files depend on the parameters alone, not on `workers`.
    repeat_fraction, second_scanner_fraction, quick
        See there.
    workers
        Processes. With more than one, a script must call this under ``if __name__ == "__main__":``.
    progress
        Show a progress bar.

    Returns
    -------
    SpineCohort

    Raises
    ------
    InputError
        A parameter is out of range, or the folder holds something else.
    """
    started = time.perf_counter()
    parameters = checked_parameters(
        SpineCohortParameters(
            subjects=subjects,
            vfa_subjects=vfa_subjects,
            seed=seed,
            age_range_years=(float(age_range_years[0]), float(age_range_years[1])),
            vfa_age_range_years=(float(vfa_age_range_years[0]), float(vfa_age_range_years[1])),
            deviation_sd_years=float(deviation_sd_years),
            repeat_fraction=float(repeat_fraction),
            second_scanner_fraction=float(second_scanner_fraction),
            quick=bool(quick),
        )
    )
    folder = Path(out)
    plan = plan_spine_cohort(parameters)
    # Several processes may ask for one cohort at a time (the ranks of a distributed training): one writes, all wait.
    with only_writer(folder):
        claim_folder(folder, asdict(parameters), labels=LABELS, description=cohort_description(parameters, None))
        rows, written = write_missing(
            folder, plan, _write_image, workers=workers, progress=progress, what="phantom spines"
        )
        signs = pd.DataFrame([drawn_signs(image) for image in plan])
        table = pd.concat([rows, _baseline_and_follow_up(plan, parameters)], axis=1)
        if written or not (folder / TABLE).is_file():
            write_text(folder / TABLE, table.to_csv(index=False))
            write_text(folder / SIGNS, signs.to_csv(index=False))
            write_text(folder / PLAN, analysis_plan())
            write_text(folder / DESCRIPTION, cohort_description(parameters, table))
    return SpineCohort(folder, parameters, table, written, time.perf_counter() - started)


def ensure_spine_cohort(out: str | Path, *, subjects: int, vfa_subjects: int = 0, seed: int, **options: object) -> Path:
    """Return the folder of a cohort, writing what is missing of it.

    Parameters
    ----------
    out, subjects, vfa_subjects, seed, options
        As for `write_spine_cohort`. A folder that holds a cohort of other parameters is an error, never overwritten.
    """
    cohort = write_spine_cohort(out, subjects=subjects, vfa_subjects=vfa_subjects, seed=seed, **options)  # type: ignore[arg-type]
    return cohort.folder


def phantom_spine_image(image: PlannedSpineImage) -> tuple[Picture, Projection]:
    """Draw one image of a plan in memory.

    Returns
    -------
    tuple
        The picture before storage, 0 (black) to 1 (white), bone bright, and what it was made from.
    """
    settings = image.settings
    signs = subject_signs(image.subject)
    projection = project_spine(image.subject, signs, settings.pose, settings.breath, settings.view)
    if isinstance(settings.exposure, DxaScan):
        return dxa_display(projection, settings.exposure, settings.view.pixel_mm, settings.seed), projection
    return radiograph_display(projection, settings.exposure, settings.view.pixel_mm, settings.seed), projection


def _write_image(folder: Path, image: PlannedSpineImage) -> str:
    """Write one image; its row, written last, marks it as finished."""
    picture, projection = phantom_spine_image(image)
    file, mask = Path("images") / f"{image.name}.dcm", Path("masks") / f"{image.name}.png"
    (folder / file).write_bytes(spine_dicom(image, store_picture(picture, image.settings.storage)))
    Image.fromarray(projection.labels).save(folder / mask, optimize=False)
    row = _row(image, picture, projection, image_path=file, mask_path=mask)
    write_text(row_path(folder, image.name), json.dumps(row, indent=1) + "\n")
    return image.name


def _row(
    image: PlannedSpineImage, picture: Picture, projection: Projection, *, image_path: Path, mask_path: Path
) -> dict[str, object]:
    subject, settings = image.subject, image.settings
    return {
        "subject_id": subject.subject_id,
        "session": settings.session,
        "image": image_path.as_posix(),
        "mask": mask_path.as_posix(),
        "age_years": subject.age_years,
        "sex": subject.sex,
        "modality": settings.modality,
        "deviation_years": subject.deviation_years,
        "biological_age_years": round(subject.biological_age_years, 2),
        "site": settings.site,
        "test": image.test,
        "image_rows": settings.view.rows,
        "image_columns": settings.view.columns,
        "pixel_mm": settings.view.pixel_mm,
        "faces": "right" if settings.view.faces_right else "left",
        "storage": settings.storage.kind,
        "mean_brightness": round(float(picture.mean()), 4),
        "labelled_pixels": int(np.count_nonzero(projection.labels)),
    }


def drawn_signs(image: PlannedSpineImage) -> dict[str, object]:
    """The ageing signs of an image's person, one number each, as in ``signs.csv``; means over T4 to L5."""
    signs = subject_signs(image.subject)
    return {
        "image": f"images/{image.name}.dcm",
        "trabecular_density": round(signs.trabecular_density, 4),
        "disc_height_factor": round(float(signs.disc_height_factor[2:].mean()), 4),
        "endplate_concavity_mm": round(float(signs.concavity_mm[2:].mean()), 3),
        "wedging": round(float(signs.wedging[2:].mean()), 4),
        "kyphosis_deg": round(signs.kyphosis_deg, 2),
        "osteophyte_mm": round(float(signs.osteophyte_mm[2:].mean()), 3),
        "aortic_calcification": round(signs.calcification, 3),
        "fractured_vertebrae": int(np.count_nonzero(signs.fracture_grade)),
        "worst_fracture_grade": int(signs.fracture_grade.max()),
    }


def _baseline_and_follow_up(plan: list[PlannedSpineImage], parameters: SpineCohortParameters) -> pd.DataFrame:
    """Covariates of every row, and the follow-up of the rows of first images."""
    draws = [np.random.default_rng([*image.subject.seed, 7]) for image in plan]
    normal = np.array([rng.standard_normal() for rng in draws])
    uniforms = np.array([rng.random(4 + UNIFORMS) for rng in draws])
    signs = [subject_signs(image.subject) for image in plan]
    people = pd.DataFrame(
        {
            "age_years": [image.subject.age_years for image in plan],
            "deviation_years": [image.subject.deviation_years for image in plan],
            "sex": [image.subject.sex for image in plan],
        }
    )
    biological = (people["age_years"] + people["deviation_years"]).to_numpy()
    fatness = np.array([image.subject.fatness for image in plan])
    baseline = clinical_risk_factors(people["sex"], biological, fatness, uniforms[:, :4])
    score = np.round(t_score([sign.trabecular_density for sign in signs], people["sex"] == "F", normal), 2)
    baseline["prevalent_vertebral_fracture"] = [int(sign.fracture_grade.max() > 0) for sign in signs]
    baseline["t_score"] = score
    baseline["osteoporosis"] = (score <= OSTEOPOROSIS_T_SCORE).astype(np.int64)
    outcome = follow_up(
        pd.concat([people, baseline], axis=1), uniforms[:, 4:], deviation_sd_years=parameters.deviation_sd_years
    )
    # Counting one person's follow-up twice would make every interval too narrow.
    repeat = np.array([image.settings.session != "first" for image in plan])
    counts = [name for name in outcome if not name.endswith("_years")]
    outcome = outcome.astype(dict.fromkeys(counts, "Int64"))
    outcome.loc[repeat] = pd.NA
    return pd.concat([baseline, outcome], axis=1)
