"""Perturbations of T1 heads and brains do what their grade says and keep a brain's mask, its place and their input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.perturb import CATALOGUES
from agezoo.transforms.perturb.brain_position import turned
from agezoo.transforms.perturb.brain_regions import brain_alone, top_slice
from agezoo.transforms.perturb.brain_transform import PerturbBrain, PerturbBraind, on_mni_grid
from agezoo.transforms.perturb.perturbation import NotApplicable

BRAIN = CATALOGUES["brain"]
SPACING_MM = (4.0, 4.0, 5.0)
AFFINE = np.array([[-4.0, 0, 0, 100], [0, 4.0, 0, -120], [0, 0, 5.0, -140], [0, 0, 0, 1]])
GREYS = [
    name for name in BRAIN if name in ("noise", "bias", "gamma", "scale", "offset", "smoothing", "gibbs", "motion")
]


def anatomy(kind: str) -> np.ndarray:
    """A head of 150 x 190 mm with neck and nose in noisy air, or its brain alone; 50 x 60 x 50 voxels."""
    x, y, z = np.meshgrid(*(np.arange(n) * s for n, s in zip((50, 60, 50), SPACING_MM, strict=True)), indexing="ij")
    x, y, z = x - 98, y - 118, z - 150
    rng = np.random.default_rng(0)
    brain = (x / 62) ** 2 + (y / 80) ** 2 + (z / 60) ** 2 < 1
    image = np.zeros(x.shape)
    if kind == "head":
        skin = (x / 76) ** 2 + (y / 95) ** 2 + (z / 78) ** 2 < 1
        neck = (x**2 + (y + 30) ** 2 < 60**2) & (z < 0)
        nose = (abs(x) < 15) & (y > 60) & (y < 112) & (z < -40) & (z > -75)
        image[skin | neck | nose] = 400
        image[(x / 70) ** 2 + (y / 89) ** 2 + (z / 72) ** 2 < 1] = 60
        image += 4 + rng.random(x.shape)
    image[brain] = 300
    image[brain & ((x / 45) ** 2 + (y / 60) ** 2 + (z / 42) ** 2 < 1)] = 420
    # On one side only, or nobody would notice a mirror.
    image[(x - 25) ** 2 + y**2 + z**2 < 15**2] = 90
    return np.where(image > 0, image + 20 * rng.random(x.shape), 0).astype(np.float32)


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    return anatomy("head")


@pytest.fixture(scope="module")
def alone() -> np.ndarray:
    return anatomy("brain")


def as_image(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> MetaTensor:
    return MetaTensor(torch.from_numpy(voxels.copy())[None], affine=torch.as_tensor(affine))


def applied(name: str, grade: float, voxels: np.ndarray, seed: int = 1) -> np.ndarray:
    return np.asarray(PerturbBrain(name, grade, seed=seed)(as_image(voxels)))[0]


def strongest(name: str) -> float:
    # The voxels here are larger than those that the catalogue asks for.
    return {"slice_thickness": 10.0, "voxel_size": 8.0}.get(name, max(BRAIN[name].grades, key=BRAIN[name].strength))


def test_a_head_is_told_from_a_brain_alone(head: np.ndarray, alone: np.ndarray) -> None:
    mask = brain_alone(alone, SPACING_MM)
    assert mask is not None
    np.testing.assert_array_equal(mask, alone > 0)
    assert brain_alone(head, SPACING_MM) is None
    # A scanner may have set the air around a head to 0.
    assert brain_alone(np.where(head < 30, 0, head), SPACING_MM) is None


@pytest.mark.parametrize("kind", ["head", "alone"])
@pytest.mark.parametrize("name", BRAIN)
def test_changes_a_copy_and_repeats_itself(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    voxels = request.getfixturevalue(kind)
    image = as_image(voxels)
    perturb = PerturbBrain(name, strongest(name), seed=2)
    if kind == "alone" and name in ("crop_neck", "deface"):
        with pytest.raises(NotApplicable):
            perturb(image)
        return
    first, second = np.asarray(perturb(image))[0], np.asarray(perturb(image))[0]
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(np.asarray(image)[0], voxels)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert first.shape != voxels.shape or not np.array_equal(first, voxels)
    if kind == "alone" and name != "orientation":
        # The grid is what tells that a brain is in MNI space.
        assert first.shape == voxels.shape


@pytest.mark.parametrize("name", [*GREYS, "slice_thickness", "voxel_size"])
def test_a_brain_alone_keeps_its_mask(name: str, alone: np.ndarray) -> None:
    np.testing.assert_array_equal(applied(name, strongest(name), alone) > 0, alone > 0)


@pytest.mark.parametrize(
    "name", [*GREYS, "pitch", "roll", "yaw", "shift", "crop_top", "deface", "mirror", "orientation"]
)
def test_the_neutral_grade_changes_nothing(name: str, head: np.ndarray) -> None:
    np.testing.assert_allclose(applied(name, BRAIN[name].neutral, head), head, rtol=1e-5, atol=1e-2)


def test_noise_is_rician() -> None:
    flat = np.zeros((60, 60, 60), np.float32)
    flat[:40] = 100
    noisy = applied("noise", 0.1, flat + 0.5)
    # The median of what is not dark is 100: bright tissue gets a Gaussian of SD 10, air nearly a Rayleigh distribution.
    assert noisy[:40].std() == pytest.approx(10.0, rel=0.02)
    assert noisy[40:].mean() == pytest.approx(10 * np.sqrt(np.pi / 2), rel=0.02)


def test_bias_spans_its_ratio_and_is_smooth(alone: np.ndarray) -> None:
    inside = alone > 0
    field = applied("bias", 2.0, alone)[inside] / alone[inside]
    low, high = np.percentile(field, [1, 99])
    assert high / low == pytest.approx(2.0, rel=1e-3)
    weak = applied("bias", 1.3, alone)[inside] / alone[inside]
    # The same field, less of it.
    np.testing.assert_allclose(np.log(weak) / np.log(1.3), np.log(field) / np.log(2.0), atol=1e-3)


def test_grey_values_by_hand(head: np.ndarray, alone: np.ndarray) -> None:
    np.testing.assert_allclose(applied("scale", 100.0, head), 100 * head)
    low, high = head.min(), head.max()
    np.testing.assert_allclose(
        applied("gamma", 2.0, head), low + (high - low) * ((head - low) / (high - low)) ** 2, rtol=1e-4, atol=0.01
    )
    added = applied("offset", 0.5, alone) - alone
    np.testing.assert_allclose(added[alone > 0], 0.5 * np.median(alone[alone > 0]), rtol=1e-4)
    added = applied("offset", 0.5, head) - head
    assert added.min() == pytest.approx(added.max(), rel=1e-3)


def test_smoothing_has_its_width_and_mixes_no_background_into_a_brain(alone: np.ndarray) -> None:
    point = np.full((41, 41, 41), 0.01, np.float32)
    point[20, 20, 20] = 1000
    line = PerturbBrain("smoothing", 6.0)(as_image(point, np.diag([-1.0, 1.0, 1.0, 1.0])))[0, :, 20, 20].numpy()
    assert line[23] / line[20] == pytest.approx(0.5, abs=0.03)
    even = np.where(alone > 0, 100, 0).astype(np.float32)
    np.testing.assert_allclose(applied("smoothing", 12.0, even), even, rtol=1e-4)


def test_motion_makes_ghosts_along_the_front_back_axis() -> None:
    rod = np.full((8, 64, 48), 0.1, np.float32)
    rod[:, 32, 24] = 1000
    weak, strong = (PerturbBrain("motion", mm, seed=3)(as_image(rod, np.eye(4)))[0].numpy() for mm in (0.5, 2.0))
    # The main image stays where it is, and the ghosts lie in the line through it.
    assert np.unravel_index(weak[4].argmax(), weak[4].shape) == (32, 24)
    ghosts = strong[4].copy()
    ghosts[31:34] = 0
    beside = np.delete(ghosts, range(20, 29), axis=1)
    assert ghosts.max() > 20
    assert beside.max() < 0.3 * ghosts.max()
    assert abs(strong - rod).sum() > abs(weak - rod).sum()


@pytest.mark.parametrize(("name", "axis"), [("pitch", 0), ("roll", 1), ("yaw", 2)])
def test_turns_are_about_the_named_axis_by_the_angle(name: str, axis: int) -> None:
    rod = np.full((61, 61, 61), 0.5, np.float32)
    # In the plane across the axis, along the later of its two axes.
    index: list[object] = [slice(28, 33)] * 3
    along = 2 if axis != 2 else 1
    index[along] = slice(10, 51)
    rod[tuple(index)] = 500
    result = PerturbBrain(name, 15.0, seed=4)(as_image(rod, np.diag([-2.0, 2.0, 2.0, 1.0])))[0].numpy()
    points = np.argwhere(result > 250) - 30.0
    direction = np.linalg.svd(points, full_matrices=False)[2][0]
    across = 3 - axis - along
    assert abs(direction[axis]) < 0.02
    assert np.degrees(np.arctan(abs(direction[across] / direction[along]))) == pytest.approx(15.0, abs=0.7)


def test_turning_keeps_angles_in_space_when_voxels_are_no_cubes() -> None:
    rod = np.full((41, 61, 5), 0.5, np.float32)
    rod[5:36, 29:32] = 500
    result = turned(rod, 90.0, axis=2, spacing_mm=(2.0, 1.0, 3.0))
    shown = np.argwhere(result > 250)
    # 62 mm long and 3 mm wide before and after.
    assert np.ptp(shown[:, 1]) + 1 == pytest.approx(62, abs=1)
    assert np.ptp(shown[:, 0]) + 1 in (1, 2, 3)


def test_a_moved_brain_keeps_its_edge_and_lies_where_it_should(alone: np.ndarray) -> None:
    mask = alone > 0
    x, y, z = np.meshgrid(*(np.arange(n) * s for n, s in zip(alone.shape, SPACING_MM, strict=True)), indexing="ij")
    bump = 300 * np.exp(-((x - 98) ** 2 + (y - 118) ** 2 + (z - 150) ** 2) / (2 * 15**2))
    brain = np.where(mask, 100 + bump, 0).astype(np.float32)
    moves_mm = []
    for seed in range(3):
        moved = applied("shift", 12.0, brain, seed=seed)
        # Nothing of the background is mixed into the edge.
        assert moved[moved > 0].min() > 99
        assert (moved > 0).sum() == pytest.approx(mask.sum(), rel=0.01)
        centres = [np.array(ndimage.center_of_mass(np.maximum(values - 150, 0))) for values in (brain, moved)]
        moves_mm.append((centres[1] - centres[0]) * SPACING_MM)
    np.testing.assert_allclose(np.linalg.norm(moves_mm, axis=1), 12.0, atol=0.1)
    assert np.linalg.norm(moves_mm[0] - moves_mm[1]) > 1


def test_images_in_mni_space_are_not_misregistered_by_more_than_anyone_would_miss() -> None:
    affine = np.array([[-4.0, 0, 0, 90], [0, 4.0, 0, -126], [0, 0, 4.0, -72], [0, 0, 0, 1]])
    image = as_image(np.pad(anatomy("brain"), 3)[5:51, 4:59, 5:51], affine)
    assert on_mni_grid(tuple(image.shape[1:]), affine)
    assert not on_mni_grid(tuple(image.shape[1:]), AFFINE)
    for name, allowed, refused in (("yaw", 5.0, 15.0), ("shift", 4.0, 20.0)):
        assert PerturbBrain(name, allowed)(image).shape == image.shape
        with pytest.raises(NotApplicable, match="no image in MNI space lies that far off"):
            PerturbBrain(name, refused)(image)
        assert PerturbBrain(name, refused)(as_image(np.asarray(image)[0])).shape == image.shape


def test_what_is_cut_off_lies_where_the_grade_says(head: np.ndarray, alone: np.ndarray) -> None:
    top = top_slice(head, None, SPACING_MM)
    np.testing.assert_array_equal(applied("crop_top", 25.0, head), head[:, :, : top - 4])
    short = PerturbBrain("crop_neck", 140.0)(as_image(head))
    np.testing.assert_array_equal(np.asarray(short)[0], head[:, :, top + 1 - 28 :])
    assert float(short.affine[2, 3]) == -140 + 5 * (top + 1 - 28)
    with pytest.raises(NotApplicable, match="shows no more than that"):
        applied("crop_neck", 300.0, head)
    cut = applied("crop_top", 25.0, alone)
    assert top_slice(cut, cut > 0, SPACING_MM) == top_slice(alone, alone > 0, SPACING_MM) - 5


def test_defacing_takes_the_nose_and_leaves_the_brain(head: np.ndarray, alone: np.ndarray) -> None:
    result = applied("deface", 1.0, head)
    brain = ndimage.binary_erosion(alone > 0)
    np.testing.assert_array_equal(result[brain], head[brain])
    # The tip of the nose, 105 mm before the middle and 60 mm below it.
    assert head[24, 55, 18] > 300
    assert result[24, 55, 18] == 0
    assert 0.02 < (result == 0).mean() < 0.4


@pytest.mark.parametrize(
    ("name", "grade"),
    [("orientation", 1.0), ("crop_neck", 140.0), ("crop_top", 25.0), ("slice_thickness", 10.0), ("voxel_size", 8.0)],
)
def test_affine_keeps_the_place_in_the_body(name: str, grade: float) -> None:
    voxels = np.pad(anatomy("head")[1:-1], ((1, 1), (0, 0), (0, 0)), mode="edge")
    # A bright block on the left, in front, inside what every crop leaves.
    voxels[30:34, 40:44, 30:36] = 5000
    item = {"image": as_image(voxels), "image_facts": {"age_years": 50.0, "field_of_view_mm": np.zeros(3)}}
    changed = Compose([PerturbBraind("image", name, grade)])(item)
    places = []
    for image in (item["image"], changed["image"]):
        bright = np.asarray(image[0], dtype=float)
        centre = ndimage.center_of_mass(np.where(bright > 1000, bright, 0))
        places.append((np.asarray(image.affine) @ [*centre, 1.0])[:3])
    np.testing.assert_allclose(places[1], places[0], atol=1.0)
    assert changed["image_facts"]["age_years"] == 50.0
    spacing_mm = np.linalg.norm(np.asarray(changed["image"].affine)[:3, :3], axis=0)
    np.testing.assert_allclose(
        changed["image_facts"]["field_of_view_mm"], spacing_mm * changed["image"].shape[1:], rtol=1e-5
    )


def test_another_orientation_holds_the_same_voxels(head: np.ndarray) -> None:
    image = PerturbBrain("orientation", 1.0)(as_image(head))
    here = np.array([5, 7, 11, 1.0])
    there = np.linalg.inv(AFFINE) @ np.asarray(image.affine) @ here
    assert image[0, 5, 7, 11] == head[tuple(np.rint(there[:3]).astype(int))]
    assert np.linalg.det(np.asarray(image.affine)[:3, :3]) == pytest.approx(np.linalg.det(AFFINE[:3, :3]))
    np.testing.assert_array_equal(applied("mirror", 1.0, head), head[::-1])


def test_voxels_and_slices_that_are_large_already_are_left_out(head: np.ndarray) -> None:
    with pytest.raises(NotApplicable, match="that thick already"):
        applied("slice_thickness", 5.0, head)
    with pytest.raises(NotApplicable, match="that large already"):
        applied("voxel_size", 4.0, head)
    # Only the axes whose voxels are shorter: 4 mm become 5 mm, 5 mm stay.
    assert applied("voxel_size", 5.0, head).shape == (40, 48, 50)


@pytest.mark.parametrize(
    ("name", "grade", "words"),
    [
        ("noise", -1.0, "no negative strength"),
        ("bias", 0.5, "at least 1"),
        ("gamma", 0.0, "gamma is positive"),
        ("gibbs", 1.0, "alpha lies in 0..1"),
        ("crop_top", 500.0, "nothing of the head is left"),
    ],
)
def test_impossible_grades_are_refused(name: str, grade: float, words: str, head: np.ndarray) -> None:
    with pytest.raises(InputError, match=words):
        applied(name, grade, head)


def test_an_empty_image_is_no_head() -> None:
    with pytest.raises(InputError, match="the image shows nothing"):
        applied("noise", 0.1, np.zeros((20, 20, 20), np.float32))
