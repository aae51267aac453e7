"""A tiny cohort as real files: NIfTI and DICOM torsos of a few thousand voxels, with a datalist.

The body is an ellipsoid with a spine whose density falls with age, so that there is something to learn; everything else
is as small as the bundles accept, because the tests that use it run whole trainings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SHAPE = (60, 50, 80)
SPACING_MM = 6.0
FOLDS = 3
AGES_YEARS = (23.5, 31.0, 38.25, 44.0, 51.5, 57.0, 62.75, 69.0, 74.5, 81.0, 35.0, 66.5)
TEST_AGES_YEARS = (29.0, 54.0, 78.5)
REPEATED = 2
"""Index of the training subject who was scanned twice."""

TINY: dict[str, Any] = {"trunk_width": 4, "max_epochs": 2, "batch_size": 4, "num_workers": 0}
"""Settings with which a training takes seconds."""


@dataclass(frozen=True)
class Cohort:
    """Where the files are.

    Attributes
    ----------
    folder
        Holds the images and the datalist.
    datalist
        13 training rows of 12 subjects in three folds, 3 test rows.
    subjects
        Every ``subject_id``.
    cache
        Folder for preprocessed images, shared by all runs of a session.
    """

    folder: Path
    datalist: Path
    subjects: tuple[str, ...]
    cache: Path

    def rows(self, section: str) -> list[dict[str, Any]]:
        """The rows of a section as they stand in the file."""
        rows: list[dict[str, Any]] = json.loads(self.datalist.read_text())[section]
        return rows


def torso_hu(age_years: float, seed: int) -> np.ndarray:
    """Voxels (Left, Anterior, Superior) in HU: air, an ellipsoid of soft tissue, a spine that thins with age."""
    rng = np.random.default_rng(seed)
    x, y, z = (np.arange(n) - (n - 1) / 2 for n in SHAPE)
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    hu = np.full(SHAPE, -1000.0)
    body = (x / 24) ** 2 + (y / 19) ** 2 + 0 * z < 1
    hu[np.broadcast_to(body, SHAPE)] = 40.0
    spine = ((x / 4) ** 2 + ((y + 9) / 4) ** 2 < 1) & (np.abs(z) < 36)
    hu[np.broadcast_to(spine, SHAPE)] = 900.0 - 8.0 * age_years
    return np.round(hu + rng.normal(0, 8, SHAPE)).astype(np.int16)


def write_nifti(path: Path, age_years: float, seed: int) -> Path:
    """Write a torso as NIfTI in RAS orientation."""
    hu = torso_hu(age_years, seed)[::-1]
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = [-150.0, -120.0, -200.0]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(hu, affine), path)
    return path


def write_dicom(folder: Path, age_years: float, seed: int, **header: Any) -> Path:
    """Write a torso as one DICOM CT series; `header` adds or replaces elements by keyword."""
    hu = torso_hu(age_years, seed)
    uids = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(SHAPE[2]):
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.Modality, data.PatientPosition = "CT", "HFS"
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.StudyDate, data.PatientAge, data.PatientSex = "20200101", f"{int(age_years):03d}Y", "F"
        data.SliceThickness, data.PixelSpacing = SPACING_MM, [SPACING_MM, SPACING_MM]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-150, -120, -200 + SPACING_MM * index]
        data.InstanceNumber = index + 1
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.Columns, data.Rows = SHAPE[:2]
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "HU"
        for name, value in {**uids, **header}.items():
            setattr(data, name, value)
        # Rows run from front to back, columns from right to left.
        data.PixelData = np.ascontiguousarray(hu[:, ::-1, index].T).tobytes()
        data.save_as(folder / f"{index + 1:03d}.dcm", enforce_file_format=True)
    return folder


def write_corrupt_nifti(path: Path) -> Path:
    """Write a compressed NIfTI file that was cut off in the middle."""
    whole = write_nifti(path, 50.0, 99)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    return whole


def write_datalist(path: Path, **sections: Any) -> Path:
    """Write a datalist's JSON as it is given."""
    path.write_text(json.dumps(sections, indent=1))
    return path


def write_cohort(folder: Path) -> Cohort:
    """Write the whole cohort."""
    training: list[dict[str, Any]] = []
    for index, age in enumerate(AGES_YEARS):
        subject = f"CANARYSUBJECT-{index:02d}"
        sessions = ("first", "repeat") if index == REPEATED else ("first",)
        for number, session in enumerate(sessions):
            image = f"images/{subject}_{session}.nii.gz"
            write_nifti(folder / image, age, seed=10 * index + number)
            row = {"image": image, "subject_id": subject, "age_years": age, "sex": "FM"[index % 2]}
            training.append({**row, "session": session, "fold": index % FOLDS})
    test = []
    for index, age in enumerate(TEST_AGES_YEARS):
        subject = f"CANARYSUBJECT-T{index}"
        image = f"images/{subject}.nii.gz"
        write_nifti(folder / image, age, seed=1000 + index)
        test.append({"image": image, "subject_id": subject, "age_years": age, "sex": "M", "site": "elsewhere"})
    datalist = write_datalist(
        folder / "datalist.json",
        bundle="ct_age",
        origin="real",
        folds=FOLDS,
        training=training,
        validation=[],
        test=test,
    )
    subjects = tuple(dict.fromkeys(row["subject_id"] for row in training + test))
    return Cohort(folder, datalist, subjects, folder / "cache")
