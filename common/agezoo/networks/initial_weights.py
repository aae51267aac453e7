"""What a network starts its training from."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from agezoo.errors import WeightsError
from agezoo.networks.weights import describe, load_strictly, read_state_dict

logger = logging.getLogger(__name__)


def initialise(
    network: nn.Module,
    *,
    ages_years: Sequence[float] = (),
    pretrained: str | Path | None = None,
    start_from: str | Path | None = None,
    fresh: Sequence[str] = ("conv1.", "fc."),
    head: str = "fc",
) -> nn.Module:
    """Prepare a network for training, in place, and return it.

    Parameters
    ----------
    ages_years
        Training ages. The head's biases start at their mean and log SD, and the random weights of the mean are scaled
        by their SD, so that the first step begins where guessing the mean ends instead of spending epochs to get from
        0 to the cohort's age.
    pretrained
        A state dict of the same layout, e.g. torchvision's ImageNet ``resnet18``. Every tensor outside `fresh` must be
        there and fit; nothing is skipped silently.
    start_from
        Weights of this very network to fine-tune, head included; loaded strictly, and `ages_years` is not used then.
    fresh
        Prefixes of the parameters that keep their random start (the 1-channel stem and the head).
    head
        Name of the last linear layer, which emits the mean and the log SD.

    Raises
    ------
    WeightsError
        If `pretrained` or `start_from` cannot be read, differs from its record or does not fit.
    ValueError
        If an age is not known, or `head` is no linear layer with two outputs.
    """
    if start_from:
        if pretrained:
            raise WeightsError("give either pretrained or start_from, not both", found=f"{pretrained} and {start_from}")
        return load_strictly(network, describe(start_from).path)
    if pretrained:
        state = read_state_dict(describe(pretrained).path)
        wanted = {k: v for k, v in network.state_dict().items() if not k.startswith(tuple(fresh))}
        given = {k: v for k, v in state.items() if not k.startswith(tuple(fresh))}
        # torchvision's older files lack these counters, which carry no weight.
        for key in wanted:
            if key.endswith("num_batches_tracked"):
                given.setdefault(key, wanted[key])
        unfit = sorted(set(wanted) ^ set(given)) + sorted(
            k for k in wanted.keys() & given.keys() if wanted[k].shape != given[k].shape
        )
        if unfit:
            raise WeightsError(
                "the pretrained weights do not fit the network",
                source=pretrained,
                found=f"{len(unfit)} tensors missing, unknown or of another shape, e.g. {', '.join(unfit[:4])}",
                expected="a state dict in the network's own names (torchvision's resnet18 for ct_age)",
            )
        network.load_state_dict(given, strict=False)
        logger.info("started %d tensors from %s; fresh: %s", len(given), Path(pretrained).name, ", ".join(fresh))
    if len(ages_years) > 0:
        ages = torch.as_tensor([float(a) for a in ages_years], dtype=torch.float64)
        if not ages.isfinite().all():
            raise ValueError("every training age must be known")
        spread = max(float(ages.std(correction=0)), 1.0)
        layer = network.get_submodule(head)
        if not isinstance(layer, nn.Linear) or layer.bias is None or layer.bias.numel() != 2:
            raise ValueError(f"the head {head!r} must be a linear layer with two outputs and a bias")
        with torch.no_grad():
            layer.bias.copy_(torch.tensor([float(ages.mean()), math.log(spread)]))
            # The random weights then tell people apart by about the cohort's spread, not by less than a year; smaller
            # ones leave the trunk to learn the SD first and the mean age late.
            layer.weight[0].mul_(spread)
    return network
