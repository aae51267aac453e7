"""Write a phantom CT scan as a DICOM series."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from agezoo.phantoms.phantom_identity import COMMENT, IMPLEMENTATION_UID, MANUFACTURER, birth_date, phantom_uid
from agezoo.phantoms.torso_ct import PhantomScan

_MODELS = {"scanner_a": "Phantom A", "scanner_b": "Phantom B"}
# The two scanners store HU differently, as real ones do: unsigned with an offset, and signed without.
_RESCALE = {"scanner_a": (0, -1024), "scanner_b": (1, 0)}


def write_ct_series(scan: PhantomScan, folder: Path) -> int:
    """Write one CT Image Storage file per slice.

    Parameters
    ----------
    scan
        The scan.
    folder
        Folder of the series; it is created and must not hold other files.

    Returns
    -------
    int
        Bytes written.

    Notes
    -----
    The same scan gives the same bytes: UIDs follow from the subject's seed, the session and the site. When
    `ScanSettings.descending` is set the files are numbered from head to foot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = scan.settings
    slices = scan.hu.shape[2]
    signed, intercept = _RESCALE[settings.site]
    stored = (scan.hu - np.int16(intercept)).astype(np.int16 if signed else np.uint16)
    # Left, Anterior, Superior back to slices of rows (towards the back) and columns (towards the left).
    stored = np.ascontiguousarray(stored[:, ::-1, :].transpose(2, 1, 0))
    names = (*scan.subject.seed, scan.subject.subject_id, settings.session, settings.site)
    template = _header(scan, names, signed=signed, intercept=intercept)
    step = scan.affine[2, 2]
    left_mm = -scan.affine[0, 3]
    # The first row is the most anterior one: in DICOM's axes (left, back, head) the smallest y.
    top_mm = -(scan.affine[1, 3] + scan.affine[1, 1] * (scan.hu.shape[1] - 1))
    encode = _SliceEncoder(template, series_uid=phantom_uid(*names, "series"))
    total = 0
    for number in range(slices):
        index = slices - 1 - number if settings.descending else number
        z_mm = float(scan.affine[2, 3] + step * index)
        content = encode(number + 1, (left_mm, top_mm, z_mm), stored[index].tobytes())
        (folder / f"IM{number + 1:04d}.dcm").write_bytes(content)
        total += len(content)
    return total


class _SliceEncoder:
    """Encode the slices of a series by pydicom once and by exchanging four values afterwards.

    Encoding 70 elements in each of 150 files would take as long as drawing the scan. The values that differ from slice
    to slice have a fixed width, so a marker of that width in the encoded header shows where they belong.
    """

    def __init__(self, template: Dataset, *, series_uid: str) -> None:
        self._series_uid = series_uid
        places = [f"-98765.43210000{axis}" for axis in range(3)]
        markers = {"uid": f"{series_uid}.9999", "number": "98765432", "level": "-12345.678900001"}
        markers |= {f"place {axis}": place for axis, place in enumerate(places)}
        template.file_meta.MediaStorageSOPInstanceUID = template.SOPInstanceUID = UID(markers["uid"])
        template.InstanceNumber = markers["number"]
        template.ImagePositionPatient = places
        template.SliceLocation = markers["level"]
        template.PixelData = bytes(2 * template.Rows * template.Columns)
        buffer = BytesIO()
        dcmwrite(buffer, template, enforce_file_format=True)
        self._head = buffer.getvalue()[: -len(template.PixelData)]
        self._places = {}
        for name, marker in markers.items():
            pattern = marker.encode()
            starts = [found.start() for found in re.finditer(re.escape(pattern), self._head)]
            if len(starts) != (2 if name == "uid" else 1):
                raise RuntimeError(f"the encoded DICOM header holds the {name} marker {len(starts)} times")
            self._places[name] = (starts, len(pattern))

    def __call__(self, number: int, position_mm: tuple[float, float, float], pixels: bytes) -> bytes:
        """Return a whole file; `position_mm` is in DICOM's patient axes."""
        values = {
            "uid": f"{self._series_uid}.{1000 + number}",
            "number": str(number),
            "level": f"{position_mm[2]:.4f}",
        }
        values |= {f"place {axis}": f"{value:.4f}" for axis, value in enumerate(position_mm)}
        head = bytearray(self._head)
        for name, (starts, length) in self._places.items():
            value = values[name].ljust(length).encode()
            for start in starts:
                head[start : start + length] = value
        return bytes(head) + pixels


def _header(scan: PhantomScan, names: tuple[object, ...], *, signed: int, intercept: int) -> Dataset:
    subject, settings = scan.subject, scan.settings
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = phantom_uid(*names)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "AGEZOO_PHANTOM"
    data = Dataset()
    data.file_meta = meta
    data.SpecificCharacterSet = "ISO_IR 100"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    day = settings.study_date.strftime("%Y%m%d")
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = day
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = "120000"
    data.AccessionNumber = ""
    data.Modality = "CT"
    data.Manufacturer = MANUFACTURER
    data.InstitutionName = "AgeZoo phantom cohort"
    data.ReferringPhysicianName = ""
    data.StationName = settings.site.upper()
    data.StudyDescription = "Phantom thorax abdomen pelvis"
    data.SeriesDescription = f"PHANTOM {settings.slice_thickness_mm:g} mm {settings.kernel}"
    data.ManufacturerModelName = _MODELS[settings.site]
    data.PatientName = f"Phantom^{subject.subject_id.rsplit('-', 1)[-1]}"
    data.PatientID = subject.subject_id
    data.PatientBirthDate = birth_date(settings.study_date, subject.age_years).strftime("%Y%m%d")
    data.PatientSex = subject.sex
    data.PatientAge = f"{int(subject.age_years):03d}Y"
    if settings.contrast != "none":
        data.ContrastBolusAgent = "PHANTOM AGENT"
    data.BodyPartExamined = "CHESTABDPELVIS"
    data.SliceThickness = settings.slice_thickness_mm
    data.KVP = 120
    data.DataCollectionDiameter = 500
    data.SpacingBetweenSlices = settings.slice_thickness_mm
    data.SoftwareVersions = "agezoo"
    data.ProtocolName = f"PHANTOM {settings.contrast.upper()}"
    data.ReconstructionDiameter = round(abs(scan.affine[0, 0]) * scan.hu.shape[0], 3)
    data.GantryDetectorTilt = 0
    data.TableHeight = 150
    data.ExposureTime = 500
    data.XRayTubeCurrent = round(2.0e4 / settings.noise_hu**2)
    data.ConvolutionKernel = settings.kernel
    data.PatientPosition = "HFS"
    data.StudyInstanceUID = phantom_uid(*names, "study")
    data.SeriesInstanceUID = phantom_uid(*names, "series")
    data.StudyID = "1"
    data.SeriesNumber = 2
    data.AcquisitionNumber = 1
    data.InstanceNumber = 1
    data.ImagePositionPatient = [0, 0, 0]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.FrameOfReferenceUID = phantom_uid(*names, "frame")
    data.PositionReferenceIndicator = ""
    data.SliceLocation = 0
    data.ImageComments = COMMENT
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = scan.hu.shape[1], scan.hu.shape[0]
    data.PixelSpacing = [round(float(scan.affine[1, 1]), 10)] * 2
    data.BitsAllocated = 16
    data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = signed
    data.BurnedInAnnotation = "NO"
    data.WindowCenter, data.WindowWidth = 40, 400
    data.RescaleIntercept = intercept
    data.RescaleSlope = 1
    data.RescaleType = "HU"
    return data
