"""Write a CT phantom cohort to disk: DICOM series, label masks, tables."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from tqdm import tqdm

from agezoo.errors import InputError
from agezoo.phantoms.ct_cohort_plan import CohortParameters, PlannedScan, plan_ct_cohort
from agezoo.phantoms.dicom_ct_writer import write_ct_series
from agezoo.phantoms.torso_ct import PhantomScan, phantom_volume
from agezoo.phantoms.torso_labels import LABELS

TABLE = "cohort.csv"
DESCRIPTION = "cohort.json"
STATEMENT = (
    "Synthetic phantoms drawn by software; no person was scanned. Appearance depends on biological age = age + "
    "deviation. Ages predicted by a model trained on this cohort mean nothing for real people."
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CtCohort:
    """A cohort on disk.

    Attributes
    ----------
    folder
        Where it lies.
    parameters
        What it was made from.
    table
        One row per scan, as in ``cohort.csv``.
    written
        Scans that this call wrote; the others were there.
    seconds
        Time that this call took.
    """

    folder: Path
    parameters: CohortParameters
    table: pd.DataFrame
    written: int
    seconds: float


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

    The folder then holds ``images/<scan>/IM0001.dcm ...`` (one DICOM series per scan), ``masks/<scan>.nii.gz`` (labels of
    the age-carrying regions on the CT's grid), ``masks/labels.json``, ``cohort.csv`` (one row per scan) and ``cohort.json``
    (parameters, the bound that the planted deviation sets, what is in the folder).

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
    parameters = _checked(
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
    _claim(folder, parameters)
    plan = plan_ct_cohort(parameters)
    missing = [scan for scan in plan if not _row_path(folder, scan).is_file()]
    for _ in tqdm(
        _write_all(folder, missing, workers), total=len(missing), desc="phantom CTs", unit="scan", disable=not progress
    ):
        pass
    table = pd.DataFrame([json.loads(_row_path(folder, scan).read_text(encoding="utf-8")) for scan in plan])
    _write_text(folder / TABLE, table.to_csv(index=False))
    _write_text(folder / DESCRIPTION, _description(parameters, table, complete=True))
    return CtCohort(folder, parameters, table, len(missing), time.perf_counter() - started)


def ensure_ct_cohort(out: str | Path, *, subjects: int, seed: int, **options: object) -> Path:
    """Return the folder of a cohort, writing what is missing of it.

    Parameters
    ----------
    out, subjects, seed, options
        As for `write_ct_cohort`. A folder that holds a cohort of other parameters is an error, never overwritten.
    """
    return write_ct_cohort(out, subjects=subjects, seed=seed, **options).folder  # type: ignore[arg-type]


def _checked(parameters: CohortParameters) -> CohortParameters:
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


def _claim(folder: Path, parameters: CohortParameters) -> None:
    """Make the folder ours, or find that it already holds this cohort."""
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
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "is not empty and holds no phantom cohort", source=folder, remedy="choose a new or an empty folder"
        )
    for part in ("images", "masks", "scans"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _write_text(folder / "masks" / "labels.json", json.dumps(LABELS, indent=2) + "\n")
    _write_text(description, _description(parameters, None, complete=False))


def _description(parameters: CohortParameters, table: pd.DataFrame | None, *, complete: bool) -> str:
    content: dict[str, object] = {
        "what": STATEMENT,
        "origin": "phantom",
        "complete": complete,
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


def _write_all(folder: Path, scans: list[PlannedScan], workers: int) -> Iterator[str]:
    if workers <= 1 or len(scans) <= 1:
        for scan in scans:
            yield _write_scan(folder, scan)
        return
    # Spawned, not forked: the caller may have threads (torch, OpenMP), which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with _single_threaded_children(), ProcessPoolExecutor(min(workers, len(scans)), mp_context=context) as pool:
        tasks = [pool.submit(_write_scan, folder, scan) for scan in scans]
        for task in as_completed(tasks):
            yield task.result()


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """One thread per process: several processes with a thread pool each would only get in each other's way."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
    write_labels(volume, mask)
    row = _row(scan, volume, image=series.relative_to(folder), mask=mask.relative_to(folder))
    _write_text(_row_path(folder, scan), json.dumps(row, indent=1) + "\n")
    return scan.name


def write_labels(scan: PhantomScan, path: Path) -> None:
    """Write a scan's label mask as compressed NIfTI on the CT's grid."""
    image = nib.Nifti1Image(scan.labels, scan.affine)
    image.set_sform(scan.affine, code="scanner")
    image.set_qform(scan.affine, code="scanner")
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"AgeZoo phantom labels"
    nib.save(image, path)


def _row_path(folder: Path, scan: PlannedScan) -> Path:
    return folder / "scans" / f"{scan.name}.json"


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


def _write_text(path: Path, text: str) -> None:
    """Write a file so that it is never half there."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
