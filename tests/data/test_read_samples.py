"""Real files that nobody on this project made."""

from __future__ import annotations

import tarfile

import nibabel as nib
import numpy as np
import pydicom
import pytest

from agezoo.data.dicom_headers import scan_headers
from agezoo.data.dicom_pixels import read_stack
from agezoo.data.read import discover_studies, read_volume
from agezoo.errors import InputError

pytestmark = pytest.mark.sample_data

# Largest and mean absolute difference in HU from the uncompressed file. The 12-bit JPEG files were written with a
# rescale slope of 2, the 8-bit one with a slope of 32: half a step is lost before the compression.
_LOSS_HU = {
    "1.2.840.10008.1.2": (0, 0),
    "1.2.840.10008.1.2.1": (0, 0),
    "1.2.840.10008.1.2.1.99": (0, 0),
    "1.2.840.10008.1.2.2": (0, 0),
    "1.2.840.10008.1.2.5": (0, 0),
    "1.2.840.10008.1.2.4.57": (0, 0),
    "1.2.840.10008.1.2.4.70": (0, 0),
    "1.2.840.10008.1.2.4.80": (0, 0),
    "1.2.840.10008.1.2.4.90": (0, 0),
    "1.2.840.10008.1.2.4.81": (1, 0.8),
    "1.2.840.10008.1.2.4.91": (5, 0.7),
    "1.2.840.10008.1.2.4.51": (36, 4),
    "1.2.840.10008.1.2.4.53": (36, 4),
    "1.2.840.10008.1.2.4.55": (36, 4),
    "1.2.840.10008.1.2.4.50": (65, 20),
}


@pytest.mark.parametrize("syntax", sorted(_LOSS_HU))
def test_every_transfer_syntax_decodes_to_the_same_hounsfield_units(sample_data, syntax):
    folder = sample_data / "ct" / "transfer_syntaxes"
    plain = pydicom.dcmread(next(folder.glob("*_1.2.840.10008.1.2.1.dcm")))
    expected = np.frombuffer(plain.PixelData, "<i2").reshape(512, 512).astype(float) - 1024
    (header,) = scan_headers([next(folder.glob(f"*_{syntax}.dcm"))]).headers
    assert header.pixels.transfer_syntax == syntax
    found = read_stack([header], names=["slice"])[0]
    difference = np.abs(found - expected)
    largest, mean = _LOSS_HU[syntax]
    assert difference.max() <= largest
    assert difference.mean() <= mean
    assert found.dtype == (np.int16 if header.pixels.slope == 1 else np.float32)


def test_a_report_without_pixels_says_so(sample_data):
    with pytest.raises(InputError, match=r"no DICOM images found.*1 DICOM object without pixel data \(SR\)"):
        read_volume(sample_data / "ct" / "transfer_syntaxes" / "no-pixel-data.dcm")


def test_a_series_with_empty_uids_in_jpeg_2000(sample_data):
    folder = sample_data / "ct" / "totalseg_series"
    volume = read_volume(folder)
    assert volume.shape == (512, 512, 20)
    assert volume.spacing_mm == pytest.approx((0.9765625, 0.9765625, 2.0))
    assert volume.hu.dtype == np.int16
    # The lowest slice: pixel_array[row, column], rows running to Posterior.
    lowest = min((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda ds: ds.ImagePositionPatient[2])
    np.testing.assert_array_equal(volume.hu[:, :, 0], lowest.pixel_array.astype(int)[::-1].T - 1024)
    np.testing.assert_allclose(
        (volume.affine @ [0, 511, 0, 1])[:3], np.array(lowest.ImagePositionPatient, float) * [-1, -1, 1]
    )
    assert (volume.facts.age_years, volume.facts.sex, volume.facts.study_uid) == (None, None, None)
    (study,) = discover_studies(folder)
    assert study.error is None
    assert len(study.files) == 20


def test_a_nifti_ct_equals_what_nibabel_reads(sample_data):
    path = sample_data / "ct" / "totalseg_example_ct.nii.gz"
    volume = read_volume(path)
    canonical = nib.as_closest_canonical(nib.load(path))
    np.testing.assert_array_equal(volume.hu[::-1], canonical.get_fdata())
    assert volume.hu.dtype == np.int16
    assert volume.axcodes == "LAS"


@pytest.mark.parametrize("folder", ["brain/IXI012-HH-1211-T1_ds.nii.gz", "radiograph"])
def test_other_images_are_refused_as_ct(sample_data, folder):
    with pytest.raises(InputError, match=r"do not look like Hounsfield units|no CT images found; found: 2 CR images"):
        read_volume(sample_data / folder)


def test_dixon_echoes_that_share_one_series_uid_are_told_apart(sample_data, tmp_path):
    with tarfile.open(sample_data / "mr_body" / "chaos_1_dixon.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    with pytest.raises(InputError, match="no CT images found; found: 70 MR images"):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, modality="MR")
    assert volume.shape == (256, 256, 35)
    assert any("told apart by echo time" in note for note in volume.facts.notes)
