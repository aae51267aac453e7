"""Label volumes land where the image of their scan shows the labelled tissue."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.transforms.project_labels import project_labels
from agezoo.transforms.resample_grid import resample_to_grid
from agezoo.transforms.slab_projection import central_slab_projection

GRID = (28, 24, 40)


@pytest.mark.parametrize("shape", [(60, 50, 90), (28, 24, 40), (41, 33, 17)], ids=["shrunk", "kept", "magnified"])
def test_planted_block_lands_where_the_projection_shows_it(shape):
    low = [int(0.3 * size) for size in shape]
    high = [int(0.62 * size) for size in shape]
    block = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    hu = np.zeros(shape, dtype=np.int16)
    labels = np.zeros(shape, dtype=np.uint8)
    hu[block], labels[block] = 1000, 3
    image = central_slab_projection(resample_to_grid(hu, grid=GRID, fill=0.0), thickness=6)
    (region,) = project_labels(labels, [3], grid=GRID, thickness=6)
    shown = image > 500
    assert shown[: GRID[0]].any()
    assert shown[GRID[0] :].any()
    # The spline crosses half the step half-way between voxels, where the nearest voxel changes; a sample there may
    # fall on either side.
    assert np.count_nonzero(region ^ shown) <= 0.1 * np.count_nonzero(shown)
    np.testing.assert_allclose(np.argwhere(region).mean(axis=0), np.argwhere(shown).mean(axis=0), atol=0.6)


def test_only_voxels_at_sampling_positions_within_the_slabs_count():
    labels = np.zeros((8, 8, 8), dtype=np.uint8)
    labels[2, 4, 6] = 1  # grid voxel (1, 2, 3): in both slabs, which are voxels 1..2
    labels[0, 0, 2] = 1  # grid voxel (0, 0, 1): in neither
    labels[3, 3, 3] = 1  # between the sampling positions 2 and 4: in no grid voxel
    labels[6, 2, 0] = 1  # grid voxel (3, 1, 0): in the coronal slab alone
    (region,) = project_labels(labels, [1], grid=(4, 4, 4), thickness=2)
    expected = np.zeros((8, 4), dtype=bool)
    expected[1, 3] = expected[4 + 2, 3] = True
    expected[3, 0] = True
    np.testing.assert_array_equal(region, expected)


def test_regions_behind_each_other_share_a_pixel():
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[0, 1, 0], labels[0, 2, 0] = 1, 2
    first, second, absent = project_labels(labels, [1, 2, 9], grid=(4, 4, 4), thickness=2)
    assert first[0, 0]
    assert second[0, 0]
    assert not absent.any()


def test_nothing_lies_beyond_the_last_voxel():
    # Positions 0, 0.5 .. 3.5: the last one is beyond the centre of the last voxel, where the image is air.
    (region,) = project_labels(np.ones((4, 4, 4), dtype=np.int16), [1], grid=(8, 8, 8), thickness=2)
    expected = np.ones((16, 8), dtype=bool)
    expected[[7, 15], :] = False
    expected[:, 7] = False
    np.testing.assert_array_equal(region, expected)


@pytest.mark.parametrize("labels", [np.zeros((4, 4, 4)), np.zeros((4, 4), dtype=np.uint8)], ids=["float", "flat"])
def test_other_than_a_volume_of_whole_numbers_is_refused(labels):
    with pytest.raises(InputError, match="whole numbers"):
        project_labels(labels, [1])
