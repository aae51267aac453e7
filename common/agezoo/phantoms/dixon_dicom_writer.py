"""Write a phantom's Dixon examination as one zip of DICOM, as UK Biobank hands them out."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage

from agezoo.phantoms.dixon_scanner import CONTRASTS, PhantomDixon, PhantomStation
from agezoo.phantoms.dixon_settings import DixonSettings
from agezoo.phantoms.phantom_identity import PhantomPerson, describe_slices, phantom_header, phantom_uid
from agezoo.phantoms.slice_encoder import SliceEncoder

MANIFEST = "manifest.csv"
_SUFFIXES = {"in": "in", "opposed": "opp", "fat": "F", "water": "W"}
_IMAGE_TYPES = {
    "in": ["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"],
    "opposed": ["ORIGINAL", "PRIMARY", "DIXON", "OPP_PHASE"],
    "fat": ["DERIVED", "PRIMARY", "DIXON", "FAT"],
    "water": ["DERIVED", "PRIMARY", "DIXON", "WATER"],
}
_ECHO_TIMES_MS = {"in": 4.77, "opposed": 2.39, "fat": 2.39, "water": 2.39}
_BREATH_HELD = (2, 3, 4)
_MODELS = {"site_a": "Phantom A", "site_b": "Phantom B"}
_FIRST_SERIES = 3
# Members carry no date of their own, so that the same scan gives the same bytes.
_MEMBER_DATE = (1980, 1, 1, 0, 0, 0)
_COMPRESSION_LEVEL = 4


@dataclass(frozen=True)
class _Series:
    """One contrast of one station."""

    number: int
    description: str
    contrast: str
    station: PhantomStation
    uid: UID


def write_dixon_zip(scan: PhantomDixon, person: PhantomPerson, settings: DixonSettings, path: Path) -> int:
    """Write one MR Image Storage file per slice, contrast and station into a zip, and a manifest beside them.

    Parameters
    ----------
    scan
        The examination.
    person
        Whose it is.
    settings
        How it was made.
    path
        The zip; it is whole or not there.

    Returns
    -------
    int
        Bytes written.

    Notes
    -----
    The same scan gives the same bytes: UIDs follow from the subject, the session and the site. Members are named by
    their UID in no order, so that only the headers tell station, contrast and place.
    """
    partial = path.with_name(f".{path.name}.part")
    manifest = StringIO()
    table = csv.writer(manifest, lineterminator="\n")
    table.writerow(["filename", "patientid", "date", "seriesnumber", "seriesdescription", "instancenumber"])
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL) as archive:
        for series in _series_of(scan, person, settings):
            for instance, (name, content) in enumerate(_files(series, person, settings), start=1):
                archive.writestr(_member(name), content)
                day = settings.study_date.isoformat()
                table.writerow([name, person.subject_id, day, series.number, series.description, instance])
        archive.writestr(_member(MANIFEST), manifest.getvalue())
    partial.replace(path)
    return path.stat().st_size


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _MEMBER_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _series_of(scan: PhantomDixon, person: PhantomPerson, settings: DixonSettings) -> Iterator[_Series]:
    """Every contrast of every station, numbered in the order of the acquisition."""
    stations = {station.number: station for station in scan.stations}
    number = _FIRST_SERIES
    for place in settings.acquisition_order:
        protocol = "Dixon_BH_17s" if place in _BREATH_HELD else "Dixon_noBH"
        for contrast in CONTRASTS:
            uid = phantom_uid(*_names(person, settings), place, contrast)
            yield _Series(number, f"{protocol}_{_SUFFIXES[contrast]}", contrast, stations[place], uid)
            number += 1


def _files(series: _Series, person: PhantomPerson, settings: DixonSettings) -> Iterator[tuple[str, bytes]]:
    image, affine = series.station.images[series.contrast], series.station.affine
    # Left, Anterior, Superior back to slices of rows (towards the back) and columns (towards the left).
    stored = np.ascontiguousarray(image[:, ::-1, :].transpose(2, 1, 0)).astype("<u2")
    encode = SliceEncoder(_header(series, person, settings), series_uid=series.uid)
    left_mm = -affine[0, 3]
    # The first row is the most anterior one: in DICOM's axes (left, back, head) the smallest y.
    top_mm = -(affine[1, 3] + affine[1, 1] * (image.shape[1] - 1))
    slices = len(stored)
    for instance in range(slices):
        index = slices - 1 - instance if settings.descending else instance
        z_mm = float(affine[2, 3] + affine[2, 2] * index)
        content = encode(instance + 1, (left_mm, top_mm, z_mm), stored[index].tobytes())
        yield f"{series.uid}.{1001 + instance}.dcm", content


def _names(person: PhantomPerson, settings: DixonSettings) -> tuple[object, ...]:
    return ("wholebody_mr", person.subject_id, settings.session, settings.site, settings.seed)


def _header(series: _Series, person: PhantomPerson, settings: DixonSettings) -> Dataset:
    names = _names(person, settings)
    affine, image = series.station.affine, series.station.images[series.contrast]
    data = phantom_header(MRImageStorage, person, settings.study_date, site=settings.site, names=names)
    data.ImageType = _IMAGE_TYPES[series.contrast]
    data.StudyTime = "120000"
    turn = settings.acquisition_order.index(series.station.number)
    data.SeriesTime = data.AcquisitionTime = data.ContentTime = f"1201{turn * 9:02d}"
    data.Modality = "MR"
    data.StudyDescription = "Phantom neck to knee"
    data.SeriesDescription = series.description
    data.ManufacturerModelName = _MODELS[settings.site]
    data.BodyPartExamined = "WHOLEBODY"
    data.ScanningSequence = "GR"
    data.SequenceVariant = "SP"
    data.ScanOptions = "PFP"
    data.MRAcquisitionType = "3D"
    data.SequenceName = "*fl3d2"
    data.SliceThickness = round(float(affine[2, 2]), 6)
    data.RepetitionTime = 6.69
    data.EchoTime = _ECHO_TIMES_MS[series.contrast]
    data.NumberOfAverages = 1
    data.ImagingFrequency = 63.68
    data.ImagedNucleus = "1H"
    data.EchoNumbers = 2 if series.contrast == "in" else 1
    data.MagneticFieldStrength = 1.5
    data.NumberOfPhaseEncodingSteps = image.shape[1]
    data.EchoTrainLength = 2
    data.PixelBandwidth = 440
    data.ProtocolName = series.description.rsplit("_", 1)[0]
    data.FlipAngle = 10
    describe_slices(data, image.shape[:2], round(float(affine[1, 1]), 8), names=names)
    data.SeriesInstanceUID = series.uid
    data.SeriesNumber = series.number
    data.PixelRepresentation = 0
    data.WindowCenter, data.WindowWidth = round(settings.gain / 2), round(settings.gain)
    return data
