"""The inference form of ScaleDense and TSAN: each asymmetric convolution with its batch norms is one convolution."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from agezoo.errors import InputError
from agezoo.networks.scale_dense import AsymmetricConvolution, ScaleBlock, ScaleTrunk, SqueezeExcitation

Network = TypeVar("Network", bound=nn.Module)


def fuse(network: Network) -> Network:
    """Copy of a network for inference that gives the same ages sooner and in less memory.

    A convolution along one axis is a 3x3x3 convolution whose other taps are 0, and a batch norm in evaluation mode is
    a factor and a summand. So the four branches of an asymmetric convolution, their batch norms and the one behind
    their sum add up to one 3x3x3 convolution with a bias. They are added up in double precision.

    Parameters
    ----------
    network
        A ScaleDense, a TSAN, an ensemble of them, or any module that holds some; it stays as it is, and what is not
        fused is copied.

    Returns
    -------
    Network
        In evaluation mode, of the same class, with the same names for stem, blocks and heads, so that CAMs find their
        layers; gradients by images and maps flow as before. It has other tensors and is not meant to be trained or
        saved.

    Raises
    ------
    InputError
        If there is nothing to fuse in it.
    """
    if any(isinstance(module, FusedBlock) for module in network.modules()):
        return copy.deepcopy(network).eval()
    # deepcopy takes what its memo holds for copies made already: the original blocks are never copied.
    memo: dict[int, Any] = {}
    for module in network.modules():
        if isinstance(module, ScaleBlock):
            memo[id(module)] = FusedBlock(module)
    if not memo:
        raise InputError("no network that can be fused", found=type(network).__name__, expected="ScaleDense or TSAN")
    fused = copy.deepcopy(network, memo)
    for module in fused.modules():
        if isinstance(module, ScaleTrunk):
            module.checkpointing = False
            module.pre[1] = nn.ELU(inplace=True)
    return fused.eval()


class FusedConvolution(nn.Conv3d):
    """A 3x3x3 convolution with the channels last in memory, as CPUs prefer.

    Where an image has fewer voxels than the layer has channels, the weights are most of the work's memory, and the
    library's convolution would copy them into a layout of its own at each call. There the image is unfolded instead,
    and one matrix product uses the weights where they lie.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        out_channels, in_channels = weight.shape[:2]
        super().__init__(in_channels, out_channels, 3, padding=1, device="meta")
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last_3d))
        self.bias = nn.Parameter(bias.contiguous())

    def forward(self, input: Tensor) -> Tensor:
        if not torch.jit.is_scripting():
            small = self._unfolds(input)
            if small:
                return self._by_unfolding(input)
        return functional.conv3d(input, self.weight, self.bias, padding=1)

    def _unfolds(self, maps: Tensor) -> bool:
        # An exported network knows neither the device nor the batch that it will meet.
        if torch.jit.is_tracing() or torch.compiler.is_compiling() or maps.device.type != "cpu":
            return False
        return maps.shape[0] * maps[0, 0].numel() <= self.out_channels

    def _by_unfolding(self, maps: Tensor) -> Tensor:
        batch, (x, y, z) = maps.shape[0], maps.shape[2:]
        cubes = functional.pad(maps, (1,) * 6).unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1)
        rows = cubes.permute(0, 2, 3, 4, 5, 6, 7, 1).reshape(batch, x * y * z, -1)
        weight = self.weight.permute(0, 2, 3, 4, 1).reshape(self.out_channels, -1)
        return functional.linear(rows, weight, self.bias).transpose(1, 2).reshape(batch, -1, x, y, z)


class PooledExcitation(SqueezeExcitation):
    """Squeeze-excitation and the max-pooling behind it in one.

    The factors are positive, so that the maximum may be taken first: the same numbers from an eighth of the products
    and without a second copy of the largest maps.
    """

    def __init__(self, excitation: SqueezeExcitation) -> None:
        nn.Module.__init__(self)
        self.FC1, self.FC2 = copy.deepcopy(excitation.FC1), copy.deepcopy(excitation.FC2)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.max_pool3d(maps, 2) * self.gate(maps)


class FusedBlock(nn.Module):
    """A :class:`ScaleBlock` with its convolutions fused; the layers keep their numbers."""

    def __init__(self, block: ScaleBlock) -> None:
        super().__init__()
        layers = block.block
        self.block = nn.Sequential(
            OrderedDict(
                [
                    ("0", _fused(layers[0], layers[1])),
                    ("2", nn.ELU(inplace=True)),
                    ("3", _fused(layers[3], layers[4])),
                    ("5", nn.ELU(inplace=True)),
                    ("6", PooledExcitation(cast(SqueezeExcitation, layers[6]))),
                ]
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([functional.max_pool3d(maps, 2), self.block(maps)], dim=1)


def _fused(convolution: nn.Module, norm: nn.Module) -> FusedConvolution:
    assert isinstance(convolution, AsymmetricConvolution)
    branches = [convolution.conv1, convolution.conv2, convolution.conv3, convolution.conv4]
    kernels = [cast(nn.Conv3d, branch[0]).weight.detach() for branch in branches]
    affine = [_factor_and_summand(branch[1]) for branch in branches]
    factor, summand = _factor_and_summand(norm)
    bias = torch.stack([own for _, own in affine]).sum(dim=0) * factor + summand
    weight = torch.empty_like(kernels[0], memory_format=torch.channels_last_3d)
    # A few output channels at a time: the largest layer whole would take 360 MB in double precision.
    for start in range(0, len(factor), 64):
        channels = slice(start, start + 64)
        scales = [(own * factor)[channels, None, None, None, None] for own, _ in affine]
        total = kernels[0][channels].to(torch.float64, copy=True).mul_(scales[0])
        for kernel, scale in zip(kernels[1:], scales[1:], strict=True):
            # An axis with one tap has it in the middle of three.
            taps = [slice(None) if size == 3 else slice(1, 2) for size in kernel.shape[2:]]
            total[:, :, taps[0], taps[1], taps[2]] += kernel[channels].double() * scale
        weight[channels] = total.to(weight.dtype)
    return FusedConvolution(weight, bias.to(weight.dtype))


def _factor_and_summand(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """A batch norm in evaluation mode as y = factor * x + summand, in double precision."""
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    return factor, norm.bias.detach().double() - norm.running_mean.double() * factor
