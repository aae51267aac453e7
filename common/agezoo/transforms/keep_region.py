"""Keep some regions of an image and take away the rest, for the age of one organ or system."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from agezoo.data.masked_cohort import label_names, read_labels
from agezoo.data.volume import Volume
from agezoo.errors import InputError
from agezoo.transforms.body.axis_resampling import resampled
from agezoo.transforms.channels import channel_array, like


def keep_region(image: MetaTensor, mask: str | Path, labels: Sequence[str | int]) -> MetaTensor:
    """Set the voxels of an image outside the given labels to 0.

    Parameters
    ----------
    image
        (C, X, Y, Z) with its affine, in the patient space of the mask.
    mask
        NIfTI file of labels, on any grid.
    labels
        Names (see ``labels.json`` beside the mask) or values of the regions to keep, in any mixture.

    Raises
    ------
    InputError
        If the mask cannot be read or has no voxel of one of the labels, the regions lie where the image is 0, or the
        image does not tell where it lies.
    """
    if not isinstance(image, MetaTensor):
        raise InputError(
            "a region can be kept only where the image's place is known",
            found=type(image).__name__,
            expected="a MetaTensor with an affine, as LoadBodyd gives it",
        )
    path = Path(mask)
    volume = read_labels(path)
    chosen = np.isin(volume.hu, _values(labels, path, volume))
    array = channel_array(image, spatial_dims=3, name="KeepRegiond")
    affine = np.asarray(torch.as_tensor(image.affine), dtype=float)
    # The labels' share of each voxel: the majority belongs to the region.
    kept = array * (resampled(chosen, volume.affine, affine, array.shape[1:]) >= 0.5)
    if not kept.any():
        raise InputError(
            "the mask does not lie in the body",
            source=path,
            found="no voxel of the image above 0 inside the regions",
            expected="labels in the patient space of the scan",
            remedy="check that the mask belongs to this scan and that its affine is the scan's",
        )
    result: MetaTensor = like(kept, image)
    return result


def _values(labels: Sequence[str | int], path: Path, volume: Volume) -> list[int]:
    names = label_names(path, volume.hu)
    there = {int(value) for value in np.unique(volume.hu) if value != 0}
    wanted = {label: names.get(label) if isinstance(label, str) else int(label) for label in labels}
    absent = [str(label) for label, value in wanted.items() if value not in there]
    if absent:
        known = ", ".join(f"{name} ({value})" for name, value in names.items() if value in there)
        raise InputError(
            "a region is not in the mask", source=path, found=f"no voxel of {', '.join(absent)}", expected=known
        )
    return [value for value in wanted.values() if value is not None]


class KeepRegiond(MapTransform):
    """Keep some regions of the images and set the rest to 0; see :func:`keep_region`.

    Parameters
    ----------
    keys
        Keys of the images.
    labels
        Names or values of the regions to keep.
    mask_key
        Key of the mask's path; rows of a datalist bring it as the covariate ``mask``.
    """

    def __init__(
        self,
        keys: KeysCollection,
        labels: Sequence[str | int],
        mask_key: str = "mask",
        *,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_key = mask_key
        self.labels = (labels,) if isinstance(labels, str | int) else tuple(labels)
        if not self.labels:
            raise InputError("no region to keep", source="labels", expected="names or values of the mask's labels")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        mask = result.get(self.mask_key)
        if not isinstance(mask, str | Path) or not str(mask):
            raise InputError(
                "the scan has no mask to keep a region of",
                source=self.mask_key,
                expected="a covariate `mask` in the datalist: path of a NIfTI label volume, relative to the datalist",
                remedy="segment the scans (for example with TotalSegmentator) and list the label volumes",
            )
        for key in self.key_iterator(result):
            result[key] = keep_region(result[key], mask, self.labels)
        return result
