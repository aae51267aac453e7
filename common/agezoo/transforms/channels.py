"""The bridge between MONAI's channel-first images and functions on plain NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor

from agezoo.errors import InputError


def plain_array(image: NdarrayOrTensor) -> np.ndarray:
    """View any image as a NumPy array; only tensors on a GPU are copied.

    MONAI's own conversion makes strided arrays contiguous, which would double the memory of a whole CT.
    """
    if not isinstance(image, torch.Tensor):
        return np.asarray(image)
    tensor = image.as_tensor() if isinstance(image, MetaTensor) else image
    return tensor.detach().cpu().numpy()


def channel_array(image: NdarrayOrTensor, *, spatial_dims: int, name: str) -> np.ndarray:
    """View a channel-first image as a NumPy array, see :func:`plain_array`.

    Raises
    ------
    InputError
        If the image is not channel-first with ``spatial_dims`` spatial axes; `name` is the transform that asks.
    """
    array = plain_array(image)
    if array.ndim != spatial_dims + 1:
        raise InputError(
            f"{name} works on channel-first images with {spatial_dims} spatial axes",
            found=f"shape {tuple(array.shape)}",
            expected=f"{spatial_dims + 1} axes",
            remedy="load images with LoadVolume, or add the channel axis with EnsureChannelFirst",
        )
    return array


def map_channels(array: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply `function` to every channel and stack the results as float32, channel first."""
    if array.shape[0] == 1:  # a view instead of the copy that np.stack makes
        return np.asarray(function(array[0]), dtype=np.float32)[np.newaxis]
    return np.stack([np.asarray(function(channel), dtype=np.float32) for channel in array])


def like(array: np.ndarray, image: NdarrayOrTensor) -> Any:
    """Return `array` as the type of `image`: NumPy, tensor, or MetaTensor with the same meta data and trace."""
    if not isinstance(image, torch.Tensor):
        return array
    tensor = torch.from_numpy(np.ascontiguousarray(array)).to(image.device)
    return MetaTensor(tensor).copy_meta_from(image) if isinstance(image, MetaTensor) else tensor
