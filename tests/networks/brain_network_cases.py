"""Small brain-age networks whose batch norms have lively averages, and images for them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def lively(network: Network, seed: int = 0) -> Network:
    """In evaluation mode with random averages, factors and summands in every batch norm, and ages about 60 years."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: Tensor, low: float, high: float) -> None:
        tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) * (high - low) + low)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                draw(module.running_mean, -0.3, 0.3)
                draw(module.running_var, 0.5, 1.5)
                draw(module.weight, 0.5, 1.5)
                draw(module.bias, -0.3, 0.3)
            if hasattr(module, "deep_fc"):
                module.end_fc_with_gender[1].bias.fill_(61.0)
                module.end_fc_with_gender[1].weight.mul_(20.0)
    return network.eval()


def brains(batch: int = 2, shape: tuple[int, int, int] = (20, 23, 18), seed: int = 0) -> Tensor:
    """Noise with a background of 0, shape (batch, 1, *shape)."""
    noise = torch.randn(batch, 1, *shape, generator=torch.Generator().manual_seed(seed))
    noise[:, :, :3] = 0
    return noise
