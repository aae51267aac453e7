"""NIfTI files: values, orientation and what is refused."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from agezoo.data.read import read_volume
from agezoo.errors import InputError


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("stored_type", ["<i2", ">i2", "<i4", "<f4", "<f8"])
def test_whole_numbers_come_out_as_int16_from_any_type(tmp_path, write_nifti, torso_hu, name, stored_type):
    path = write_nifti(tmp_path / name, torso_hu[:, ::-1].astype(stored_type))
    volume = read_volume(path)
    assert volume.hu.dtype == np.int16
    assert volume.axcodes == "LAS"
    np.testing.assert_array_equal(volume.hu, torso_hu[:, ::-1])
    assert volume.spacing_mm == pytest.approx((2, 3, 5))
    assert volume.facts.modality == ""


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "SAL", "AIR"])
def test_stored_orientation_does_not_matter(tmp_path, write_nifti, torso_hu, codes):
    las = nib.Nifti1Image(torso_hu[:, ::-1], np.diag([-2.0, 3.0, 5.0, 1.0]))
    ornt = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("LAS"), nib.orientations.axcodes2ornt(codes))
    turned = las.as_reoriented(ornt)
    volume = read_volume(write_nifti(tmp_path / "scan.nii", np.asarray(turned.dataobj), turned.affine))
    np.testing.assert_array_equal(volume.hu, torso_hu[:, ::-1])
    np.testing.assert_allclose(volume.affine, las.affine)


def test_values_are_scaled(tmp_path, torso_hu):
    def write(name, slope, intercept):
        image = nib.Nifti1Image((torso_hu + 1024).astype(np.int16), np.diag([-2.0, -3.0, 5.0, 1.0]))
        image.header.set_slope_inter(slope, intercept)
        # nibabel would rescale the data on saving, so the header is written over the stored numbers.
        path = tmp_path / name
        nib.save(nib.Nifti1Image((torso_hu + 1024).astype(np.int16), image.affine), path)
        data = bytearray(path.read_bytes())
        data[112:120] = np.array([slope, intercept], "<f4").tobytes()
        path.write_bytes(data)
        return read_volume(path)

    whole = write("whole.nii", 1.0, -1024.0)
    assert whole.hu.dtype == np.int16
    np.testing.assert_array_equal(whole.hu, torso_hu[:, ::-1])
    fractional = write("fractional.nii", 1.5, -1500.25)
    assert fractional.hu.dtype == np.float32
    np.testing.assert_allclose(fractional.hu, (torso_hu[:, ::-1] + 1024.0) * 1.5 - 1500.25)


def test_fractions_that_begin_late_in_the_file_are_kept(tmp_path, write_nifti):
    """The reader starts with int16 and must not round when it finds a fraction later."""
    data = np.full((130, 130, 130), -1000, np.float32)
    data[20:110, 20:110] = 40
    data[60, 60, 125] = 40.25
    volume = read_volume(write_nifti(tmp_path / "scan.nii.gz", data))
    assert volume.hu.dtype == np.float32
    np.testing.assert_array_equal(volume.hu, data)


def test_nan_becomes_air_with_a_note_and_much_of_it_is_refused(tmp_path, write_nifti, torso_hu, refuse):
    data = torso_hu[:, ::-1].astype(np.float32)
    data[0, 0, :3] = [np.nan, np.inf, -np.inf]
    volume = read_volume(write_nifti(tmp_path / "some.nii", data))
    np.testing.assert_array_equal(volume.hu[0, 0, :3], -1024)
    assert volume.facts.notes[0].startswith("3 voxels without a value")
    data[:8] = np.nan
    refuse(write_nifti(tmp_path / "most.nii", data), "most voxels have no value")


def test_a_fourth_axis_of_one_is_dropped_and_more_is_refused(tmp_path, write_nifti, torso_hu, refuse):
    las = torso_hu[:, ::-1]
    np.testing.assert_array_equal(read_volume(write_nifti(tmp_path / "one.nii", las[..., None])).hu, las)
    refuse(write_nifti(tmp_path / "two.nii", np.stack([las, las], -1)), "not one 3D image.*12 x 10 x 8 x 2")
    refuse(write_nifti(tmp_path / "flat.nii", las[:, :, 0]), "not one 3D image.*12 x 10")
    refuse(write_nifti(tmp_path / "slice.nii", las[:, :, :1]), "not one 3D image")


def test_unknown_orientation_is_refused(tmp_path, write_nifti, refuse):
    refuse(write_nifti(tmp_path / "scan.nii", sform_code=0, qform_code=0), "does not say how it lies in the body")


@pytest.mark.parametrize(("sform_code", "qform_code"), [(1, 0), (0, 1), (2, 1)])
def test_one_stated_form_is_enough(tmp_path, write_nifti, torso_hu, sform_code, qform_code):
    path = write_nifti(tmp_path / "scan.nii", sform_code=sform_code, qform_code=qform_code)
    np.testing.assert_array_equal(read_volume(path).hu, torso_hu[:, ::-1])


def test_forms_that_contradict_each_other_are_refused(tmp_path, torso_hu, refuse):
    image = nib.Nifti1Image(torso_hu, np.diag([-2.0, 3.0, 5.0, 1.0]))
    image.set_qform(np.diag([2.0, 3.0, 5.0, 1.0]), 1)
    nib.save(image, tmp_path / "scan.nii")
    refuse(tmp_path / "scan.nii", "sform and qform tell different orientations; found: LAS and RAS")


@pytest.mark.parametrize(("units", "factor"), [("meter", 0.001), ("micron", 1000.0), ("unknown", 1.0)])
def test_units_other_than_mm(tmp_path, write_nifti, units, factor):
    path = write_nifti(
        tmp_path / "scan.nii", affine=np.diag([-2.0 * factor, 3.0 * factor, 5.0 * factor, 1]), units=units
    )
    assert read_volume(path).spacing_mm == pytest.approx((2, 3, 5))


def test_impossible_and_sheared_geometry_is_refused(tmp_path, write_nifti, refuse):
    refuse(write_nifti(tmp_path / "metre.nii", affine=np.diag([-0.002, 0.003, 0.005, 1])), "voxel size is impossible")
    sheared = np.diag([-2.0, 3.0, 5.0, 1])
    sheared[1, 2] = 1.5
    refuse(write_nifti(tmp_path / "tilt.nii", affine=sheared, qform_code=0), "not perpendicular")


def test_damaged_files_are_refused(tmp_path, write_nifti, refuse):
    plain, packed = write_nifti(tmp_path / "scan.nii"), write_nifti(tmp_path / "scan.nii.gz")
    whole = packed.read_bytes()
    for name, data in {
        "cut.nii": plain.read_bytes()[:-10],
        "header_cut.nii": plain.read_bytes()[:200],
        "cut.nii.gz": whole[: len(whole) // 2],
        "checksum.nii.gz": whole[:-8] + bytes(4) + whole[-4:],
        "text.nii": b"this is not an image" * 50,
        "text.nii.gz": gzip.compress(b"this is not an image" * 50),
        "empty.nii.gz": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
        refuse(tmp_path / name, "cut off or damaged|cannot be read as NIfTI")


def test_a_gzip_file_of_several_members_is_read_to_the_end(tmp_path, write_nifti, torso_hu):
    data = write_nifti(tmp_path / "scan.nii").read_bytes()
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(data[:700]) + gzip.compress(data[700:]) + bytes(16))
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nii.gz").hu, torso_hu[:, ::-1])


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (lambda hu: (hu + 1000) / 1250, "there is no air; found: values from 0 to"),
        (lambda hu: hu + 1024, "there is no air"),
        (lambda hu: np.clip(hu, -160, 240), "there is no air"),
        (lambda hu: hu - 1024, "there is no soft tissue"),
        (lambda hu: np.full_like(hu, -1000), "there is no soft tissue"),
    ],
)
def test_values_that_are_no_hounsfield_units_are_refused(tmp_path, write_nifti, torso_hu, values, match, refuse):
    refuse(write_nifti(tmp_path / "scan.nii", values(torso_hu.astype(np.float32))), match)


def test_a_folder_or_list_of_nifti_files_is_no_series(tmp_path, write_nifti, torso_hu, refuse):
    one, two = write_nifti(tmp_path / "1.nii"), write_nifti(tmp_path / "2.nii")
    refuse(tmp_path, "no DICOM images found; found: 2 NIfTI files.*give the path of the NIfTI file itself")
    with pytest.raises(InputError, match="a list may only hold the DICOM slices"):
        read_volume([one, two])
    np.testing.assert_array_equal(read_volume([one]).hu, torso_hu[:, ::-1])
