"""Which radiographs among a user's files are cases, and what stands for those that are none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from agezoo.predict.cases import find_cases
from radiograph_files import spine_image, write_radiograph


@pytest.fixture
def folder(tmp_path):
    """Two studies, one with a frontal view and two lateral ones, one as PNG; and a CT series between them."""
    root = tmp_path / "scans"
    write_radiograph(root / "p1" / "IM1", ViewPosition="AP")
    write_radiograph(root / "p1" / "IM2")
    write_radiograph(root / "p1" / "1.2.840.7", Modality="OT", Manufacturer="Hologic")
    Image.fromarray(spine_image(bits=8).astype(np.uint8)).save(root / "p2.png")
    series = generate_uid()
    for index in range(3):
        header = {"Modality": "CT", "SeriesInstanceUID": series, "ImagePositionPatient": [0, 0, index]}
        write_radiograph(root / "ct" / f"{index}.dcm", **header)
    (root / "ct" / "DICOMDIR").write_bytes(b"\0" * 200)
    return root


def test_every_usable_image_is_a_case_and_the_others_are_rows_with_their_reason(folder):
    rows = find_cases([folder], reader="radiograph")
    assert [row["subject_id"] for row in rows] == ["ct", "p1_1.2.840.7", "p1_IM1", "p1_IM2", "p2"]
    assert [row["listed_image"] for row in rows] == ["ct/0.dcm (+2)", "p1/1.2.840.7", "p1/IM1", "p1/IM2", "p2.png"]
    assert [row.get("modality", "") for row in rows] == ["", "vfa", "", "radiograph", ""]
    errors = [row.get("error", "") for row in rows]
    assert "is no projection image; found: 3 images of modality CT" in errors[0]
    assert "is a frontal view" in errors[2]
    assert [bool(error) for error in errors] == [True, False, True, False, False]
    assert rows[3]["image"] == str(folder / "p1" / "IM2")
    assert "SECRET" not in repr(rows).upper()


def test_single_files_are_cases_too(folder, tmp_path):
    given = [folder / "p1" / "IM2", folder / "p2.png", folder / "p1" / "IM1", tmp_path / "absent.dcm"]
    rows = find_cases(given, reader="radiograph")
    assert [row["subject_id"] for row in rows] == ["IM2", "p2", "IM1", "absent"]
    assert [row["image"] for row in rows[:2]] == [str(path) for path in given[:2]]
    assert "frontal" in rows[2]["error"]
    assert "no such file or folder" in rows[3]["error"]


def test_an_input_without_any_image_says_what_was_expected(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    (row,) = find_cases([tmp_path], reader="radiograph")
    assert "nothing to predict there; expected: DICOM, PNG, JPEG or TIFF images" in row["error"]


def test_without_the_reader_radiographs_are_no_cases(folder):
    rows = find_cases([folder / "p1", folder / "p2.png"], modality="CT")
    assert "no CT images found" in rows[0]["error"]
    with pytest.raises(ValueError, match="reader must be one of"):
        find_cases([folder], reader="picture")
