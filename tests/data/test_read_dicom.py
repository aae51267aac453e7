"""A DICOM folder becomes the right volume, however its files are stored."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from agezoo.data.read import read_volume
from agezoo.errors import InputError


def test_unsorted_slices_come_out_in_las_with_spacing_and_whole_hounsfield_units(
    tmp_path, make_slices, write_slices, torso_las
):
    volume = read_volume(write_slices(tmp_path / "scan", make_slices()))
    assert volume.axcodes == "LAS"
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, torso_las)
    assert volume.spacing_mm == pytest.approx((2.0, 3.0, 5.0))
    assert volume.facts.n_slices == 8
    assert volume.facts.notes == ()


def test_affine_gives_the_position_of_a_voxel_in_ras(tmp_path, make_slices, write_slices):
    volume = read_volume(write_slices(tmp_path, make_slices()))
    # First column, last row (LAS starts posterior), third slice: LPS (-11, -13 + 9*3, -50 + 2*5).
    np.testing.assert_allclose(volume.affine @ [0, 0, 2, 1], [11.0, -14.0, -40.0, 1.0])


@pytest.mark.parametrize(
    ("orientation", "axes"),
    [
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([-1, 0, 0, 0, -1, 0], "axial turned by 180 degrees"),
        ([1, 0, 0, 0, -1, 0], "axial seen from above"),
    ],
)
def test_any_slice_orientation_ends_at_the_same_place(tmp_path, make_slices, write_slices, orientation, axes):
    """A bright voxel at a known place in the body is found there again."""
    hu = np.full((6, 6, 6), -1000, np.int16)
    hu[1:5, 1:5, 1:5] = 40
    hu[1, 2, 4] = 900
    normal = np.cross(orientation[:3], orientation[3:])
    slices = make_slices(
        hu=hu,
        spacing_mm=(2, 2, 2),
        origin_mm=(10, 20, 30),
        slice_step_mm=tuple(2 * normal),
        ImageOrientationPatient=orientation,
    )
    volume = read_volume(write_slices(tmp_path, slices))
    lps = np.array([10, 20, 30]) + 2 * (1 * np.array(orientation[:3]) + 2 * np.array(orientation[3:]) + 4 * normal)
    assert volume.axcodes == "LAS", axes
    bright = np.argwhere(volume.hu == 900)[0]
    np.testing.assert_allclose((volume.affine @ [*bright, 1])[:3], lps * [-1, -1, 1], atol=1e-6)


def test_nested_folders_and_a_list_of_files_give_the_same_volume(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices()
    write_slices(tmp_path / "scan" / "a", slices[:3], prefix="A")
    write_slices(tmp_path / "scan" / "b" / "c", slices[3:], prefix="B")
    files = sorted(path for path in (tmp_path / "scan").rglob("*") if path.is_file())
    for source in (tmp_path / "scan", str(tmp_path / "scan"), files, [*files, files[0]]):
        np.testing.assert_array_equal(read_volume(source).hu, torso_las)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_transfer_syntaxes_written_here_give_the_same_values(tmp_path, make_slices, write_slices, syntax, torso_las):
    slices = make_slices()
    for ds in slices:
        if syntax == RLELossless:
            ds.compress(syntax)
        else:
            ds.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, slices)).hu, torso_las)


def test_big_endian_pixels_are_swapped(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices()
    for ds in slices:
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, slices)).hu, torso_las)


def test_a_file_without_preamble_and_meta_is_read(tmp_path, make_slices, torso_las):
    for index, ds in enumerate(make_slices()):
        del ds.file_meta
        ds.save_as(tmp_path / f"{index}.dcm", implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert (tmp_path / "0.dcm").read_bytes()[:2] == b"\x08\x00"
    np.testing.assert_array_equal(read_volume(tmp_path).hu, torso_las)


def test_each_slice_is_rescaled_with_its_own_values(tmp_path, make_slices, write_slices, torso_hu, torso_las):
    slices = make_slices()
    for index, ds in enumerate(slices):
        ds.RescaleIntercept = -1024 + 10 * index
        ds.PixelData = (torso_hu[:, :, index].T.astype(np.int32) + 1024 - 10 * index).astype("<i2").tobytes()
    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, slices)).hu, torso_las)


def test_fractional_rescale_values_give_float32(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices(intercept=0, RescaleSlope=1.5, RescaleIntercept=100.25)
    volume = read_volume(write_slices(tmp_path, slices))
    assert volume.hu.dtype == np.float32
    np.testing.assert_allclose(volume.hu, torso_las * 1.5 + 100.25)


def test_values_beyond_int16_are_kept_as_float32(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices()
    slices[3].RescaleSlope = 100
    volume = read_volume(write_slices(tmp_path, slices))
    assert volume.hu.dtype == np.float32
    expected = torso_las[:, :, 3].astype(float)
    np.testing.assert_allclose(volume.hu[:, :, 3], (expected + 1024) * 100 - 1024)


def test_unsigned_pixels_above_32767_do_not_wrap(tmp_path, make_slices, write_slices, torso_hu, torso_las):
    slices = make_slices(PixelRepresentation=0, RescaleIntercept=-33000)
    for index, ds in enumerate(slices):
        ds.PixelData = (torso_hu[:, :, index].T.astype(np.int32) + 33000).astype("<u2").tobytes()
    volume = read_volume(write_slices(tmp_path, slices))
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, torso_las)


def test_twelve_stored_bits_are_sign_extended_and_overlay_bits_dropped(
    tmp_path, make_slices, write_slices, torso_hu, torso_las
):
    slices = make_slices(BitsStored=12, HighBit=11, RescaleIntercept=0)
    for index, ds in enumerate(slices):
        stored = torso_hu[:, :, index].T.astype(np.int32) & 0x0FFF
        ds.PixelData = (stored | 0x5000).astype("<u2").tobytes()
    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, slices)).hu, torso_las)


def test_a_high_bit_above_the_stored_bits_is_honoured(tmp_path, make_slices, write_slices, torso_hu, torso_las):
    slices = make_slices(BitsStored=12, HighBit=15, PixelRepresentation=0)
    for index, ds in enumerate(slices):
        ds.PixelData = ((torso_hu[:, :, index].T.astype(np.int32) + 1024) << 4).astype("<u2").tobytes()
    np.testing.assert_array_equal(read_volume(write_slices(tmp_path, slices)).hu, torso_las)


@pytest.mark.parametrize("padding", [-2000, 63536])
def test_padding_becomes_air_even_if_its_sign_is_written_wrongly(tmp_path, make_slices, write_slices, padding):
    slices = make_slices()
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
        pixels = np.frombuffer(ds.PixelData, "<i2").reshape(10, 12).copy()
        pixels[0, 0] = -2000
        ds.PixelData = pixels.tobytes()
    volume = read_volume(write_slices(tmp_path, slices))
    # The first column of the first row is the most anterior voxel of axis 1.
    assert (volume.hu[0, -1] == -1024).all()
    assert volume.hu[1, -1, 0] == -1000


def test_a_padding_value_that_could_be_tissue_is_left_alone(tmp_path, make_slices, write_slices, torso_hu, torso_las):
    """Some writers state 0 although 0 HU is water in their images."""
    slices = make_slices(intercept=0)
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS", 0)
    volume = read_volume(write_slices(tmp_path, slices))
    assert (torso_hu == 0).any()
    np.testing.assert_array_equal(volume.hu, torso_las)


def test_values_far_below_air_are_kept(tmp_path, make_slices, write_slices, torso_hu):
    torso_hu[0, 0, :] = -3024
    assert read_volume(write_slices(tmp_path, make_slices())).hu.min() == -3024


def test_facts_hold_age_and_sex_and_nothing_that_identifies(tmp_path, make_slices, write_slices):
    slices = make_slices()
    facts = read_volume(write_slices(tmp_path, slices)).facts
    assert facts.age_years == 60.0
    assert facts.sex == "F"
    assert (facts.modality, facts.kernel, facts.manufacturer) == ("CT", "B30f", "MAKER")
    assert facts.slice_thickness_mm == 5.0
    assert facts.series_uid == slices[0].SeriesInstanceUID
    assert "SECRET" not in f"{facts!r} {facts.patient_key}".upper()
    assert "19600301" not in repr(facts)


def test_an_enhanced_multi_frame_ct_is_read_frame_by_frame(tmp_path, make_slices, torso_las):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
    from pydicom.uid import EnhancedCTImageStorage

    slices = make_slices()
    order = np.random.default_rng(1).permutation(len(slices))
    multi = slices[0].copy()
    multi.SOPClassUID = multi.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    shared = Dataset()
    measures, orientation, rescale = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = multi.PixelSpacing, multi.SliceThickness
    orientation.ImageOrientationPatient = multi.ImageOrientationPatient
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    frames = []
    for index in order:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = slices[index].ImagePositionPatient
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    for keyword in (
        "PixelSpacing",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
    ):
        delattr(multi, keyword)
    multi.NumberOfFrames = len(slices)
    multi.SharedFunctionalGroupsSequence = Sequence([shared])
    multi.PerFrameFunctionalGroupsSequence = Sequence(frames)
    multi.PixelData = b"".join(slices[index].PixelData for index in order)
    multi.save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "plain.dcm").hu, torso_las)

    multi.compress(RLELossless)
    multi.save_as(tmp_path / "rle.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "rle.dcm").hu, torso_las)


def test_mr_is_read_without_rescale_values_when_asked_for(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices(intercept=0, Modality="MR", RescaleSlope=None, RescaleIntercept=None, RescaleType=None)
    volume = read_volume(write_slices(tmp_path, slices), modality="MR")
    np.testing.assert_array_equal(volume.hu, torso_las)


def test_no_image_at_all_in_the_source(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        read_volume(tmp_path / "nothing")
    with pytest.raises(InputError, match="the folder is empty"):
        read_volume(tmp_path)
    with pytest.raises(InputError, match="list of files is empty"):
        read_volume([])
