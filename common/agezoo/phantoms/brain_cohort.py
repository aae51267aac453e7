"""Write a brain phantom cohort to disk: T1 volumes as BIDS, label masks, tables."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from agezoo.phantoms.brain_ageing import brain_signs
from agezoo.phantoms.brain_bids import write_bids_tables, write_scan
from agezoo.phantoms.brain_cohort_description import checked_parameters, cohort_description
from agezoo.phantoms.brain_head_scan import head_scan
from agezoo.phantoms.brain_labels import LABELS
from agezoo.phantoms.brain_mni import mni_scan
from agezoo.phantoms.brain_plan import BrainCohortParameters, PlannedBrainScan, Space, plan_brain_cohort
from agezoo.phantoms.brain_scan import BrainScan
from agezoo.phantoms.cohort_folder import DESCRIPTION, TABLE, claim_folder, only_writer, row_path, write_text
from agezoo.phantoms.cohort_pool import write_missing
from agezoo.phantoms.written_cohort import WrittenCohort


class BrainCohort(WrittenCohort[BrainCohortParameters]):
    """A cohort of brain phantoms on disk."""


def write_brain_cohort(
    out: str | Path,
    *,
    subjects: int = 120,
    seed: int = 0,
    space: Space = "head",
    age_range_years: tuple[float, float] = (20.0, 90.0),
    patient_age_range_years: tuple[float, float] = (55.0, 90.0),
    deviation_sd_years: float = 3.0,
    mci_fraction: float = 0.15,
    ad_fraction: float = 0.15,
    mci_deviation_years: float = 4.5,
    ad_deviation_years: float = 9.0,
    mci_deviation_sd_years: float = 4.0,
    ad_deviation_sd_years: float = 5.0,
    second_site_fraction: float = 0.25,
    repeat_fraction: float = 0.1,
    quick: bool = False,
    workers: int = 1,
    progress: bool = True,
) -> BrainCohort:
    """Write a cohort of phantom T1 brains with a known ageing signal and known diagnoses.

    The folder is a BIDS data set (``sub-*/ses-*/anat/*_T1w.nii.gz``, ``participants.tsv``, ``sub-*_sessions.tsv``,
    ``dataset_description.json``) that also holds ``masks/<scan>.nii.gz`` (labels of the age-carrying regions on the
    scan's grid), ``masks/labels.json``, ``cohort.csv`` (one row per scan) and ``cohort.json`` (parameters, bounds of
    the error and of the discrimination, what is in the folder).

    Parameters
    ----------
    out
        Folder; new, empty, or holding the same cohort complete or interrupted: finished scans are kept.
    subjects, seed, space, age_range_years, patient_age_range_years, deviation_sd_years, mci_fraction, ad_fraction
        See `BrainCohortParameters`. The files depend on the parameters alone, not on `workers`.
    mci_deviation_years, ad_deviation_years, mci_deviation_sd_years, ad_deviation_sd_years
        See there.
    second_site_fraction, repeat_fraction, quick
        See there.
    workers
        Processes. With more than one, a script must call this under ``if __name__ == "__main__":``.
    progress
        Show a progress bar.

    Returns
    -------
    BrainCohort

    Raises
    ------
    InputError
        A parameter is out of range, or the folder holds something else.
    MissingExtraError
        nilearn, whose wheel carries the template, is not installed.
    """
    started = time.perf_counter()
    parameters = checked_parameters(
        BrainCohortParameters(
            subjects=subjects,
            seed=seed,
            space=space,
            age_range_years=(float(age_range_years[0]), float(age_range_years[1])),
            patient_age_range_years=(float(patient_age_range_years[0]), float(patient_age_range_years[1])),
            deviation_sd_years=float(deviation_sd_years),
            mci_fraction=float(mci_fraction),
            ad_fraction=float(ad_fraction),
            mci_deviation_years=float(mci_deviation_years),
            ad_deviation_years=float(ad_deviation_years),
            mci_deviation_sd_years=float(mci_deviation_sd_years),
            ad_deviation_sd_years=float(ad_deviation_sd_years),
            second_site_fraction=float(second_site_fraction),
            repeat_fraction=float(repeat_fraction),
            quick=bool(quick),
        )
    )
    folder = Path(out)
    plan = plan_brain_cohort(parameters)
    # Several processes may ask for one cohort at a time (the ranks of a distributed training): one writes, all wait.
    with only_writer(folder):
        claim_folder(
            folder,
            asdict(parameters),
            labels=LABELS,
            description=cohort_description(parameters, None),
            parts=("masks", "scans"),
        )
        table, written = write_missing(
            folder, plan, _write_scan, workers=workers, progress=progress, what="phantom brains"
        )
        if written or not (folder / TABLE).is_file():
            write_bids_tables(folder, table, parameters.space)
            write_text(folder / TABLE, table.to_csv(index=False))
            write_text(folder / DESCRIPTION, cohort_description(parameters, table))
    return BrainCohort(folder, parameters, table, written, time.perf_counter() - started)


def ensure_brain_cohort(out: str | Path, subjects: int = 120, *, seed: int = 0, **options: object) -> Path:
    """Return the folder of a cohort, writing what is missing of it.

    Parameters
    ----------
    out, subjects, seed, options
        As for `write_brain_cohort`. A folder that holds a cohort of other parameters is an error, never overwritten.
    """
    return write_brain_cohort(out, subjects=subjects, seed=seed, **options).folder  # type: ignore[arg-type]


def phantom_brain_scan(scan: PlannedBrainScan) -> BrainScan:
    """Draw one scan of a plan in memory, without writing anything."""
    return mni_scan(scan) if scan.space == "mni" else head_scan(scan)


def _write_scan(folder: Path, scan: PlannedBrainScan) -> str:
    """Write one scan; its row, written last, marks it as finished."""
    content = phantom_brain_scan(scan)
    mask = Path("masks") / f"{scan.name}.nii.gz"
    image = write_scan(folder, scan, content, mask=mask)
    row = _row(scan, content, image=image, mask=mask)
    write_text(row_path(folder, scan.name), json.dumps(row, indent=1) + "\n")
    return scan.name


def _row(scan: PlannedBrainScan, content: BrainScan, *, image: Path, mask: Path) -> dict[str, object]:
    subject, settings = scan.subject, scan.settings
    signs = brain_signs(subject)
    voxel_ml = float(abs(np.linalg.det(content.affine[:3, :3]))) / 1000
    volumes = np.bincount(content.labels.ravel(), minlength=len(LABELS)) * voxel_ml
    return {
        "subject_id": subject.subject_id,
        "session": settings.session,
        "image": image.as_posix(),
        "mask": mask.as_posix(),
        "age_years": subject.age_years,
        "sex": subject.sex,
        "diagnosis": subject.diagnosis,
        "deviation_years": subject.deviation_years,
        "biological_age_years": round(subject.biological_age_years, 2),
        "site": settings.site,
        "test": scan.test,
        "voxel_mm": " x ".join(f"{step:g}" for step in np.linalg.norm(content.affine[:3, :3], axis=0).round(3)),
        "lesion_load": round(signs.lesion_load, 3),
        **{f"{name}_ml": round(float(volumes[value]), 2) for name, value in LABELS.items() if value},
    }
