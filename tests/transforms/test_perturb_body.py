"""Perturbations of whole bodies: each does what its description says, by the amount of its grade."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.perturb.body_catalogue import BODY_PERTURBATIONS
from agezoo.transforms.perturb.body_transform import PerturbBody, PerturbBodyd
from agezoo.transforms.perturb.perturbation import NotApplicable
from body_cohort_files import AFFINE, SPACING_MM, body


@pytest.fixture(scope="module")
def water() -> np.ndarray:
    return body(60.0, 3)[0].astype(np.float32)


def perturbed(image: np.ndarray, name: str, grade: float, seed: int = 0) -> np.ndarray:
    tensor = MetaTensor(torch.from_numpy(image.copy())[None], affine=torch.as_tensor(AFFINE))
    result = PerturbBody(name, grade, seed=seed)(tensor)
    assert isinstance(result, MetaTensor)
    assert np.array_equal(np.asarray(result.affine), AFFINE)
    return np.asarray(result)[0]


@pytest.mark.parametrize("name", BODY_PERTURBATIONS)
def test_neutral_grade_changes_nothing(water: np.ndarray, name: str) -> None:
    if name == "smoothing":
        assert np.array_equal(perturbed(water, name, 0.0), water)
    changed = perturbed(water, name, BODY_PERTURBATIONS[name].neutral)
    assert np.allclose(changed, water, atol=1e-3)


@pytest.mark.parametrize("name", BODY_PERTURBATIONS)
def test_strongest_grade_changes_it_repeatably_and_leaves_air_at_0(water: np.ndarray, name: str) -> None:
    grade = max(BODY_PERTURBATIONS[name].grades, key=BODY_PERTURBATIONS[name].strength)
    first, second = (perturbed(water, name, grade) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.allclose(first, water)
    assert np.isfinite(first).all()
    assert first.min() == 0
    assert 0.4 < (first > 0).sum() / (water > 0).sum() <= 1.05


def test_noise_has_the_strength_of_its_grade(water: np.ndarray) -> None:
    bright = water > 200
    changed = perturbed(water, "noise", 0.15)
    sd = (changed - water)[bright].std()
    assert sd == pytest.approx(0.15 * np.median(water[water > 0]), rel=0.05)


def test_field_spans_its_ratio(water: np.ndarray) -> None:
    ratio = perturbed(water, "bias", 2.5)[water > 0] / water[water > 0]
    low, high = np.percentile(ratio, [1, 99])
    assert high / low == pytest.approx(2.5, rel=1e-3)


def test_one_sixth_is_brighter(water: np.ndarray) -> None:
    ratio = np.where(water > 0, perturbed(water, "station_step", 2.0) / np.maximum(water, 1), np.nan)
    profile = np.nanmedian(ratio[:, :, (water > 0).any(axis=(0, 1))], axis=(0, 1))
    assert profile.max() == pytest.approx(2.0, rel=1e-3)
    assert profile.min() == pytest.approx(1.0, rel=1e-3)
    assert 0.1 < (profile > 1.5).mean() < 0.2


@pytest.mark.parametrize(
    ("name", "axis", "sides"), [("crop_cranial", 2, 1), ("crop_caudal", 2, 1), ("crop_lateral", 0, 2)]
)
def test_crops_take_away_their_length(water: np.ndarray, name: str, axis: int, sides: int) -> None:
    def shown(image: np.ndarray) -> np.ndarray:
        return np.flatnonzero((image > 0).any(axis=tuple(a for a in range(3) if a != axis)))

    before, after = shown(water), shown(perturbed(water, name, 50.0))
    assert (len(before) - len(after)) * SPACING_MM[axis] == pytest.approx(
        sides * 50.0, abs=sides * SPACING_MM[axis] / 2
    )
    assert (after[-1] < before[-1]) == (name != "crop_caudal")
    assert (after[0] > before[0]) == (name != "crop_cranial")


def test_shift_moves_by_its_distance(water: np.ndarray) -> None:
    moved = perturbed(water, "shift", 30.0)
    by = np.subtract(ndimage.center_of_mass(moved > 0), ndimage.center_of_mass(water > 0)) * SPACING_MM
    assert np.linalg.norm(by) == pytest.approx(30.0, abs=2.0)


@pytest.mark.parametrize(("name", "plane"), [("roll", (0, 1)), ("tilt", (0, 2))])
def test_turns_by_its_angle(name: str, plane: tuple[int, int]) -> None:
    # A long box, whose principal axis is known.
    image = np.zeros((60, 60, 60), np.float32)
    image[10:50, 25:35, 25:35] = 100.0
    tensor = MetaTensor(torch.from_numpy(image)[None], affine=torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]).double()))
    turned = np.asarray(PerturbBody(name, 5.0)(tensor))[0]
    points = np.argwhere(turned > 0)
    axis = np.linalg.eigh(np.cov(points.T))[1][:, -1]
    angle = np.degrees(np.arctan2(abs(axis[plane[1]]), abs(axis[plane[0]])))
    assert angle == pytest.approx(5.0, abs=0.7)


def test_several_channels_move_alike_and_keep_their_brightness(water: np.ndarray) -> None:
    both = MetaTensor(torch.from_numpy(np.stack([water, 2 * water])), affine=torch.as_tensor(AFFINE))
    moved = np.asarray(PerturbBodyd("image", "shift", 30.0)({"image": both})["image"])
    assert np.allclose(moved[1], 2 * moved[0], rtol=1e-5)
    with pytest.raises(NotApplicable, match="2 channels"):
        PerturbBody("noise", 0.1)(both)


def test_what_cannot_be_done_is_an_error(water: np.ndarray) -> None:
    with pytest.raises(InputError, match="no such perturbation"):
        PerturbBody("dose", 0.5)
    with pytest.raises(InputError, match="negative"):
        perturbed(water, "noise", -1.0)
    with pytest.raises(NotApplicable, match="nothing of the body"):
        perturbed(water, "crop_cranial", 5000.0)
    with pytest.raises(NotApplicable, match="half a voxel"):
        perturbed(water, "crop_cranial", 3.0)
