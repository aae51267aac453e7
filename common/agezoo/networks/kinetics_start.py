"""What a whole-body network starts its training from."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from agezoo.errors import InputError, WeightsError
from agezoo.networks.brain_start import mean_and_sd
from agezoo.networks.hub_file import check_name
from agezoo.networks.kinetics import load_kinetics
from agezoo.networks.weights import describe, load_strictly, read_state_dict
from agezoo.networks.whole_body_resnet import WholeBodyResNet

logger = logging.getLogger(__name__)


def start_whole_body(
    network: nn.Module,
    *,
    ages_years: Sequence[float] = (),
    pretrained: str | Path | None = None,
    start_from: str | Path | None = None,
    outputs: int | None = None,
) -> nn.Module:
    """Prepare a network for training, in place, and return it.

    Parameters
    ----------
    network
        A :class:`WholeBodyResNet`, or any other network that ends in a linear layer with one output (age) or two (mean
        and log of the SD), such as MONAI's ``resnet18`` or ``DenseNet121``; its own random weights stay.
    ages_years
        Training ages. The last layer's bias starts at their mean, that of a second output at the log of their SD, and
        the random weights of the age are scaled by their SD, so that the first step begins where guessing the mean ends
        instead of spending epochs to get from 0 to the cohort's age.
    pretrained
        ``r3d_18`` weights for the backbone of a :class:`WholeBodyResNet`, see
        :func:`agezoo.networks.kinetics.load_kinetics`.
    start_from
        Weights of this very network to fine-tune, head included; loaded strictly, and `ages_years` is not used then.
    outputs
        How many outputs the last layer must have; None accepts one and two.

    Raises
    ------
    WeightsError
        If `pretrained` or `start_from` cannot be read, differs from its record or its name, or does not fit.
    InputError
        If a training age is unknown, or the network does not end in such a layer.
    """
    last = last_linear(network, outputs)
    if start_from:
        if pretrained:
            raise WeightsError("give either pretrained or start_from, not both", found=f"{pretrained} and {start_from}")
        return load_strictly(network, describe(start_from).path)
    if pretrained:
        if not isinstance(network, WholeBodyResNet):
            raise WeightsError(
                "Kinetics weights fit the bundle's own network alone",
                source="pretrained",
                found=type(network).__name__,
                expected="agezoo.networks.WholeBodyResNet as network_def",
                remedy="leave pretrained out for another network",
            )
        file = describe(pretrained)
        check_name(file.path, file.sha256)
        load_kinetics(network, read_state_dict(file.path), file.path)
        logger.info("started the backbone from %s (sha256 %s); the head is fresh", file.path.name, file.sha256[:16])
    if len(ages_years) > 0:
        _start_at_the_mean_age(last, ages_years)
    return network


def last_linear(network: nn.Module, outputs: int | None = None) -> nn.Linear:
    """The linear layer that a network ends in, by the order in which its layers are registered.

    Raises
    ------
    InputError
        If there is none, it has no bias, or its number of outputs is not `outputs` (None: not one or two).
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    wanted = (1, 2) if outputs is None else (outputs,)
    if layers and layers[-1].out_features in wanted and layers[-1].bias is not None:
        return layers[-1]
    last = layers[-1] if layers else None
    raise InputError(
        "the network does not end as an age regression must",
        source="network_def",
        found="no linear layer"
        if last is None
        else f"a last linear layer with {last.out_features} outputs" + (" and no bias" if last.bias is None else ""),
        expected=f"a last linear layer with {' or '.join(map(str, wanted))} outputs and a bias",
        remedy="MONAI's resnet18 takes num_classes, its DenseNet121 out_channels: 1 for the age, 2 for its uncertainty "
        "too",
    )


@torch.no_grad()
def _start_at_the_mean_age(last: nn.Linear, ages_years: Sequence[float]) -> None:
    mean_years, sd_years = mean_and_sd(ages_years)
    last.bias.copy_(torch.tensor([mean_years, math.log(sd_years)])[: last.out_features])
    last.weight[0].mul_(sd_years)
