"""What is missing, doubled or mixed in a Dixon visit is told, never guessed, and gives away nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from agezoo.data.dixon import read_dixon
from agezoo.errors import InputError
from dixon_files import (
    CONTRASTS,
    SECRET,
    Change,
    DixonLayout,
    dicom_bytes,
    scan_datasets,
    station_datasets,
    write_folder,
)
from dixon_files import write_zip as write

LAYOUT = DixonLayout(stations=3, shape=(12, 10, 5), overlap_slices=1)


def refusal(tmp_path: Path, slices: Sequence[Dataset]) -> str:
    path = write(tmp_path / "visit.zip", slices)
    with pytest.raises(InputError) as caught:
        read_dixon(path)
    message = str(caught.value)
    assert str(path) in message
    assert SECRET not in message
    assert "19550301" not in message
    assert "2015" not in message
    return message


def keep(test: Callable[[int, str, int], bool]) -> Change:
    """Leave out what the test refuses."""
    return lambda ds, station, contrast, index: ds if test(station, contrast, index) else None


def test_a_missing_station_is_a_gap(tmp_path):
    message = refusal(tmp_path, scan_datasets(LAYOUT, change=keep(lambda station, *_: station != 1)))
    # Edges: 40 - 4 * 6 - 3 = 13 above; 40 - 2 * 24 + 3 = -5 below.
    assert "a station is missing; found: a gap of 18 mm between stations 1 and 2 of 2" in message


def test_a_contrast_absent_in_one_station(tmp_path):
    slices = scan_datasets(LAYOUT, change=keep(lambda station, contrast, _: (station, contrast) != (2, "fat")))
    message = refusal(tmp_path, slices)
    assert "station 3 of 3 (from the head) has no fat image; found: water, in, opposed" in message


def test_a_missing_slice_inside_a_station(tmp_path):
    slices = scan_datasets(LAYOUT, change=keep(lambda station, contrast, i: (station, contrast, i) != (1, "water", 2)))
    assert "(water, series 9): slices are missing" in refusal(tmp_path, slices)


def test_a_missing_slice_at_the_end_of_one_contrast(tmp_path):
    slices = scan_datasets(LAYOUT, change=keep(lambda station, contrast, i: (station, contrast, i) != (1, "water", 4)))
    message = refusal(tmp_path, slices)
    assert "the contrasts of station 2 of 3 (from the head) do not share one geometry" in message
    assert "water 12 x 10 x 4" in message
    assert "fat 12 x 10 x 5" in message


def test_contrasts_that_are_moved_against_each_other(tmp_path):
    def move(mm: float) -> Change:
        def change(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
            if contrast == "fat":
                x, y, z = ds.ImagePositionPatient
                ds.ImagePositionPatient = [x + mm, y, z]
            return ds

        return change

    assert "do not share one geometry" in refusal(tmp_path, scan_datasets(LAYOUT, change=move(4.0)))
    assert len(read_dixon(write(tmp_path / "near.zip", scan_datasets(LAYOUT, change=move(0.4)))).stations) == 3


def test_a_doubled_station_that_nothing_orders(tmp_path):
    again = [ds for contrast in CONTRASTS for ds in station_datasets(LAYOUT, 1, contrast)]
    message = refusal(tmp_path, [*scan_datasets(LAYOUT), *again])
    assert "station 2 of 3 (from the head) is there 2 times and nothing tells which images are the later" in message


def test_one_station_twice_may_be_two_stations(tmp_path):
    one = DixonLayout(stations=1, shape=(12, 10, 5))
    later = scan_datasets(one, acquired="110000", change=lambda ds, *_: renumbered(ds))
    assert "stations lie on top of each other" in refusal(tmp_path, [*scan_datasets(one), *later])


def renumbered(ds: Dataset) -> Dataset:
    ds.SeriesNumber = int(ds.SeriesNumber) + 20
    return ds


def test_table_positions_must_be_complete(tmp_path):
    def at_isocentre(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        x, y, _ = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y, index * 10.0]
        if station < 2:
            ds.TablePosition = station * 60.0
        return ds

    message = refusal(tmp_path, scan_datasets(LAYOUT, change=at_isocentre))
    assert "stations lie on top of each other, and not every header tells the table's position" in message


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"PatientID": f"{SECRET}-2"}, "several patients are mixed; found: 2 patient identifiers"),
        ({"PatientSex": "M"}, "several patients are mixed; found: both sexes"),
        ({"StudyDate": "20171111"}, "several visits are mixed; found: 2 study dates"),
    ],
)
def test_people_and_visits_are_not_mixed(tmp_path, header, words):
    def change(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        if station == 2:
            for keyword, value in header.items():
                setattr(ds, keyword, value)
        return ds

    assert words in refusal(tmp_path, scan_datasets(LAYOUT, change=change))


def test_two_studies_of_one_day_are_one_visit(tmp_path):
    def change(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        ds.StudyInstanceUID = f"1.2.3.{1 + station // 2}"
        return ds

    notes = read_dixon(write(tmp_path / "visit.zip", scan_datasets(LAYOUT, change=change))).facts.notes
    assert notes == ("2 studies of one day taken as one visit",)
    message = refusal(tmp_path, scan_datasets(LAYOUT, change=change, StudyDate=None))
    assert "several visits are mixed; found: 2 studies without a date" in message


def test_other_images_are_no_dixon_scan(tmp_path):
    message = refusal(tmp_path, scan_datasets(LAYOUT, contrasts=("in",), Modality="CT"))
    assert "no Dixon MR images found; found: 15 images of CT" in message
    fat_alone = refusal(tmp_path, scan_datasets(LAYOUT, contrasts=("fat",)))
    assert "no Dixon MR images found; found: 15 images of MR" in fat_alone


def test_echoes_without_a_field_strength(tmp_path):
    def unnamed(ds: Dataset, station: int, contrast: str, index: int) -> Dataset:
        ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "M"], ""
        ds.SeriesInstanceUID = f"1.2.3.{station + 1}"
        ds.EchoTime = {"in": 4.6, "opposed": 2.3, "water": 6.9}[contrast]
        del ds.MagneticFieldStrength
        return ds

    two = write(tmp_path / "two.zip", scan_datasets(LAYOUT, contrasts=("in", "opposed"), change=unnamed))
    assert read_dixon(two).contrasts == ("in", "opposed")
    three = refusal(tmp_path, scan_datasets(LAYOUT, contrasts=("in", "opposed", "water"), change=unnamed))
    assert "found: echo times 2.3, 4.6, 6.9 ms and no field strength" in three


def test_bits_that_contradict_each_other(tmp_path):
    message = refusal(tmp_path, scan_datasets(LAYOUT, BitsStored=16, HighBit=11))
    assert "does not say which bits hold the pixels; found: BitsAllocated 16, BitsStored 16, HighBit 11" in message


def test_damaged_and_cut_off_images(tmp_path):
    slices = scan_datasets(LAYOUT)
    folder = write_folder(tmp_path / "visit", slices)
    file = folder / "IM0004.dcm"
    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    with pytest.raises(InputError, match=r"IM0004\.dcm is cut off"):
        read_dixon(folder)
    file.write_bytes(dicom_bytes(slices[4])[:700])
    with pytest.raises(InputError, match=r"damaged or cut off; found: 1: IM0004\.dcm"):
        read_dixon(folder)
