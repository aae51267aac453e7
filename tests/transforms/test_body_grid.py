"""The network's grid, and volumes brought to it."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.transforms import body_shape
from agezoo.transforms.body.axis_resampling import resampled
from agezoo.transforms.body.body_grid import affine_for, body_grid, centre_mm
from agezoo.transforms.labels_on_grid import labels_on_grid


def las(spacing_mm: tuple[float, float, float], origin_mm: tuple[float, float, float]) -> np.ndarray:
    affine = np.diag([-spacing_mm[0], spacing_mm[1], spacing_mm[2], 1.0])
    affine[:3, 3] = origin_mm
    return affine


@pytest.mark.parametrize("factor", [1.0, 2.0, 3.3, 8.0])
def test_larger_voxels_fill_the_same_space(factor: float) -> None:
    grid = body_grid(factor)
    np.testing.assert_allclose(grid.extent_mm, (500, 375, 1089))
    assert grid.shape == tuple(round(n / factor) for n in (224, 168, 363)) == body_shape(factor)


def test_the_field_of_view_is_centred_on_the_point() -> None:
    grid = body_grid(4)
    affine = grid.affine_around((10.0, -20.0, 30.0))
    corners = affine @ np.array([[-0.5] * 3 + [1], [n - 0.5 for n in grid.shape] + [1]]).T
    np.testing.assert_allclose(corners[:3].mean(axis=1), (10, -20, 30))
    np.testing.assert_allclose(corners[:3, 0], (10 + 250, -20 - 187.5, 30 - 544.5))


@pytest.mark.parametrize("factor", [0.5, 100.0, float("nan")])
def test_impossible_voxels_are_refused(factor: float) -> None:
    with pytest.raises(InputError, match="spacing_factor"):
        body_grid(factor)


def test_a_volume_in_the_grids_voxels_is_moved_without_interpolation() -> None:
    """Its own number of slices is odd or even, so that exact centring would need half a voxel."""
    grid = body_grid(8)
    shape = tuple(n + k for n, k in zip(grid.shape, (0, 2, -1), strict=True))
    affine = las(grid.spacing_mm, (17.0, 3.0, -900.0))
    volume = np.random.default_rng(0).random(shape, dtype=np.float32)
    target = affine_for(grid, affine, shape)
    result = resampled(volume, affine, target, grid.shape)
    # The one slice that the volume does not reach is 0.
    held = result[:, :, 1:] if not result[:, :, 0].any() else result[:, :, :-1]
    np.testing.assert_array_equal(held, volume[:, 1:-1])
    assert np.count_nonzero(result.any(axis=(0, 1))) == shape[2]
    apart = (centre_mm(target, grid.shape) - centre_mm(affine, shape)) / grid.spacing_mm
    assert np.abs(apart).max() <= 0.5 + 2e-3


def test_linear_fields_survive_resampling_and_outside_is_zero() -> None:
    affine = las((2.0, 3.0, 4.0), (20.0, 0.0, 0.0))
    i, j, k = np.indices((20, 12, 10))
    field = (3 * i - 2 * j + 5 * k + 100).astype(np.float32)
    target = las((1.5, 2.0, 3.0), (14.0, 6.0, 8.0))
    result = resampled(field, affine, target, (14, 9, 8))
    x, y, z = np.indices(result.shape)
    expected = 3 * (6.0 + 1.5 * x) / 2 - 2 * (6.0 + 2.0 * y) / 3 + 5 * (8.0 + 3.0 * z) / 4 + 100
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    far = resampled(field, affine, las((1.5, 2.0, 3.0), (114.0, 6.0, 8.0)), (14, 9, 8))
    assert not far.any()


def test_oblique_volumes_give_what_the_parallel_ones_give() -> None:
    affine = las((2.0, 2.0, 2.0), (20.0, 0.0, 0.0))
    i, j, k = np.indices((20, 20, 20))
    volume = (i + j + k).astype(np.float32)
    angle = np.deg2rad(5)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    target = las((2.0, 2.0, 2.0), (10.0, 10.0, 10.0))
    straight = resampled(volume, affine, target, (8, 8, 8))
    np.testing.assert_allclose(resampled(volume, turn @ affine, turn @ target, (8, 8, 8)), straight, rtol=1e-4)
    slanted = resampled(volume, turn @ affine, target, (8, 8, 8))
    assert 0 < np.abs(slanted - straight).max() < 5


def test_fine_patterns_are_blurred_before_they_alias() -> None:
    stripes = np.zeros((32, 8, 8), np.float32)
    stripes[::2] = 1
    fine, coarse = las((1.0, 1.0, 1.0), (0, 0, 0)), las((4.0, 1.0, 1.0), (0, 0, 0))
    result = resampled(stripes, fine, coarse, (8, 8, 8))
    assert np.abs(result[1:-1] - 0.5).max() < 0.05


def test_labels_come_to_voxels_of_unlike_edges() -> None:
    """Along its long edge a voxel covers several labels' slices; the one that fills most of it counts."""
    fine = np.zeros((8, 8, 12), np.uint8)
    fine[..., 2:10] = 3
    fine[:2, :, 5] = 7
    coarse = las((1.0, 1.0, 4.0), (0.0, 0.0, 1.5))
    result = labels_on_grid(fine, las((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), coarse, (8, 8, 3))
    assert (result[..., 1] == 3).all(), "one slice of label 7 does not fill a voxel of four"
    assert result.dtype == np.uint8
    turned = np.swapaxes(fine, 0, 2)
    back = las((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))[:, [2, 1, 0, 3]]
    np.testing.assert_array_equal(labels_on_grid(turned, back, coarse, (8, 8, 3)), result)
