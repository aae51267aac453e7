"""A tiny cohort of whole bodies as real files, for the tests that run wholebody_mr.

Each is an ellipsoid under a shell of fat with a heart that grows with age, so that there is something to learn; grids
and networks are as small as they can be, because the tests run whole trainings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from cohort_files import Cohort, write_datalist

FOLDS = 3
AGES_YEARS = (45.5, 48.0, 51.25, 55.0, 58.5, 61.0, 63.75, 66.0, 69.5, 73.0, 77.0, 82.5)
TEST_AGES_YEARS = (50.0, 64.0, 79.5)
SHAPE, SPACING_MM = (40, 30, 90), (12.5, 12.5, 12.0)
HEART = 1

TINY_BODY: dict[str, Any] = {
    "spacing_factor": 10.0,
    "stem_channels": 2,
    "halvings": 2,
    "max_epochs": 2,
    "batch_size": 4,
    "accumulate": 2,
    "num_workers": 0,
}
"""Settings with which a training takes seconds."""

LAYOUT = {name: TINY_BODY[name] for name in ("spacing_factor", "stem_channels", "halvings")}
"""Those of them that the network's layout and input depend on."""

AFFINE = np.array(
    [[-SPACING_MM[0], 0, 0, 250], [0, SPACING_MM[1], 0, -187], [0, 0, SPACING_MM[2], -540], [0, 0, 0, 1.0]]
)


def body(age_years: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Water, fat (int16) and the heart's label (uint8) of a body in LAS; 0 outside."""
    rng = np.random.default_rng(seed)
    x, y, z = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    distance = np.broadcast_to((x / 15) ** 2 + (y / 10) ** 2 + (z / 42) ** 2, SHAPE)
    within, lean = distance < 1, distance < 0.7
    heart = (x - 2) ** 2 + (y - 2) ** 2 + (z - 15) ** 2 < (1.5 + age_years / 20) ** 2
    water = np.where(lean, 300.0, 30.0) + 250.0 * heart
    fat = np.where(lean, 30.0, 350.0)
    noise = rng.normal(0, 8, (2, *SHAPE))
    water, fat = (
        np.where(within, np.clip(image + n, 1, None), 0) for image, n in zip((water, fat), noise, strict=True)
    )
    return np.round(water).astype(np.int16), np.round(fat).astype(np.int16), (heart & within).astype(np.uint8) * HEART


def write_body(folder: Path, age_years: float, seed: int, *, fat: bool = True) -> Path:
    """Write one visit as a folder of ``water.nii.gz`` and ``fat.nii.gz``."""
    folder.mkdir(parents=True, exist_ok=True)
    images = dict(zip(("water", "fat"), body(age_years, seed), strict=False))
    for name, voxels in images.items():
        if fat or name == "water":
            nib.save(nib.Nifti1Image(voxels, AFFINE), folder / f"{name}.nii.gz")
    return folder


def write_body_cohort(folder: Path) -> Cohort:
    """Write bodies in three folds and test rows, each with a mask of the heart."""
    masks = folder / "masks"
    masks.mkdir(parents=True)
    (masks / "labels.json").write_text(json.dumps({"background": 0, "heart": HEART}))

    def row(name: str, age: float, seed: int, **more: Any) -> dict[str, Any]:
        write_body(folder / name, age, seed)
        nib.save(nib.Nifti1Image(body(age, seed)[2], AFFINE), masks / f"{name}.nii.gz")
        facts = {"image": name, "subject_id": name, "age_years": age, "sex": "FM"[seed % 2]}
        return {**facts, "covariates": {"mask": f"masks/{name}.nii.gz"}, **more}

    training = [row(f"R{i}", age, i, fold=i % FOLDS) for i, age in enumerate(AGES_YEARS)]
    test = [row(f"T{i}", age, 100 + i) for i, age in enumerate(TEST_AGES_YEARS)]
    datalist = write_datalist(
        folder / "datalist.json",
        bundle="wholebody_mr",
        origin="real",
        folds=FOLDS,
        training=training,
        validation=[],
        test=test,
    )
    subjects = tuple(entry["subject_id"] for entry in training + test)
    return Cohort(folder, datalist, subjects, folder / "cache")
