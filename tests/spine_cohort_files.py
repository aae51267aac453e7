"""A tiny cohort of lateral spine images as real files, for the tests that run spine_age.

The column is a row of bright blocks whose brightness falls and whose gaps close with age; everything else is as small
as the reader accepts, because the tests that use it run whole trainings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from cohort_files import Cohort, write_datalist

SHAPE = (280, 140)
SPACING_MM = 1.6
FOLDS = 3
AGES_YEARS = (41.5, 47.0, 52.25, 58.0, 63.5, 67.0, 72.75, 78.0, 83.5, 88.0, 45.0, 70.5)
TEST_AGES_YEARS = (49.0, 64.0, 81.5)
VFA_AGES_YEARS = (65.5, 67.0, 69.5, 71.0, 73.5, 75.0, 77.5, 79.0, 82.5, 86.0)

TINY_SPINE: dict[str, Any] = {
    "variant": 0,
    "hidden": 8,
    "canvas_height": 64,
    "canvas_width": 32,
    "max_epochs": 2,
    "batch_size": 4,
    "num_workers": 0,
}
"""Settings with which a training takes seconds."""

LAYOUT = {name: TINY_SPINE[name] for name in ("variant", "hidden", "canvas_height", "canvas_width")}
"""Those of them that the network's layout and input depend on."""


def spine_pixels(age_years: float, seed: int) -> np.ndarray:
    """Bone-bright 12-bit image, (rows, columns): soft tissue, twelve blocks, noise."""
    rng = np.random.default_rng(seed)
    image = np.full(SHAPE, 700.0)
    image[:, :20] = image[:, -20:] = 150.0
    gap = 3 + round(6 * (90 - age_years) / 50)
    for block in range(12):
        top = 12 + block * 21
        shift = round(10 * np.sin(block / 3))
        image[top : top + 21 - gap, 55 + shift : 90 + shift] = 2900.0 - 18.0 * age_years
    return np.clip(image + rng.normal(0, 30, SHAPE), 0, 4095).astype(np.uint16)


def write_radiograph(path: Path, age_years: float, seed: int, *, vfa: bool = False, **header: Any) -> Path:
    """Write one image as DICOM; `header` adds or replaces elements by keyword."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kind = SecondaryCaptureImageStorage if vfa else ComputedRadiographyImageStorage
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = kind
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
    data.Modality = "OT" if vfa else "CR"
    data.SeriesDescription = "VFA lateral" if vfa else "Spine lateral"
    data.BodyPartExamined, data.ViewPosition = "SPINE", "LL"
    data.StudyDate, data.PatientAge, data.PatientSex = "20200101", f"{int(age_years):03d}Y", "F"
    data.PatientName, data.PatientID = "Canary^Name", f"CANARYID{seed}"
    data.PixelSpacing = [SPACING_MM, SPACING_MM]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = SHAPE
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    for name, value in header.items():
        setattr(data, name, value)
    pixels = spine_pixels(age_years, seed)
    # VFA images are duller, as another machine's are.
    data.PixelData = (pixels // 2 + 300 if vfa else pixels).astype(np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_png(path: Path, age_years: float, seed: int) -> Path:
    """Write one image as 8-bit PNG, bone bright."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((spine_pixels(age_years, seed) >> 4).astype(np.uint8)).save(path)
    return path


def write_radiograph_cohort(folder: Path) -> Cohort:
    """Write radiographs in three folds with test rows, and VFA images of other people among the test rows."""

    def row(name: str, age: float, seed: int, kind: str, **more: Any) -> dict[str, Any]:
        image = f"images/{name}.dcm"
        write_radiograph(folder / image, age, seed, vfa=kind == "vfa")
        sex = "FM"[seed % 2]
        facts = {"image": image, "subject_id": f"CANARYSUBJECT-{name}", "age_years": age, "sex": sex}
        return {**facts, **more, "covariates": {"modality": kind}}

    training = [row(f"R{i}", age, i, "radiograph", fold=i % FOLDS) for i, age in enumerate(AGES_YEARS)]
    test = [row(f"T{i}", age, 100 + i, "radiograph") for i, age in enumerate(TEST_AGES_YEARS)]
    test += [row(f"V{i}", age, 200 + i, "vfa", site="dxa") for i, age in enumerate(VFA_AGES_YEARS)]
    datalist = write_datalist(
        folder / "datalist.json",
        bundle="spine_age",
        origin="real",
        folds=FOLDS,
        training=training,
        validation=[],
        test=test,
    )
    subjects = tuple(dict.fromkeys(entry["subject_id"] for entry in training + test))
    return Cohort(folder, datalist, subjects, folder / "cache")
