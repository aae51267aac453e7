"""A tiny cohort of T1 brains in MNI space as real files, for the tests that run brain_tsan.

Each is the MNI152 template's brain with darker white matter and a wider dark centre the older it is, so that there is
something to learn; the networks are as small as they can be, because the tests run whole trainings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from agezoo.transforms.brain.template import template
from cohort_files import Cohort, write_datalist

FOLDS = 3
AGES_YEARS = (21.5, 27.0, 33.25, 39.0, 44.5, 50.0, 55.75, 61.0, 66.5, 72.0, 77.0, 83.5)
TEST_AGES_YEARS = (29.0, 54.0, 78.5)
PATIENT_AGES_YEARS = (68.0, 74.5)

TINY_BRAIN: dict[str, Any] = {
    "spacing_mm": 4.0,
    "stem_channels": 1,
    "n_blocks": 2,
    "max_epochs": 2,
    "batch_size": 4,
    "num_workers": 0,
}
"""Settings with which a training takes seconds."""

LAYOUT = {name: TINY_BRAIN[name] for name in ("spacing_mm", "stem_channels", "n_blocks")}
"""Those of them that the network's layout and input depend on."""


def brain_voxels(age_years: float, seed: int) -> np.ndarray:
    """Voxels (91, 109, 91) of a brain, 0 outside of it."""
    brain, mask = template(2.0).t1, template(2.0).mask
    rng = np.random.default_rng(seed)
    x, y, z = np.ogrid[: brain.shape[0], : brain.shape[1], : brain.shape[2]]
    radius = 5 + age_years / 8
    centre = ((x - 45) / radius) ** 2 + ((y - 58) / (1.5 * radius)) ** 2 + ((z - 42) / radius) ** 2 < 1
    aged = brain / brain[mask].mean() * 600.0
    aged = aged * (1.0 - 0.002 * age_years) + rng.normal(0, 15, brain.shape)
    aged = np.where(centre, 150.0, aged)
    return np.where(mask, np.clip(aged, 1.0, None), 0.0).astype(np.float32)


def write_brain(path: Path, age_years: float, seed: int) -> Path:
    """Write one finished brain as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.round(brain_voxels(age_years, seed)).astype(np.int16), template(2.0).affine), path)
    return path


def write_brain_cohort(folder: Path) -> Cohort:
    """Write brains in three folds, test rows of controls, and test rows of patients."""

    def row(name: str, age: float, seed: int, **more: Any) -> dict[str, Any]:
        image = f"sub-{name}/anat/sub-{name}_space-MNI152_desc-brain_T1w.nii.gz"
        write_brain(folder / image, age, seed)
        sex = "FM"[seed % 2]
        facts = {"image": image, "subject_id": f"sub-{name}", "age_years": age, "sex": sex, "group": "CN"}
        return {**facts, **more}

    training = [row(f"R{i}", age, i, fold=i % FOLDS) for i, age in enumerate(AGES_YEARS)]
    test = [row(f"T{i}", age, 100 + i) for i, age in enumerate(TEST_AGES_YEARS)]
    test += [row(f"P{i}", age, 200 + i, group="AD") for i, age in enumerate(PATIENT_AGES_YEARS)]
    datalist = write_datalist(
        folder / "datalist.json",
        bundle="brain_tsan",
        origin="real",
        folds=FOLDS,
        training=training,
        validation=[],
        test=test,
    )
    subjects = tuple(entry["subject_id"] for entry in training + test)
    return Cohort(folder, datalist, subjects, folder / "cache")
