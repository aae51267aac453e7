"""Write a whole-body phantom cohort to disk: zips of Dixon DICOM, label masks, tables."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from agezoo.phantoms.body_labels import LABELS
from agezoo.phantoms.body_plan import BodyCohortParameters, PlannedBody, plan_body_cohort
from agezoo.phantoms.cohort_folder import DESCRIPTION, TABLE, claim_folder, only_writer, row_path, write_text
from agezoo.phantoms.cohort_pool import write_missing
from agezoo.phantoms.dixon_cohort_description import checked_parameters, cohort_description
from agezoo.phantoms.dixon_dicom_writer import write_dixon_zip
from agezoo.phantoms.dixon_scanner import PhantomDixon, scan_body
from agezoo.phantoms.nifti_writer import write_nifti
from agezoo.phantoms.written_cohort import WrittenCohort


class BodyCohort(WrittenCohort[BodyCohortParameters]):
    """A cohort of whole-body phantoms on disk."""


def write_body_cohort(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    age_range_years: tuple[float, float] = (44.0, 85.0),
    deviation_sd_years: float = 3.0,
    second_scanner_fraction: float = 0.2,
    repeat_fraction: float = 0.05,
    swap_fraction: float = 0.02,
    quick: bool = True,
    workers: int = 1,
    progress: bool = True,
) -> BodyCohort:
    """Write a cohort of phantom whole-body Dixon examinations with a known ageing signal.

    The folder then holds ``images/<scan>.zip`` (six stations of four contrasts as DICOM), ``masks/<scan>.nii.gz``
    (labels of organs and tissues in the DICOM's patient space), ``masks/labels.json``, ``cohort.csv`` (one row per
    scan) and ``cohort.json`` (parameters, the bound that the planted deviation sets, the share of the ageing that each
    label carries, what is in the folder).

    Parameters
    ----------
    out
        Folder; new, empty, or holding the same cohort complete or interrupted: finished scans are kept.
    subjects, seed, age_range_years, deviation_sd_years, second_scanner_fraction, repeat_fraction, swap_fraction
        See `BodyCohortParameters`. The files depend on these and on `quick` alone, not on `workers`.
    quick
        A third of UK Biobank's resolution along every axis.
    workers
        Processes. With more than one, a script must call this under ``if __name__ == "__main__":``.
    progress
        Show a progress bar.

    Returns
    -------
    BodyCohort

    Raises
    ------
    InputError
        A parameter is out of range, or the folder holds something else.
    """
    started = time.perf_counter()
    parameters = checked_parameters(
        BodyCohortParameters(
            subjects=subjects,
            seed=seed,
            age_range_years=(float(age_range_years[0]), float(age_range_years[1])),
            deviation_sd_years=float(deviation_sd_years),
            second_scanner_fraction=float(second_scanner_fraction),
            repeat_fraction=float(repeat_fraction),
            swap_fraction=float(swap_fraction),
            quick=bool(quick),
        )
    )
    folder = Path(out)
    plan = plan_body_cohort(parameters)
    # Several processes may ask for one cohort at a time (the ranks of a distributed training): one writes, all wait.
    with only_writer(folder):
        claim_folder(folder, asdict(parameters), labels=LABELS, description=cohort_description(parameters, None))
        table, written = write_missing(
            folder, plan, _write_scan, workers=workers, progress=progress, what="phantom bodies"
        )
        if written or not (folder / TABLE).is_file():
            write_text(folder / TABLE, table.to_csv(index=False))
            write_text(folder / DESCRIPTION, cohort_description(parameters, table))
    return BodyCohort(folder, parameters, table, written, time.perf_counter() - started)


def ensure_body_cohort(out: str | Path, *, subjects: int, seed: int, quick: bool = True, **options: object) -> Path:
    """Return the folder of a cohort, writing what is missing of it.

    Parameters
    ----------
    out, subjects, seed, quick, options
        As for `write_body_cohort`. A folder that holds a cohort of other parameters is an error, never overwritten.
    """
    cohort = write_body_cohort(out, subjects=subjects, seed=seed, quick=quick, **options)  # type: ignore[arg-type]
    return cohort.folder


def phantom_body_scan(scan: PlannedBody) -> PhantomDixon:
    """Draw and scan one body of a plan in memory, without writing anything."""
    return scan_body(scan.subject, scan.settings)


def _write_scan(folder: Path, scan: PlannedBody) -> str:
    """Write one scan; its row, written last, marks it as finished."""
    content = phantom_body_scan(scan)
    image, mask = Path("images") / f"{scan.name}.zip", Path("masks") / f"{scan.name}.nii.gz"
    write_dixon_zip(content, scan.subject, scan.settings, folder / image)
    write_nifti(folder / mask, content.labels, content.labels_affine)
    row = _row(scan, content, image=image, mask=mask)
    write_text(row_path(folder, scan.name), json.dumps(row, indent=1) + "\n")
    return scan.name


def _row(scan: PlannedBody, content: PhantomDixon, *, image: Path, mask: Path) -> dict[str, object]:
    subject, settings = scan.subject, scan.settings
    voxel_ml = float(abs(np.linalg.det(content.labels_affine[:3, :3]))) / 1000
    volumes = np.bincount(content.labels.ravel(), minlength=max(LABELS.values()) + 1) * voxel_ml
    return {
        "subject_id": subject.subject_id,
        "session": settings.session,
        "image": image.as_posix(),
        "mask": mask.as_posix(),
        "age_years": subject.age_years,
        "sex": subject.sex,
        "deviation_years": subject.deviation_years,
        "biological_age_years": round(subject.biological_age_years, 2),
        "test": scan.test,
        "site": settings.site,
        "swapped_stations": " ".join(map(str, settings.swapped_stations)),
        "height_cm": subject.height_cm,
        "fatness": subject.fatness,
        "visceral_fatness": subject.visceral_fatness,
        "muscularity": subject.muscularity,
        "liver_fat_fraction": subject.liver_fat_fraction,
        **{f"{region}_age_years": round(age, 2) for region, age in subject.region_ages_years.items()},
        "shift_left_mm": settings.shift_mm[0],
        "shift_front_mm": settings.shift_mm[1],
        "shift_up_mm": settings.shift_mm[2],
        "rotation_deg": settings.rotation_deg,
        **{f"{name}_ml": round(float(volumes[value]), 1) for name, value in LABELS.items() if value},
    }
