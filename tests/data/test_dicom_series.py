"""The series check: which series are told apart, and which one is read."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from agezoo.data.read import read_volume
from agezoo.data.series_choice import kernel_kind


def test_the_longest_series_is_read_and_the_choice_is_told(tmp_path, make_slices, write_slices, torso_hu, torso_las):
    study = {"StudyInstanceUID": generate_uid()}
    write_slices(tmp_path, make_slices(**study), prefix="LONG")
    short = make_slices(hu=torso_hu[:, :, :4], spacing_mm=(2, 3, 2.5), SeriesNumber=1, **study)
    write_slices(tmp_path, short, prefix="SHORT")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, torso_las)
    assert any("2 CT series found, read the one with 8 slices over 35 mm" in note for note in volume.facts.notes)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"ConvolutionKernel": "B70f"}, "soft kernel before sharp"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "original before derived"),
        ({"SeriesNumber": 9}, "lowest series number"),
    ],
)
def test_among_equally_long_series(tmp_path, make_slices, write_slices, torso_hu, other, why, torso_las):
    study = {"StudyInstanceUID": generate_uid()}
    inverted = np.where(torso_hu > -1000, 200, -1000).astype(np.int16)
    write_slices(tmp_path, make_slices(hu=inverted, **(study | other)), prefix="AAA")
    write_slices(tmp_path, make_slices(**study), prefix="BBB")
    np.testing.assert_array_equal(read_volume(tmp_path).hu, torso_las, err_msg=why)


def test_more_slices_win_at_equal_length_and_kernel(tmp_path, make_slices, write_slices, torso_hu):
    study = {"StudyInstanceUID": generate_uid()}
    coarse = make_slices(hu=torso_hu[:, :, ::2][:, :, :4], spacing_mm=(2, 3, 11.5), SeriesNumber=1, **study)
    write_slices(tmp_path, coarse, prefix="A")
    write_slices(tmp_path, make_slices(**study), prefix="B")
    assert read_volume(tmp_path).facts.n_slices == 8


def test_a_faulty_series_gives_way_to_an_equal_one_but_not_to_a_fragment(
    tmp_path, make_slices, write_slices, torso_hu, refuse
):
    study = {"StudyInstanceUID": generate_uid()}
    faulty = make_slices(SeriesNumber=1, **study)
    del faulty[3]
    fragment = make_slices(hu=torso_hu[:, :, :4], SeriesNumber=2, **study)
    write_slices(tmp_path, faulty, prefix="FAULTY")
    write_slices(tmp_path, fragment, prefix="FRAGMENT")
    refuse(tmp_path, "slices are missing")
    write_slices(tmp_path, make_slices(SeriesNumber=3, ConvolutionKernel="B60f", **study), prefix="WHOLE")
    notes = " / ".join(read_volume(tmp_path).facts.notes)
    assert "passed over: slices are missing" in notes
    assert "sharp reconstruction kernel" in notes


@pytest.mark.parametrize("is_uid_empty", [True, False])
@pytest.mark.parametrize(
    "difference",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]},
        {"AcquisitionNumber": 7},
        {"ConvolutionKernel": "B70f"},
        {"SliceThickness": 9.0},
    ],
)
def test_series_that_share_a_uid_or_have_none_are_told_apart(
    tmp_path, make_slices, write_slices, torso_hu, difference, is_uid_empty
):
    uids = (
        {"StudyInstanceUID": "", "SeriesInstanceUID": ""}
        if is_uid_empty
        else {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"}
    )
    write_slices(tmp_path, make_slices(**uids), prefix="A")
    other = np.where(torso_hu > -1000, 200, -1000).astype(np.int16)
    write_slices(tmp_path, make_slices(hu=other, **(uids | difference)), prefix="B")
    volume = read_volume(tmp_path)
    assert volume.facts.n_slices == 8
    assert len(np.unique(volume.hu)) in (2, len(np.unique(torso_hu)))
    assert any("2 CT series found" in note and "told apart by" in note for note in volume.facts.notes)


def test_a_localiser_inside_the_series_is_left_out(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices()
    scout = make_slices(
        SeriesInstanceUID=slices[0].SeriesInstanceUID,
        StudyInstanceUID=slices[0].StudyInstanceUID,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
    )[:1]
    write_slices(tmp_path, slices)
    write_slices(tmp_path, scout, prefix="SCOUT")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, torso_las)
    assert volume.facts.notes == ("left out: 1 localiser image",)


def test_images_of_another_orientation_in_the_series_are_told_apart(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices()
    coronal = make_slices(
        SeriesInstanceUID=slices[0].SeriesInstanceUID,
        StudyInstanceUID=slices[0].StudyInstanceUID,
        ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
        slice_step_mm=(0, 2.0, 0),
    )
    write_slices(tmp_path, slices)
    write_slices(tmp_path, coronal, prefix="COR")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, torso_las)
    assert any("2 CT series found" in note for note in volume.facts.notes)


def test_mixed_matrix_sizes_in_one_series_are_refused(tmp_path, make_slices, write_slices, torso_hu, refuse):
    slices = make_slices()
    uids = {"SeriesInstanceUID": slices[0].SeriesInstanceUID, "StudyInstanceUID": slices[0].StudyInstanceUID}
    smaller = make_slices(hu=torso_hu[:8], origin_mm=(-11, -13, -10), **uids)
    write_slices(tmp_path, slices)
    write_slices(tmp_path, smaller, prefix="SMALL")
    message = refuse(tmp_path, "different matrix sizes or pixel spacings")
    assert "8 of 12 x 10 pixels" in message
    assert "8 of 8 x 10 pixels" in message


def test_only_localisers_or_captures(tmp_path, make_slices, write_slices, refuse):
    study = {"StudyInstanceUID": generate_uid()}
    scouts = make_slices(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **study)[:2]
    write_slices(tmp_path, scouts, prefix="SCOUT")
    captures = make_slices(SOPClassUID=SecondaryCaptureImageStorage, **study)[:1]
    write_slices(tmp_path, captures, prefix="CAPTURE")
    refuse(tmp_path, "no volume found.*only 2 localiser images and 1 secondary capture")


def test_another_modality(tmp_path, make_slices, write_slices, refuse):
    refuse(write_slices(tmp_path, make_slices(Modality="MR")), "no CT images found.*found: 8 MR images")


def test_other_series_and_files_beside_the_scan_are_named_in_the_notes(tmp_path, make_slices, write_slices, torso_las):
    study = {"StudyInstanceUID": generate_uid()}
    write_slices(tmp_path, make_slices(**study))
    write_slices(tmp_path, make_slices(Modality="PT", **study), prefix="PET")
    (tmp_path / "readme.txt").write_text("not an image")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 40)
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "noise.dcm").write_bytes(b"\x08\x00" + bytes(range(256)) * 4)
    (tmp_path / ".hidden").write_text("hidden files do not count")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, torso_las)
    assert volume.facts.notes == ("4 files left out that are no DICOM images", "left out: 1 PT series")


def test_several_people_or_studies_are_refused(tmp_path, make_slices, write_slices, refuse):
    write_slices(tmp_path / "people", make_slices(), prefix="A")
    write_slices(tmp_path / "people", make_slices(PatientID="SECRET-2"), prefix="B")
    refuse(tmp_path / "people", "scans of several people.*found: 2 studies")
    write_slices(tmp_path / "studies", make_slices(), prefix="A")
    write_slices(tmp_path / "studies", make_slices(), prefix="B")
    refuse(tmp_path / "studies", "several studies")


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("B30f", "soft"),
        ("Br38f", "soft"),
        ("I31f\\3", "soft"),
        ("B70f", "sharp"),
        ("Bl57d", "sharp"),
        ("STANDARD", "soft"),
        ("BONEPLUS", "sharp"),
        ("LUNG", "sharp"),
        ("FC08-H", "soft"),
        ("FC08", "soft"),
        ("FC51", "sharp"),
        ("B", "soft"),
        ("YA", "sharp"),
        ("", "unknown"),
        ("something", "unknown"),
    ],
)
def test_kernels_of_four_manufacturers(kernel, kind):
    assert kernel_kind(kernel) == kind
