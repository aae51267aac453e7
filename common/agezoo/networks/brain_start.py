"""What a stage of the brain-age cascade starts its training from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from agezoo.errors import InputError, WeightsError
from agezoo.networks.scale_dense import ScaleDense
from agezoo.networks.tsan import TSAN
from agezoo.networks.weights import describe, fit_strictly, load_strictly, read_state_dict

logger = logging.getLogger(__name__)


def start_brain_stage(
    network: ScaleDense | TSAN,
    *,
    ages_years: Sequence[float] = (),
    stage1_weights: str | Path | None = None,
    start_from: str | Path | None = None,
    from_first_stage: bool = False,
) -> ScaleDense | TSAN:
    """Prepare a network for the training of its last stage, in place, and return it.

    Random weights are drawn as in the authors' code: convolutions by He's normal rule, linear layers by Glorot's, all
    biases 0.

    Parameters
    ----------
    network
        A :class:`ScaleDense` for the training of stage 1, a :class:`TSAN` for that of stage 2.
    ages_years
        Training ages. Stage 1 begins at their mean, so that it need not learn first that people are older than 0, where
        the published last ReLU lies. Stage 2 begins at a residual near
        0, because the rounded age, some 60 years, enters its first layer as if standardised by their mean and SD.
    stage1_weights
        Trained weights of stage 1, or of a cascade, whose first stage is taken then. Needed for a TSAN; the first
        stage is frozen.
    start_from
        Weights of this very network to fine-tune, loaded strictly; `ages_years` is not used then. A TSAN's first stage
        is frozen.
    from_first_stage
        Start the trunk of stage 2 from that of stage 1 instead of from random weights, as is published. Our choice for
        cohorts that are too small to train a second trunk.

    Raises
    ------
    WeightsError
        If weights that are needed are not named, cannot be read, differ from their record or do not fit.
    InputError
        If a training age is unknown.
    """
    cascade = isinstance(network, TSAN)
    given = [name for name, value in (("stage1_weights", stage1_weights), ("start_from", start_from)) if value]
    if len(given) == 2:
        raise WeightsError(
            "give either stage1_weights or start_from, not both", found=f"{stage1_weights} and {start_from}"
        )
    if not cascade and (stage1_weights or from_first_stage):
        raise WeightsError(
            "the training of stage 1 starts from no first stage",
            found="stage1_weights" if stage1_weights else "from_first_stage",
            remedy="train stage 2 with it, or name weights to fine-tune with start_from",
        )
    if start_from:
        load_strictly(network, describe(start_from).path)
        return network.freeze_first_stage() if isinstance(network, TSAN) else network
    mean, sd = mean_and_sd(ages_years)
    if isinstance(network, ScaleDense):
        network.apply(_draw)
        if len(ages_years):
            _start_at_the_mean_age(network, mean)
        return network
    if not stage1_weights:
        raise WeightsError(
            "the second stage needs a trained first stage",
            source="stage1_weights",
            expected="the weights file of a trained stage 1",
            remedy="train stage 1 first and pass the model.pt that its training wrote",
        )
    _load_first_stage(network, stage1_weights)
    network.second_stage.apply(_draw)
    if from_first_stage:
        second, first = network.second_stage, network.first_stage
        for mine, its in ((second.pre, first.pre), (second.block, first.block), (second.fc, first.deep_fc)):
            mine.load_state_dict(its.state_dict())
        second.male_fc.load_state_dict(first.male_fc.state_dict())
    if len(ages_years):
        _start_without_a_residual(network, mean, sd)
    return network.freeze_first_stage()


@torch.no_grad()
def _draw(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv3d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="leaky_relu")
    elif isinstance(layer, nn.Linear):
        nn.init.xavier_normal_(layer.weight)
    if isinstance(layer, nn.Conv3d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)


def mean_and_sd(ages_years: Sequence[float]) -> tuple[float, float]:
    """Mean and SD (1 year at least) of ages in years, 0 and 1 of none; an unknown age is an :class:`InputError`."""
    ages = torch.as_tensor([float(age) for age in ages_years], dtype=torch.float64)
    if not bool(ages.isfinite().all()):
        raise InputError(
            "every training age must be known",
            source="age_years",
            found=f"{int((~ages.isfinite()).sum())} unknown ages",
            remedy="leave these people out of the training (agezoo check lists them)",
        )
    if not len(ages):
        return 0.0, 1.0
    # A cohort of one age has no spread to scale by.
    return float(ages.mean()), max(float(ages.std(correction=0)), 1.0)


@torch.no_grad()
def _start_at_the_mean_age(network: ScaleDense, mean_years: float) -> None:
    last = network.end_fc_with_gender[1]
    assert isinstance(last, nn.Linear)
    # Its weights stay as drawn: wider ones would make Adam's first steps as much larger.
    last.bias.fill_(mean_years)


@torch.no_grad()
def _start_without_a_residual(network: TSAN, mean_years: float, sd_years: float) -> None:
    entry, last = network.second_stage.dis_fc[0], network.second_stage.end_fc_with_gender[1]
    assert isinstance(entry, nn.Linear)
    assert isinstance(last, nn.Linear)
    entry.weight.div_(sd_years)
    entry.bias.sub_(entry.weight[:, 0] * mean_years)
    last.bias.zero_()


def _load_first_stage(network: TSAN, path: str | Path) -> None:
    file = describe(path)
    state = read_state_dict(file.path)
    if any(name.startswith("first_stage.") for name in state):
        prefix = "first_stage."
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    fit_strictly(network.first_stage, state, file.path)
    logger.info("first stage from %s (%s, sha256 %s), frozen", file.path.name, file.origin, file.sha256[:16])
