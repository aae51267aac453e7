"""Only the regions that are asked for stay in the image."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from agezoo.errors import InputError
from agezoo.transforms import KeepRegiond


def las(edge_mm: float, origin_mm: tuple[float, float, float]) -> np.ndarray:
    affine = np.diag([-edge_mm, edge_mm, edge_mm, 1.0])
    affine[:3, 3] = origin_mm
    return affine


IMAGE_AFFINE = las(4.0, (30.0, -20.0, 100.0))


@pytest.fixture
def image() -> MetaTensor:
    voxels = torch.arange(1.0, 2 * 8 * 10 * 12 + 1).reshape(2, 8, 10, 12)
    return MetaTensor(voxels, affine=torch.as_tensor(IMAGE_AFFINE))


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Two cuboids on voxels of half the edge, which the image's voxels hold whole; stored in RAS."""
    labels = np.zeros((16, 20, 24), np.uint8)
    labels[4:8, 6:12, 8:16] = 5
    labels[10:12, 6:12, 8:16] = 9
    affine = las(2.0, (31.0, -21.0, 99.0))
    flipped = affine @ np.diag([-1.0, 1, 1, 1])
    flipped[:3, 3] = (affine @ np.array([15.0, 0, 0, 1]))[:3]
    path = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(labels[::-1], flipped), path)
    (tmp_path / "labels.json").write_text(json.dumps({"background": 0, "heart": 5, "aorta": 9, "liver": 2}))
    return path


@pytest.mark.parametrize("labels", [["heart"], [5], "heart"])
def test_the_region_stays_and_the_rest_is_0(image: MetaTensor, mask: Path, labels: object) -> None:
    kept = KeepRegiond("image", labels=labels)({"image": image, "mask": str(mask)})["image"]  # type: ignore[arg-type]
    expected = torch.zeros(2, 8, 10, 12)
    expected[:, 2:4, 3:6, 4:8] = image.as_tensor()[:, 2:4, 3:6, 4:8]
    assert torch.equal(kept.as_tensor(), expected)
    np.testing.assert_allclose(kept.affine, IMAGE_AFFINE)


def test_several_regions_stay_together(image: MetaTensor, mask: Path) -> None:
    kept = KeepRegiond("image", labels=["heart", 9])({"image": image, "mask": mask})["image"]
    assert torch.equal(kept.as_tensor()[0].any(2).any(1).nonzero().flatten(), torch.tensor([2, 3, 5]))


def test_a_scan_without_a_mask_is_refused(image: MetaTensor) -> None:
    for data in ({"image": image}, {"image": image, "mask": ""}):
        with pytest.raises(InputError, match="mask: the scan has no mask"):
            KeepRegiond("image", labels=["heart"])(data)


def test_a_region_that_the_mask_lacks_is_named_with_those_it_has(image: MetaTensor, mask: Path) -> None:
    with pytest.raises(InputError, match=r"found: no voxel of liver, lung; expected: heart \(5\), aorta \(9\)"):
        KeepRegiond("image", labels=["liver", "heart", "lung"])({"image": image, "mask": mask})


def test_a_mask_of_another_place_is_refused(image: MetaTensor, mask: Path) -> None:
    moved = MetaTensor(image.as_tensor(), affine=torch.as_tensor(las(4.0, (500.0, -20.0, 100.0))))
    with pytest.raises(InputError, match="does not lie in the body"):
        KeepRegiond("image", labels=["heart"])({"image": moved, "mask": mask})


def test_an_image_without_a_place_and_no_regions_are_refused(image: MetaTensor, mask: Path) -> None:
    with pytest.raises(InputError, match="place is known"):
        KeepRegiond("image", labels=["heart"])({"image": image.as_tensor(), "mask": mask})
    with pytest.raises(InputError, match="no region to keep"):
        KeepRegiond("image", labels=[])
