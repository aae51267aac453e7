"""Brains and brain-age networks of which it is known where the age comes from."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agezoo.networks.scale_dense import ScaleDense
from agezoo.networks.tsan import SecondStage

SHAPE = (30, 36, 28)
BRIGHT, DARK = (10, 22, 12), (19, 13, 15)
SLOPE_YEARS = 10.0


def ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    """Boolean ball in a volume of :data:`SHAPE`."""
    offset = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    return np.asarray((offset**2).sum(axis=0) <= radius**2)


def standardised_brain(*, bright: float = 5.0, dark: float = 0.0) -> np.ndarray:
    """(1, *SHAPE): tissue around 0 on exact zeros, a bright spot at :data:`BRIGHT` and a dark one at :data:`DARK`."""
    noise = np.random.default_rng(4).uniform(-0.3, 0.3, SHAPE)
    brain = np.where(ball((15, 18, 14), 12.5), noise, 0)
    brain[ball(BRIGHT, 2.5)] += bright
    brain[ball(DARK, 2.5)] -= dark
    return brain[None].astype(np.float32)


def planted_first_stage(*, slope: float = SLOPE_YEARS, n_blocks: int = 3) -> ScaleDense:
    """Age = 60 + slope * (mean brightness of what is bright in each last cell + 1 for men).

    The stem passes the image on, and the blocks its largest values; the convolutions give nothing.
    """
    network = ScaleDense(2, n_blocks)
    _silence(network)
    with torch.no_grad():
        network.pre[0].weight[0, 0, 3, 3, 3] = 1
        _read_channel_0(network.deep_fc)
        network.male_fc[0].weight[0, 1] = 1
        network.male_fc[1].weight[0, 0] = 1
        network.end_fc_with_gender[0].weight[0, 0] = 1
        network.end_fc_with_gender[0].weight[0, 32] = 1
        network.end_fc_with_gender[1].weight[0, 0] = slope
        network.end_fc_with_gender[1].bias.fill_(60 - 10 * slope)
    return network.eval()


def plant_second_stage(stage: SecondStage, *, slope: float = SLOPE_YEARS) -> None:
    """Residual = slope * mean darkness of what is dark in each last cell."""
    _silence(stage)
    with torch.no_grad():
        stage.pre[0].weight[0, 0, 3, 3, 3] = -1
        _read_channel_0(stage.fc)
        stage.end_fc_with_gender[0].weight[0, 0] = 1
        stage.end_fc_with_gender[1].weight[0, 0] = slope
        stage.end_fc_with_gender[1].bias.fill_(-10 * slope)


class EitherSex(nn.Module):
    """Age of women from the brightness of the first half of axis 0, of men from that of the second half."""

    uses_sex = True
    cam_layer = "cells"

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv3d(1, 1, 2, stride=2, bias=False)
        nn.init.constant_(self.cells.weight, 1 / 8)

    def forward(self, image: torch.Tensor, sex: torch.Tensor | None = None) -> torch.Tensor:
        shares = torch.full((len(image), 2), 0.5) if sex is None else sex
        cells = self.cells(image)
        half = cells.shape[2] // 2
        sides = torch.stack([cells[:, :, :half].flatten(1).mean(1), cells[:, :, half:].flatten(1).mean(1)], dim=1)
        return 50 + 20 * (shares * sides).sum(dim=1, keepdim=True)


def _silence(network: nn.Module) -> None:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()


def _read_channel_0(layer: nn.Sequential) -> None:
    layer[0].weight[0, 0] = 1
    # So far above 0 that the ELU behind it stays linear.
    layer[0].bias[0] = 10
