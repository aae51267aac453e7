"""18-layer 3D ResNet in torchvision's video layout with an age head, for whole-body Dixon MR."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn

from agezoo.errors import InputError
from agezoo.networks.scale_dense import PreciseLinear, checkpointed

COLOURS = 3


class VideoBlock(nn.Module):
    """Two 3x3x3 convolutions beside a shortcut; the first, and the shortcut, take steps of `stride` voxels.

    The shortcut is a 1x1x1 convolution where the number or the size of the maps changes, else the input itself.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(_convolution(in_channels, channels, 3, stride), *_norm_and_relu(channels))
        self.conv2 = nn.Sequential(_convolution(channels, channels, 3, 1), nn.BatchNorm3d(channels))
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(_convolution(in_channels, channels, 1, stride), nn.BatchNorm3d(channels))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        return self.relu(self.conv2(self.conv1(maps)) + self.downsample(maps))


class VideoTrunk(nn.Module):
    """torchvision's ``r3d_18`` up to its last feature maps, in its names of parameters.

    Input (B, 3, X, Y, Z); output (B, 8 * stem_channels, X / 8, Y / 16, Z / 16), rounded up, with the published three
    halvings. The network was made for videos: the axis that stands first, there time, is not halved by the stem.

    Parameters
    ----------
    stem_channels
        Channels of the stem and of the first layer; each of the other three doubles them.
    checkpointing
        In training, compute each block's inner maps a second time on the way back instead of keeping them: the same
        numbers with a fraction of the memory, about a third slower.
    halvings
        How many of the second, third and fourth layer halve their maps: 3 as published. Fewer suit coarser grids, on
        which the cells of the last layer then stay as small in the body as on the full grid.

    References
    ----------
    Tran et al., "A closer look at spatiotemporal convolutions for action recognition", CVPR 2018.
    """

    def __init__(self, stem_channels: int = 64, checkpointing: bool = False, halvings: int = 3) -> None:
        super().__init__()
        self.checkpointing = bool(checkpointing)
        strides = [2 if number < halvings else 1 for number in range(3)]
        widths = [stem_channels * factor for factor in (1, 2, 4, 8)]
        self.out_channels = widths[-1]
        self.stem = nn.Sequential(
            nn.Conv3d(COLOURS, widths[0], (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
            *_norm_and_relu(widths[0]),
        )
        self.layer1 = _layer(widths[0], widths[0], 1)
        self.layer2 = _layer(widths[0], widths[1], strides[0])
        self.layer3 = _layer(widths[1], widths[2], strides[1])
        self.layer4 = _layer(widths[2], widths[3], strides[2])

    def forward(self, image: Tensor) -> Tensor:
        if torch.jit.is_scripting() or not (self.checkpointing and self.training and torch.is_grad_enabled()):
            return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(image)))))
        return self._keeping_little(image)

    @torch.jit.unused
    def _keeping_little(self, image: Tensor) -> Tensor:
        maps = checkpointed(self.stem, image)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                maps = checkpointed(block, maps)
        return maps


class WholeBodyResNet(nn.Module):
    """1x1x1 convolution to three channels, the 18-layer 3D ResNet of videos, global average, two linear layers.

    As published: the convolution from one channel to the three of a video, ``r3d_18`` and the widths 512 - 256 - 1 of
    the head. Our choices where the paper is silent: a ReLU between the two linear layers, no dropout; further input
    channels, a second output and narrower networks. Convolutions start from He's normal rule, as torchvision's do.

    Parameters
    ----------
    in_channels
        Channels of the image: water alone as published, or e.g. water and fat.
    stem_channels
        Channels of the stem, which scales every width. Published: 64, with 33.3 million parameters.
    outputs
        1: age in years, for the published L1 loss. 2: mean and log of the SD in years, for
        :class:`~agezoo.losses.GaussianNLLLoss`.
    checkpointing, halvings
        See :class:`VideoTrunk`.

    Attributes
    ----------
    adapter, backbone, head
        The parts in their order; `backbone` has the names of torchvision's ``r3d_18``.
    cam_layer
        Block whose maps class-activation maps weight: the last one. On the published grid its cells are of
        18 x 36 x 48 mm; those of ``backbone.layer3`` are half as long.
    cam_layers
        The layers of methods that another one suits better. A HiResCAM of the second layer found what ages in coarse
        phantom bodies: of 12 people that two trained networks had not seen, 23 % of its magnitude lay in the planted
        regions, which are 6 % of the body; per volume spine and aorta had 4.7 times an even map's share, the heart 3.3
        and the back muscles 2.8 times, and of all other organs only the pancreas, which lies beside them, as much
        (psoas 2.7, visceral fat 2.4, liver 2.1). Of the published Grad-CAM of the last layer it was 11 %, and pancreas,
        bowel and liver came before the heart; there both methods are the same. A Grad-CAM of the second layer found
        nothing (5 %), nor did any of them in untrained networks (5 to 6 %). The full grid was not measured.

    Raises
    ------
    InputError
        If a number is out of range.

    References
    ----------
    Starck et al., "Atlas-based interpretable age prediction in whole-body MR images", MELBA 2024:029, arXiv 2307.07439.
    """

    cam_layer = "backbone.layer4.1"
    cam_layers: ClassVar[dict[str, str]] = {"hires_cam": "backbone.layer2.0"}

    def __init__(
        self,
        in_channels: int = 1,
        stem_channels: int = 64,
        outputs: int = 1,
        checkpointing: bool = False,
        halvings: int = 3,
    ) -> None:
        super().__init__()
        if in_channels < 1 or stem_channels < 1 or outputs not in (1, 2) or halvings not in range(4):
            raise InputError(
                "no such whole-body network",
                source="in_channels, stem_channels, outputs, halvings",
                found=f"{in_channels}, {stem_channels}, {outputs}, {halvings}",
                expected="at least one channel each, 1 output (age) or 2 (mean and log of the SD), 0 to 3 halvings",
            )
        self.in_channels, self.outputs = int(in_channels), int(outputs)
        self.adapter = nn.Conv3d(self.in_channels, COLOURS, 1)
        self.backbone = VideoTrunk(int(stem_channels), checkpointing, int(halvings))
        hidden = self.backbone.out_channels // 2
        # Their weights keep their precision under autocast, which tells ages of 60 years apart by 0.25 in bfloat16.
        self.head = nn.Sequential(
            OrderedDict(
                fc=PreciseLinear(self.backbone.out_channels, hidden), relu=nn.ReLU(), age=PreciseLinear(hidden, outputs)
            )
        )
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Age in years, or its mean and the log of its SD, shape (B, outputs), of images of shape (B, C, X, Y, Z)."""
        if not torch.jit.is_scripting():
            self._check_shape(image)
        colours = self.adapter(image)
        if colours.device.type == "cpu":
            # With the channels last in memory, a CPU needs about a quarter less time for a training step.
            colours = colours.contiguous(memory_format=torch.channels_last_3d)
        return self.head(self.backbone(colours).mean(dim=(2, 3, 4)))

    @torch.jit.unused
    def _check_shape(self, image: Tensor) -> None:
        if torch.jit.is_tracing() or (image.ndim == 5 and image.shape[1] == self.in_channels):
            return
        raise InputError(
            "the network cannot take this image",
            source="in_channels",
            found=f"an image of shape {tuple(image.shape)}",
            expected=f"(batch, {self.in_channels}, X, Y, Z)",
            remedy="let in_channels be the number of contrasts that the preprocessing reads",
        )

    @torch.jit.unused
    def age_years(self, output: Tensor) -> Tensor:
        """Age in years, shape (B,), of the network's output (B, outputs) or of an ensemble's (B, M, outputs)."""
        if output.ndim not in (2, 3) or output.shape[-1] != self.outputs:
            raise ValueError(
                f"the network emits (B, {self.outputs}) or (B, M, {self.outputs}), got {tuple(output.shape)}"
            )
        ages = output[..., 0]
        return ages if ages.ndim == 1 else ages.mean(dim=1)


def _convolution(in_channels: int, channels: int, kernel: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(in_channels, channels, kernel, stride=stride, padding=kernel // 2, bias=False)


def _norm_and_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm3d(channels), nn.ReLU(inplace=True)


def _layer(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(VideoBlock(in_channels, channels, stride), VideoBlock(channels, channels, 1))
