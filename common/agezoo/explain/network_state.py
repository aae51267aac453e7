"""Looking into a network and leaving it as it was: layers by name, evaluation mode, one image for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.networks.tsan import TSAN

# Layers in an error message.
_MOST_LISTED = 40


def find_layer(network: nn.Module, layer: str | nn.Module | None) -> nn.Module:
    """The module that is meant by a dotted name, by its end, or by the module itself.

    Parameters
    ----------
    network
        Searched with all its submodules.
    layer
        Dotted name (``"layer3"``, ``"features.denseblock3"``); the end of a name is enough where only one fits.
        None takes the one that the network's class names in its attribute ``cam_layer``, else ``layer3``, the layer of
        the CT recipe and of every ResNet in torchvision's layout.

    Raises
    ------
    InputError
        If nothing or more than one layer fits, or the module is not part of the network.
    """
    if isinstance(layer, nn.Module):
        if any(module is layer for module in network.modules()):
            return layer
        raise InputError("the layer is not part of the network", found=type(layer).__name__)
    wanted = str(getattr(network, "cam_layer", "layer3")) if layer is None else layer
    modules = {name: module for name, module in network.named_modules() if name}
    if wanted in modules:
        return modules[wanted]
    fitting = [name for name in modules if name.endswith(f".{wanted}")]
    if len(fitting) == 1:
        return modules[fitting[0]]
    known = fitting or _outermost(list(modules))
    raise InputError(
        "several layers have this name" if fitting else "the network has no such layer",
        found=wanted,
        expected="one of " + ", ".join(known[:_MOST_LISTED]) + (", ..." if len(known) > _MOST_LISTED else ""),
        remedy="name the layer whose feature maps are to be weighted, usually the last one with a useful resolution",
    )


def _outermost(names: Sequence[str]) -> list[str]:
    """The names of the outer parts, as deep as a message can list them: blocks often hide below a trunk's one name."""
    depths = sorted({name.count(".") for name in names})
    levels = [[name for name in names if name.count(".") <= depth] for depth in depths]
    # A list that is too long anyway still begins with the outer parts.
    return next((level for level in reversed(levels[1:]) if len(level) <= _MOST_LISTED), (levels[:2] or [[]])[-1])


def method_layer(network: nn.Module, method: str) -> str | None:
    """The layer at which a network's class wants one method to look, its attribute ``cam_layers``; None if it has none.

    Methods differ in the layer that suits them: a Grad-CAM averages gradients over all places, which loses least in
    the last layer, before the pooling; a HiResCAM keeps each place's gradient and gains by an earlier, sharper one.
    """
    layer = getattr(network, "cam_layers", {}).get(method)
    return None if layer is None else str(layer)


def check_layers(network: nn.Module, layer: str | nn.Module | Sequence[str | nn.Module] | None) -> None:
    """Raise :func:`find_layer`'s error for the first of some layers that the network has not; None names none."""
    if layer is None:
        return
    for one in [layer] if isinstance(layer, (str, nn.Module)) else layer:
        find_layer(network, one)


def find_layers(network: nn.Module, layer: str | nn.Module | None) -> tuple[nn.Module, ...]:
    """The layers whose gradient maps add up to a map of the whole age; one of most networks, see :func:`find_layer`.

    Both stages of a cascade look at the image, and its age is the sum of what they find. So without a layer named, the
    second stage's counterpart of a :class:`~agezoo.networks.tsan.TSAN`'s ``cam_layer`` is added.
    """
    first = find_layer(network, layer)
    if layer is not None or not isinstance(network, TSAN):
        return (first,)
    return first, find_layer(network, network.cam_layer.replace("first_stage.", "second_stage.", 1))


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put the network into evaluation mode; give every module its own mode back afterwards, also on errors."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def without_inplace(network: nn.Module) -> Iterator[None]:
    """Switch in-place activations off for the time being.

    Backward hooks, which guided backpropagation needs, fail on a ReLU that overwrites its input, and most ResNets
    have such ReLUs. The network's result stays the same.
    """
    changed = [module for module in network.modules() if getattr(module, "inplace", False) is True]
    for module in changed:
        module.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True  # type: ignore[assignment]


@contextmanager
def open_to_gradients(network: nn.Module) -> Iterator[None]:
    """Let the age's gradient reach every layer and the image, and remember for it no more than that needs.

    A module that rounds on the way, as a cascade does between its stages, may offer a context ``explaining`` in which
    gradients pass; it is entered. The parameters' own gradients are not wanted: without them a 3D network's backward
    pass keeps a fraction of the feature maps.
    """
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with ExitStack() as stack:
        for module in network.modules():
            explaining: Any = getattr(module, "explaining", None)
            if callable(explaining):
                stack.enter_context(explaining())
        for parameter in wanted:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in wanted:
                parameter.requires_grad_(True)


def network_device(network: nn.Module) -> torch.device:
    """Device of the network's first parameter or buffer; CPU if it has none."""
    for tensor in (*network.parameters(), *network.buffers()):
        return tensor.device
    return torch.device("cpu")


def one_image(image: torch.Tensor | np.ndarray, network: nn.Module) -> torch.Tensor:
    """The image as a plain float32 batch of one, shape (1, C, *spatial), on the network's device.

    Raises
    ------
    InputError
        If it is not one image of shape (C, *spatial) or (1, C, *spatial) with one to three spatial axes, which is
        told by the dimensionality of the network's first convolution, or holds values that are not finite.
    """
    tensor = torch.as_tensor(np.asarray(image) if isinstance(image, np.ndarray) else image)
    # A MetaTensor would carry its bookkeeping through every masked copy.
    tensor = tensor.detach().as_subclass(torch.Tensor).to(network_device(network), torch.float32)
    spatial_dims = _spatial_dims(network)
    if spatial_dims is not None and tensor.ndim == spatial_dims + 1:
        tensor = tensor.unsqueeze(0)
    expected_ndim = None if spatial_dims is None else spatial_dims + 2
    if (expected_ndim is not None and tensor.ndim != expected_ndim) or tensor.ndim < 3 or tensor.shape[0] != 1:
        spatial = "*spatial" if spatial_dims is None else f"{spatial_dims} spatial axes"
        raise InputError(
            "one image at a time can be explained",
            found=f"shape {tuple(torch.as_tensor(image).shape)}",
            expected=f"(1, channels, {spatial}) or (channels, {spatial})",
        )
    if not bool(torch.isfinite(tensor).all()):
        raise InputError("the image holds values that are not finite")
    return tensor


def _spatial_dims(network: nn.Module) -> int | None:
    for module in network.modules():
        for dims, kind in enumerate((nn.Conv1d, nn.Conv2d, nn.Conv3d), start=1):
            if isinstance(module, kind):
                return dims
    return None
