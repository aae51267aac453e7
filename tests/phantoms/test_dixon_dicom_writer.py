"""The zip of a phantom's examination: valid headers, exact voxels, whole or not there."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from agezoo.phantoms.dixon_dicom_writer import MANIFEST, write_dixon_zip
from agezoo.phantoms.dixon_scanner import CONTRASTS, PhantomDixon, PhantomStation
from agezoo.phantoms.dixon_settings import draw_dixon_settings

SHAPE, AFFINE = (6, 5, 3), np.diag([-7.0, 7.0, 9.0, 1.0])
SETTINGS = replace(
    draw_dixon_settings(
        np.random.default_rng(1), session="first", site="site_a", study_date=date(2016, 3, 4), quick=True, swap=False
    ),
    acquisition_order=(6, 5, 4, 3, 2, 1),
)


@dataclass(frozen=True)
class Somebody:
    subject_id: str = "PHANTOM-0007"
    sex: str = "F"
    age_years: float = 61.4


@pytest.fixture(scope="module")
def scan() -> PhantomDixon:
    rng = np.random.default_rng(0)
    stations = []
    for number in range(1, 7):
        affine = AFFINE.copy()
        affine[:3, 3] = (17.5, -20.25, 300.0 - 20.5 * number)
        images = {name: rng.integers(0, 900, SHAPE).astype(np.uint16) for name in CONTRASTS}
        stations.append(PhantomStation(number, images, affine))
    return PhantomDixon(tuple(stations), np.zeros(SHAPE, np.uint8), AFFINE)


def headers(path: Path) -> dict[str, pydicom.Dataset]:
    with zipfile.ZipFile(path) as archive:
        return {n: pydicom.dcmread(BytesIO(archive.read(n))) for n in archive.namelist() if n != MANIFEST}


@pytest.mark.parametrize("descending", [False, True])
def test_voxels_and_places_survive(scan: PhantomDixon, tmp_path: Path, descending: bool) -> None:
    path = tmp_path / "scan.zip"
    n_bytes = write_dixon_zip(scan, Somebody(), replace(SETTINGS, descending=descending), path)
    assert n_bytes == path.stat().st_size
    files = headers(path)
    assert len(files) == 6 * 4 * SHAPE[2]
    series: dict[str, list[pydicom.Dataset]] = {}
    for data in files.values():
        series.setdefault(data.SeriesInstanceUID, []).append(data)
    assert len(series) == 24
    words = {"in": "IN_PHASE", "opposed": "OPP_PHASE", "fat": "FAT", "water": "WATER"}
    for number, station in enumerate(scan.stations):
        for contrast, image in station.images.items():
            (slices,) = (
                some
                for some in series.values()
                if words[contrast] in some[0].ImageType
                and some[0].SeriesNumber in range(23 - 4 * number, 27 - 4 * number)
            )
            slices.sort(key=lambda data: data.ImagePositionPatient[2])
            assert [data.InstanceNumber for data in slices] == ([3, 2, 1] if descending else [1, 2, 3])
            for index, data in enumerate(slices):
                # DICOM's rows run towards the back and its columns towards the left.
                assert np.array_equal(data.pixel_array.T[:, ::-1], image[:, :, index])
                left, back, up = data.ImagePositionPatient
                corner = station.affine @ [0, SHAPE[1] - 1, index, 1]
                assert (-left, -back, up) == pytest.approx(corner[:3], abs=1e-3)


def test_headers_are_valid_mr_and_say_phantom(scan: PhantomDixon, tmp_path: Path) -> None:
    write_dixon_zip(scan, Somebody(), SETTINGS, tmp_path / "scan.zip")
    files = headers(tmp_path / "scan.zip")
    assert len({data.SOPInstanceUID for data in files.values()}) == len(files)
    for data in files.values():
        assert data.SOPClassUID.name == "MR Image Storage"
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
        assert data.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert data.Manufacturer == "AgeZoo phantom"
        assert "phantom" in data.ImageComments.lower()
        assert str(data.PatientName) == "Phantom^0007"
        assert (data.PatientSex, data.PatientAge, data.MagneticFieldStrength) == ("F", "061Y", 1.5)
        born = pydicom.valuerep.DA(data.PatientBirthDate)
        assert (date(2016, 3, 4) - born).days / 365.25 == pytest.approx(61.4, abs=0.01)
        assert all(len(uid) <= 64 for uid in (data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID))
        for element in data:
            pydicom.dataelem.DataElement(element.tag, element.VR, element.value, validation_mode=pydicom.config.RAISE)
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert len({data[name].value for data in files.values()}) == 1
    described = {data.SeriesDescription for data in files.values()}
    assert described == {f"Dixon_{kind}_{c}" for kind in ("BH_17s", "noBH") for c in ("in", "opp", "F", "W")}
    assert {data.EchoTime for data in files.values() if "IN_PHASE" in data.ImageType} == {4.77}


def test_manifest_lists_every_image_in_a_flat_zip(scan: PhantomDixon, tmp_path: Path) -> None:
    write_dixon_zip(scan, Somebody(), SETTINGS, tmp_path / "scan.zip")
    with zipfile.ZipFile(tmp_path / "scan.zip") as archive:
        names = archive.namelist()
        rows = list(csv.DictReader(StringIO(archive.read(MANIFEST).decode())))
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    assert not any("/" in name or "PHANTOM" in name for name in names)
    assert [row["filename"] for row in rows] == [name for name in names if name != MANIFEST]
    files = headers(tmp_path / "scan.zip")
    for row in rows:
        assert row["seriesdescription"] == files[row["filename"]].SeriesDescription
        assert int(row["seriesnumber"]) == files[row["filename"]].SeriesNumber


def test_the_same_scan_gives_the_same_bytes_and_another_session_other_identifiers(
    scan: PhantomDixon, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.zip" for number in range(3)]
    for path, session in zip(paths, ("first", "first", "repeat"), strict=True):
        write_dixon_zip(scan, Somebody(), replace(SETTINGS, session=session), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    first, repeat = ({data.SOPInstanceUID for data in headers(path).values()} for path in (paths[0], paths[2]))
    assert not first & repeat


def test_an_interrupted_writer_leaves_no_zip(scan: PhantomDixon, tmp_path: Path) -> None:
    broken = PhantomDixon(scan.stations[:3], scan.labels, scan.labels_affine)
    with pytest.raises(KeyError):
        write_dixon_zip(broken, Somebody(), SETTINGS, tmp_path / "scan.zip")
    assert not (tmp_path / "scan.zip").exists()
