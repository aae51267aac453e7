"""The body mask: equal to the published watershed, and the table gone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage
from skimage.filters import sobel
from skimage.segmentation import watershed

from agezoo.errors import InputError
from agezoo.transforms import MaskToBody, MaskToBodyd
from agezoo.transforms.body_mask import body_mask, fill_holes, mask_to_body


def blobs(seed: int, shape: tuple[int, int, int] = (30, 28, 26)) -> np.ndarray:
    """Smooth random HU volume with several objects, holes and tunnels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return (-600 + 4000 * noise).astype(np.float32)


def trunk() -> np.ndarray:
    """A body with a lung that holds a vessel, and a table under it."""
    volume = np.full((30, 30, 20), -1000.0)
    volume[5:25, 8:25, :] = 40
    volume[8:14, 12:20, 4:16] = -850
    volume[10:12, 15:17, 8:12] = 60
    volume[3:27, 3:5, :] = 200
    return volume


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_published_watershed_on_the_sobel_edges(seed):
    volume = blobs(seed)
    markers = np.where(volume < -600, 1, 2)
    tissue = watershed(sobel(volume), markers) == 2
    # The step that is left out decides nothing: the markers leave no voxel to flood.
    np.testing.assert_array_equal(tissue, volume >= -600)
    objects, _ = ndimage.label(ndimage.binary_fill_holes(tissue), structure=np.ones((3, 3, 3)))
    largest = objects == np.argmax(np.bincount(objects.ravel())[1:]) + 1
    expected = ndimage.binary_fill_holes(largest)
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(body_mask(volume), expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("density", [0.3, 0.5, 0.7])
def test_filling_holes_equals_scipy(seed, density):
    mask = np.random.default_rng(seed).random((14, 15, 16)) < density
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("value", [False, True])
def test_filling_holes_of_an_empty_and_of_a_full_mask_changes_nothing(value):
    mask = np.full((4, 5, 6), value)
    np.testing.assert_array_equal(fill_holes(mask), mask)


def test_table_goes_and_lung_belongs_to_the_body():
    expected = np.zeros((30, 30, 20), dtype=bool)
    expected[5:25, 8:25, :] = True
    np.testing.assert_array_equal(body_mask(trunk()), expected)


def test_air_inside_the_body_is_blanked_but_a_vessel_in_it_is_kept():
    result = mask_to_body(trunk())
    assert result[9, 13, 8] == -1024
    assert result[10, 15, 9] == 60
    assert result[15, 4, 10] == -1024
    assert result[6, 9, 0] == 40


def test_air_inside_the_body_stays_on_request():
    result = mask_to_body(trunk(), blank_inner_air=False)
    assert result[9, 13, 8] == -850
    assert result[15, 4, 10] == -1024


def test_table_that_touches_the_skin_stays_as_in_the_published_recipe():
    volume = trunk()
    volume[15, 5:8, 10] = 0
    assert body_mask(volume)[15, 4, 10]


def test_parts_that_touch_by_a_corner_are_one_body():
    volume = np.full((10, 10, 10), -1000.0)
    volume[1:4, 1:4, 1:4] = 0
    volume[4:6, 4:6, 4:6] = 0
    assert body_mask(volume).sum() == 27 + 8


def test_threshold_itself_is_tissue():
    volume = np.full((5, 5, 5), -601.0)
    volume[2, 2, 2] = -600
    assert body_mask(volume).sum() == 1


def test_volume_of_air_is_an_error_with_its_highest_value():
    with pytest.raises(InputError, match=r"no body was found.*-900 HU.*rescale slope"):
        body_mask(np.full((5, 5, 5), -900.0))


def test_meta_data_survive_and_the_input_is_not_changed():
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.as_tensor(trunk(), dtype=torch.float32)[None], affine=affine)
    result = MaskToBodyd("image", outside=-2000)({"image": image})["image"]
    torch.testing.assert_close(result.affine, affine)
    assert result[0, 0, 0, 0] == -2000
    assert image[0, 0, 0, 0] == -1000


def test_threshold_of_the_class_is_used():
    volume = trunk()[None]
    volume[0, 0, 0, 0] = 500
    kept = MaskToBody(threshold=300)(volume)
    assert (kept > -1024).sum() == 1
