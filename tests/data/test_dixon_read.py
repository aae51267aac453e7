"""A Dixon visit comes out the same from a zip, a folder, a list or a multi-frame file, head first and upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, RLELossless, generate_uid

from agezoo.data.dixon import DixonScan, read_dixon
from agezoo.errors import InputError
from dixon_files import (
    CONTRASTS,
    SECRET,
    DixonLayout,
    body_signal,
    dicom_bytes,
    scan_datasets,
    station_datasets,
    write_folder,
    write_zip,
)

LAYOUT = DixonLayout(stations=3, shape=(12, 10, 5), overlap_slices=1)


def is_the_body(scan: DixonScan, layout: DixonLayout = LAYOUT) -> bool:
    """Every voxel of every station and contrast is the drawn one, at its place."""
    nx, ny, _ = layout.shape
    sx, sy, sz = layout.spacing_mm
    for index, station in enumerate(scan.stations):
        for contrast, voxels in station.images.items():
            if not np.array_equal(voxels, body_signal(layout, index, contrast)):
                return False
        affine = np.diag([-sx, sy, sz, 1.0])
        affine[:3, 3] = (nx - 1) / 2 * sx, -(ny - 1) / 2 * sy, layout.lowest_mm(index)
        if not np.allclose(station.affine, affine):
            return False
    return len(scan.stations) == layout.stations


@pytest.mark.parametrize("kind", ["flat zip", "nested zip", "stored zip", "folder", "list"])
def test_every_source_gives_the_same_voxels(tmp_path, kind):
    slices = scan_datasets(LAYOUT)
    if kind == "folder":
        source: object = write_folder(tmp_path / "visit", slices)
    elif kind == "list":
        source = list(write_folder(tmp_path / "visit", slices).iterdir())[::-1]
    else:
        folder = "a/b/" if kind == "nested zip" else ""
        source = write_zip(tmp_path / "visit.zip", slices, folder=folder, compressed=kind != "stored zip")
    before = sorted(tmp_path.rglob("*"))
    scan = read_dixon(source)  # type: ignore[arg-type]
    assert is_the_body(scan)
    assert scan.contrasts == ("water", "fat", "in", "opposed")
    assert all(voxels.dtype == np.int16 for station in scan.stations for voxels in station.images.values())
    assert sorted(tmp_path.rglob("*")) == before


def test_facts_tell_age_and_sex_and_nobody(tmp_path):
    facts = read_dixon(write_zip(tmp_path / "1000001_20201_2_0.zip", scan_datasets(LAYOUT))).facts
    assert (facts.age_years, facts.sex, facts.modality, facts.manufacturer) == (60.0, "F", "MR", "SIEMENS")
    assert (facts.n_slices, facts.study_uid, facts.notes) == (15, "1.2.3.1", ())
    assert SECRET not in repr(facts)


def test_stations_are_ordered_by_position_and_the_numbers_noted(tmp_path):
    def renumber(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        ds.SeriesNumber = 100 - int(ds.SeriesNumber)
        return ds

    scan = read_dixon(write_zip(tmp_path / "visit.zip", scan_datasets(LAYOUT, change=renumber)))
    assert is_the_body(scan)
    assert scan.facts.notes == (
        "series numbers do not run from head to foot; stations were ordered by their positions",
    )


def test_localisers_and_other_series_are_passed_over(tmp_path):
    scout = station_datasets(LAYOUT, 0, "in", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], StudyDate="20140101")
    scout_named = station_datasets(LAYOUT, 0, "in", SeriesDescription="scout", ImageType=["ORIGINAL", "PRIMARY", "M"])
    fraction = station_datasets(LAYOUT, 0, "fat", ImageType=["DERIVED", "PRIMARY", "DIXON", "FF"])
    ct = station_datasets(LAYOUT, 0, "fat", Modality="CT")
    slices = [*scan_datasets(LAYOUT), *scout, *scout_named, *fraction, *ct]
    scan = read_dixon(write_zip(tmp_path / "visit.zip", slices))
    assert is_the_body(scan)
    assert scan.facts.notes == ("4 series passed over that are no Dixon images (localisers, maps and others)",)


def test_a_volume_that_the_scanner_joined_gives_way_to_the_stations(tmp_path):
    composed = [
        ds
        for contrast in CONTRASTS
        for ds in station_datasets(LAYOUT, 1, contrast, ImageType=["DERIVED", "PRIMARY", "W", "COMP_SP"])
    ]
    scan = read_dixon(write_zip(tmp_path / "visit.zip", [*scan_datasets(LAYOUT), *composed[:5]]))
    assert is_the_body(scan)
    assert "joined from stations" in " ".join(scan.facts.notes)


def test_of_a_repeated_station_the_last_complete_acquisition_is_read(tmp_path):
    def bad(contrast: str) -> np.ndarray:
        return np.full(LAYOUT.shape, 7, np.int16)

    def repeat(contrasts: tuple[str, ...], acquired: str, first_number: int) -> list[Dataset]:
        return [
            ds
            for number, contrast in enumerate(contrasts)
            for ds in station_datasets(
                LAYOUT,
                1,
                contrast,
                signal=bad(contrast),
                acquired=acquired,
                series_number=first_number + number,
            )
        ]

    # An earlier complete acquisition, and a later one that was broken off.
    earlier, broken = repeat(CONTRASTS, "100030", 50), repeat(("in", "opposed"), "110000", 60)
    scan = read_dixon(write_zip(tmp_path / "visit.zip", [*earlier, *scan_datasets(LAYOUT), *broken]))
    assert is_the_body(scan)
    assert "station 2 of 3 (from the head) was acquired 3 times" in " ".join(scan.facts.notes)


def test_a_repeat_is_told_by_series_numbers_where_times_are_absent(tmp_path):
    first = scan_datasets(LAYOUT, AcquisitionTime=None, change=lambda ds, *_: wiped(ds))
    second = scan_datasets(LAYOUT, AcquisitionTime=None, change=lambda ds, *_: renumbered(ds, 40))
    assert is_the_body(read_dixon(write_zip(tmp_path / "visit.zip", [*second, *first])))


def wiped(ds: Dataset) -> Dataset:
    ds.PixelData = bytes(len(ds.PixelData))
    return ds


def renumbered(ds: Dataset, by: int) -> Dataset:
    ds.SeriesNumber = int(ds.SeriesNumber) + by
    return ds


def test_equal_copies_of_files_do_no_harm(tmp_path):
    slices = scan_datasets(LAYOUT)
    scan = read_dixon(write_zip(tmp_path / "visit.zip", [*slices, *slices[:5]]))
    assert is_the_body(scan)
    assert any("5 slices stored twice with equal pixels" in note for note in scan.facts.notes)


def test_one_series_that_holds_all_stations_and_contrasts(tmp_path):
    """As Philips writes it: contrasts differ in ImageType, stations in their acquisition number."""

    def philips(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        value = {"water": "W", "fat": "F", "in": "IP", "opposed": "OP"}[contrast]
        ds.ImageType = ["DERIVED", "PRIMARY", value, value, "DERIVED"]
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = "1.2.3.9", 301, "mDIXON-All"
        ds.AcquisitionNumber = station + 1
        return ds

    assert is_the_body(read_dixon(write_zip(tmp_path / "visit.zip", scan_datasets(LAYOUT, change=philips))))


def test_two_echoes_without_names_are_told_by_their_echo_times(tmp_path):
    def unnamed(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "M"], "T1 dual echo"
        ds.SeriesInstanceUID = f"1.2.3.{station + 1}"
        # At 3 T: half a turn after 1.15 ms, a whole one after 2.3 ms.
        ds.MagneticFieldStrength, ds.EchoTime = 3, {"opposed": 1.15, "in": 2.3}[contrast]
        return ds

    slices = scan_datasets(LAYOUT, contrasts=("in", "opposed"), change=unnamed)
    alone = station_datasets(LAYOUT, 0, "in", ImageType=["ORIGINAL", "PRIMARY", "M"], SeriesDescription="")
    scan = read_dixon(write_zip(tmp_path / "visit.zip", [*slices, *alone]))
    assert is_the_body(scan)
    assert scan.contrasts == ("in", "opposed")
    assert "in and opposed phase told apart by their echo times" in scan.facts.notes


@pytest.mark.parametrize("lying", ["HFS", "FFS"])
@pytest.mark.parametrize("counted", [1, -1])
def test_positions_relative_to_the_scanner_are_placed_by_the_table(tmp_path, lying, counted):
    # A patient who lies head first is moved into the scanner for the feet's stations.
    into_scanner = counted if lying == "HFS" else -counted
    texture = np.random.default_rng(0).integers(0, 500, (12, 10, 13))

    def at_isocentre(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], index * 10.0]
        ds.TablePosition, ds.PatientPosition = 500 + station * 40.0 * into_scanner, lying
        # Stations of five slices that share one with the next.
        ds.PixelData = texture[:, ::-1, 8 - 4 * station + index].T.astype("<u2").tobytes()
        return ds

    slices = scan_datasets(LAYOUT, contrasts=("water", "fat"), change=at_isocentre)
    scan = read_dixon(write_zip(tmp_path / "visit.zip", slices))
    for index, station in enumerate(scan.stations):
        assert np.array_equal(station.images["water"], texture[:, :, 8 - 4 * index : 13 - 4 * index])
    assert np.allclose(np.diff([station.affine[2, 3] for station in scan.stations]), -40.0)
    notes = " ".join(scan.facts.notes)
    assert "stations were placed by the table position" in notes
    assert ("counted the other way" in notes) == (counted < 0)


def test_a_table_that_may_have_moved_either_way(tmp_path):
    def at_isocentre(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], index * 10.0]
        ds.TablePosition = station * 40.0
        return ds

    path = write_zip(tmp_path / "visit.zip", scan_datasets(LAYOUT, contrasts=("fat", "water"), change=at_isocentre))
    with pytest.raises(InputError, match="which way the table moved cannot be told"):
        read_dixon(path)


def test_compressed_pixels_are_read_from_the_zip(tmp_path):
    def packed(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        ds.compress(RLELossless)
        return ds

    assert is_the_body(read_dixon(write_zip(tmp_path / "visit.zip", scan_datasets(LAYOUT, change=packed))))


def test_fractions_of_units_give_float32(tmp_path):
    scan = read_dixon(write_zip(tmp_path / "v.zip", scan_datasets(LAYOUT, RescaleSlope=0.5, RescaleIntercept=0)))
    water = scan.stations[0].images["water"]
    assert water.dtype == np.float32
    assert np.array_equal(2 * water, body_signal(LAYOUT, 0, "water"))


def enhanced(slices: list[Dataset], value: str) -> Dataset:
    """One multi-frame object of single slices."""
    whole = Dataset()
    whole.file_meta = slices[0].file_meta
    whole.update(slices[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "EchoTime"):
        delattr(whole, keyword)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    whole.NumberOfFrames, whole.ImageType = len(slices), ["DERIVED", "PRIMARY", "DIXON", "MIXED"]
    frames = []
    for ds in slices:
        position, orientation, measures, kind, frame = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = ds.ImagePositionPatient
        orientation.ImageOrientationPatient = ds.ImageOrientationPatient
        measures.PixelSpacing, measures.SliceThickness = ds.PixelSpacing, ds.SliceThickness
        kind.FrameType = ["DERIVED", "PRIMARY", "DIXON", value]
        frame.PlanePositionSequence, frame.PlaneOrientationSequence = [position], [orientation]
        frame.PixelMeasuresSequence, frame.MRImageFrameTypeSequence = [measures], [kind]
        frames.append(frame)
    whole.PerFrameFunctionalGroupsSequence = frames
    whole.PixelData = b"".join(ds.PixelData for ds in slices)
    return whole


def test_enhanced_multi_frame_files(tmp_path):
    objects = [
        enhanced(station_datasets(LAYOUT, station, contrast), value)
        for station in range(3)
        for contrast, value in (("water", "WATER"), ("fat", "FAT"))
    ]
    folder = tmp_path / "visit"
    assert is_the_body(read_dixon(write_zip(tmp_path / "visit.zip", objects)))
    assert is_the_body(read_dixon(write_folder(folder, objects)))


def test_files_that_are_no_dicom_are_left_out(tmp_path):
    folder = write_folder(tmp_path / "visit", scan_datasets(LAYOUT))
    (folder / "manifest.csv").write_text("filename\n")
    (folder / "preview.bin").write_bytes(b"no image")
    (folder / ".DS_Store").write_bytes(b"no image")
    scan = read_dixon(folder)
    assert is_the_body(scan)
    assert scan.facts.notes == ("1 file left out that are no DICOM images",)


def test_a_coronal_acquisition_is_ordered_along_the_body(tmp_path):
    layout = DixonLayout(shape=(12, 10, 8), spacing_mm=(4.0, 5.0, 6.0))

    def coronal(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        # Rows run to the feet, slices to the back.
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        ds.ImagePositionPatient = [0.0, index * 6.0, -station * 40.0]
        return ds

    scan = read_dixon(write_zip(tmp_path / "v.zip", scan_datasets(layout, change=coronal)))
    assert [station.shape for station in scan.stations] == [(12, 8, 10)] * 2
    assert [round(station.affine[2, 3]) for station in scan.stations] == [-45, -85]
    # The slice's first row lies towards the head, its first column to the right.
    expected = body_signal(layout, 0, "water")[:, ::-1, :]
    assert np.array_equal(scan.stations[0].images["water"], expected[:, ::-1, ::-1].transpose(0, 2, 1))


def test_dicom_bytes_are_dicom(tmp_path: Path):
    assert dicom_bytes(station_datasets(LAYOUT, 0, "water")[0])[128:132] == b"DICM"
