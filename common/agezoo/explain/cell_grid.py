"""Where the cells of a feature map lie in the image, so that a map of them can be spread over the right pixels.

A cell sees a window of the image, and its place is the middle of that window. Stretching a feature map over the image
as if its cells were spread evenly is wrong for most networks: the cells of a ResNet's ``layer3`` lie at pixels 0, 16,
32 and so on, half a cell before the middles of 16-pixel blocks, because a strided convolution with symmetric padding
starts at the image's first pixel. So the places are worked out from kernel, stride, padding and dilation of what the
image passes through (Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv 1603.07285).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class CellGrid:
    """Places of a feature map's cells along each axis of the image.

    Attributes
    ----------
    image_shape
        Spatial shape of the image.
    counts
        Cells per axis.
    first
        Place of the first cell's middle, as a pixel index (0 is the middle of the first pixel).
    steps
        Distance between neighbouring cells, in pixels.
    """

    image_shape: tuple[int, ...]
    counts: tuple[int, ...]
    first: tuple[float, ...]
    steps: tuple[float, ...]

    @classmethod
    def even(cls, image_shape: Sequence[int], counts: Sequence[int]) -> CellGrid:
        """Cells that share the image evenly: for layers whose places cannot be told."""
        steps = tuple(size / count for size, count in zip(image_shape, counts, strict=True))
        return cls(tuple(image_shape), tuple(counts), tuple((step - 1) / 2 for step in steps), steps)

    def spread(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (B, K, *counts) linearly interpolated to the image's shape; beyond the outermost cells they go on level.

        For :meth:`even` grids this is what ``interpolate(..., align_corners=False)`` gives.
        """
        for axis, weights in enumerate(self._weights(), start=2):
            maps = torch.movedim(torch.tensordot(weights.to(maps), maps, dims=([1], [axis])), 0, axis)
        return maps

    def gather(self, image: torch.Tensor) -> torch.Tensor:
        """Image (B, K, *image_shape) averaged around each cell, by the weights with which :meth:`spread` uses it."""
        for axis, weights in enumerate(self._weights(), start=2):
            shares = weights / weights.sum(dim=0)
            image = torch.movedim(torch.tensordot(shares.to(image), image, dims=([0], [axis])), 0, axis)
        return image

    def _weights(self) -> Iterator[torch.Tensor]:
        """Per axis the share of each cell in each pixel, shape (pixels, cells)."""
        for size, count, first, step in zip(self.image_shape, self.counts, self.first, self.steps, strict=True):
            place = np.clip((np.arange(size) - first) / step, 0, count - 1)
            weights = np.maximum(1 - np.abs(place[:, None] - np.arange(count)), 0)
            yield torch.from_numpy(weights)


@contextmanager
def follow_cells(network: nn.Module, image: torch.Tensor) -> Iterator[Callable[[torch.Tensor], CellGrid]]:
    """Follow an image through a network's forward pass and tell where the cells of any feature map lie in it.

    Parameters
    ----------
    network
        Asked inside the context; no hook stays.
    image
        Shape (B, C, *spatial): the tensor that the network is called with.

    Yields
    ------
    callable
        From a feature map that came up inside the context, shape (B, maps, *spatial), to its :class:`CellGrid`.
        Convolution, pooling and padding move the cells; whatever keeps the spatial shape keeps their places. For
        anything else, or where two paths of different places meet, the grid is :meth:`CellGrid.even`.
    """
    follower = _Follower()
    _note(image, _start(image))

    def pass_on(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not isinstance(output, torch.Tensor):
            return
        # A convolution may be worked out by other means than its function.
        if inputs and isinstance(module, _CONVOLUTIONS) and getattr(output, _NOTE, None) is None:
            _note(output, _moved("conv", {"input": inputs[0], **{name: getattr(module, name) for name in _OF_MODULE}}))
        # Functions with a gradient of their own escape the mode; MONAI's swish is one.
        elif not hasattr(output, _NOTE):
            _note(output, _kept([value for value in inputs if isinstance(value, torch.Tensor)], output))

    handles = [module.register_forward_hook(pass_on) for module in network.modules()]
    try:
        with follower:
            yield lambda maps: _grid(maps, image)
    finally:
        for handle in handles:
            handle.remove()


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_OF_MODULE = ("weight", "stride", "padding", "dilation")
_NOTE = "_agezoo_cells"
# Per axis the place of the first cell and the step; None if it cannot be told.
_Places = tuple[tuple[float, float], ...] | None

_ARGUMENTS = {
    "conv": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "max_pool": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
    "avg_pool": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "pad": ("input", "pad", "mode", "value"),
}


class _Follower(TorchFunctionMode):
    """Notes on each tensor that a function gives where its cells lie."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        result = func(*args, **named)
        if isinstance(result, torch.Tensor) and result.ndim > 2:
            family = re.sub(r"[123]d$", "", str(getattr(func, "__name__", "")))
            if family in _ARGUMENTS:
                given = {**dict(zip(_ARGUMENTS[family], args, strict=False)), **named}
                _note(result, _moved(family, given))
            else:
                _note(result, _kept(list(_tensors((args, named))), result))
        return result


def _start(image: torch.Tensor) -> _Places:
    return ((0.0, 1.0),) * (image.ndim - 2)


def _note(tensor: torch.Tensor, places: _Places) -> None:
    setattr(tensor, _NOTE, places)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _kept(inputs: Sequence[torch.Tensor], output: torch.Tensor) -> _Places:
    """Places that the inputs of the output's spatial shape have in common."""
    found = {getattr(t, _NOTE) for t in inputs if hasattr(t, _NOTE) and t.shape[2:] == output.shape[2:]}
    return found.pop() if len(found) == 1 else None


def _moved(family: str, given: dict[str, Any]) -> _Places:
    places: _Places = getattr(given["input"], _NOTE, None)
    if places is None:
        return None
    dims = len(places)
    if family == "pad":
        before = [0.0] * dims
        # Listed from the last axis on, the amounts before and after it.
        for axis, amount in zip(reversed(range(dims)), given["pad"][::2], strict=False):
            before[axis] = amount
        return tuple((first - step * n, step) for (first, step), n in zip(places, before, strict=True))
    kernel = given["weight"].shape[2:] if family == "conv" else _per_axis(given["kernel_size"], dims)
    # A pooling without a stride steps by its window; an empty list stands for none.
    stride = _per_axis(given.get("stride") or (1 if family == "conv" else kernel), dims)
    dilation = _per_axis(given.get("dilation", 1), dims)
    padding = given.get("padding", 0)
    if isinstance(padding, str):
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        padding = [span // 2 if padding == "same" else 0 for span in spans]
    return tuple(
        (first + step * ((k - 1) * d / 2 - p), step * s)
        for (first, step), k, s, d, p in zip(places, kernel, stride, dilation, _per_axis(padding, dims), strict=True)
    )


def _per_axis(value: Any, dims: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values * dims if len(values) == 1 else values


def _grid(maps: torch.Tensor, image: torch.Tensor) -> CellGrid:
    shape, counts = tuple(image.shape[2:]), tuple(maps.shape[2:])
    places: _Places = getattr(maps, _NOTE, None)
    if places is None:
        return CellGrid.even(shape, counts)
    return CellGrid(shape, counts, tuple(first for first, _ in places), tuple(step for _, step in places))
