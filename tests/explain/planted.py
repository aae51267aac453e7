"""Networks and images of which it is known where the age comes from."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class PlantedNetwork(nn.Module):
    """Age = intercept + slope * mean brightness of one quarter of the image.

    ``features`` gives four maps, the image averaged over blocks of four voxels, each alive in its own quarter; only
    the planted one is read. All is linear for images that are not negative, so that the truth can be worked out.
    """

    def __init__(
        self, shape: tuple[int, ...], *, planted: int = 0, slope: float = 40.0, intercept_years: float = 50.0
    ) -> None:
        super().__init__()
        self.features = QuarterMaps(shape)
        self.activation = nn.ReLU(inplace=True)
        self.planted = planted
        self.slope = slope
        self.intercept_years = intercept_years

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        read = self.activation(self.features(image))[:, self.planted].flatten(1)
        # A quarter of each map is alive.
        age = self.intercept_years + self.slope * 4 * read.mean(1)
        return torch.stack([age, torch.zeros_like(age)], dim=1)


class QuarterMaps(nn.Module):
    """Four feature maps at a quarter of the resolution, each alive in one quarter of the first two axes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        coarse = tuple(size // 4 for size in shape)
        masks = torch.zeros(4, *coarse)
        half = [size // 2 for size in coarse]
        for index in range(4):
            first = slice(0, half[0]) if index < 2 else slice(half[0], None)
            second = slice(0, half[1]) if index % 2 == 0 else slice(half[1], None)
            masks[index, first, second] = 1
        self.register_buffer("masks", masks)
        self.pool = nn.AvgPool2d(4) if len(shape) == 2 else nn.AvgPool3d(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.pool(image) * self.masks


def quarter(shape: tuple[int, ...], index: int) -> np.ndarray:
    """The region in which feature map ``index`` is alive: 0 and 1 in the first half of axis 0, even ones of axis 1."""
    region = np.zeros(shape, dtype=bool)
    half = [size // 2 for size in shape[:2]]
    first = slice(0, half[0]) if index < 2 else slice(half[0], None)
    second = slice(0, half[1]) if index % 2 == 0 else slice(half[1], None)
    region[first, second] = True
    return region


class SmallConvNet(nn.Module):
    """A convolutional network in ResNet's idiom: batch norm, one in-place ReLU used throughout, a shortcut, a head."""

    def __init__(self, dims: int = 2, outputs: int = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm3d
        self.conv1, self.bn1 = conv(1, 8, 3, stride=2, padding=1, bias=False), norm(8)
        self.conv2, self.bn2 = conv(8, 8, 3, padding=1, bias=False), norm(8)
        self.layer3 = nn.Sequential(conv(8, 12, 3, stride=2, padding=1), norm(12))
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(12, outputs)
        self.dims = dims

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.act(self.bn1(self.conv1(image)))
        out = self.bn2(self.conv2(x))
        out += x
        x = self.act(self.layer3(self.act(out)))
        return self.fc(x.mean(dim=tuple(range(2, 2 + self.dims))))


def small_conv_net(dims: int = 2, *, seed: int = 0, outputs: int = 2) -> SmallConvNet:
    """A :class:`SmallConvNet` with seeded weights, lively batch-norm statistics and ages of decades."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SmallConvNet(dims, outputs)
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.2)
        network.fc.weight.data.mul_(20)
        network.fc.bias.data[0] = 50.0
    return network.eval()
