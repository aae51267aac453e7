"""Which whole-body scans are found in a folder, what they are called, and that a bad one stops no other."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset

from agezoo.data.body_search import FoundBody, find_bodies
from agezoo.data.dixon import read_dixon
from agezoo.errors import InputError
from dixon_files import SECRET, DixonLayout, scan_datasets, station_datasets, write_folder, write_zip

LAYOUT = DixonLayout(shape=(8, 6, 4), overlap_slices=1)


def visit(**header: object) -> list[Dataset]:
    return scan_datasets(LAYOUT, contrasts=("water", "fat"), **header)


def gap() -> list[Dataset]:
    layout = DixonLayout(stations=3, shape=(8, 6, 4), overlap_slices=1)
    return scan_datasets(layout, contrasts=("water",), change=lambda ds, station, *_: ds if station != 1 else None)


def nifti(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.diag([2.0, 2, 3, 1])), path)
    return path


def by_name(bodies: list[FoundBody]) -> dict[str, FoundBody]:
    named = {body.name: body for body in bodies}
    assert len(named) == len(bodies)
    assert SECRET not in repr(bodies)
    return named


def test_zips_are_visits_by_their_names(tmp_path):
    write_zip(tmp_path / "1000001_20201_2_0.zip", visit())
    write_zip(tmp_path / "1000002_20201_2_0.zip", visit(PatientBirthDate="19450301", PatientSex="M"))
    (tmp_path / "broken.zip").write_bytes(b"PK")
    (tmp_path / "table.csv").write_text("eid,age\n")
    found = by_name(find_bodies(tmp_path))
    assert list(found) == ["1000001_20201_2_0", "1000002_20201_2_0", "broken"]
    assert [(body.facts.age_years, body.facts.sex) for body in found.values()] == [(60, "F"), (70, "M"), (None, None)]
    assert found["1000001_20201_2_0"].source == tmp_path / "1000001_20201_2_0.zip"
    assert found["1000001_20201_2_0"].error is None
    assert "is not a zip file" in str(found["broken"].error)


def test_all_headers_of_a_zip_on_request(tmp_path):
    path = write_zip(tmp_path / "visit.zip", gap())
    assert find_bodies(tmp_path)[0].error is None
    (checked,) = find_bodies(path, all_headers=True)
    assert "a station is missing" in str(checked.error)
    assert checked.facts.age_years == 60


def test_dicom_folders_are_visits(tmp_path):
    for index, name in enumerate(("P1/first", "P1/second", "P2")):
        write_folder(tmp_path / name, visit(StudyInstanceUID=f"1.{index}", StudyDate=f"201{index}0301"))
    write_folder(tmp_path / "P3", gap())
    # Of another modality: passed over; an MR of something else: told.
    write_folder(tmp_path / "ct", station_datasets(LAYOUT, 0, "in", Modality="CT", StudyInstanceUID="1.8"))
    head = {"ImageType": ["ORIGINAL", "PRIMARY", "M"], "SeriesDescription": "T1", "StudyInstanceUID": "1.9"}
    write_folder(tmp_path / "head", station_datasets(LAYOUT, 0, "in", **head))
    found = by_name(find_bodies(tmp_path))
    assert list(found) == ["first", "second", "P2", "P3", "head"]
    assert found["first"].files == (tmp_path / "P1" / "first",)
    assert found["second"].facts.age_years == 56
    assert [name for name, body in found.items() if body.error] == ["P3", "head"]
    assert "a station is missing" in str(found["P3"].error)
    assert "no Dixon MR images found" in str(found["head"].error)
    assert len(read_dixon(found["P2"].source).stations) == 2


def test_two_visits_in_one_folder_are_lists_of_files(tmp_path):
    first, second = (visit(StudyInstanceUID=f"1.{index}", StudyDate=f"201{index}0301") for index in range(2))
    write_folder(tmp_path / "all", [*first, *second])
    bodies = find_bodies(tmp_path)
    assert [len(body.files) for body in bodies] == [16, 16]
    assert [body.name for body in bodies] == ["all_IM0000", "all_IM0016"]
    assert [read_dixon(body.source).facts.age_years for body in bodies] == [55, 56]


def test_nifti_sets_beside_each_other_and_in_folders(tmp_path):
    for name in ("sub-1_water.nii.gz", "sub-1_fat.nii.gz", "sub-2_water.nii", "P3/water.nii.gz", "P3/fat.nii.gz"):
        nifti(tmp_path / name)
    nifti(tmp_path / "masks" / "sub-1.nii.gz")
    nifti(tmp_path / "sub-4_fat.nii.gz")
    nifti(tmp_path / "water_fat.nii.gz")
    found = by_name(find_bodies(tmp_path))
    assert {name: [path.name for path in body.files] for name, body in found.items()} == {
        "P3": ["water.nii.gz", "fat.nii.gz"],
        "sub-1": ["sub-1_water.nii.gz", "sub-1_fat.nii.gz"],
        "sub-2": ["sub-2_water.nii"],
        "sub-4": ["sub-4_fat.nii.gz"],
        "water_fat": ["water_fat.nii.gz"],
    }
    assert "do not tell which is the water image" in str(found["sub-4"].error)
    assert "tells several contrasts" in str(found["water_fat"].error)
    assert read_dixon(found["P3"].source).contrasts == ("water", "fat")


def test_nifti_without_words_counts_only_where_nothing_else_is_there(tmp_path):
    nifti(tmp_path / "images" / "a.nii.gz")
    nifti(tmp_path / "images" / "a_mask.nii.gz")
    assert [body.name for body in find_bodies(tmp_path)] == ["a"]
    write_zip(tmp_path / "visit.zip", visit())
    assert [body.name for body in find_bodies(tmp_path)] == ["visit"]


def test_the_folders_above_tell_equal_names_apart(tmp_path):
    for folder in ("P1", "P2"):
        write_zip(tmp_path / folder / "dixon.zip", visit())
        nifti(tmp_path / folder / "water" / "water.nii.gz")
    assert [body.name for body in find_bodies(tmp_path)] == ["P1_dixon", "P1_water", "P2_dixon", "P2_water"]


@pytest.mark.parametrize("kind", ["zip", "nifti", "slice", "text"])
def test_one_named_file(tmp_path, kind):
    if kind == "zip":
        path = write_zip(tmp_path / "one.zip", visit())
    elif kind == "nifti":
        path = nifti(tmp_path / "one.nii.gz")
    else:
        path = write_folder(tmp_path / "d", visit()).joinpath("IM0000.dcm").rename(tmp_path / "one.dcm")
        if kind == "text":
            path.write_text("no image")
    (body,) = find_bodies(path)
    assert (body.name, body.files) == ("one", (path,))
    words = {"slice": "no Dixon MR images found", "text": "is neither a zip, DICOM image nor NIfTI file"}
    assert words.get(kind, "None") in str(body.error)


def test_nothing_found(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InputError, match="no whole-body Dixon scans found; found: 1 file of other kinds"):
        find_bodies(tmp_path)
    with pytest.raises(InputError, match="there is no such file or folder"):
        find_bodies(tmp_path / "none")
