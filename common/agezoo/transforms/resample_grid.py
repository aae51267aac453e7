"""Resample a CT volume to a fixed number of voxels, each axis scaled on its own."""

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
from agezoo.transforms.separable import apply_separable, cubic_weights, linear_weights, n_inside

GRID = (112, 112, 224)
AIR_HU = -1024.0


def resample_to_grid(volume: np.ndarray, *, grid: Sequence[int] = GRID, fill: float = AIR_HU) -> np.ndarray:
    """Resample a volume to `grid` voxels by cubic B-splines.

    Target voxel i of an axis reads source index ``i * n_source / n_target``: the centre of the first voxel stays
    where it is and every axis is scaled on its own, whatever the spacing. Positions beyond the centre of the
    last source voxel (the last few when an axis is magnified) become `fill`; all other values are clipped to
    the range of the source, so that the spline cannot overshoot. This is what nilearn's ``resample_img`` does
    in the released recipe.

    Parameters
    ----------
    volume
        3D array (X, Y, Z), usually int16 HU, any memory layout; it is neither changed nor copied.
    grid
        Target numbers of voxels.
    fill
        Value of positions outside the source, in the unit of the volume.

    Returns
    -------
    numpy.ndarray
        C-contiguous float32 array of shape `grid`.

    Raises
    ------
    InputError
        If an axis has fewer than 2 voxels, or a value is not a finite number.
    """
    volume = np.asarray(volume)
    sizes = _checked_grid(grid)
    if volume.ndim != 3 or min(volume.shape) < 2:
        raise InputError(
            "the volume cannot be resampled",
            found=f"{' x '.join(map(str, volume.shape))} voxels",
            expected="3 axes of at least 2 voxels each",
            remedy="check that the whole series was exported, not a single slice or a projection",
        )
    weights = [cubic_weights(source, target) for source, target in zip(volume.shape, sizes, strict=True)]
    result, lowest, highest = apply_separable(volume, weights)
    np.clip(result, lowest, highest, out=result)
    for axis, (source, target) in enumerate(zip(volume.shape, sizes, strict=True)):
        beyond: list[slice] = [slice(None)] * 3
        beyond[axis] = slice(n_inside(source, target), None)
        result[tuple(beyond)] = fill
    return result


def resample_back(grid_volume: np.ndarray, *, volume_shape: Sequence[int]) -> np.ndarray:
    """Carry values on the target grid of :func:`resample_to_grid` back to the voxels of its source.

    Linear interpolation, because what is carried back is a map (saliency, a mask), where the overshoot of
    cubic splines would invent values; beyond the last grid voxel its value is held.

    Returns
    -------
    numpy.ndarray
        float32 array of shape `volume_shape`.
    """
    sizes = _checked_grid(volume_shape)
    weights = [linear_weights(source, target) for source, target in zip(grid_volume.shape, sizes, strict=True)]
    return apply_separable(np.asarray(grid_volume), weights)[0]


def grid_affine(affine: np.ndarray, *, volume_shape: Sequence[int], grid: Sequence[int]) -> np.ndarray:
    """Affine (4, 4; voxel index to mm) of the resampled volume, from that of the source."""
    return np.asarray(affine, dtype=float) @ _index_scale(volume_shape, grid)


class ResampleToGrid(InvertibleTransform):
    """Resample channel-first volumes to a fixed grid; see :func:`resample_to_grid`.

    The affine of a MetaTensor follows. ``inverse`` brings an image on the grid back to the voxels of the source
    by linear interpolation (:func:`resample_back`).

    Parameters
    ----------
    grid
        Target numbers of voxels along the three spatial axes.
    fill
        Value outside the source.
    """

    def __init__(self, grid: Sequence[int] = GRID, *, fill: float = AIR_HU) -> None:
        self.grid = _checked_grid(grid)
        self.fill = float(fill)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        array = channel_array(img, spatial_dims=3, name="ResampleToGrid")
        source = array.shape[1:]
        result = like(map_channels(array, lambda v: resample_to_grid(v, grid=self.grid, fill=self.fill)), img)
        if isinstance(result, MetaTensor):
            scale = torch.as_tensor(_index_scale(source, self.grid))
            self.push_transform(result, orig_size=list(source), affine=scale)
        return result

    def inverse(self, data: torch.Tensor) -> torch.Tensor:
        """Undo the resampling of a traced MetaTensor (C, *grid)."""
        source = [int(size) for size in self.pop_transform(data)["orig_size"]]
        array = channel_array(data, spatial_dims=3, name="ResampleToGrid.inverse")
        result = like(map_channels(array, lambda v: resample_back(v, volume_shape=source)), data)
        result.affine = result.affine @ torch.as_tensor(_index_scale(array.shape[1:], source))
        return result


class ResampleToGridd(MapTransform, InvertibleTransform):
    """Dictionary form of :class:`ResampleToGrid`."""

    def __init__(
        self,
        keys: KeysCollection,
        grid: Sequence[int] = GRID,
        *,
        fill: float = AIR_HU,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.transform = ResampleToGrid(grid, fill=fill)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Undo the resampling of the traced MetaTensors under the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform.inverse(result[key])
        return result


def _index_scale(source: Sequence[int], target: Sequence[int]) -> np.ndarray:
    return np.diag([*(s / t for s, t in zip(source, target, strict=True)), 1.0])


def _checked_grid(grid: Sequence[int]) -> tuple[int, int, int]:
    sizes = tuple(int(size) for size in grid)
    if len(sizes) != 3 or min(sizes) < 1:
        raise InputError("a grid needs three sizes of at least 1 voxel", source="grid", found=tuple(grid))
    return sizes
