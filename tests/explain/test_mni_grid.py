"""The grid of MNI space is told from a volume's shape."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.explain.mni_grid import mni_affine_of


@pytest.mark.parametrize(("shape", "spacing_mm"), [((91, 109, 91), 2), ((1, 46, 55, 46), 4), ((182, 218, 182), 1)])
def test_grids_begin_at_the_same_voxel(shape, spacing_mm):
    affine = mni_affine_of(shape)
    np.testing.assert_array_equal(affine[:3, 3], [90, -126, -72])
    np.testing.assert_array_equal(np.diag(affine), [-spacing_mm, spacing_mm, spacing_mm, 1])


def test_the_origin_of_mni_space_is_where_fsl_has_it():
    # Voxel (45, 63, 36) of the 2 mm grid is the anterior commissure's origin.
    np.testing.assert_array_equal(mni_affine_of((91, 109, 91)) @ [45, 63, 36, 1], [0, 0, 0, 1])


@pytest.mark.parametrize("shape", [(91, 109, 90), (109, 91, 91), (224, 168, 363), (224, 224), (1, 224, 224)])
def test_other_volumes_lie_on_no_such_grid(shape):
    assert mni_affine_of(shape) is None
