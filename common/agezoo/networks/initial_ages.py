"""What a network over ages starts its training from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from agezoo.errors import InputError, WeightsError
from agezoo.networks.imagenet import load_imagenet
from agezoo.networks.spine_age_net import SpineAgeNet
from agezoo.networks.weights import describe, load_strictly, read_state_dict

logger = logging.getLogger(__name__)

SMOOTHING_SD_YEARS = 3.0
UNIFORM_SHARE = 0.05


def start_spine_age(
    network: SpineAgeNet,
    *,
    ages_years: Sequence[float] = (),
    pretrained: str | Path | None = None,
    start_from: str | Path | None = None,
) -> nn.Module:
    """Prepare a network for training, in place, and return it.

    Parameters
    ----------
    ages_years
        Training ages. The last layer's biases start at the log of their smoothed distribution and its weights near 0,
        so that the first step begins where guessing from the ages ends.
    pretrained
        An EfficientNet's ImageNet weights for the trunk, see :func:`agezoo.networks.imagenet.load_imagenet`.
    start_from
        Weights of this very network to fine-tune, head included; loaded strictly, and `ages_years` is not used then.

    Raises
    ------
    WeightsError
        If `pretrained` or `start_from` cannot be read, differs from its record or does not fit.
    InputError
        If a training age is unknown or outside the network's ages.
    """
    if start_from:
        if pretrained:
            raise WeightsError("give either pretrained or start_from, not both", found=f"{pretrained} and {start_from}")
        return load_strictly(network, describe(start_from).path)
    if pretrained:
        path = describe(pretrained).path
        load_imagenet(network.features, read_state_dict(path), path)
        logger.info("started the trunk from %s; the head is fresh", path.name)
    if len(ages_years) > 0:
        with torch.no_grad():
            network.logits.bias.copy_(log_age_distribution(ages_years, network.ages))
            network.logits.weight.mul_(0.1)
    return network


def log_age_distribution(ages_years: Sequence[float], ages: tuple[int, int]) -> Tensor:
    """Log of the distribution of ages over the whole years from ``ages[0]`` to ``ages[1]``; its exponentials sum to 1.

    Each person's age is spread over the years by a Gaussian of SD 3 years, so that the years that no one of a small
    cohort has are not ruled out; a twentieth of the distribution is uniform.

    Raises
    ------
    InputError
        If an age is unknown or outside the range.
    """
    first, last = ages
    given = torch.as_tensor([float(age) for age in ages_years], dtype=torch.float64)
    within = (given >= first) & (given < last + 0.5)
    if not bool(within.all()):
        raise InputError(
            "training ages must be known and among those that the network tells apart",
            source="age_years",
            found=", ".join(f"{age:g}" for age in given[~within][:4].tolist()),
            expected=f"ages from {first} to less than {last + 0.5:g} years",
            remedy="leave these people out of the training (agezoo check lists them)",
        )
    years = torch.arange(first, last + 1, dtype=torch.float64)
    # Normalised per person: near an end of the range nobody's weight is lost.
    shares = torch.softmax(-0.5 * ((years - given[:, None]) / SMOOTHING_SD_YEARS).square(), dim=1)
    return ((1 - UNIFORM_SHARE) * shares.mean(dim=0) + UNIFORM_SHARE / len(years)).log().float()
