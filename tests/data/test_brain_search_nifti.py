"""What the reader makes of NIfTI files of brains: forms, background without values, axes, scaling."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from agezoo.data.read import read_volume
from agezoo.errors import InputError

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])


def write(path, voxels, sform=AFFINE, qform=AFFINE, codes=(4, 1), slope=None):
    image = nib.Nifti1Image(voxels, AFFINE)
    image.set_sform(sform, codes[0])
    image.set_qform(qform, codes[1])
    image.header.set_xyzt_units("mm")
    if slope is not None:
        image.header.set_slope_inter(*slope)
    nib.save(image, path)
    return path


@pytest.fixture
def brain():
    voxels = np.zeros((10, 11, 12), np.float32)
    voxels[3:7, 3:8, 4:8] = np.arange(80, dtype=np.float32).reshape(4, 5, 4) + 1.5
    return voxels


def test_a_background_of_nan_becomes_0_with_a_note(tmp_path, brain):
    stored = np.where(brain > 0, brain, np.nan).astype(np.float32)
    volume = read_volume(write(tmp_path / "b.nii.gz", stored), modality="MR")
    np.testing.assert_array_equal(volume.hu, brain)
    assert any("voxels without a value (NaN or infinite; 93.94%) were set to 0" in note for note in volume.facts.notes)
    with pytest.raises(InputError, match="most voxels have no value"):
        read_volume(write(tmp_path / "ct.nii.gz", stored), modality="CT")


def test_nothing_but_nan_is_refused(tmp_path, brain):
    with pytest.raises(
        InputError, match="most voxels have no value; found: 100% NaN or infinite; expected: at most 97%"
    ):
        read_volume(write(tmp_path / "b.nii", np.full_like(brain, np.nan)), modality="MR")


def test_one_volume_of_four_axes_is_squeezed_and_several_are_refused(tmp_path, brain):
    volume = read_volume(write(tmp_path / "one.nii.gz", brain[..., None]), modality="MR")
    np.testing.assert_array_equal(volume.hu, brain)
    with pytest.raises(InputError, match=r"is not one 3D image.*10 x 11 x 12 x 2"):
        read_volume(write(tmp_path / "two.nii.gz", np.stack([brain, brain], -1)), modality="MR")


def test_stored_values_are_scaled(tmp_path, brain):
    stored = np.rint(brain).astype(np.int16)
    volume = read_volume(write(tmp_path / "b.nii.gz", stored, slope=(0.5, 3.0)), modality="MR")
    np.testing.assert_allclose(volume.hu, np.asanyarray(nib.load(tmp_path / "b.nii.gz").dataobj))
    assert volume.hu.max() > 3


def test_axes_leave_the_reader_in_las_whatever_the_file_has(tmp_path, brain):
    turned = nib.as_closest_canonical(nib.Nifti1Image(brain, AFFINE)).slicer[:, :, :]
    voxels = np.transpose(turned.get_fdata(dtype=np.float32), (2, 0, 1))
    affine = turned.affine[:, [2, 0, 1, 3]]
    volume = read_volume(write(tmp_path / "b.nii", voxels, sform=affine, qform=affine), modality="MR")
    assert volume.axcodes == "LAS"
    np.testing.assert_array_equal(volume.hu, brain)
    np.testing.assert_allclose(volume.affine, AFFINE)


def test_forms_that_place_the_brain_differently_are_noted_and_the_sform_is_used(tmp_path, brain):
    moved = AFFINE.copy()
    moved[:3, 3] += (0, 12, 0)
    volume = read_volume(write(tmp_path / "b.nii.gz", brain, qform=moved), modality="MR")
    assert volume.facts.notes == ("sform and qform place the image up to 12 mm apart; the sform was used",)
    np.testing.assert_allclose(volume.affine, AFFINE)
    assert read_volume(write(tmp_path / "c.nii.gz", brain), modality="MR").facts.notes == ()
    assert read_volume(write(tmp_path / "d.nii.gz", brain, qform=moved, codes=(1, 0)), modality="MR").facts.notes == ()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"codes": (0, 0)}, "does not say how it lies in the body"),
        ({"sform": np.diag([0, 0, 0, 1.0]), "codes": (1, 0)}, "the voxel size is impossible; found: 0 x 0 x 0 mm"),
        ({"qform": AFFINE @ np.diag([1, -1, -1, 1.0])}, "sform and qform tell different orientations"),
    ],
)
def test_a_brain_that_does_not_say_how_it_lies_is_refused(tmp_path, brain, options, match):
    with pytest.raises(InputError, match=match):
        read_volume(write(tmp_path / "b.nii.gz", brain, **options), modality="MR")


@pytest.mark.sample_data
def test_real_heads_are_read_upright(sample_data):
    volume = read_volume(sample_data / "brain" / "IXI012-HH-1211-T1_ds.nii.gz", modality="MR")
    assert volume.axcodes == "LAS"
    assert volume.spacing_mm == pytest.approx((2, 2, 2))
    assert (volume.hu.min(), volume.facts.notes) == (0, ())
