"""Central slabs, their projection and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from agezoo.errors import InputError
from agezoo.transforms import CentralSlabProjection, CentralSlabProjectiond
from agezoo.transforms.slab_projection import central_slab, central_slab_projection, spread_over_slabs


@pytest.mark.parametrize(
    ("n_voxels", "thickness", "first", "last"), [(112, 10, 51, 60), (7, 3, 2, 4), (6, 6, 0, 5), (5, 1, 2, 2)]
)
def test_slab_lies_in_the_middle(n_voxels, thickness, first, last):
    slab = central_slab(n_voxels, thickness)
    assert (slab.start, slab.stop - 1) == (first, last)


@pytest.mark.parametrize("thickness", [0, 9])
def test_slab_that_does_not_fit_is_an_error(thickness):
    with pytest.raises(InputError, match="1 to 8"):
        central_slab(8, thickness)


def test_only_the_central_slabs_are_projected_coronal_first():
    volume = np.zeros((20, 24, 6), dtype=np.float32)
    volume[3, 12, 1] = 5  # in the coronal slab (axis 1: 11..12) only
    volume[10, 2, 2] = 7  # in the sagittal slab (axis 0: 9..10) only
    volume[4, 4, 3] = 9  # in neither
    volume[9, 11, 4] = 3  # where they cross
    image = central_slab_projection(volume, thickness=2)
    expected = np.zeros((44, 6), dtype=np.float32)
    expected[3, 1] = 5
    expected[20 + 2, 2] = 7
    expected[9, 4] = expected[20 + 11, 4] = 3
    np.testing.assert_array_equal(image, expected)


def test_map_is_spread_over_the_slab_of_its_view():
    image = np.zeros((44, 6))
    image[3, 1] = 5
    image[20 + 2, 2] = -7
    volume = spread_over_slabs(image, volume_shape=(20, 24, 6), thickness=2)
    expected = np.zeros((20, 24, 6))
    expected[3, 11:13, 1] = 5
    expected[9:11, 2, 2] = -7
    np.testing.assert_array_equal(volume, expected)


def test_where_the_slabs_cross_the_larger_magnitude_wins_with_its_sign():
    image = np.zeros((20, 2))
    image[:10, 0], image[10:, 0] = 2, -3
    image[:10, 1], image[10:, 1] = -4, 3
    volume = spread_over_slabs(image, volume_shape=(10, 10, 2), thickness=2)
    assert volume[4, 5, 0] == -3
    assert volume[4, 5, 1] == -4


def test_map_of_another_size_is_an_error():
    with pytest.raises(InputError, match=r"\(44, 6\)"):
        spread_over_slabs(np.zeros((40, 6)), volume_shape=(20, 24, 6))


def test_transform_and_its_inverse_on_a_meta_tensor():
    transform = CentralSlabProjection(thickness=4)
    volume = MetaTensor(torch.rand(2, 12, 14, 5), affine=torch.eye(4, dtype=torch.float64) * 2)
    image = transform(volume)
    assert image.shape == (2, 26, 5)
    torch.testing.assert_close(image[:, :12].as_tensor(), volume[:, :, 5:9].as_tensor().amax(dim=2))
    torch.testing.assert_close(image[:, 12:].as_tensor(), volume[:, 4:8].as_tensor().amax(dim=1))
    back = transform.inverse(image)
    assert back.shape == volume.shape
    torch.testing.assert_close(back.affine, volume.affine)
    # Projecting what was spread gives the map again wherever only one slab reaches.
    again = transform(back)
    torch.testing.assert_close(again[:, :4].as_tensor(), image[:, :4].as_tensor())
    assert again.applied_operations[-1]["class"] == "CentralSlabProjection"


def test_dictionary_form_inverts_what_it_projected():
    transform = CentralSlabProjectiond("image", thickness=2)
    projected = transform({"image": MetaTensor(torch.rand(1, 8, 8, 4)), "subject_id": "a"})
    assert projected["image"].shape == (1, 16, 4)
    back = transform.inverse(projected)
    assert back["image"].shape == (1, 8, 8, 4)
    assert back["subject_id"] == "a"
