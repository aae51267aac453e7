"""The door as a whole: files, folders and lists; images without content; damaged files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, generate_uid

from agezoo.data.radiograph import read_radiograph
from agezoo.data.radiograph_polarity import looks_inverted
from agezoo.data.radiograph_search import find_radiographs
from agezoo.errors import InputError
from radiograph_files import radiograph_dataset, spine_image, write_radiograph


def write_report(path):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.Modality = "SR"
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_ct(folder, n=3):
    series = generate_uid()
    for index in range(n):
        header = {"Modality": "CT", "SeriesInstanceUID": series, "ImagePositionPatient": [0, 0, index]}
        write_radiograph(folder / f"ct{index}.dcm", **header)


def test_the_one_lateral_image_of_a_study_is_found_among_others(tmp_path):
    study = tmp_path / "study"
    write_radiograph(study / "1.2.840.1", ViewPosition="AP")
    lateral = write_radiograph(study / "deep" / "1.2.840.2", spine_image(seed=9))
    write_report(study / "report.dcm")
    write_ct(study)
    (study / "notes.txt").write_text("seen")
    expected = read_radiograph(lateral).pixels
    np.testing.assert_array_equal(read_radiograph(study).pixels, expected)
    np.testing.assert_array_equal(read_radiograph([lateral]).pixels, expected)
    np.testing.assert_array_equal(read_radiograph([study / "1.2.840.1", str(lateral)]).pixels, expected)


def test_two_lateral_images_are_not_chosen_between(tmp_path):
    write_radiograph(tmp_path / "a.dcm")
    write_radiograph(tmp_path / "b.dcm")
    with pytest.raises(InputError, match=r"holds several radiographs; found: 2: a\.dcm, b\.dcm; expected: one"):
        read_radiograph(tmp_path)


def test_a_folder_of_unusable_images_says_why(tmp_path):
    write_radiograph(tmp_path / "a.dcm", ViewPosition="AP")
    with pytest.raises(InputError, match=r"a\.dcm: is a frontal view"):
        read_radiograph(tmp_path)
    write_radiograph(tmp_path / "b.dcm", BodyPartExamined="HAND")
    with pytest.raises(InputError, match=r"no usable radiograph; found: .*a\.dcm is a frontal view; .*b\.dcm shows an"):
        read_radiograph(tmp_path)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("absent.dcm", "there is no such file"),
        ("empty", "no usable radiograph; found: no image at all"),
        ("report.dcm", r"holds no image; found: a DICOM object without pixels \(SR\)"),
        ("DICOMDIR", "table of contents"),
        ("text.dcm", "is no image that can be read"),
        ("scan.nii.gz", "is a volume, not a radiograph"),
    ],
)
def test_what_holds_no_image_is_refused(tmp_path, name, match):
    (tmp_path / "empty").mkdir()
    write_report(tmp_path / "report.dcm")
    for other in ("text.dcm", "DICOMDIR", "scan.nii.gz"):
        (tmp_path / other).write_bytes(b"nothing here" * 30)
    with pytest.raises(InputError, match=match) as caught:
        read_radiograph(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_an_empty_list_is_refused():
    with pytest.raises(InputError, match="list of files is empty"):
        read_radiograph([])


def test_files_without_or_with_half_of_their_pixels_are_refused(tmp_path):
    path = write_radiograph(tmp_path / "a.dcm", PixelData=None)
    with pytest.raises(InputError, match=r"a\.dcm: the file has no pixel data"):
        read_radiograph(path)
    path = write_radiograph(tmp_path / "b.dcm")
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(InputError, match=r"b\.dcm: the file is cut off \(50000 bytes, \d+ expected\)"):
        read_radiograph(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"b\.dcm: (the DICOM header is damaged|the file|holds no image)"):
        read_radiograph(path)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.full((240, 180), 700), "one grey value nearly everywhere"),
        (np.where(np.indices((240, 180))[0] == 7, 4000, 90), "one grey value nearly everywhere"),
        (spine_image() // 1024 * 1024, r"only \d grey values"),
        (np.random.default_rng(0).normal(2000, 300, (240, 180)).clip(0, 4095), "noise alone"),
    ],
)
def test_blank_and_nearly_blank_images_are_refused(tmp_path, pixels, found):
    path = write_radiograph(tmp_path / "a.dcm", pixels.astype(np.uint16))
    with pytest.raises(InputError, match=rf"a\.dcm: is blank or nearly so; found: {found}"):
        read_radiograph(path)


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((300, 63), "is too small; found: 300 x 63 pixels; expected: at least 64"),
        ((1200, 140), "too long and narrow.*1200 x 140 pixels"),
    ],
)
def test_images_of_an_impossible_shape_are_refused(tmp_path, shape, match):
    with pytest.raises(InputError, match=match):
        read_radiograph(write_radiograph(tmp_path / "a.dcm", spine_image(*shape)))
    assert read_radiograph(write_radiograph(tmp_path / "b.dcm", spine_image(500, 64))).pixels.shape == (500, 64)


def test_a_header_that_claims_a_giant_image_or_odd_depth_is_refused(tmp_path):
    path = write_radiograph(tmp_path / "a.dcm", Rows=60000, Columns=60000)
    with pytest.raises(InputError, match=r"cut off|larger than any radiograph"):
        read_radiograph(path)
    ds = radiograph_dataset()
    ds.compress("1.2.840.10008.1.2.5")
    ds.Rows = ds.Columns = 60000
    ds.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="larger than any radiograph; found: 60000 x 60000 pixels"):
        read_radiograph(tmp_path / "b.dcm")
    with pytest.raises(InputError, match="has no size; found: 0 x 180 pixels"):
        read_radiograph(write_radiograph(tmp_path / "d.dcm", Rows=0))
    path = write_radiograph(tmp_path / "c.dcm", BitsAllocated=32, bits=20)
    with pytest.raises(InputError, match=r"depth that no radiograph has; found: 20 of 32 bits"):
        read_radiograph(path)


def test_inversion_is_seen_and_a_white_strip_at_one_side_is_none():
    image = spine_image().astype(np.float32)
    assert looks_inverted(-image)
    assert not looks_inverted(image)
    image[:, :40] = 4095
    assert not looks_inverted(image)


def test_a_search_gives_one_entry_for_a_series_of_slices_and_passes_over_what_is_no_image(tmp_path):
    write_ct(tmp_path / "ct", n=4)
    write_report(tmp_path / "report.dcm")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 200)
    (tmp_path / "table.csv").write_text("a,b")
    write_radiograph(tmp_path / "x1.dcm", Modality="OT", Manufacturer="Hologic")
    write_radiograph(tmp_path / "x2.dcm", ViewPosition="AP")
    Image.fromarray(spine_image(bits=8).astype(np.uint8)).save(tmp_path / "x3.png")
    (tmp_path / "x4.jpg").write_bytes(b"no picture")
    (tmp_path / "x5.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00broken")
    found = find_radiographs(tmp_path)
    problems = [(len(one.files), one.files[0].name, one.kind, one.error.problem if one.error else "") for one in found]
    assert problems == [
        (4, "ct0.dcm", "", "is no projection image"),
        (1, "x1.dcm", "vfa", ""),
        (1, "x2.dcm", "radiograph", "is a frontal view"),
        (1, "x3.png", "", ""),
        (1, "x4.jpg", "", "is no picture that can be read"),
        (1, "x5.dcm", "", "the DICOM header is damaged or cut off"),
    ]
    assert str(found[0].error).startswith(f"{tmp_path / 'ct'}: ")
    assert found[0].error.found == "4 images of modality CT"
    assert found[1].facts.age_years == pytest.approx(70.0)
    assert found[3].facts is None
