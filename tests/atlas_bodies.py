"""Whole bodies of a few thousand voxels: a trunk in skin fat with heart, liver, lungs and spine, as NIfTI pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

SPACING_MM = 12.0
SHAPE = (38, 28, 70)
LABELS = {"heart": 1, "liver": 2, "spine": 3}
_ORGANS = {
    # Centre and half axes in mm, water, fat.
    "heart": ((-30.0, 25.0, 230.0), (62.0, 50.0, 66.0), 0.95, 0.05),
    "liver": ((60.0, 0.0, 95.0), (68.0, 62.0, 72.0), 0.7, 0.15),
    "spine": ((0.0, -62.0, 40.0), (30.0, 30.0, 360.0), 0.4, 0.55),
}


@dataclass(frozen=True, eq=False)
class ToyBody:
    """Water, fat (float32) and labels (uint8) with one affine."""

    water: np.ndarray
    fat: np.ndarray
    labels: np.ndarray
    affine: np.ndarray


def toy_body(
    scale: Sequence[float] = (1.0, 1.0, 1.0), shift_mm: Sequence[float] = (0.0, 0.0, 0.0), *, seed: int = 0
) -> ToyBody:
    """A body drawn larger by `scale` and moved by `shift_mm` along left, front and head."""
    axes = [(np.arange(n) - (n - 1) / 2) * SPACING_MM for n in SHAPE]
    points = [
        (place - move) / size
        for place, move, size in zip(np.meshgrid(*axes, indexing="ij"), shift_mm, scale, strict=True)
    ]
    x, y, z = points
    widths = 1 + 0.15 * np.cos((z - 180) / 90) - 0.25 * np.clip((z - 260) / 150, 0, 1)
    body = (((x / (165 * widths)) ** 2 + (y / 112) ** 2) < 1) & (z > -190)
    body |= (((np.abs(x) - 75) / 68) ** 2 + (y / 80) ** 2 < 1) & (z <= -180)
    lean = ndimage.binary_erosion(body, iterations=2, border_value=1)
    water, fat = np.where(lean, 0.8, 0.08) * body, np.where(lean, 0.08, 0.9) * body
    for side in (-88.0, 88.0):
        lung = _inside(points, (side, 0.0, 240.0), (50.0, 64.0, 100.0)) & lean
        water[lung], fat[lung] = 0.03, 0.02
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for name, (centre, half_axes, organ_water, organ_fat) in _ORGANS.items():
        organ = _inside(points, centre, half_axes) & body
        labels[organ], water[organ], fat[organ] = LABELS[name], organ_water, organ_fat
    noise = np.random.default_rng(seed).random((2, *SHAPE)) * 0.01
    affine = np.diag([-SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(SHAPE) - 1) / 2) + (20.0, -10.0, 5.0 * seed)
    return ToyBody(
        (300 * (water + noise[0])).astype(np.float32), (300 * (fat + noise[1])).astype(np.float32), labels, affine
    )


def write_cohort(folder: Path, n: int, *, masks: bool = True) -> Path:
    """Write `n` bodies of different sizes with masks, and their datalist."""
    rows: list[dict[str, Any]] = []
    for index in range(n):
        rng = np.random.default_rng(index)
        body = toy_body(1 + 0.05 * rng.standard_normal(3), 12 * rng.standard_normal(3), seed=index)
        place = folder / "images" / f"{index}"
        place.mkdir(parents=True, exist_ok=True)
        for name in ("water", "fat"):
            nib.save(nib.Nifti1Image(getattr(body, name), body.affine), place / f"{name}.nii.gz")
        (folder / "masks").mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(body.labels, body.affine), folder / "masks" / f"{index}.nii.gz")
        (folder / "masks" / "labels.json").write_text(json.dumps({"background": 0, **LABELS}))
        rows.append(
            {
                "image": [f"images/{index}/water.nii.gz", f"images/{index}/fat.nii.gz"],
                "subject_id": f"person-{index}",
                "age_years": 46.0 + 38.0 * index / max(n - 1, 1),
                "sex": "FM"[index % 2],
                "covariates": {"mask": f"masks/{index}.nii.gz"} if masks else {},
            }
        )
    path = folder / "datalist.json"
    path.write_text(json.dumps({"bundle": "wholebody_mr", "training": rows, "validation": [], "test": []}))
    return path


def _inside(points: Sequence[np.ndarray], centre: Sequence[float], half_axes: Sequence[float]) -> np.ndarray:
    parts = [((p - c) / h) ** 2 for p, c, h in zip(points, centre, half_axes, strict=True)]
    return np.asarray(np.sum(parts, axis=0) < 1)
