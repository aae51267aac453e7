"""Maximum-intensity projections of the central slabs of a volume, put together as one image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array, like, map_channels

THICKNESS = 10


def central_slab(n_voxels: int, thickness: int) -> slice:
    """Voxels of the central slab along an axis, e.g. 51..60 for 10 of 112."""
    if not 1 <= thickness <= n_voxels:
        raise InputError(
            "the central slab does not fit the volume",
            source="thickness",
            found=f"{thickness} voxels",
            expected=f"1 to {n_voxels}, the size of the axis",
        )
    start = n_voxels // 2 - thickness // 2
    return slice(start, start + thickness)


def central_slab_projection(volume_las: np.ndarray, *, thickness: int = THICKNESS) -> np.ndarray:
    """Project the central slabs of a volume to one image, the coronal view first, then the sagittal one.

    Parameters
    ----------
    volume_las
        3D array (X, Y, Z): axis 0 left-right, axis 1 front-back, axis 2 along the body.
    thickness
        Number of voxels of each slab.

    Returns
    -------
    numpy.ndarray
        Array (X + Y, Z): rows 0..X-1 are the coronal view (maximum over the slab of axis 1), the other rows
        the sagittal view (maximum over the slab of axis 0).
    """
    coronal = volume_las[:, central_slab(volume_las.shape[1], thickness), :].max(axis=1)
    sagittal = volume_las[central_slab(volume_las.shape[0], thickness), :, :].max(axis=0)
    return np.concatenate((coronal, sagittal), axis=0)


def spread_over_slabs(image: np.ndarray, *, volume_shape: Sequence[int], thickness: int = THICKNESS) -> np.ndarray:
    """Put the values of a projection back into the slabs it was made from.

    Every voxel of a slab gets the value of the pixel it contributed to; where the two slabs cross, the value of
    larger magnitude, so that a strong finding in either view survives whatever its sign. All else is 0.

    Parameters
    ----------
    image
        Array (X + Y, Z) laid out as :func:`central_slab_projection` does, e.g. a saliency map.
    volume_shape
        (X, Y, Z) of the projected volume.

    Returns
    -------
    numpy.ndarray
        float32 array of `volume_shape`.
    """
    x, y, z = (int(size) for size in volume_shape)
    if image.shape != (x + y, z):
        raise InputError(
            "the map does not fit the projection it should be carried back from",
            found=f"shape {tuple(image.shape)}",
            expected=f"shape {(x + y, z)}",
        )
    volume = np.zeros((x, y, z), dtype=np.float32)
    volume[:, central_slab(y, thickness), :] = image[:x, np.newaxis, :]
    sagittal_slab = volume[central_slab(x, thickness)]
    sagittal = np.broadcast_to(image[x:], sagittal_slab.shape)
    np.copyto(sagittal_slab, sagittal, where=np.abs(sagittal) > np.abs(sagittal_slab), casting="same_kind")
    return volume


class CentralSlabProjection(InvertibleTransform):
    """Turn channel-first volumes (C, X, Y, Z) into images (C, X + Y, Z); see :func:`central_slab_projection`.

    A MetaTensor keeps the affine of the volume. ``inverse`` spreads an image over the slabs again
    (:func:`spread_over_slabs`): the way back for a saliency map, not for the intensities.
    """

    def __init__(self, thickness: int = THICKNESS) -> None:
        self.thickness = int(thickness)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        array = channel_array(img, spatial_dims=3, name="CentralSlabProjection")
        result = like(map_channels(array, lambda v: central_slab_projection(v, thickness=self.thickness)), img)
        if isinstance(result, MetaTensor):
            self.push_transform(result, orig_size=list(array.shape[1:]))
        return result

    def inverse(self, data: torch.Tensor) -> torch.Tensor:
        """Spread a traced MetaTensor (C, X + Y, Z) over the slabs of the volume (C, X, Y, Z)."""
        shape = [int(size) for size in self.pop_transform(data)["orig_size"]]
        array = channel_array(data, spatial_dims=2, name="CentralSlabProjection.inverse")
        spread = map_channels(array, lambda v: spread_over_slabs(v, volume_shape=shape, thickness=self.thickness))
        return like(spread, data)


class CentralSlabProjectiond(MapTransform, InvertibleTransform):
    """Dictionary form of :class:`CentralSlabProjection`."""

    def __init__(self, keys: KeysCollection, thickness: int = THICKNESS, *, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.transform = CentralSlabProjection(thickness)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Spread the traced MetaTensors under the keys over their slabs."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform.inverse(result[key])
        return result
