"""Small radiographs on disk: an image with the rough look of a lateral spine, written by pydicom with any header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

BIRTH_DATE, STUDY_DATE = "19500301", "20200301"


def spine_image(rows: int = 240, columns: int = 180, *, bits: int = 12, seed: int = 0) -> np.ndarray:
    """Whole numbers, bone bright: a body that is thick in the middle, bright blocks down a curve, some noise.

    No row or column is flat, so that nothing of it is taken for a border.
    """
    y, x = np.mgrid[0:rows, 0:columns].astype(float)
    y, x = y / rows, x / columns
    centre = 0.5 + 0.08 * np.sin(2 * np.pi * y)
    body = np.exp(-(((x - 0.5) / 0.35) ** 2)) * (0.6 + 0.4 * y)
    bone = (np.abs(x - centre) < 0.12) & (np.mod(y * 12, 1) < 0.75)
    image = 0.1 + 0.45 * body + 0.3 * bone + 0.1 * x * y + 0.02 * np.random.default_rng(seed).standard_normal(y.shape)
    return np.clip(np.rint(image * (2**bits - 1)), 0, 2**bits - 1).astype(np.uint16)


def radiograph_dataset(
    pixels: np.ndarray | None = None, *, bits: int = 12, syntax: str = ExplicitVRLittleEndian, **header: Any
) -> Dataset:
    """A computed radiograph of a lateral lumbar spine; header values by keyword, None leaves an element out."""
    pixels = spine_image(bits=bits) if pixels is None else pixels
    is_signed = bool((pixels < 0).any()) or header.get("PixelRepresentation") == 1
    allocated = header.pop("BitsAllocated", 8 if bits <= 8 else 16)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Secret^Person", "SECRET-4711", BIRTH_DATE
    ds.StudyDate, ds.PatientSex, ds.Manufacturer = STUDY_DATE, "F", "MAKER"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "CR", "LSPINE", "LL"
    ds.ImagerPixelSpacing = [0.2, 0.2]
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = allocated, bits, bits - 1, int(is_signed)
    if pixels.ndim == 3:
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = pixels.shape[2], "RGB", 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data = pixels.astype(f"{order}{'i' if is_signed else 'u'}{allocated // 8}").tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB" if allocated == 8 else "OW"
    for keyword, value in header.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def write_radiograph(path: Path, pixels: np.ndarray | None = None, **header: Any) -> Path:
    """Write :func:`radiograph_dataset` into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds = radiograph_dataset(pixels, **header)
    ds.save_as(path, enforce_file_format=True)
    return path


def lookup_table(entries: np.ndarray, *, first: int = 0, bits: int = 16, vr: str = "US") -> Sequence:
    """One item of a Modality or VOI LUT sequence; ``vr`` is ``US`` (numbers), ``OW`` (words) or ``bytes`` (packed)."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    if vr == "US":
        item.add_new("LUTData", "US", [int(entry) for entry in entries])
    else:
        item.add_new("LUTData", "OW", entries.astype("u1" if vr == "bytes" else "<u2").tobytes())
    return Sequence([item])
