"""Write a CT phantom cohort to disk: DICOM series, label masks, tables."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from agezoo.phantoms.cohort_folder import DESCRIPTION, TABLE, claim_folder, only_writer, row_path, write_text
from agezoo.phantoms.cohort_pool import write_missing
from agezoo.phantoms.ct_cohort_folder import checked_parameters, cohort_description
from agezoo.phantoms.ct_cohort_plan import CohortParameters, PlannedScan, plan_ct_cohort
from agezoo.phantoms.dicom_ct_writer import write_ct_series
from agezoo.phantoms.nifti_writer import write_nifti
from agezoo.phantoms.torso_ct import PhantomScan, phantom_volume
from agezoo.phantoms.torso_labels import LABELS
from agezoo.phantoms.written_cohort import WrittenCohort


class CtCohort(WrittenCohort[CohortParameters]):
    """A cohort of CT phantoms on disk."""


def phantom_ct_scan(
    *, subjects: int = 1, seed: int = 0, index: int = 0, quick: bool = True, deviation_sd_years: float = 3.0
) -> PhantomScan:
    """Draw one scan of a cohort in memory, without writing anything.

    Parameters
    ----------
    subjects, seed, quick, deviation_sd_years
        As in `write_ct_cohort`.
    index
        Which scan of the plan.
    """
    parameters = CohortParameters(subjects, seed, quick=quick, deviation_sd_years=deviation_sd_years)
    scan = plan_ct_cohort(parameters)[index]
    return phantom_volume(scan.subject, scan.settings)


def write_ct_cohort(
    out: str | Path,
    *,
    subjects: int,
    seed: int,
    age_range_years: tuple[float, float] = (20.0, 85.0),
    deviation_sd_years: float = 3.0,
    repeat_fraction: float = 0.1,
    second_scanner_fraction: float = 0.2,
    quick: bool = False,
    workers: int = 2,
    progress: bool = True,
) -> CtCohort:
    """Write a cohort of phantom torso CTs with a known ageing signal.

    The folder then holds ``images/<scan>/IM0001.dcm ...`` (one DICOM series per scan), ``masks/<scan>.nii.gz`` (labels
    of the age-carrying regions on the CT's grid), ``masks/labels.json``, ``cohort.csv`` (one row per scan) and
    ``cohort.json`` (parameters, the bound that the planted deviation sets, what is in the folder).

    Parameters
    ----------
    out
        Folder; new, empty, or holding the same cohort complete or interrupted: finished scans are kept.
    subjects, seed, age_range_years, deviation_sd_years, repeat_fraction, second_scanner_fraction, quick
        See `CohortParameters`. The files depend on these alone, not on `workers`.
    workers
        Processes. With more than one, a script must call this under ``if __name__ == "__main__":``.
    progress
        Show a progress bar.

    Returns
    -------
    CtCohort

    Raises
    ------
    InputError
        A parameter is out of range, or the folder holds something else.
    """
    started = time.perf_counter()
    parameters = checked_parameters(
        CohortParameters(
            subjects=subjects,
            seed=seed,
            age_range_years=(float(age_range_years[0]), float(age_range_years[1])),
            deviation_sd_years=float(deviation_sd_years),
            repeat_fraction=float(repeat_fraction),
            second_scanner_fraction=float(second_scanner_fraction),
            quick=bool(quick),
        )
    )
    folder = Path(out)
    plan = plan_ct_cohort(parameters)
    # Several processes may ask for one cohort at a time (the ranks of a distributed training): one writes, all wait.
    with only_writer(folder):
        claim_folder(folder, asdict(parameters), labels=LABELS, description=cohort_description(parameters, None))
        table, written = write_missing(
            folder, plan, _write_scan, workers=workers, progress=progress, what="phantom CTs"
        )
        if written or not (folder / TABLE).is_file():
            write_text(folder / TABLE, table.to_csv(index=False))
            write_text(folder / DESCRIPTION, cohort_description(parameters, table))
    return CtCohort(folder, parameters, table, written, time.perf_counter() - started)


def ensure_ct_cohort(out: str | Path, *, subjects: int, seed: int, **options: object) -> Path:
    """Return the folder of a cohort, writing what is missing of it.

    Parameters
    ----------
    out, subjects, seed, options
        As for `write_ct_cohort`. A folder that holds a cohort of other parameters is an error, never overwritten.
    """
    return write_ct_cohort(out, subjects=subjects, seed=seed, **options).folder  # type: ignore[arg-type]


def _write_scan(folder: Path, scan: PlannedScan) -> str:
    """Write one scan; its row, written last, marks it as finished."""
    volume = phantom_volume(scan.subject, scan.settings)
    series = folder / "images" / scan.name
    partial = folder / "images" / f".{scan.name}.part"
    for stale in (series, partial):
        shutil.rmtree(stale, ignore_errors=True)
    write_ct_series(volume, partial)
    partial.rename(series)
    mask = folder / "masks" / f"{scan.name}.nii.gz"
    write_nifti(mask, volume.labels, volume.affine)
    row = _row(scan, volume, image=series.relative_to(folder), mask=mask.relative_to(folder))
    write_text(row_path(folder, scan.name), json.dumps(row, indent=1) + "\n")
    return scan.name


def _row(scan: PlannedScan, volume: PhantomScan, *, image: Path, mask: Path) -> dict[str, object]:
    subject, settings = scan.subject, scan.settings
    return {
        "subject_id": subject.subject_id,
        "session": settings.session,
        "image": image.as_posix(),
        "mask": mask.as_posix(),
        "age_years": subject.age_years,
        "sex": subject.sex,
        "deviation_years": subject.deviation_years,
        "biological_age_years": round(subject.biological_age_years, 2),
        "site": settings.site,
        "test": scan.test,
        "slice_thickness_mm": settings.slice_thickness_mm,
        "slices": volume.hu.shape[2],
        "matrix": volume.hu.shape[0],
        "fov_mm": round(abs(float(volume.affine[0, 0])) * volume.hu.shape[0], 1),
        "kernel": settings.kernel,
        "noise_hu": round(settings.noise_hu, 1),
        "contrast": settings.contrast,
        "shift_left_mm": round(settings.shift_mm[0], 1),
        "shift_back_mm": round(settings.shift_mm[1], 1),
        "rotation_deg": round(settings.rotation_deg, 2),
        "stature": round(subject.stature, 3),
        "fatness": round(subject.fatness, 2),
        "labelled_voxels": int(np.count_nonzero(volume.labels)),
    }
