"""Tiny DICOM series and NIfTI files, written with pydicom and nibabel for the tests of the reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from agezoo.data.read import read_volume
from agezoo.errors import InputError

N_COLUMNS, N_ROWS, N_SLICES = 12, 10, 8


@pytest.fixture
def torso_hu() -> np.ndarray:
    """(columns, rows, slices) as a scanner sees it: axes to Left, Posterior and Superior; a body in air.

    Every voxel of the body has a value of its own, so that any flip, turn or mix-up of slices shows.
    """
    hu = np.full((N_COLUMNS, N_ROWS, N_SLICES), -1000, np.int16)
    inside = (slice(2, -2), slice(2, -2), slice(None))
    hu[inside] = np.arange(hu[inside].size).reshape(hu[inside].shape) % 250
    return hu


@pytest.fixture
def torso_las(torso_hu: np.ndarray) -> np.ndarray:
    """The same voxels as the reader gives them: axes to Left, Anterior and Superior."""
    return torso_hu[:, ::-1, :]


@pytest.fixture
def refuse() -> Callable[..., str]:
    """Check that reading fails with the given words, names the source and gives away nobody; returns the message."""

    def check(source: Path, match: str) -> str:
        with pytest.raises(InputError, match=match) as caught:
            read_volume(source)
        message = str(caught.value)
        assert str(source) in message
        assert "SECRET" not in message.upper()
        assert "19600301" not in message
        return message

    return check


@pytest.fixture
def make_slices(torso_hu: np.ndarray) -> Callable[..., list[Dataset]]:
    """Slices of one CT series as data sets: call it with header values to change in all of them."""

    def make(
        *,
        hu: np.ndarray | None = None,
        spacing_mm: tuple[float, float, float] = (2.0, 3.0, 5.0),
        origin_mm: tuple[float, float, float] = (-11.0, -13.0, -50.0),
        slice_step_mm: tuple[float, float, float] | None = None,
        intercept: int = -1024,
        **header: Any,
    ) -> list[Dataset]:
        hu = torso_hu if hu is None else hu
        uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
        step = np.array(slice_step_mm or (0.0, 0.0, spacing_mm[2]))
        slices = []
        for index in range(hu.shape[2]):
            ds = Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.StudyInstanceUID, ds.SeriesInstanceUID = uids["StudyInstanceUID"], uids["SeriesInstanceUID"]
            ds.Modality = "CT"
            ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Secret^Person", "SECRET-4711", "19600301"
            ds.StudyDate, ds.PatientSex = "20200301", "F"
            ds.ConvolutionKernel, ds.Manufacturer, ds.SliceThickness = "B30f", "MAKER", spacing_mm[2]
            ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 2, index + 1, 1
            ds.ImagePositionPatient = [float(value) for value in np.array(origin_mm) + index * step]
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            ds.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
            ds.Rows, ds.Columns = hu.shape[1], hu.shape[0]
            ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
            ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
            ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, intercept, "HU"
            ds.PixelData = (hu[:, :, index].T.astype(np.int32) - intercept).astype("<i2").tobytes()
            for keyword, value in header.items():
                if value is None:
                    delattr(ds, keyword)
                else:
                    setattr(ds, keyword, value)
            slices.append(ds)
        return slices

    return make


@pytest.fixture
def write_slices() -> Callable[..., Path]:
    """Write data sets into a folder, in an order that has nothing to do with their place in the body."""

    def write(folder: Path, slices: list[Dataset], prefix: str = "IM") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        names = np.random.default_rng(5).permutation(len(slices))
        for name, ds in zip(names, slices, strict=True):
            ds.save_as(folder / f"{prefix}{name:03d}", enforce_file_format=True)
        return folder

    return write


@pytest.fixture
def write_nifti(torso_hu: np.ndarray) -> Callable[..., Path]:
    """Write voxels (default: the torso, axes to Left, Anterior, Superior) with a given affine and form codes."""

    def write(
        path: Path,
        data: np.ndarray | None = None,
        affine: np.ndarray | None = None,
        *,
        sform_code: int = 1,
        qform_code: int = 1,
        units: str = "mm",
    ) -> Path:
        data = torso_hu[:, ::-1] if data is None else data
        affine = np.diag([-2.0, 3.0, 5.0, 1.0]) if affine is None else affine
        image = nib.Nifti1Image(data, affine)
        image.set_sform(affine, sform_code)
        image.set_qform(affine, qform_code)
        image.header.set_xyzt_units(units)
        nib.save(image, path)
        return path

    return write
