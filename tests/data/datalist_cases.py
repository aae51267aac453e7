"""Small cohorts on disk for the datalist tests: CT studies of a few tiny slices, NIfTI files, tables."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def write_ct_study(
    folder: Path,
    *,
    age: str = "045Y",
    sex: str = "F",
    patient_id: str = "P1",
    n_slices: int = 4,
    seed: int = 0,
    prefix: str = "",
    **tags: str,
) -> Path:
    """A sound CT series of ``n_slices`` 16 x 16 slices, 5 mm apart; further ``tags`` by DICOM keyword."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    study_uid, series_uid, frame_uid = generate_uid(), generate_uid(), generate_uid()
    for index in range(n_slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{prefix}{index:03d}.dcm"
        ds = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID = CTImageStorage
        ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study_uid, series_uid, frame_uid
        ds.Modality, ds.PatientID, ds.PatientName = "CT", patient_id, "Secret^Name"
        ds.PatientAge, ds.PatientSex, ds.PatientBirthDate = age, sex, ""
        ds.StudyDate, ds.SeriesNumber, ds.InstanceNumber = "20200101", "2", str(index + 1)
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImagePositionPatient = [0.0, 0.0, 5.0 * index]
        ds.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        ds.PixelSpacing, ds.SliceThickness = [20.0, 20.0], "5.0"
        ds.Rows, ds.Columns, ds.SamplesPerPixel = 16, 16, 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleIntercept, ds.RescaleSlope = "0", "1"
        ds.PixelData = rng.integers(-1000, 1000, (16, 16)).astype(np.int16).tobytes()
        for keyword, value in tags.items():
            setattr(ds, keyword, value)
        ds.save_as(path, enforce_file_format=True)
    return folder


def write_nifti(path: Path, *, seed: int = 0) -> Path:
    """A tiny NIfTI volume of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(-1000, 1000, (4, 4, 4)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([5.0, 5.0, 5.0, 1.0])), path)
    return path


def write_empty_nifti(path: Path) -> Path:
    """A file that exists and is called NIfTI; its content differs by path so that no two are copies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(str(path).encode()))
    return path


def write_table(path: Path, rows: Sequence[Mapping[str, object]], *, separator: str = ",") -> Path:
    """A CSV of the rows; all rows have the keys of the first."""
    names = list(rows[0])
    lines = [separator.join(names), *(separator.join(str(row[name]) for name in names) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def nifti_cohort(folder: Path, n: int, **columns: object) -> list[dict[str, object]]:
    """``n`` subjects with one NIfTI file each, ages 20 to 80 and alternating sex, as rows of a table."""
    rows: list[dict[str, object]] = []
    for index in range(n):
        name = f"s{index:03d}.nii.gz"
        write_empty_nifti(folder / name)
        age = 20 + 60 * index / max(1, n - 1)
        rows.append({"image": name, "subject_id": f"s{index:03d}", "age_years": round(age, 2), "sex": "FM"[index % 2]})
        rows[-1].update(columns)
    return rows
