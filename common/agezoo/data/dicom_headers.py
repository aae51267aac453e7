"""What the series check needs from DICOM headers, read without touching the pixels."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from tqdm import tqdm

from agezoo.data.dicom_elements import number_of, numbers_of, quiet_pydicom, text_of, texts_of
from agezoo.data.dicom_multiframe import frame_datasets
from agezoo.data.mr_sequence import MRSequence, sequence_of
from agezoo.data.subject_facts import age_at_scan, patient_key, sex_of
from agezoo.errors import InputError

_logger = logging.getLogger(__name__)

# The elements that are read; the rest of a header is skipped.
_KEYWORDS = [
    "AcquisitionContrast",
    "AcquisitionDate",
    "AcquisitionNumber",
    "AcquisitionTime",
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ComplexImageComponent",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "EchoTime",
    "GantryDetectorTilt",
    "HighBit",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "ImagingFrequency",
    "InversionTime",
    "IssuerOfPatientID",
    "MRAcquisitionType",
    "MagneticFieldStrength",
    "Manufacturer",
    "Modality",
    "ModalityLUTSequence",
    "NominalPercentageOfCardiacPhase",
    "NumberOfFrames",
    "PatientAge",
    "PatientBirthDate",
    "PatientID",
    "PatientPosition",
    "PatientSex",
    "PerFrameFunctionalGroupsSequence",
    "PhotometricInterpretation",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PixelSpacing",
    "ProtocolName",
    "PulseSequenceName",
    "RepetitionTime",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SOPClassUID",
    "SamplesPerPixel",
    "ScanningSequence",
    "SequenceName",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SharedFunctionalGroupsSequence",
    "SliceThickness",
    "StudyDate",
    "StudyInstanceUID",
    "TablePosition",
]
# Siemens: owner of the private block, and the table's absolute position.
_PRIVATE_TAGS = [0x00190010, 0x00191013]
_TAGS: list[int] = [*(tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword))), *_PRIVATE_TAGS]

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
_NATIVE_SYNTAXES = {IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN}

_MEDIA_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
# CT and MR, classic and enhanced: an object of these classes must have pixels.
_VOLUME_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
}


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pixels of one slice are stored and how they become Hounsfield units.

    ``data_offset`` is the byte position in the file of this frame's first pixel where pixels lie uncompressed, else
    None. ``padding`` is the stored value that marks pixels without data. ``slope`` and ``intercept`` are None when
    the header has none.
    """

    rows: int
    columns: int
    transfer_syntax: str
    data_offset: int | None
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    padding: int | None
    slope: float | None
    intercept: float | None
    rescale_type: str
    has_lookup_table: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One image: where its file is, which scan it belongs to and where it lies in the body.

    Lengths are in mm; directions and positions are in DICOM patient coordinates (towards Left, Posterior, Superior).
    ``frame`` counts from 0 inside a multi-frame file. ``fault`` says why the image cannot be used at all. ``mr`` is
    None for every modality but MR.
    """

    path: Path
    frame: int
    modality: str
    sop_class: str
    study_uid: str
    study_date: str
    series_uid: str
    series_number: str
    series_description: str
    image_type: tuple[str, ...]
    acquisition: str
    echo_time: str
    cardiac_phase: str
    kernel: str
    manufacturer: str
    slice_thickness_mm: float | None
    stated_tilt_degrees: float | None
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing_mm: tuple[float, ...] | None
    pixels: PixelFormat
    fault: str | None
    age_years: float | None
    sex: str | None
    subject_notes: tuple[str, ...]
    patient_key: str | None = field(repr=False)
    mr: MRSequence | None = None


@dataclass(frozen=True)
class HeaderScan:
    """Everything that was found in a list of files.

    Parameters
    ----------
    headers
        One per image (per frame in multi-frame files), in the order of the files.
    not_dicom
        Files that are not DICOM, and DICOMDIR files.
    damaged
        DICOM files whose header is damaged or cut off.
    without_image
        Modality of each DICOM object that is no image (reports, structure sets ...).
    """

    headers: list[SliceHeader] = field(default_factory=list)
    not_dicom: list[Path] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    without_image: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """What was left out, in words for the user."""
        notes = []
        if self.not_dicom:
            notes.append(f"{count_of(len(self.not_dicom), 'file')} left out that are no DICOM images")
        if self.damaged:
            notes.append(f"{count_of(len(self.damaged), 'damaged DICOM file')} in other folders left out")
        if self.without_image:
            kinds = ", ".join(sorted(set(self.without_image)))
            notes.append(f"{count_of(len(self.without_image), 'DICOM object')} left out without an image ({kinds})")
        return tuple(notes)


def count_of(n: int, noun: str) -> str:
    """``1 slice``, ``2 slices``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def list_files(folder: Path) -> list[Path]:
    """All files under a folder, sorted; hidden files and folders (names that begin with a dot) are skipped."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(Path(parent) / name for name in sorted(names) if not name.startswith("."))
    return found


def scan_headers(files: Sequence[Path], *, progress: bool = False) -> HeaderScan:
    """Read the headers of many files.

    Parameters
    ----------
    files
        Any files; those that are not DICOM are set aside.
    progress
        Show a progress bar.
    """
    scan = HeaderScan()
    with quiet_pydicom():
        for path in tqdm(files, desc="reading headers", unit="file", disable=None if progress else True, leave=False):
            _scan_file(path, scan)
    return scan


def _scan_file(path: Path, scan: HeaderScan) -> None:
    try:
        with path.open("rb", buffering=1 << 16) as stream:
            scan_stream(stream, path, scan)
    except OSError as error:
        raise InputError("the file cannot be opened", source=path, found=error.strerror) from error


def scan_stream(stream: BinaryIO, path: Path, scan: HeaderScan) -> None:
    """Add what one open file holds to a scan.

    Parameters
    ----------
    stream
        The file from its beginning; it must be able to seek.
    path
        What the file is called: also a name inside an archive.
    scan
        Is added to.
    """
    start = stream.read(132)
    has_preamble = start[128:132] == b"DICM"
    # Old files begin with the data set itself, in practice with group 0008 in little endian.
    if not (has_preamble or start[:2] == b"\x08\x00") or path.name.upper() == "DICOMDIR":
        scan.not_dicom.append(path)
        return
    stream.seek(0)
    try:
        _scan_dataset(path, stream, has_preamble, scan)
    except OSError:
        raise
    except Exception as error:  # a damaged header makes pydicom raise anything from zlib.error to KeyError
        _logger.debug("header not readable: %s", type(error).__name__)
        (scan.damaged if has_preamble else scan.not_dicom).append(path)


def _scan_dataset(path: Path, stream: BinaryIO, has_preamble: bool, scan: HeaderScan) -> None:
    dataset = dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS, force=not has_preamble)
    modality, sop_class = text_of(dataset, "Modality"), text_of(dataset, "SOPClassUID")
    if not sop_class and hasattr(dataset, "file_meta"):
        sop_class = text_of(dataset.file_meta, "MediaStorageSOPClassUID")
    if sop_class == _MEDIA_DIRECTORY_CLASS:
        scan.not_dicom.append(path)
    elif "Rows" in dataset:
        scan.headers.extend(_headers_of(dataset, path, stream, sop_class))
    elif sop_class in _VOLUME_CLASSES or (has_preamble and not (sop_class or modality)):
        scan.damaged.append(path)
    elif sop_class or modality:
        scan.without_image.append(modality or "?")
    else:
        scan.not_dicom.append(path)


def _headers_of(dataset: Dataset, path: Path, stream: BinaryIO, sop_class: str) -> list[SliceHeader]:
    syntax = _transfer_syntax(dataset)
    has_pixels, offset = _find_pixels(stream, syntax)
    file_bytes = stream.seek(0, os.SEEK_END)
    age_years, subject_notes = age_at_scan(
        text_of(dataset, "PatientAge"),
        text_of(dataset, "PatientBirthDate"),
        text_of(dataset, "StudyDate") or text_of(dataset, "AcquisitionDate"),
    )
    headers = []
    for frame, image in enumerate(frame_datasets(dataset)):
        pixels = _pixel_format(image, syntax)
        if offset is not None:
            pixels = replace(pixels, data_offset=offset + frame * pixels.frame_bytes)
        fault = None
        if not has_pixels:
            fault = "has no pixel data, or is cut off before it"
        elif pixels.data_offset is not None and pixels.data_offset + pixels.frame_bytes > file_bytes:
            fault = f"is cut off ({file_bytes} bytes, {pixels.data_offset + pixels.frame_bytes} expected)"
        headers.append(
            SliceHeader(
                path=path,
                frame=frame,
                modality=text_of(image, "Modality").upper(),
                sop_class=sop_class,
                study_uid=text_of(image, "StudyInstanceUID"),
                study_date=text_of(image, "StudyDate"),
                series_uid=text_of(image, "SeriesInstanceUID"),
                series_number=text_of(image, "SeriesNumber"),
                series_description=text_of(image, "SeriesDescription"),
                image_type=tuple(part.upper() for part in texts_of(image, "ImageType")),
                acquisition=text_of(image, "AcquisitionNumber"),
                echo_time=text_of(image, "EchoTime"),
                cardiac_phase=text_of(image, "NominalPercentageOfCardiacPhase"),
                kernel=next(iter(texts_of(image, "ConvolutionKernel")), ""),
                manufacturer=text_of(image, "Manufacturer"),
                slice_thickness_mm=number_of(image, "SliceThickness"),
                stated_tilt_degrees=number_of(image, "GantryDetectorTilt"),
                position_mm=numbers_of(image, "ImagePositionPatient", 3),
                orientation=numbers_of(image, "ImageOrientationPatient", 6),
                pixel_spacing_mm=numbers_of(image, "PixelSpacing", 2),
                pixels=pixels,
                fault=fault,
                age_years=age_years,
                sex=sex_of(text_of(image, "PatientSex")),
                subject_notes=subject_notes,
                patient_key=patient_key(text_of(image, "PatientID"), text_of(image, "IssuerOfPatientID")),
                mr=sequence_of(image) if text_of(image, "Modality").upper() == "MR" else None,
            )
        )
    return headers


def _transfer_syntax(dataset: Dataset) -> str:
    stated = text_of(dataset.file_meta, "TransferSyntaxUID") if hasattr(dataset, "file_meta") else ""
    if stated:
        return stated
    is_implicit, is_little = dataset.original_encoding
    if not is_little:
        return EXPLICIT_BIG_ENDIAN
    return IMPLICIT_LITTLE_ENDIAN if is_implicit else EXPLICIT_LITTLE_ENDIAN


def _find_pixels(stream: BinaryIO, syntax: str) -> tuple[bool, int | None]:
    """Whether the file goes on with pixel data, and the byte position of the first pixel if it is not encoded.

    pydicom leaves the stream at the element where it stopped.
    """
    if syntax == DEFLATED:
        # The whole data set is one compressed stream, which the pixel reader inflates.
        return True, None
    position = stream.tell()
    head = stream.read(12)
    order = "big" if syntax == EXPLICIT_BIG_ENDIAN else "little"
    if len(head) < 12 or (_integer(head[:2], order), _integer(head[2:4], order)) != (0x7FE0, 0x0010):
        return False, None
    if syntax not in _NATIVE_SYNTAXES:
        return True, None
    is_implicit = syntax == IMPLICIT_LITTLE_ENDIAN
    length = _integer(head[4:8] if is_implicit else head[8:12], order)
    return length > 0, position + (8 if is_implicit else 12)


def _integer(data: bytes, order: str) -> int:
    return int.from_bytes(data, "big" if order == "big" else "little")


def _pixel_format(image: Dataset, syntax: str) -> PixelFormat:
    bits_allocated = int(number_of(image, "BitsAllocated") or 16)
    bits_stored = int(number_of(image, "BitsStored") or bits_allocated)
    high_bit = number_of(image, "HighBit")
    is_signed = number_of(image, "PixelRepresentation") == 1
    return PixelFormat(
        rows=int(number_of(image, "Rows") or 0),
        columns=int(number_of(image, "Columns") or 0),
        transfer_syntax=syntax,
        data_offset=None,
        samples=int(number_of(image, "SamplesPerPixel") or 1),
        photometric=text_of(image, "PhotometricInterpretation").upper(),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=bits_stored - 1 if high_bit is None else int(high_bit),
        is_signed=is_signed,
        padding=_padding_value(image, bits_allocated, is_signed),
        slope=number_of(image, "RescaleSlope"),
        intercept=number_of(image, "RescaleIntercept"),
        rescale_type=text_of(image, "RescaleType").upper(),
        has_lookup_table="ModalityLUTSequence" in image,
    )


def _padding_value(image: Dataset, bits_allocated: int, is_signed: bool) -> int | None:
    """PixelPaddingValue read like the pixels: many writers store it with the wrong sign."""
    value = image.get("PixelPaddingValue")
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little") if len(value) >= 2 else None
    if not isinstance(value, int):
        return None
    wrapped = value % (1 << bits_allocated)
    return wrapped - (1 << bits_allocated) if is_signed and wrapped >= 1 << (bits_allocated - 1) else wrapped
