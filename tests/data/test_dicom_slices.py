"""The slices of one series: what is repaired and what is refused."""

from __future__ import annotations

import re
from copy import deepcopy

import numpy as np
import pytest
from pydicom.uid import RLELossless

from agezoo.data.read import read_volume


def test_a_missing_slice_is_refused_with_its_place(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    del slices[3]
    message = refuse(write_slices(tmp_path, slices), "slices are missing")
    assert "1 slice missing after -40.0 mm" in message


def test_several_missing_slices_are_counted(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    assert "3 slices missing" in refuse(write_slices(tmp_path, [*slices[:1], *slices[3:5], *slices[6:]]), "missing")


def test_uneven_spacing_is_refused(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    for index, ds in enumerate(slices[4:]):
        ds.ImagePositionPatient = [-11, -13, -50 + 5 * 3 + 7.5 * (index + 1)]
    assert "5.00 to 7.50 mm" in refuse(write_slices(tmp_path, slices), "distance between slices is uneven")


def test_positions_rounded_by_the_scanner_are_accepted(tmp_path, make_slices, write_slices):
    slices = make_slices(spacing_mm=(2, 3, 1.25))
    for index, ds in enumerate(slices):
        ds.ImagePositionPatient = [-11, -13, round(index * 1.25 + 1e-6, 1)]
    assert read_volume(write_slices(tmp_path, slices)).spacing_mm[2] == pytest.approx(1.25, abs=0.01)


def test_equal_copies_of_slices_are_dropped_with_a_note(tmp_path, make_slices, write_slices, torso_las):
    slices = make_slices()
    write_slices(tmp_path / "one", slices)
    write_slices(tmp_path / "two", slices[:3], prefix="COPY")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, torso_las)
    assert any("3 slices stored twice" in note for note in volume.facts.notes)


def test_different_slices_at_one_place_are_refused(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    double = deepcopy(slices[2])
    double.PixelData = slices[3].PixelData
    refuse(write_slices(tmp_path, [*slices, double]), "two different slices lie at the same place")


def test_slices_shifted_sideways_are_refused(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    for ds in slices[4:]:
        ds.ImagePositionPatient = [ds.ImagePositionPatient[0] + 9, *ds.ImagePositionPatient[1:]]
    refuse(write_slices(tmp_path, slices), "shifted sideways")


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_slices_are_refused(tmp_path, make_slices, write_slices, n, refuse):
    refuse(write_slices(tmp_path, make_slices()[:n]), f"too few slices.*found: {n} slice")


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_slices_without_geometry_are_refused(tmp_path, make_slices, write_slices, keyword, refuse):
    refuse(write_slices(tmp_path, make_slices(**{keyword: None})), "no position, orientation or pixel spacing")


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_missing_rescale_values_are_refused(tmp_path, make_slices, write_slices, keyword, refuse):
    slices = make_slices()
    delattr(slices[5], keyword)
    assert f"no {keyword}" in refuse(write_slices(tmp_path, slices), "cannot be turned into Hounsfield units")


def test_maps_that_are_not_in_hounsfield_units_are_refused(tmp_path, make_slices, write_slices, refuse):
    refuse(write_slices(tmp_path, make_slices(RescaleType="Z_EFF")), "not in Hounsfield units.*Z_EFF")


def test_an_inverted_grey_scale_is_refused(tmp_path, make_slices, write_slices, refuse):
    refuse(write_slices(tmp_path, make_slices(PhotometricInterpretation="MONOCHROME1")), "MONOCHROME1")


def test_a_slice_without_pixels_is_refused_by_name(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    del slices[0].PixelData
    assert re.search(r"slice IM00\d has no pixel data", refuse(write_slices(tmp_path, slices), "no pixel data"))


def test_a_plain_file_that_is_cut_off_is_refused_by_name(tmp_path, make_slices, write_slices, refuse):
    path = write_slices(tmp_path, make_slices()) / "IM003"
    path.write_bytes(path.read_bytes()[:-50])
    refuse(tmp_path, "slice IM003 is cut off")


def test_a_compressed_file_that_is_cut_off_is_refused_by_name(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    for ds in slices:
        ds.compress(RLELossless)
    path = write_slices(tmp_path, slices) / "IM003"
    path.write_bytes(path.read_bytes()[:-50])
    refuse(tmp_path, "IM003: the file is cut off")


def test_a_compressed_file_with_damaged_pixels_is_refused_by_name(tmp_path, make_slices, write_slices, refuse):
    slices = make_slices()
    for ds in slices:
        ds.compress(RLELossless)
    path = write_slices(tmp_path, slices) / "IM003"
    data = bytearray(path.read_bytes())
    data[-150:-20] = b"\x80" * 130
    path.write_bytes(data)
    refuse(tmp_path, "IM003: the pixels cannot be decoded")


def test_a_damaged_header_beside_the_slices_is_refused_and_elsewhere_noted(tmp_path, make_slices, write_slices, refuse):
    """It may have been the last slice of the series: leaving it out would shorten the body unseen."""
    write_slices(tmp_path / "scan", make_slices())
    damaged = (tmp_path / "scan" / "IM003").read_bytes()[:420]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "IM999").write_bytes(damaged)
    assert read_volume(tmp_path).facts.notes == ("1 damaged DICOM file in other folders left out",)
    (tmp_path / "scan" / "IM999").write_bytes(damaged)
    refuse(tmp_path, "a DICOM file beside the slices is damaged; found: IM999")
    refuse(tmp_path / "other", "no DICOM images found; found: 1 damaged DICOM file")


def test_values_that_are_no_hounsfield_units_are_refused(tmp_path, make_slices, write_slices, torso_hu, refuse):
    refuse(write_slices(tmp_path / "shifted", make_slices(RescaleIntercept=0)), "there is no air")
    refuse(write_slices(tmp_path / "twice", make_slices(RescaleIntercept=-2048)), "there is no soft tissue")


def oblique_scan(tilt_degrees: float, n_slices: int = 24, n_rows: int = 40):
    """A body that is linear in height and depth, scanned with tilted slices stacked along the table.

    Returns (columns, rows, slices) values, the row direction's vertical part, and the value as a function of the
    position.
    """
    tilt = np.radians(tilt_degrees)
    row_mm, slice_mm = 2.0, 3.0
    rows, slices = np.meshgrid(np.arange(n_rows) * row_mm, np.arange(n_slices) * slice_mm, indexing="ij")
    posterior = rows * np.cos(tilt)
    superior = slices - rows * np.sin(tilt)
    values = 100 + 1.0 * posterior + 2.0 * superior
    return np.repeat(np.rint(values)[None].astype(np.int16), 5, axis=0), tilt


@pytest.mark.parametrize("tilt_degrees", [15.0, -22.0])
def test_gantry_tilt_is_removed(tmp_path, make_slices, write_slices, tilt_degrees):
    """A field that is linear in space is the same function of position before and after."""
    hu, tilt = oblique_scan(tilt_degrees)
    hu[0] = -1000  # a column of air, so that the values pass as a CT
    slices = make_slices(
        hu=hu,
        spacing_mm=(2, 2, 3),
        origin_mm=(0, 0, 0),
        slice_step_mm=(0, 0, 3),
        ImageOrientationPatient=[1, 0, 0, 0, float(np.cos(tilt)), float(-np.sin(tilt))],
        GantryDetectorTilt=tilt_degrees,
    )
    volume = read_volume(write_slices(tmp_path, slices))
    assert any(f"gantry tilt of {abs(tilt_degrees):.1f} degrees removed" in note for note in volume.facts.notes)
    directions = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)
    assert volume.spacing_mm == pytest.approx((2, 2 * np.cos(tilt), 3))

    scanned = np.argwhere(volume.hu[3] != -1024)
    ras = volume.affine @ np.column_stack([np.full(len(scanned), 3), scanned, np.ones(len(scanned))]).T
    expected = 100 + 1.0 * -ras[1] + 2.0 * ras[2]
    found = volume.hu[3][tuple(scanned.T)]
    assert len(scanned) >= 40 * 23
    # Both the stored and the interpolated values are rounded.
    np.testing.assert_allclose(found, expected, atol=1.01)


def test_two_tilts_at_once_are_refused(tmp_path, make_slices, write_slices, refuse):
    row, column = np.array([0.94, 0.0, 0.34]), np.array([-0.1, 0.95, 0.28])
    row, column = row / np.linalg.norm(row), column - row * (column @ row) / (row @ row)
    column /= np.linalg.norm(column)
    slices = make_slices(ImageOrientationPatient=[float(f"{value:.9f}") for value in (*row, *column)])
    refuse(write_slices(tmp_path, slices), "tilted in two directions")


def test_a_stated_tilt_that_the_positions_do_not_show_is_noted(tmp_path, make_slices, write_slices, torso_las):
    volume = read_volume(write_slices(tmp_path, make_slices(GantryDetectorTilt=12)))
    np.testing.assert_array_equal(volume.hu, torso_las)
    assert any("12 degrees" in note for note in volume.facts.notes)
