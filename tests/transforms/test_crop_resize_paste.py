"""The random crop, resize and paste: where the patch goes, and that a seed repeats it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms import RandCropResizePaste, RandCropResizePasted
from agezoo.transforms.crop_resize_paste import PatchPlacement, place_patch


def smooth_image(seed: int = 0, shape: tuple[int, int] = (224, 224)) -> np.ndarray:
    image = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 3)
    return (0.2 + 0.8 * (image - image.min()) / np.ptp(image)).astype(np.float32)


def test_unscaled_patch_is_copied_pixel_for_pixel():
    view = smooth_image(shape=(20, 30))
    placement = PatchPlacement(0.0, (4.0, 6.0), (10, 15), 1.0, (7, 2))
    expected = np.zeros((20, 30), dtype=np.float32)
    expected[7:17, 2:17] = view[4:14, 6:21]
    np.testing.assert_allclose(place_patch(view, placement), expected, atol=1e-6)


def test_patch_twice_as_large_shows_a_bar_twice_as_wide():
    view = np.zeros((40, 40), dtype=np.float32)
    view[10:14, 10:20] = 1
    result = place_patch(view, PatchPlacement(0.0, (8.0, 8.0), (40, 40), 2.0, (0, 0)))
    # Rows 10..13 of the view are rows 2..5 of the cut, so 4..11 of the patch; its sum grows fourfold.
    assert result.sum() == pytest.approx(4 * 40)
    assert (result[:, 10] > 0.5).nonzero()[0].tolist() == list(range(4, 12))


def test_rotation_turns_about_the_centre():
    view = np.zeros((41, 41), dtype=np.float32)
    view[20, 30] = 1
    result = place_patch(view, PatchPlacement(90.0, (0.0, 0.0), (41, 41), 1.0, (0, 0)))
    assert np.unravel_index(result.argmax(), result.shape) in [(10, 20), (30, 20)]
    assert result.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_each_view_keeps_its_patch_in_its_own_half(seed):
    transform = RandCropResizePaste(1.0, noise_sd=0, max_rotation_degrees=0).set_random_state(seed)
    image = smooth_image()[None]
    result = transform(image)
    assert result.shape == image.shape
    for half in (result[0, :112], result[0, 112:]):
        rows, columns = np.nonzero(half > 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        # Half the edges, magnified 1 to 1.5 fold by one factor.
        assert 56 <= height <= 84
        assert width == pytest.approx(2 * height, abs=2)
        assert (half > 0).sum() == height * width


def test_a_single_view_is_the_released_behaviour():
    transform = RandCropResizePaste(1.0, noise_sd=0, max_rotation_degrees=0, n_views=1, resize_factor=(1, 1))
    result = transform.set_random_state(3)(smooth_image()[None])[0]
    rows, columns = np.nonzero(result > 0)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (112, 112)


def test_patch_never_outgrows_the_view():
    transform = RandCropResizePaste(1.0, patch_fraction=0.9, resize_factor=(1.5, 1.5), noise_sd=0)
    assert transform.set_random_state(0)(smooth_image()[None]).shape == (1, 224, 224)


def test_whole_view_unscaled_without_noise_is_the_image_itself():
    transform = RandCropResizePaste(
        1.0, patch_fraction=1.0, resize_factor=(1, 1), max_rotation_degrees=0, noise_sd=0
    ).set_random_state(0)
    np.testing.assert_allclose(transform(smooth_image()[None])[0], smooth_image(), atol=1e-6)


def test_values_stay_within_0_and_1_under_strong_noise():
    result = RandCropResizePaste(1.0, noise_sd=0.5).set_random_state(0)(smooth_image()[None])
    assert result.min() == 0
    assert result.max() == 1


def test_noise_has_the_sd_that_was_asked_for():
    image = np.full((1, 224, 224), 0.5, dtype=np.float32)
    transform = RandCropResizePaste(
        1.0, patch_fraction=1.0, resize_factor=(1, 1), max_rotation_degrees=0, noise_sd=0.05
    )
    assert transform.set_random_state(1)(image).std() == pytest.approx(0.05, rel=0.02)


def test_same_seed_same_image_and_another_seed_another_image():
    image = smooth_image()[None]
    first, again, other = (RandCropResizePaste(1.0).set_random_state(seed)(image) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_global_random_state_is_neither_used_nor_changed():
    np.random.seed(0)  # noqa: NPY002 - the global generator is what must stay out of it
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = RandCropResizePaste(1.0).set_random_state(5)(smooth_image()[None])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(99)  # noqa: NPY002
    np.testing.assert_array_equal(RandCropResizePaste(1.0).set_random_state(5)(smooth_image()[None]), first)


def test_share_of_changed_images_follows_prob():
    transform = RandCropResizePaste(0.3, noise_sd=0).set_random_state(0)
    image = smooth_image(shape=(16, 16))[None]
    changed = sum(not np.array_equal(transform(image), image) for _ in range(400))
    # Four SD of a binomial with n = 400, p = 0.3 are 37.
    assert 120 - 37 <= changed <= 120 + 37


def test_dictionary_form_gives_all_keys_the_same_draw_and_follows_its_seed():
    image = smooth_image()[None]
    transform = RandCropResizePasted(["image", "copy"], prob=1.0).set_random_state(4)
    result = transform({"image": MetaTensor(torch.from_numpy(image)), "copy": image})
    np.testing.assert_array_equal(result["image"].numpy(), result["copy"])
    again = RandCropResizePasted(["image"], prob=1.0).set_random_state(4)({"image": image})
    np.testing.assert_array_equal(again["image"], result["copy"])


def test_dictionary_form_with_prob_0_changes_nothing():
    image = smooth_image()[None]
    assert RandCropResizePasted("image", prob=0.0)({"image": image})["image"] is image


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_fraction": 0}, "patch_fraction"),
        ({"patch_fraction": 1.2}, "patch_fraction"),
        ({"resize_factor": (1.5, 1.0)}, "resize_factor"),
        ({"noise_sd": -1}, "noise_sd"),
    ],
)
def test_impossible_strengths_are_errors(options, message):
    with pytest.raises(InputError, match=message):
        RandCropResizePaste(1.0, **options)


def test_image_that_cannot_be_halved_is_an_error():
    with pytest.raises(InputError, match="multiple of n_views"):
        RandCropResizePaste(1.0)(np.zeros((1, 9, 8)))
