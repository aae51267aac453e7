"""Every perturbation of a radiograph does what its grade says, keeps its input and repeats itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from agezoo.errors import InputError
from agezoo.transforms.perturb import CATALOGUES, PerturbRadiograph, PerturbRadiographd, chosen_perturbations
from agezoo.transforms.perturb.catalogue import NotApplicable
from agezoo.transforms.perturb.radiograph_blur import path_kernel
from agezoo.transforms.perturb.radiograph_position import shifted, turn

PERTURBATIONS = CATALOGUES["radiograph"]
SPACING_MM = (0.5, 0.5)
UNKNOWN_MM = (np.nan, np.nan)


def lateral() -> np.ndarray:
    """A bright column in grey tissue with dark air at one side; 240 x 120 pixels, 0 to about 3000."""
    y, x = np.mgrid[0:240, 0:120].astype(np.float32)
    image = np.where(x < 95, 1200.0 + 2.0 * y + x, 5.0 + x)
    image[(abs(x - 60) < 18) & (y % 20 < 15)] += 900
    return np.asarray(image, dtype=np.float32)


def applied(name: str, grade: float, image: np.ndarray, spacing_mm=SPACING_MM, seed: int = 1) -> np.ndarray:
    result: np.ndarray = PERTURBATIONS[name].apply(image, grade, spacing_mm=spacing_mm, rng=np.random.default_rng(seed))
    return result


@pytest.mark.parametrize("spacing_mm", [SPACING_MM, UNKNOWN_MM], ids=["spacing known", "unknown"])
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_changes_a_copy_and_repeats_itself(name, spacing_mm):
    image = lateral()
    before = image.copy()
    perturbation = PERTURBATIONS[name]
    grade = max(perturbation.grades, key=perturbation.strength)
    first, second = (applied(name, grade, image, spacing_mm) for _ in range(2))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)
    assert first.shape != image.shape or not np.array_equal(first, image)
    assert np.isfinite(first).all()


@pytest.mark.parametrize(
    "name", [name for name in PERTURBATIONS if name not in ("bits", "jpeg", "pixel_size") and "metal" not in name]
)
def test_the_neutral_grade_changes_nothing(name):
    image = lateral()
    np.testing.assert_allclose(applied(name, PERTURBATIONS[name].neutral, image), image, atol=1e-3)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_grades_run_from_weak_to_strong_on_each_side(name):
    perturbation = PERTURBATIONS[name]
    assert len(set(perturbation.grades)) == len(perturbation.grades)
    for side in (-1, 1):
        strengths = [perturbation.strength(g) for g in perturbation.grades if (g - perturbation.neutral) * side > 0]
        assert strengths == sorted(strengths, reverse=side < 0 and name in ("gamma", "magnification"))


def flat(value: float = 500.0) -> np.ndarray:
    """Grey, with black and white strips of 3 %, a range of 0 to 1000, and a pixel far beyond on each side."""
    image = np.full((300, 300), value, dtype=np.float32)
    image[:9], image[-9:] = 0.0, 1000.0
    image[1, 1], image[-2, -2] = -1000.0, 2000.0
    return image


def test_noise_has_its_share_of_the_range():
    added = (applied("noise", 0.05, flat()) - flat())[9:-9]
    assert added.std() == pytest.approx(50.0, rel=0.02)
    assert added.mean() == pytest.approx(0.0, abs=1.0)
    assert np.corrcoef(added[1:].ravel(), added[:-1].ravel())[0, 1] == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize(("name", "grade"), [("noise", 0.1), ("dose", 0.01)])
def test_what_is_saturated_stays_so_under_noise(name, grade):
    image = lateral()
    image[:, 100:] = image.min()
    image[200:, :30] = image.max()
    changed = applied(name, grade, image)
    np.testing.assert_array_equal(changed[:, 100:], image[:, 100:])
    np.testing.assert_array_equal(changed[200:, :30], image[200:, :30])
    assert (changed.min(), changed.max()) == (image.min(), image.max())
    assert (changed[:200, :90] != image[:200, :90]).mean() > 0.99


def test_noise_of_a_lower_dose_by_hand():
    def sd(fraction: float, value: float = 500.0, pixel_mm: float = 0.2) -> float:
        image = flat(value)
        return float((applied("dose", fraction, image, (pixel_mm, pixel_mm)) - image)[9:-9].std())

    # 45000 quanta per mm2 on 0.04 mm2: 1800; a tenth of the dose lacks the variance 9 / 1800 of the logarithm, whose
    # whole range ln 50 is 1000 grey values.
    assert sd(0.1) == pytest.approx(np.sqrt(9 / 1800) * 1000 / np.log(50), rel=0.02)
    assert sd(0.25) / sd(0.1) == pytest.approx(np.sqrt(3 / 9), rel=0.02)
    assert sd(0.1, pixel_mm=0.4) / sd(0.1) == pytest.approx(0.5, rel=0.02)
    # From the middle of the range to white the exposure falls by the root of 50.
    assert sd(0.1, value=999.0) / sd(0.1) == pytest.approx(50**0.25, rel=0.03)


def test_blur_has_its_width_in_millimetres():
    image = np.zeros((101, 101), dtype=np.float32)
    image[50, 50] = 1.0
    # Pixels twice as high as wide.
    spread = applied("blur", 4.0, image, (0.5, 0.25))
    assert spread.sum() == pytest.approx(1.0, rel=1e-4)
    for axis, size in ((0, 0.5), (1, 0.25)):
        profile = spread.sum(axis=1 - axis)
        place = (np.arange(101) - 50) * size
        assert np.sqrt((profile * place**2).sum()) * np.sqrt(8 * np.log(2)) == pytest.approx(4.0, rel=0.02)


def test_motion_spreads_along_a_line_of_its_length():
    image = np.zeros((81, 81), dtype=np.float32)
    image[40, 40] = 1.0
    directions = set()
    for seed in range(5):
        smear = applied("motion", 10.0, image, seed=seed)
        y, x = ((np.arange(81) - 40) * 0.5 for _ in range(2))
        covariance = np.cov(
            np.stack(np.meshgrid(y, x, indexing="ij")).reshape(2, -1), aweights=smear.ravel(), bias=True
        )
        across, along = np.sqrt(np.linalg.eigvalsh(covariance))
        # A uniform line of 10 mm has an SD of 10 / sqrt(12); across there is only the grid's own width.
        assert along == pytest.approx(10 / np.sqrt(12), rel=0.02)
        assert across < 0.3
        directions.add(round(float(covariance[0, 1]), 2))
    assert len(directions) == 5


def test_motion_kernel_by_hand():
    np.testing.assert_allclose(path_kernel(np.array([0.0, 0.0])), [[1.0]])
    # Two pixels along a row: every point gives its share to its neighbours, a quarter, a half and a quarter.
    np.testing.assert_allclose(path_kernel(np.array([0.0, 2.0])), [[0.25, 0.5, 0.25]], atol=0.01)


def test_turning_keeps_angles_in_space_when_pixels_are_no_squares():
    image = np.zeros((41, 81), dtype=np.float32)
    image[5:8, 39:42] = 1.0
    # 14 rows of 1 mm above the middle; turned by a right angle 28 columns of 0.5 mm to the left of it.
    result = turn(image, 90.0, spacing_mm=(1.0, 0.5))
    places = np.argwhere(result > 0.5)
    assert tuple(places.mean(axis=0).round()) == (20, 12)


def test_rotation_turns_by_its_angle_to_both_sides():
    rod = np.zeros((121, 121), dtype=np.float32)
    rod[20:101, 59:62] = 1.0
    slopes = []
    for seed in range(6):
        result = applied("rotation", 15.0, rod, seed=seed)
        points = np.argwhere(result > 0.5) - 60.0
        direction = np.linalg.svd(points, full_matrices=False)[2][0]
        slopes.append(direction[1] / direction[0])
    np.testing.assert_allclose(np.degrees(np.arctan(np.abs(slopes))), 15.0, atol=0.5)
    assert len(np.unique(np.sign(slopes))) == 2


def test_black_comes_in_and_nothing_overshoots():
    image = lateral()
    for name, grade in (("rotation", 15.0), ("magnification", 0.8)):
        result = applied(name, grade, image)
        assert result[0, 0] == image.min()
        assert image.min() <= result.min() <= result.max() <= image.max()


def test_magnification_is_about_the_middle():
    image = np.zeros((101, 101), dtype=np.float32)
    image[40:61, 70:75] = 1.0
    larger = np.argwhere(applied("magnification", 1.2, image) > 0.5)
    # Rows 40 to 61 around 50.5 become 21 * 1.2 high; columns 70 to 75 lie 22 * 1.2 to the right.
    assert np.ptp(larger[:, 0]) + 1 == pytest.approx(21 * 1.2, abs=1)
    assert larger[:, 1].mean() + 0.5 - 50.5 == pytest.approx((72.5 - 50.5) * 1.2, abs=0.5)


def test_shift_moves_by_its_distance_in_every_direction():
    image = np.zeros((200, 200), dtype=np.float32)
    image[100, 100] = 1.0
    moves = [
        (np.argwhere(applied("shift", 20.0, image, (0.5, 0.4), seed=s) == 1)[0] - 100) * (0.5, 0.4) for s in range(8)
    ]
    np.testing.assert_allclose(np.linalg.norm(moves, axis=1), 20.0, atol=0.5)
    assert len(np.unique(np.sign(moves), axis=0)) > 2
    moved = shifted(lateral(), 5, -3)
    np.testing.assert_array_equal(moved[5:, :-3], lateral()[:-5, 3:])
    assert (moved[:5] == lateral().min()).all()


def test_unknown_spacing_counts_the_longer_side_as_430_mm():
    image = np.zeros((430, 200), dtype=np.float32)
    image[215, 100] = 1.0
    moved = np.argwhere(applied("shift", 43.0, image, UNKNOWN_MM) == 1)[0]
    # A tenth of the longer side, which has a pixel per millimetre then.
    assert np.hypot(*(moved - (215, 100))) == pytest.approx(43.0, abs=0.8)


def test_flip_mirrors_the_columns():
    image = lateral()
    np.testing.assert_array_equal(applied("flip", 1.0, image), image[:, ::-1])


def test_crops_cut_where_they_say():
    image = lateral()
    np.testing.assert_array_equal(applied("crop_cranial", 0.2, image), image[48:])
    np.testing.assert_array_equal(applied("crop_caudal", 0.2, image), image[:192])
    np.testing.assert_array_equal(applied("crop_sides", 0.5, image), image[:, 30:90])


@pytest.mark.parametrize(("name", "value"), [("collimation", 0.0), ("border", 3000.0)])
def test_frames_cover_their_share_of_each_side(name, value):
    image = lateral()
    image[0, 0], image[120, 60] = 0.0, 3000.0
    framed = applied(name, 0.1, image)
    np.testing.assert_array_equal(framed[12:228, 6:114], image[12:228, 6:114])
    assert framed.shape == image.shape
    outside = np.ones(image.shape, dtype=bool)
    outside[12:228, 6:114] = False
    assert (framed[outside] == value).all()


def test_marker_has_its_height_and_stands_in_an_upper_corner():
    sides = set()
    for seed in range(6):
        image = np.zeros((430, 215), dtype=np.float32)
        image[400:] = 1000.0
        added = applied("marker", 20.0, image, (1.0, 1.0), seed=seed) != image
        rows, columns = np.flatnonzero(added.any(axis=1)), np.flatnonzero(added.any(axis=0))
        assert rows[-1] - rows[0] + 1 == pytest.approx(20, abs=1)
        assert rows[0] < 20
        edge = min(columns[0], 214 - columns[-1])
        assert edge == pytest.approx(0.07 * 215, abs=2), "the crop of the sides, 5 %, must leave the marker"
        sides.add(columns[0] < 100)
    assert sides == {True, False}


def test_grey_scales_by_hand():
    image = np.array([[0.0, 25.0], [50.0, 100.0]], dtype=np.float32)
    np.testing.assert_allclose(applied("gamma", 2.0, image), [[0.0, 6.25], [25.0, 100.0]])
    np.testing.assert_allclose(applied("inversion", 1.0, image), [[100.0, 75.0], [50.0, 0.0]])
    ramp = np.tile(np.linspace(0, 1000, 3001, dtype=np.float32), (3, 1))
    # The range is 10 to 990; its middle 40 %.
    narrow = applied("window", 0.4, ramp)
    assert (narrow.min(), narrow.max()) == pytest.approx((500 - 0.2 * 980, 500 + 0.2 * 980), abs=1)
    np.testing.assert_allclose(narrow[:, 1200:1800], ramp[:, 1200:1800])


def test_bits_are_equal_steps_over_the_whole_range():
    ramp = np.tile(np.arange(1000, dtype=np.float32), (4, 1))
    coarse = applied("bits", 4.0, ramp)
    values = np.unique(coarse)
    assert len(values) == 16
    assert (values[0], values[-1]) == (0, 999)
    np.testing.assert_allclose(np.diff(values), 999 / 15, rtol=1e-4)
    assert np.abs(coarse - ramp).max() <= 999 / 30 + 0.01
    with pytest.raises(NotApplicable, match="no more grey values than that; found: 1000; expected: more than 1024"):
        applied("bits", 10.0, ramp)


def test_large_pixels_are_means_of_small_ones():
    image = np.random.default_rng(0).random((64, 96), dtype=np.float32)
    large = applied("pixel_size", 1.0, image, (0.5, 0.25))
    np.testing.assert_allclose(large, image.reshape(32, 2, 24, 4).mean(axis=(1, 3)), atol=1e-5)
    with pytest.raises(NotApplicable, match=r"that large already; found: 0.5 mm"):
        applied("pixel_size", 0.5, image, (0.5, 0.25))
    with pytest.raises(InputError, match="too few pixels of this size"):
        applied("pixel_size", 20.0, image, (0.5, 0.25))


def test_jpeg_loses_more_at_lower_quality():
    image = lateral() + np.random.default_rng(0).normal(0, 40, (240, 120)).astype(np.float32)
    lost = [float(np.abs(applied("jpeg", quality, image) - image).mean()) for quality in (95.0, 50.0, 5.0)]
    assert 0 < lost[0] < lost[1] < lost[2]
    # The best quality still has only 256 grey values.
    assert lost[0] < 2 * np.ptp(image) / 255


@pytest.mark.parametrize(
    ("name", "grade", "words"),
    [
        ("noise", -0.1, "no negative strength"),
        ("dose", 0.0, "a fraction of the dose is needed"),
        ("blur", -1.0, "a length in mm is needed"),
        ("magnification", 0.0, "no such magnification"),
        ("crop_sides", 0.95, "cannot take away this part"),
        ("flip", 0.5, "no grades between"),
        ("gamma", 0.0, "is positive"),
        ("window", 1.5, "a part of the grey range is needed"),
        ("bits", 2.5, "a number of bits is needed"),
        ("jpeg", 0.0, "no such quality"),
        ("marker", -1.0, "a height in mm is needed"),
        ("metal_screws", 0.0, "a number of levels is needed"),
        ("metal_hip", 500.0, "no such head"),
    ],
)
def test_impossible_grades_are_refused(name, grade, words):
    with pytest.raises(InputError, match=words):
        applied(name, grade, lateral())


@pytest.mark.parametrize("name", ["noise", "dose", "gamma", "window", "inversion", "metal_screws"])
def test_a_blank_image_is_refused(name):
    perturbation = PERTURBATIONS[name]
    with pytest.raises(InputError, match="blank"):
        applied(name, perturbation.grades[-1], np.zeros((240, 120), dtype=np.float32))


def read_item(spacing_mm: float | None = 0.5) -> dict:
    image = lateral()
    extent = [np.nan] * 3 if spacing_mm is None else [np.nan, 120 * spacing_mm, 240 * spacing_mm]
    facts = {
        "kind": "radiograph",
        "age_years": 61.0,
        "field_of_view_mm": np.asarray(extent, np.float32),
        "area": np.asarray([0, 0, 240, 120, 240, 120], np.float32),
    }
    return {"image": MetaTensor(torch.from_numpy(image)[None]), "image_facts": facts, "reading_notes": ""}


@pytest.mark.parametrize(
    ("name", "grade", "extent_mm"),
    [
        ("noise", 0.05, (60.0, 120.0)),
        ("magnification", 1.1, (60.0, 120.0)),
        ("crop_caudal", 0.2, (60.0, 96.0)),
        ("crop_sides", 0.5, (30.0, 120.0)),
        ("pixel_size", 1.5, (60.0, 120.0)),
    ],
)
def test_monai_form_follows_the_field_of_view(name, grade, extent_mm):
    item = read_item()
    changed = Compose([PerturbRadiographd("image", name, grade)])(item)
    np.testing.assert_allclose(changed["image_facts"]["field_of_view_mm"], [np.nan, *extent_mm], rtol=1e-5)
    assert changed["image_facts"]["kind"] == "radiograph"
    assert changed["image_facts"]["age_years"] == 61.0
    # What is shown is no rectangle of the stored image any more.
    assert "area" not in changed["image_facts"]
    assert "area" in item["image_facts"]
    assert changed["image"].shape[0] == 1


def test_monai_form_without_spacing_leaves_it_unknown():
    changed = PerturbRadiographd("image", "crop_caudal", 0.2)(read_item(None))
    assert np.isnan(changed["image_facts"]["field_of_view_mm"]).all()
    assert changed["image"].shape == (1, 192, 120)


def test_monai_form_gives_all_grades_the_same_noise():
    image = read_item()["image"]
    # Away from black and white, where noise is cut off.
    grey = (image > 1300) & (image < 2000)
    weak, strong = ((PerturbRadiograph("noise", grade, seed=4)(image) - image)[grey] for grade in (0.01, 0.02))
    torch.testing.assert_close(strong, 2 * weak, atol=1e-2, rtol=1e-3)
    other = (PerturbRadiograph("noise", 0.01, seed=5)(image) - image)[grey]
    assert not torch.allclose(other, weak)


def test_monai_form_refuses_other_names_and_shapes():
    with pytest.raises(InputError, match="one perturbation at a time; found: crop"):
        PerturbRadiograph("crop", 0.1)
    with pytest.raises(InputError, match="no such perturbation; found: hu_slope"):
        PerturbRadiograph("hu_slope", 1.1)
    with pytest.raises(InputError, match="needs one image"):
        PerturbRadiograph("noise", 0.1)(torch.zeros(2, 40, 40))


def test_names_are_looked_up_in_the_bundles_own_catalogue():
    assert list(chosen_perturbations(["crop", "flip"], reader="radiograph")) == [
        "crop_cranial", "crop_caudal", "crop_sides", "flip"
    ]  # fmt: skip
    assert chosen_perturbations(reader="radiograph") == {name: p.grades for name, p in PERTURBATIONS.items()}
    with pytest.raises(InputError, match="no such perturbation; found: slice_thickness"):
        chosen_perturbations(["slice_thickness"], reader="radiograph")
    with pytest.raises(InputError, match="no such perturbation; found: jpeg"):
        chosen_perturbations(["jpeg"])


def test_switches_are_told_without_a_number():
    assert PERTURBATIONS["flip"].graded(1.0) == ""
    assert PERTURBATIONS["rotation"].graded(15.0) == "15 degrees"
