"""Saliency carried back: a planted point returns to its anatomical place, by function and by MONAI's Invertd."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from agezoo.errors import InputError
from agezoo.transforms import (
    CentralSlabProjectiond,
    LoadVolumed,
    MaskToBodyd,
    ResampleToGridd,
    ScaleToUnitd,
    backproject_map,
    ct_projection,
)

AFFINE_LAS = np.array([[-1.5, 0, 0, 60], [0, 1.5, 0, -45], [0, 0, 2.5, -100], [0, 0, 0, 1.0]])
SHAPE = (80, 64, 90)


def body_with_marker(index: tuple[int, int, int]) -> np.ndarray:
    volume = np.full(SHAPE, -1000, dtype=np.int16)
    volume[5:75, 5:59] = 40
    volume[index[0] - 1 : index[0] + 2, index[1] - 1 : index[1] + 2, index[2] - 1 : index[2] + 2] = 1500
    return volume


# (50, 32, 70) lies in the coronal slab alone, (40, 12, 20) in the sagittal slab alone.
@pytest.mark.parametrize(("index", "view"), [((50, 32, 70), "coronal"), ((40, 12, 20), "sagittal")])
def test_planted_point_returns_to_its_place(index, view):
    image = ct_projection(body_with_marker(index))[0]
    saliency = (image > 0.8).astype(np.float32)  # the marker, in the one view whose slab holds it
    assert saliency[:112].any() == (view == "coronal")
    assert saliency[112:].any() == (view == "sagittal")
    volume, affine = backproject_map(saliency, SHAPE, AFFINE_LAS)
    np.testing.assert_array_equal(affine, AFFINE_LAS)
    assert volume.shape == SHAPE
    assert volume[index] > 0.9
    # The weighted centre in mm agrees with the marker in the two directions that the view shows.
    weight = volume / volume.sum()
    centre = [float((weight * grid).sum()) for grid in np.indices(SHAPE)]
    seen = [0, 2] if view == "coronal" else [1, 2]
    offset_mm = (affine @ [*centre, 1])[:3] - (affine @ [*index, 1])[:3]
    assert np.abs(offset_mm[seen]).max() < 2.5


def test_map_covers_the_slabs_and_nothing_else():
    volume, _ = backproject_map(np.ones((224, 224)), SHAPE, AFFINE_LAS)
    in_coronal, in_sagittal = volume[2, :, 45] > 0.5, volume[:, 2, 45] > 0.5
    # Source voxels 29..34 of 64 lie at grid positions 50.75..59.5 of 112, 37..43 of 80 at 51.8..60.2: their
    # neighbours lie beyond the slab 51..60 by more than half a voxel.
    assert np.flatnonzero(in_coronal).tolist() == list(range(29, 35))
    assert np.flatnonzero(in_sagittal).tolist() == list(range(37, 44))
    assert volume[2, 2, 45] == 0


def test_signs_survive():
    saliency = np.zeros((224, 224))
    saliency[20:30, 100:110] = -2
    volume, _ = backproject_map(saliency, SHAPE, AFFINE_LAS)
    assert volume.min() == pytest.approx(-2, abs=1e-5)
    assert volume.max() == 0


def test_affine_of_another_size_is_an_error():
    with pytest.raises(InputError, match="4x4"):
        backproject_map(np.zeros((224, 224)), SHAPE, np.eye(3))


def test_invertd_gives_the_same_volume_on_the_grid_of_the_scan(tmp_path):
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(body_with_marker((50, 32, 70)), AFFINE_LAS), path)
    steps = Compose(
        [
            LoadVolumed("image"),
            ResampleToGridd("image"),
            MaskToBodyd("image"),
            CentralSlabProjectiond("image"),
            ScaleToUnitd("image"),
        ]
    )
    item = steps({"image": str(path)})
    saliency = torch.rand(1, 224, 224, generator=torch.Generator().manual_seed(0))
    item["saliency"] = MetaTensor(saliency)
    inverted = Invertd("saliency", transform=steps, orig_keys="image", nearest_interp=False)(item)["saliency"]
    expected, affine = backproject_map(saliency.numpy(), SHAPE, AFFINE_LAS)
    np.testing.assert_allclose(inverted.numpy()[0], expected, atol=1e-6)
    np.testing.assert_allclose(inverted.affine.numpy(), affine)
    assert item["image"].shape == (1, 224, 224)
