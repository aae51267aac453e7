"""One phantom scan in memory: anatomy where it belongs, ageing only through biological age."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from agezoo.phantoms.torso_anatomy import CONTOUR_ANGLES, PhantomSubject, Torso
from agezoo.phantoms.torso_ct import PhantomScan, ScanSettings, phantom_volume
from agezoo.phantoms.torso_labels import AORTIC_WALL, LABELS, PARASPINAL_MUSCLE, TRABECULAR_BONE

QUICK = ScanSettings(matrix=128, slice_thickness_mm=5.0, noise_hu=6.0)


def subject(age_years: float, *, deviation_years: float = 0.0, sex: str = "M") -> PhantomSubject:
    return PhantomSubject("PHANTOM-0001", (7, 3), sex, age_years, deviation_years)


@pytest.fixture(scope="module")
def young() -> PhantomScan:
    return phantom_volume(subject(25.0), QUICK)


@pytest.fixture(scope="module")
def old() -> PhantomScan:
    return phantom_volume(subject(80.0), QUICK)


def place(scan: PhantomScan, label: int) -> np.ndarray:
    """Mean position of a label in RAS mm."""
    voxels = np.argwhere(scan.labels == label).mean(axis=0)
    return scan.affine[:3, :3] @ voxels + scan.affine[:3, 3]


def test_axes_are_left_anterior_superior(young: PhantomScan) -> None:
    assert young.affine[0, 0] < 0 < young.affine[1, 1]
    assert young.affine[2, 2] == 5.0
    third = young.hu.shape[2] // 3
    liver_half = young.hu[: young.hu.shape[0] // 2, :, third : 2 * third]
    stomach_half = young.hu[young.hu.shape[0] // 2 :, :, third : 2 * third]
    # The liver lies on the patient's right, the low indices of an L axis, and is the largest soft organ there.
    soft = [np.count_nonzero((half > 45) & (half < 75)) for half in (liver_half, stomach_half)]
    assert soft[0] > 1.2 * soft[1]


def test_spine_lies_behind_the_aorta_and_in_front_of_the_back_muscles(old: PhantomScan) -> None:
    bone, aorta, muscle = (place(old, label) for label in (TRABECULAR_BONE, AORTIC_WALL, PARASPINAL_MUSCLE))
    assert aorta[1] > bone[1] + 10 > muscle[1] + 20
    assert abs(bone[0]) < 6
    assert abs(muscle[0]) < 6


def test_tissues_have_their_hounsfield_units(young: PhantomScan) -> None:
    air = young.hu[:8, -8:, :]
    assert abs(float(air.mean()) + 1000.0) < 3
    middle = young.hu[:, :, young.hu.shape[2] // 2]
    assert np.any((middle > -125) & (middle < -85))
    lungs = young.hu[:, :, int(0.75 * young.hu.shape[2])]
    assert np.count_nonzero((lungs > -920) & (lungs < -780)) > 0.08 * lungs.size


def test_couch_is_apart_from_the_body(old: PhantomScan) -> None:
    dense = old.hu > -500
    pieces, count = ndimage.label(dense)
    sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
    assert count >= 2
    body = pieces == (1 + int(np.argmax(np.bincount(pieces.ravel())[1:])))
    assert body[old.labels > 0].mean() > 0.995
    lowest_body_row = np.argwhere(body)[:, 1].min()
    others = np.argwhere(dense & ~body)
    assert others[:, 1].min() < lowest_body_row - 2
    assert sizes[1] > 500


def test_trabecular_bone_loses_the_planted_density(young: PhantomScan, old: PhantomScan) -> None:
    inside = [
        float(np.median(scan.hu[ndimage.binary_erosion(scan.labels == TRABECULAR_BONE)])) for scan in (young, old)
    ]
    planted = Torso(young.subject).signs.trabecular_hu - Torso(old.subject).signs.trabecular_hu
    assert inside[0] - inside[1] == pytest.approx(planted, abs=25)


def test_aorta_calcifies_and_muscle_shrinks(young: PhantomScan, old: PhantomScan) -> None:
    calcified = [np.count_nonzero((scan.labels == AORTIC_WALL) & (scan.hu > 300)) for scan in (young, old)]
    # A voxel or two of the wall may share its volume with the vertebra beside it.
    assert calcified[0] < 5
    assert calcified[1] > 60
    muscle = [float(scan.hu[scan.labels == PARASPINAL_MUSCLE].mean()) for scan in (young, old)]
    assert muscle[0] > muscle[1] + 25


def test_image_depends_on_biological_age_alone() -> None:
    small = replace(QUICK, matrix=64, slice_thickness_mm=10.0)
    first = phantom_volume(subject(50.0, deviation_years=5.0), small)
    second = phantom_volume(subject(60.0, deviation_years=-5.0), small)
    other = phantom_volume(subject(60.0, deviation_years=5.0), small)
    assert np.array_equal(first.hu, second.hu)
    assert not np.array_equal(first.hu, other.hu)


def test_second_scan_shows_the_same_body() -> None:
    small = replace(QUICK, matrix=96, slice_thickness_mm=8.0)
    first = phantom_volume(subject(60.0), small)
    again = phantom_volume(subject(60.0), replace(small, session="repeat", seed=1))
    assert not np.array_equal(first.hu, again.hu)
    changed = np.mean(np.abs(first.hu.astype(int) - again.hu) > 80)
    assert 0 < changed < 0.01
    stable = np.isin(first.labels, (TRABECULAR_BONE, AORTIC_WALL))
    assert np.mean(again.labels[stable] == first.labels[stable]) > 0.99


def test_shift_moves_the_body_and_not_the_couch() -> None:
    small = replace(QUICK, matrix=96, slice_thickness_mm=8.0)
    plain = phantom_volume(subject(40.0), small)
    moved = phantom_volume(subject(40.0), replace(small, shift_mm=(9.0, 0.0)))
    shift = place(moved, TRABECULAR_BONE) - place(plain, TRABECULAR_BONE)
    # Scanner x is to the patient's left, RAS x to the right.
    assert shift == pytest.approx([-9.0, 0.0, 0.0], abs=0.8)


def test_thickness_and_field_of_view_set_the_grid() -> None:
    thick = phantom_volume(subject(40.0), replace(QUICK, matrix=64, slice_thickness_mm=10.0))
    thin = phantom_volume(subject(40.0), replace(QUICK, matrix=64, slice_thickness_mm=8.0, fov_room_mm=60.0))
    assert thin.hu.shape[2] > thick.hu.shape[2]
    assert -thin.affine[0, 0] * 64 == pytest.approx(-thick.affine[0, 0] * 64 + 50.0)


def test_contours_are_nested_and_fit_the_anatomy() -> None:
    torso = Torso(subject(60.0))
    skin, fascia, cavity = torso.contours_mm(torso.z_mm(np.linspace(-200.0, 480.0, 60)))
    assert skin.shape == (60, CONTOUR_ANGLES)
    assert np.all(skin > fascia)
    assert np.all(fascia >= cavity)


def test_heights_map_back() -> None:
    torso = Torso(subject(75.0))
    nominal = np.linspace(-200.0, 480.0, 30)
    assert torso.nominal_z(torso.z_mm(nominal)) == pytest.approx(nominal)
    # Discs lose height: an old spine is shorter than a young one.
    assert torso.vertebrae[-1].centre_z_mm < Torso(subject(25.0)).vertebrae[-1].centre_z_mm - 8.0


def test_labels_are_within_the_table(old: PhantomScan) -> None:
    assert set(np.unique(old.labels)) == set(LABELS.values())
