"""The header of one projection image in DICOM, and why an image is none of a lateral spine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence

from agezoo.data.dicom_elements import quiet_pydicom
from agezoo.data.dicom_headers import HeaderScan, SliceHeader, count_of, scan_headers
from agezoo.data.radiograph_spacing import projection_spacing_mm
from agezoo.data.radiograph_words import KINDS, is_turned, kind_of, part_of, views_of
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError

_PROJECTIONS = {"CR", "DX", "RG"}
# Densitometers and secondary captures write these, and so do others: position and frames are looked at as well.
_PERHAPS_PROJECTIONS = {"RF", "XA", "OT", "SC", "BMD", "DXA", "HC", "XC", ""}
# A hostile header may claim any size; the largest real images (whole-spine slot scanners) have about 25 million pixels.
MAX_PIXELS = 100_000_000
_EXPECTED = "a lateral radiograph or DXA VFA image of the thoracic or lumbar spine"


@dataclass(frozen=True)
class RadiographHeader:
    """What the header of one image says.

    Parameters
    ----------
    image
        Pixel format and the person's facts.
    dataset
        All elements before the pixels.
    n_frames
        Frames in the file.
    """

    image: SliceHeader
    dataset: Dataset
    n_frames: int

    @property
    def is_volume(self) -> bool:
        """Whether this is a slice, or a picture of another kind altogether, rather than a single projection."""
        modality = self.image.modality
        if modality in _PROJECTIONS:
            return False
        return modality not in _PERHAPS_PROJECTIONS or self.image.position_mm is not None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the stored image."""
        return self.image.pixels.rows, self.image.pixels.columns

    @cached_property
    def kind(self) -> str:
        """``"vfa"`` where the header shows a densitometer, ``"radiograph"`` otherwise."""
        return "radiograph" if kind_of(self.dataset) is None else "vfa"

    @cached_property
    def spacing_mm(self) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
        """See :func:`agezoo.data.radiograph_spacing.projection_spacing_mm`."""
        return projection_spacing_mm(self.dataset)

    def facts(self, *notes: str) -> ScanFacts:
        """The facts of the image; nothing in them identifies a person."""
        image = self.image
        return ScanFacts(
            modality=image.modality,
            age_years=image.age_years,
            sex=image.sex,
            study_uid=image.study_uid or None,
            series_uid=image.series_uid or None,
            manufacturer=image.manufacturer or None,
            n_slices=1,
            notes=(*notes, *image.subject_notes),
            patient_key=image.patient_key,
        )


def scan_file(path: Path) -> tuple[RadiographHeader | None, HeaderScan]:
    """The header of a file that holds a DICOM image, else None; the scan tells what the file is instead."""
    scan = scan_headers([path])
    if not scan.headers:
        return None, scan
    with quiet_pydicom():
        dataset = dcmread(path, stop_before_pixels=True, force=True)
        _drop_damaged(dataset)
    return RadiographHeader(scan.headers[0], dataset, len(scan.headers)), scan


def _drop_damaged(dataset: Dataset) -> None:
    """Interpret every element now and take out those that cannot be, which pydicom would raise about when asked."""
    for tag in list(dataset.keys()):
        try:
            value = dataset[tag].value
        except Exception:  # pydicom raises anything here, from struct.error to NotImplementedError
            del dataset[tag]
            continue
        if isinstance(value, Sequence):
            for item in value:
                _drop_damaged(item)


def read_header(path: Path, *, source: str) -> RadiographHeader:
    """The header of one DICOM file.

    Raises
    ------
    InputError
        If it is no DICOM file, holds no image, or its header is damaged.
    """
    header, scan = scan_file(path)
    if header is not None:
        return header
    if scan.damaged:
        raise InputError(
            "the DICOM header is damaged or cut off", source=source, remedy="copy or export the file again"
        )
    if scan.without_image:
        raise InputError(
            "holds no image",
            source=source,
            found=f"a DICOM object without pixels ({scan.without_image[0]})",
            expected=_EXPECTED,
            remedy="give the image itself",
        )
    if path.name.upper() == "DICOMDIR":
        raise InputError("is a table of contents, not an image", source=source, remedy="give the folder beside it")
    raise InputError(
        "is no image that can be read",
        source=source,
        expected="a DICOM, PNG, JPEG or TIFF file",
        remedy="export the radiograph as DICOM",
    )


def check_projection(header: RadiographHeader, *, source: str, any_body_part: bool = False) -> tuple[str, ...]:
    """Refuse what is not one image of a lateral spine; give notes on what could not be told for certain.

    Parameters
    ----------
    header
        The image's header.
    source
        What to call it in an error.
    any_body_part
        Let other parts of the body and other views pass.

    Raises
    ------
    InputError
        With the first reason against it.
    """
    _check_single(header, source)
    _check_pixels(header, source)
    notes = [] if any_body_part else [*_check_part(header, source), *_check_view(header, source)]
    if is_turned(header.dataset):
        notes.append("PatientOrientation says that rows do not run from head to foot; the image was not turned")
    return tuple(notes)


def _check_single(header: RadiographHeader, source: str) -> None:
    if header.is_volume:
        raise InputError(
            "is no projection image",
            source=source,
            found=f"modality {header.image.modality}"
            + (" with a slice position" * (header.image.position_mm is not None)),
            expected=_EXPECTED,
            remedy="give the radiograph, or use the bundle that is made for this modality",
        )
    if header.n_frames > 1:
        raise InputError(
            "holds more than one image",
            source=source,
            found=count_of(header.n_frames, "frame"),
            expected="one",
            remedy="export the lateral image on its own",
        )


def _check_pixels(header: RadiographHeader, source: str) -> None:
    image, pixels = header.image, header.image.pixels
    if image.fault is not None:
        raise InputError(f"the file {image.fault}", source=source, remedy="copy or export the file again")
    if pixels.rows < 1 or pixels.columns < 1:
        raise InputError(
            "has no size",
            source=source,
            found=f"{pixels.rows} x {pixels.columns} pixels",
            expected="Rows and Columns above 0",
            remedy="copy or export the file again",
        )
    if pixels.rows * pixels.columns > MAX_PIXELS:
        raise InputError(
            "is larger than any radiograph",
            source=source,
            found=f"{pixels.rows} x {pixels.columns} pixels",
            expected=f"at most {MAX_PIXELS // 1_000_000} million pixels",
        )
    if pixels.bits_allocated not in (8, 16) or not 2 <= pixels.bits_stored <= pixels.bits_allocated:
        raise InputError(
            "the pixels have a depth that no radiograph has",
            source=source,
            found=f"{pixels.bits_stored} of {pixels.bits_allocated} bits",
            expected="up to 16 bits in 8 or 16",
            remedy="export the image again",
        )


def _check_part(header: RadiographHeader, source: str) -> list[str]:
    said = part_of(header.dataset)
    if said is None:
        return ["the header names no part of the body: taken as spine"]
    if said.meaning != "spine":
        raise InputError(
            "shows another part of the body",
            source=source,
            found=str(said),
            expected=_EXPECTED,
            remedy="leave it out; if it does show the lateral spine, correct that field",
        )
    return []


def _check_view(header: RadiographHeader, source: str) -> list[str]:
    said = views_of(header.dataset)
    if not said:
        return ["the header does not name the view: taken as lateral"]
    first = said[0]
    if first.meaning != "lateral":
        raise InputError(
            f"is {'a frontal' if first.meaning == 'frontal' else 'an oblique'} view",
            source=source,
            found=str(first),
            expected=_EXPECTED,
            remedy="give the lateral image of the study; if this is it, correct that field",
        )
    other = next((later for later in said if later.meaning != "lateral"), None)
    return [] if other is None else [f"{first}, but {other}: taken as lateral"]


def settled_kind(header: RadiographHeader, kind: str) -> tuple[str, tuple[str, ...]]:
    """The kind that was asked for, else the header's; a note where the two differ or the header leaves it open.

    Raises
    ------
    InputError
        If ``kind`` is neither empty nor a known word.
    """
    asked, said, modality = known_kind(kind), kind_of(header.dataset), header.image.modality
    is_silent = said is None and modality not in _PROJECTIONS
    if not asked:
        note = f"modality {modality or 'unknown'} without a sign of DXA: taken as a radiograph"
        return header.kind, (note,) if is_silent else ()
    if asked == header.kind or is_silent:
        return asked, ()
    return asked, (f"taken as a {asked} as asked, but {said or f'Modality says {modality!r}'}",)


def known_kind(kind: str) -> str:
    """``kind`` in lower case, checked; :class:`InputError` for an unknown word."""
    word = kind.strip().lower()
    if word and word not in KINDS:
        raise InputError("no such kind of image", source="modality", found=kind, expected=" or ".join(KINDS))
    return word
