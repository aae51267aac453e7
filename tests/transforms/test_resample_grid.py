"""Resampling to the grid: exact cubic B-splines, the published sampling positions, little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms import ResampleToGrid, ResampleToGridd
from agezoo.transforms.resample_grid import grid_affine, resample_back, resample_to_grid
from agezoo.transforms.separable import cubic_weights, n_inside


def random_volume(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1024, 2000, shape).astype(np.int16)


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((40, 33, 21), (12, 14, 16)), ((9, 8, 7), (20, 24, 15)), ((2, 3, 50), (5, 4, 3)), ((30, 30, 30), (30, 30, 30))],
)
def test_equals_cubic_spline_interpolation_of_scipy(shape, grid):
    volume = random_volume(shape)
    positions = np.meshgrid(*(np.arange(t) * s / t for s, t in zip(shape, grid, strict=True)), indexing="ij")
    inside = np.all([p <= s - 1 for p, s in zip(positions, shape, strict=True)], axis=0)
    expected = ndimage.map_coordinates(volume.astype(np.float64), positions, order=3, mode="mirror")
    expected = np.clip(expected, volume.min(), volume.max())
    result = resample_to_grid(volume, grid=grid)
    assert result.dtype == np.float32
    assert result.shape == grid
    np.testing.assert_allclose(result[inside], expected[inside], atol=0.01)
    assert np.all(result[~inside] == -1024)


def test_positions_beyond_the_last_voxel_are_filled_and_the_last_voxel_itself_is_not():
    volume = np.full((4, 4, 4), 100, dtype=np.int16)
    result = resample_to_grid(volume, grid=(8, 4, 4), fill=-7)
    # Eight samples of four voxels lie at 0, 0.5, ... 3, 3.5.
    np.testing.assert_allclose(result[:, 0, 0], [100] * 7 + [-7], atol=1e-3)


def test_every_sample_position_is_classified_as_the_exact_fraction_says():
    for n_source in range(2, 40):
        for n_target in range(1, 40):
            by_hand = sum(i * n_source <= (n_source - 1) * n_target for i in range(n_target))
            assert n_inside(n_source, n_target) == by_hand


def test_first_voxel_keeps_its_value():
    volume = random_volume((50, 41, 30))
    assert resample_to_grid(volume, grid=(11, 12, 13))[0, 0, 0] == pytest.approx(int(volume[0, 0, 0]), abs=0.01)


def test_spline_does_not_leave_the_range_of_the_source():
    volume = np.full((32, 32, 32), -1000, dtype=np.int16)
    volume[16:] = 1000  # an edge at which a cubic spline overshoots
    free = ndimage.map_coordinates(volume.astype(float), [[14.4], [4], [4]], order=3, mode="mirror")
    assert free[0] < -1000
    result = resample_to_grid(volume, grid=(30, 30, 30))
    assert result.min() >= -1000
    assert result.max() <= 1000


@pytest.mark.parametrize(
    "view",
    [
        lambda v: v[::-1],
        lambda v: v[:, ::-1, ::-1],
        lambda v: v.transpose(2, 0, 1),
        lambda v: np.asfortranarray(v)[::-1],
        lambda v: v[::2, 1:, :],
    ],
)
def test_reversed_and_transposed_views_give_what_a_plain_copy_gives(view):
    strided = view(random_volume((24, 22, 20)))
    np.testing.assert_allclose(
        resample_to_grid(strided, grid=(8, 9, 10)),
        resample_to_grid(np.ascontiguousarray(strided), grid=(8, 9, 10)),
        atol=0.01,
    )


def test_scan_is_never_held_as_floats():
    volume = random_volume((160, 160, 80)).transpose(2, 1, 0)[::-1]
    cubic_weights(160, 16), cubic_weights(80, 16)
    tracemalloc.start()
    resample_to_grid(volume, grid=(16, 16, 16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < volume.nbytes / 4


def test_source_is_not_changed():
    volume = random_volume((12, 12, 12))
    before = volume.copy()
    resample_to_grid(volume, grid=(5, 5, 5))
    np.testing.assert_array_equal(volume, before)


def test_missing_values_are_an_error_that_says_where():
    volume = np.zeros((6, 7, 8), dtype=np.float32)
    volume[4, 1, 1:3] = np.nan
    with pytest.raises(InputError, match=r"2 of them in slice 4 of axis 0"):
        resample_to_grid(volume, grid=(3, 3, 3))


@pytest.mark.parametrize("shape", [(1, 20, 20), (20, 20), (5, 5, 0)])
def test_degenerate_volumes_are_an_error(shape):
    with pytest.raises(InputError, match="at least 2 voxels"):
        resample_to_grid(np.zeros(shape), grid=(3, 3, 3))


def test_grid_of_two_sizes_is_an_error():
    with pytest.raises(InputError, match="three sizes"):
        ResampleToGrid((112, 224))


def test_affine_maps_a_grid_voxel_to_the_place_of_its_source_position():
    affine = np.array([[-0.8, 0, 0, 150.0], [0, 0.7, 0.1, -90], [0, -0.1, 2.0, 30], [0, 0, 0, 1]])
    new = grid_affine(affine, volume_shape=(50, 40, 30), grid=(10, 16, 60))
    np.testing.assert_allclose(new @ [3, 4, 6, 1], affine @ [15, 10, 3, 1])


def test_meta_tensor_carries_the_affine_there_and_back():
    affine = torch.diag(torch.tensor([-0.8, 0.8, 2.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.zeros(1, 20, 30, 40, dtype=torch.int16), affine=affine)
    transform = ResampleToGrid((10, 10, 20))
    resampled = transform(image)
    assert resampled.dtype == torch.float32
    torch.testing.assert_close(resampled.affine.diag(), torch.tensor([-1.6, 2.4, 4.0, 1.0], dtype=torch.float64))
    back = transform.inverse(resampled)
    assert back.shape == image.shape
    torch.testing.assert_close(back.affine, affine)
    assert back.applied_operations == []
    torch.testing.assert_close(image.affine, affine)  # the input is not touched


def test_way_back_is_linear_between_grid_voxels_and_held_beyond_the_last():
    ramp = np.broadcast_to(np.arange(4.0), (4, 4, 4))
    back = resample_back(ramp, volume_shape=(4, 4, 8))
    np.testing.assert_allclose(back[2, 3], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3], atol=1e-6)


def test_plain_types_stay_plain():
    array = np.zeros((1, 6, 6, 6), dtype=np.int16)
    assert type(ResampleToGrid((3, 3, 3))(array)) is np.ndarray
    assert type(ResampleToGrid((3, 3, 3))(torch.from_numpy(array))) is torch.Tensor


def test_image_without_channel_axis_is_an_error():
    with pytest.raises(InputError, match="channel-first"):
        ResampleToGrid()(np.zeros((6, 6, 6)))


def test_dictionary_form_leaves_missing_keys_alone_when_allowed():
    transform = ResampleToGridd(["image", "label"], (3, 3, 3), allow_missing_keys=True)
    result = transform({"image": np.zeros((2, 6, 6, 6)), "age_years": 50.0})
    assert result["image"].shape == (2, 3, 3, 3)
    assert result["age_years"] == 50.0
    with pytest.raises(KeyError, match="label"):
        ResampleToGridd(["label"], (3, 3, 3))({"image": 0})
