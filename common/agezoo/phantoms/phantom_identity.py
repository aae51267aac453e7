"""What every phantom's DICOM header says of its origin: names, identifiers, dates."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Protocol

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

MANUFACTURER = "AgeZoo phantom"
COMMENT = "Synthetic phantom drawn by software, not a person. Its age means nothing for real people."
IMPLEMENTATION_UID = UID("2.25.252366107461312187923306374871405128127")
_UID_SPACE = uuid.UUID("5b7a8f0e-6d55-4c4d-9c57-2a5b7f4f6f10")


class PhantomPerson(Protocol):
    """What a header says of a phantom person."""

    @property
    def subject_id(self) -> str: ...
    @property
    def sex(self) -> str: ...
    @property
    def age_years(self) -> float: ...


def phantom_uid(*names: object) -> UID:
    """UID under the UUID root (2.25) that depends on the names alone."""
    return UID(f"2.25.{uuid.uuid5(_UID_SPACE, '|'.join(map(str, names))).int}")


def birth_date(study_date: date, age_years: float) -> date:
    """The day on which somebody of that age on the study's day was born."""
    return study_date - timedelta(days=round(age_years * 365.25))


def phantom_header(
    sop_class: UID, person: PhantomPerson, study_date: date, *, site: str, names: tuple[object, ...]
) -> Dataset:
    """Begin the header of an image, whatever the device: who, where, when, and that it is a phantom.

    Parameters
    ----------
    sop_class
        Kind of the image.
    person, study_date, site
        What was examined, when and where.
    names
        What the UIDs follow from.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = phantom_uid(*names)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "AGEZOO_PHANTOM"
    data = Dataset()
    data.file_meta = meta
    data.SpecificCharacterSet = "ISO_IR 100"
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    day = study_date.strftime("%Y%m%d")
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = day
    data.AccessionNumber = ""
    data.Manufacturer = MANUFACTURER
    data.InstitutionName = "AgeZoo phantom cohort"
    data.StationName = site.upper()
    data.SoftwareVersions = "agezoo"
    data.ReferringPhysicianName = ""
    data.PatientName = f"Phantom^{person.subject_id.rsplit('-', 1)[-1]}"
    data.PatientID = person.subject_id
    data.PatientBirthDate = birth_date(study_date, person.age_years).strftime("%Y%m%d")
    data.PatientSex = person.sex
    data.PatientAge = f"{int(person.age_years):03d}Y"
    data.StudyInstanceUID = phantom_uid(*names, "study")
    data.SeriesInstanceUID = phantom_uid(*names, "series")
    data.StudyID = "1"
    data.AcquisitionNumber = 1
    data.InstanceNumber = 1
    data.ImageComments = COMMENT
    data.BurnedInAnnotation = "NO"
    return data


def describe_slices(data: Dataset, shape: Sequence[int], pixel_mm: float, *, names: tuple[object, ...]) -> None:
    """Add what the axial slices of all devices share; `shape` is columns, rows, with 16 bits a pixel."""
    data.PatientPosition = "HFS"
    data.ImagePositionPatient = [0, 0, 0]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.FrameOfReferenceUID = phantom_uid(*names, "frame")
    data.PositionReferenceIndicator = ""
    data.SliceLocation = 0
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Columns, data.Rows = shape
    data.PixelSpacing = [pixel_mm] * 2
    data.BitsAllocated = 16
    data.BitsStored = 16
    data.HighBit = 15
