"""Every perturbation does what its grade says, keeps its input and repeats itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.perturb import PERTURBATIONS, PerturbVolume, PerturbVolumed, chosen_perturbations
from agezoo.transforms.perturb.catalogue import NotApplicable
from agezoo.transforms.perturb.dose import lower_dose
from agezoo.transforms.perturb.rotate import turn
from agezoo.transforms.perturb.shift import shifted

SPACING_MM = (3.0, 3.0, 4.0)
AFFINE = np.array([[-3.0, 0, 0, 90], [0, 3.0, 0, -80], [0, 0, 4.0, -300], [0, 0, 0, 1]])


def torso(dtype: type = np.int16) -> np.ndarray:
    """A body of water with a spine and two hips, in air; 64 x 48 x 60 voxels."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in (64, 48, 60)), indexing="ij")
    volume = np.full(x.shape, -1000.0)
    volume[((x - 31.5) / 28) ** 2 + ((y - 23.5) / 20) ** 2 < 1] = 0
    volume[((x - 31.5) ** 2 + (y - 12) ** 2 < 25)] = 300
    volume[((abs(x - 31.5) - 16) ** 2 + (y - 24) ** 2 < 16) & (z < 14)] = 500
    return volume.astype(dtype)


def applied(name: str, grade: float, volume: np.ndarray, seed: int = 1) -> np.ndarray:
    result: np.ndarray = PERTURBATIONS[name].apply(
        volume, grade, spacing_mm=SPACING_MM, rng=np.random.default_rng(seed)
    )
    return result


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_changes_a_copy_and_repeats_itself(name):
    volume = torso()
    before = volume.copy()
    grade = max(PERTURBATIONS[name].grades, key=PERTURBATIONS[name].strength)
    first, second = applied(name, grade, volume), applied(name, grade, volume)
    assert first.dtype == np.int16
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(volume, before)
    assert first.shape != volume.shape or not np.array_equal(first, volume)


@pytest.mark.parametrize(
    "name", [name for name in PERTURBATIONS if not name.startswith("metal") and name != "slice_thickness"]
)
def test_the_neutral_grade_changes_nothing(name):
    volume = torso()
    np.testing.assert_array_equal(applied(name, PERTURBATIONS[name].neutral, volume), volume)


def test_noise_has_its_standard_deviation_in_every_voxel():
    volume = np.zeros((40, 40, 40), dtype=np.int16)
    noise = applied("noise", 30.0, volume).astype(float)
    assert noise.std() == pytest.approx(30.0, rel=0.02)
    assert noise.mean() == pytest.approx(0.0, abs=0.5)
    # White: neighbours know nothing of each other.
    assert np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1] == pytest.approx(0.0, abs=0.02)


def water_cylinder(radius_mm: float, slice_mm: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(160) - 79.5, np.arange(160) - 79.5, indexing="ij")
    plane = np.where(np.hypot(x, y) * 2.5 < radius_mm, 0.0, -1000.0)
    return np.repeat(plane[:, :, None], 12, axis=2).astype(np.float32)


def sd_in_the_middle(radius_mm: float, fraction: float, slice_mm: float = 5.0) -> float:
    volume = water_cylinder(radius_mm, slice_mm)
    noisy = lower_dose(volume, fraction, spacing_mm=(2.5, 2.5, slice_mm), rng=np.random.default_rng(0))
    return float((noisy - volume)[70:90, 70:90].std())


def test_noise_of_a_lower_dose_follows_dose_size_and_slices():
    # Missing variance at a quarter of the dose: 12^2 (4 - 1), in the cylinder that defines the 12 HU.
    quarter = sd_in_the_middle(150.0, 0.25)
    assert quarter == pytest.approx(12.0 * np.sqrt(3.0), rel=0.08)
    assert sd_in_the_middle(150.0, 0.1) / quarter == pytest.approx(np.sqrt(9.0 / 3.0), rel=0.01)
    assert sd_in_the_middle(150.0, 0.25, slice_mm=1.25) / quarter == pytest.approx(2.0, rel=0.01)
    # Variance grows as exp(0.0193 / mm * path) to the power 1/2, here for 50 mm more.
    assert sd_in_the_middle(175.0, 0.25) / quarter == pytest.approx(np.exp(0.0193 * 50 / 4), rel=0.03)


def test_noise_of_a_lower_dose_has_the_texture_of_a_reconstruction():
    volume = water_cylinder(190.0, 5.0)
    added = lower_dose(volume, 0.25, spacing_mm=(2.5, 2.5, 5.0), rng=np.random.default_rng(0)) - volume
    middle = added[50:110, 50:110]
    # A ramp lets no constant pass: averages over large areas are far below those of white noise (SD / 60).
    white = middle.std() / 60
    assert np.abs(middle.mean(axis=(0, 1))).mean() < 0.3 * white
    assert abs(np.corrcoef(middle[:, :, 0].ravel(), middle[:, :, 1].ravel())[0, 1]) < 0.05


def test_crops_cut_where_they_say():
    volume = torso()
    np.testing.assert_array_equal(applied("crop_cranial", 0.2, volume), volume[:, :, :48])
    np.testing.assert_array_equal(applied("crop_caudal", 0.2, volume), volume[:, :, 12:])
    np.testing.assert_array_equal(applied("crop_lateral", 0.25, volume), volume[8:56])


def test_turning_keeps_angles_in_space_when_voxels_are_no_cubes():
    volume = np.full((41, 21, 3), -1000.0, dtype=np.float32)
    volume[30, 10, 1] = 3000.0
    # 10 voxels of 1 mm to the left of the middle; after 90 degrees 5 voxels of 2 mm in front of it.
    result = turn(volume, 90.0, axis=2, spacing_mm=(1.0, 2.0, 5.0))
    assert np.unravel_index(result.argmax(), result.shape) == (20, 15, 1)
    # In the coronal plane the first axis turns towards the head.
    volume = np.full((41, 3, 21), -1000.0, dtype=np.float32)
    volume[30, 1, 10] = 3000.0
    result = turn(volume, 90.0, axis=1, spacing_mm=(1.0, 5.0, 2.0))
    assert np.unravel_index(result.argmax(), result.shape) == (20, 1, 15)


@pytest.mark.parametrize(("name", "planes"), [("rotation", (0, 1)), ("tilt", (0, 2))])
def test_rotation_turns_the_body_by_the_angle(name, planes):
    rod = np.full((61, 61, 61), -1000, dtype=np.int16)
    rod[[30] * 41, [30] * 41, range(10, 51)] = 2000
    if name == "rotation":
        rod = np.moveaxis(rod, 2, 1)
    result = PERTURBATIONS[name].apply(rod, 15.0, spacing_mm=(1.0, 1.0, 1.0), rng=np.random.default_rng(3))
    points = np.argwhere(result > 300)[:, planes] - 30.0
    direction = np.linalg.svd(points, full_matrices=False)[2][0]
    assert np.degrees(np.arctan(abs(direction[0] / direction[1]))) == pytest.approx(15.0, abs=0.5)


def test_both_sides_are_rotated_to():
    volume = torso()
    results = [applied("rotation", 10.0, volume, seed=seed) for seed in range(6)]
    assert len({result.tobytes() for result in results}) == 2


def test_shift_moves_by_its_distance_and_brings_air():
    volume = np.zeros((64, 48, 3), dtype=np.int16)
    volume[32, 24] = 1000
    moves = []
    for seed in range(8):
        moved = applied("shift", 30.0, volume, seed=seed)
        moves.append((np.argwhere(moved[..., 1] == 1000)[0] - (32, 24)) * 3.0)
        assert moved.min() == -1024
    # Rounding to 3 mm voxels costs at most 1.5 mm along either axis.
    np.testing.assert_allclose(np.linalg.norm(moves, axis=1), 30.0, atol=2.2)
    assert len(np.unique(moves, axis=0)) > 4
    volume = torso()
    np.testing.assert_array_equal(shifted(volume, (5, -3))[5:, :-3], volume[:-5, 3:])
    assert (shifted(volume, (5, -3))[:5] == -1024).all()
    assert (shifted(volume, (0, 200)) == -1024).all()


def test_thick_slices_are_means_of_thin_ones():
    volume = np.arange(6, dtype=np.float32)[None, None, :].repeat(2, axis=0) * 10
    thick = PERTURBATIONS["slice_thickness"].apply(volume, 6.0, spacing_mm=(1.0, 1.0, 2.0), rng=None)
    np.testing.assert_allclose(thick[0, 0], [10.0, 40.0])
    # 12 mm into 3 mm slices: the second slice takes half of the third thin one and so on.
    thick = PERTURBATIONS["slice_thickness"].apply(volume, 3.0, spacing_mm=(1.0, 1.0, 2.0), rng=None)
    np.testing.assert_allclose(thick[0, 0], [10 / 3, 50 / 3, 100 / 3, 140 / 3], rtol=1e-5)


def test_slices_that_are_thick_already_are_left_alone():
    with pytest.raises(NotApplicable, match=r"that thick already; found: 4 mm"):
        applied("slice_thickness", 4.0, torso())
    with pytest.raises(InputError, match="longer than the scan"):
        applied("slice_thickness", 200.0, torso())


def test_scale_errors_by_hand():
    volume = np.array([-1000, 0, 500], dtype=np.int16).reshape(3, 1, 1)
    np.testing.assert_array_equal(applied("hu_slope", 1.1, volume).ravel(), [-1000, 100, 650])
    np.testing.assert_array_equal(applied("hu_offset", -50.0, volume).ravel(), [-1050, -50, 450])
    # A type's range is a limit, not a wrap-around.
    assert applied("hu_offset", 100.0, np.full((1, 1, 1), 32700, np.int16)).item() == 32767


@pytest.mark.parametrize(
    ("name", "grade", "words"),
    [
        ("noise", -1.0, "no negative strength"),
        ("dose", 0.0, "a fraction of the dose is needed"),
        ("crop_caudal", 0.95, "cannot cut this part off"),
        ("hu_slope", 0.0, "is positive"),
        ("metal_hip", 50.0, "metal is denser than that"),
    ],
)
def test_impossible_grades_are_refused(name, grade, words):
    with pytest.raises(InputError, match=words):
        applied(name, grade, torso())


def as_image(volume: np.ndarray) -> MetaTensor:
    return MetaTensor(torch.from_numpy(volume)[None], affine=torch.as_tensor(AFFINE))


@pytest.mark.parametrize(
    ("name", "grade"), [("crop_cranial", 0.2), ("crop_caudal", 0.2), ("crop_lateral", 0.3), ("slice_thickness", 8.0)]
)
def test_monai_form_keeps_the_place_in_the_body(name, grade):
    volume = np.full((64, 48, 60), -1000, dtype=np.int16)
    volume[30:34, 10:14, 28:32] = 1000
    item = {"image": as_image(volume), "image_facts": {"age_years": 50.0}}
    changed = Compose([PerturbVolumed("image", name, grade)])(item)
    assert changed["image_facts"] == item["image_facts"]
    assert changed["image"].shape != item["image"].shape
    places = []
    for image in (item["image"], changed["image"]):
        centre = ndimage.center_of_mass(np.asarray(image[0], dtype=float) + 1000)
        places.append((np.asarray(image.affine) @ [*centre, 1.0])[:3])
    np.testing.assert_allclose(places[1], places[0], atol=1e-3)


def test_monai_form_gives_all_grades_the_same_noise():
    image = as_image(torso(np.float32))
    weak, strong = (PerturbVolume("noise", grade, seed=4)(image) - image for grade in (10.0, 20.0))
    torch.testing.assert_close(strong, 2 * weak, atol=1e-3, rtol=1e-3)
    other = PerturbVolume("noise", 10.0, seed=5)(image) - image
    assert not torch.allclose(other, weak)


def test_monai_form_refuses_what_has_no_geometry():
    with pytest.raises(InputError, match="needs one volume with its geometry; found: Tensor"):
        PerturbVolume("noise", 10.0)(torch.zeros(1, 4, 4, 4))
    with pytest.raises(InputError, match="one perturbation at a time; found: crop"):
        PerturbVolume("crop", 0.1)
    with pytest.raises(InputError, match="no such perturbation; found: fog"):
        PerturbVolume("fog", 0.1)


def test_choosing_by_name_family_and_own_grades():
    assert list(chosen_perturbations(["crop", "noise"])) == ["crop_cranial", "crop_caudal", "crop_lateral", "noise"]
    assert chosen_perturbations(["noise"], {"noise": [7]}) == {"noise": (7.0,)}
    assert chosen_perturbations() == {name: p.grades for name, p in PERTURBATIONS.items()}
    with pytest.raises(InputError, match="grades of a perturbation that is not tried; found: dose"):
        chosen_perturbations(["noise"], {"dose": [0.5]})
    with pytest.raises(InputError, match="without a grade; found: noise"):
        chosen_perturbations(["noise"], {"noise": []})


def test_names_can_be_listed_without_heavy_libraries():
    code = "import sys, agezoo.transforms.perturb.catalogue; print([m for m in ('numpy', 'torch') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
