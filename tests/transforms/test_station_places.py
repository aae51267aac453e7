"""Where the stations of a visit lie: their common grid and their weights along the body."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.transforms.body.station_places import end_weights, field_of_view, heights_mm, visit_grid


def las(edges_mm: tuple[float, float, float], first_mm: tuple[float, float, float]) -> np.ndarray:
    affine = np.diag([-edges_mm[0], edges_mm[1], edges_mm[2], 1.0])
    affine[:3, 3] = first_mm
    return affine


UPPER = (las((2.0, 2.0, 3.0), (19.0, -9.0, 101.5)), (20, 10, 20))
LOWER = (las((4.0, 2.0, 5.0), (24.0, -13.0, 12.5)), (12, 14, 20))


def test_the_grid_takes_the_smallest_edges_and_covers_all_stations():
    grid = visit_grid([UPPER, LOWER])
    np.testing.assert_allclose(np.diag(grid.affine)[:3], [-2, 2, 3])
    low, high = field_of_view(grid.affine, grid.shape)
    # Left-right: 20 x 2 mm around 0 and 12 x 4 mm from 26 to -22; front-back: 10 x 2 and 14 x 2 mm; 10 to 160 mm up.
    for axis, (lowest, highest) in enumerate([(-22, 26), (-14, 14), (10, 160)]):
        edge = abs(grid.affine[axis, axis])
        assert low[axis] - edge / 2 <= lowest + edge / 2 + 1e-6
        assert abs(low[axis] - lowest) < edge
        assert abs(high[axis] - highest) < edge


def test_the_finest_station_needs_no_interpolation():
    grid = visit_grid([LOWER, UPPER])
    apart = (UPPER[0][:3, 3] - grid.affine[:3, 3]) / np.diag(grid.affine)[:3]
    np.testing.assert_allclose(apart, np.round(apart), atol=1e-6)


def test_slab_holds_the_slices_whose_centres_lie_between():
    grid = visit_grid([UPPER])
    slab = grid.slab(110.0, 125.0)
    affine, shape = grid.part(slab)
    centres = affine[2, 3] + affine[2, 2] * np.arange(shape[2])
    np.testing.assert_allclose(centres, [110.5, 113.5, 116.5, 119.5, 122.5])
    assert grid.slab(500.0, 600.0).stop - grid.slab(500.0, 600.0).start == 0


@pytest.mark.parametrize("heights", [[(100.0, 200.0), (20.0, 140.0)], [(20.0, 140.0), (100.0, 200.0)]])
def test_weights_of_neighbours_sum_to_one_across_their_overlap(heights):
    z_mm = np.linspace(101, 139, 39)
    one, other = (end_weights(z_mm, index, heights) for index in (0, 1))
    np.testing.assert_allclose(one + other, 1, atol=1e-3)
    upper = one if heights[0][1] == 200 else other
    assert (np.diff(upper) > 0).all(), "the upper station counts the more, the higher"
    assert upper[19] == pytest.approx(0.5)


def test_no_slice_is_without_weight():
    assert end_weights(np.array([0.0, 50.0, 100.0]), 0, [(0.0, 100.0)]) == pytest.approx([1e-4, 1, 1e-4])


def test_heights_are_outer_faces():
    assert heights_mm(*UPPER) == (100.0, 160.0)
