"""Small whole-body Dixon scans on disk: overlapping stations of four contrasts, written by pydicom with any header."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

CONTRASTS = ("in", "opposed", "fat", "water")
IMAGE_TYPE_VALUES = {"water": "W", "fat": "F", "in": "IN_PHASE", "opposed": "OPP_PHASE"}
DESCRIPTION_ENDS = {"water": "W", "fat": "F", "in": "in", "opposed": "opp"}
ECHO_MS = {"water": 2.39, "fat": 2.39, "in": 2.39, "opposed": 1.23}
# Whatever a test writes as the patient's name or number contains this, so that a leak shows.
SECRET = "SECRET"

Change = Callable[[Dataset, int, str, int], Dataset | None]


@dataclass(frozen=True)
class DixonLayout:
    """How many stations of which size; lengths in mm.

    ``shape`` is (columns, rows, slices) of one station; neighbours share ``overlap_slices``. ``top_mm`` is the centre
    of the topmost slice, towards the head.
    """

    stations: int = 2
    shape: tuple[int, int, int] = (12, 10, 8)
    spacing_mm: tuple[float, float, float] = (4.0, 5.0, 6.0)
    overlap_slices: int = 2
    top_mm: float = 40.0

    def lowest_mm(self, station: int) -> float:
        """Centre of a station's lowest slice; station 0 is at the head."""
        n_slices, step = self.shape[2], self.spacing_mm[2]
        return self.top_mm - (station * (n_slices - self.overlap_slices) + n_slices - 1) * step


def body_signal(layout: DixonLayout, station: int, contrast: str) -> np.ndarray:
    """(X, Y, Z) LAS, int16: a column of water in a sheath of fat; every water voxel has a value of its own place.

    Values depend on the place in the body, so that neighbouring stations agree where they overlap.
    """
    (nx, ny, nz), spacing = layout.shape, layout.spacing_mm
    x = (np.arange(nx) - (nx - 1) / 2) * spacing[0]
    y = (np.arange(ny) - (ny - 1) / 2) * spacing[1]
    z = layout.lowest_mm(station) + np.arange(nz) * spacing[2]
    radius = np.hypot(x[:, None] / (nx * spacing[0] / 2), y[None, :] / (ny * spacing[1] / 2))[:, :, None]
    wave = 300 + 2 * np.arange(nx)[:, None, None] + 3 * np.arange(ny)[None, :, None] + np.round(z / 3)[None, None, :]
    water = np.where(radius < 0.6, wave, np.where(radius < 0.9, 20.0, 0.0))
    fat = np.where(radius < 0.6, 30.0, np.where(radius < 0.9, 400.0, 0.0)) + 0 * z
    signal = {"water": water, "fat": fat, "in": water + fat, "opposed": np.abs(water - fat)}[contrast]
    return np.asarray(np.round(signal), np.int16)


def station_datasets(
    layout: DixonLayout,
    station: int,
    contrast: str,
    *,
    signal: np.ndarray | None = None,
    series_number: int | None = None,
    acquired: str | None = None,
    **header: Any,
) -> list[Dataset]:
    """The slices of one contrast of one station, as UK Biobank's Siemens scanner describes them.

    Parameters
    ----------
    signal
        (X, Y, Z) LAS whole numbers instead of :func:`body_signal`.
    series_number, acquired
        SeriesNumber and AcquisitionTime; by default they grow from head to foot.
    header
        Values to change in every slice; None deletes an element.
    """
    signal = body_signal(layout, station, contrast) if signal is None else signal
    nx, ny, nz = signal.shape
    sx, sy, sz = layout.spacing_mm
    series_uid = generate_uid()
    slices = []
    for index in range(nz):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.1", series_uid
        ds.Modality, ds.Manufacturer = "MR", "SIEMENS"
        ds.ImageType = ["DERIVED", "PRIMARY", "DIXON", IMAGE_TYPE_VALUES[contrast]]
        ds.SeriesDescription = f"Dixon_BH_17s_{DESCRIPTION_ENDS[contrast]}"
        ds.PatientName, ds.PatientID, ds.PatientBirthDate = f"{SECRET}^Person", f"{SECRET}-4711", "19550301"
        ds.PatientSex, ds.StudyDate, ds.PatientPosition = "F", "20150301", "HFS"
        ds.AcquisitionTime = acquired or f"10{station:02d}00.50"
        ds.SeriesNumber = series_number or 2 + 4 * station + CONTRASTS.index(contrast)
        ds.InstanceNumber, ds.AcquisitionNumber = index + 1, 1
        ds.ScanningSequence, ds.MagneticFieldStrength, ds.EchoTime = "GR", 1.5, ECHO_MS[contrast]
        ds.SliceThickness = sz
        position = (-(nx - 1) / 2 * sx, -(ny - 1) / 2 * sy, layout.lowest_mm(station) + index * sz)
        ds.ImagePositionPatient = [float(value) for value in position]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing = [sy, sx]
        ds.Rows, ds.Columns = ny, nx
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        ds.PixelData = signal[:, ::-1, index].T.astype("<u2").tobytes()
        for keyword, value in header.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)
        slices.append(ds)
    return slices


def scan_datasets(
    layout: DixonLayout | None = None,
    *,
    contrasts: Sequence[str] = CONTRASTS,
    change: Change | None = None,
    **header: Any,
) -> list[Dataset]:
    """All slices of a visit, head first.

    Parameters
    ----------
    change
        Called with a slice, its station (0 = head), contrast and index; gives the slice to keep, or None to leave it
        out.
    header
        As in :func:`station_datasets`.
    """
    layout = layout or DixonLayout()
    slices = []
    for station in range(layout.stations):
        for contrast in contrasts:
            for index, ds in enumerate(station_datasets(layout, station, contrast, **header)):
                kept = ds if change is None else change(ds, station, contrast, index)
                if kept is not None:
                    slices.append(kept)
    return slices


def dicom_bytes(dataset: Dataset) -> bytes:
    """A data set as a DICOM file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_zip(path: Path, slices: Sequence[Dataset], *, folder: str = "", compressed: bool = True) -> Path:
    """A flat zip in no telling order with a manifest, as UK Biobank has it; ``folder`` is put before each name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr(f"{folder}manifest.cvs", "filename,patientid\n")
        for index, ds in enumerate(slices):
            archive.writestr(f"{folder}{(index * 7919) % 100_003:06d}.dcm", dicom_bytes(ds))
    return path


def write_folder(folder: Path, slices: Sequence[Dataset]) -> Path:
    """A flat folder of DICOM files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, ds in enumerate(slices):
        (folder / f"IM{index:04d}.dcm").write_bytes(dicom_bytes(ds))
    return folder
