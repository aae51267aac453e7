"""TSAN: a second ScaleDense corrects what the first one's age, rounded to a bin, leaves over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from agezoo.errors import InputError
from agezoo.networks.scale_dense import (
    FEATURES,
    SEX_FEATURES,
    PreciseLinear,
    ScaleDense,
    ScaleTrunk,
    first_column,
    sex_layers,
    sex_or_unknown,
)

BIN_FEATURES = 16


class SecondStage(ScaleTrunk):
    """Residual in years, shape (B, 1), from the image, the sex and the first stage's rounded age.

    Parameters' names are those of the published checkpoints; `end_fc_without_gender` is part of them and not asked.
    """

    def __init__(self, stem_channels: int = 8, n_blocks: int = 5, checkpointing: bool = False) -> None:
        super().__init__(stem_channels, n_blocks, checkpointing)
        self.fc = nn.Sequential(PreciseLinear(self.out_channels, FEATURES), nn.ELU())
        self.dis_fc = nn.Sequential(PreciseLinear(1, 32), nn.ReLU(), PreciseLinear(32, BIN_FEATURES), nn.ReLU())
        self.male_fc = sex_layers()
        width = FEATURES + SEX_FEATURES + BIN_FEATURES
        self.end_fc_with_gender = nn.Sequential(PreciseLinear(width, 16), PreciseLinear(16, 1))
        self.end_fc_without_gender = nn.Sequential(PreciseLinear(FEATURES + BIN_FEATURES, 16), PreciseLinear(16, 1))
        self.end_fc_without_gender.requires_grad_(False)

    def forward(self, image: Tensor, sex: Tensor | None, discretised_age: Tensor) -> Tensor:
        """Residual in years, shape (B, 1); `discretised_age` in years, shape (B, 1)."""
        features = self.fc(self.pooled(image))
        sex_features = self.male_fc(sex_or_unknown(sex, image))
        bin_features = self.dis_fc(discretised_age)
        return self.end_fc_with_gender(torch.cat([features, sex_features, bin_features], dim=1))


class TSAN(nn.Module):
    """The two-stage age network.

    The first stage's age is rounded to the nearest multiple of 5 years, half up; the second stage emits what is left
    over. Rounding has no slope, so that the first stage learns nothing from the cascade's age: it is trained before,
    by itself, and frozen (:meth:`freeze_first_stage`).

    Parameters
    ----------
    stem_channels, n_blocks, checkpointing
        Of both stages, see :class:`agezoo.networks.scale_dense.ScaleTrunk`. The published network has 8 and 5.
    bin_years
        Width of the bins to which the first stage's age is rounded.

    Attributes
    ----------
    first_stage, second_stage
        A :class:`ScaleDense` and a :class:`SecondStage`.
    cam_layer
        A block of the first stage, by which people's ages differ most. Its gradient needs :meth:`explaining`; the
        residual's layer is the same name under ``second_stage``.
    straight_through
        Whether gradients pass the rounding as if it had slope 1. The ages are the same.

    References
    ----------
    Cheng et al., "Brain age estimation from MRI using cascade networks with ranking loss", IEEE TMI 2021.
    """

    uses_sex = True

    def __init__(
        self, stem_channels: int = 8, n_blocks: int = 5, bin_years: float = 5, checkpointing: bool = False
    ) -> None:
        super().__init__()
        if not bin_years > 0:
            raise InputError("no such bin", source="bin_years", found=bin_years, expected="more than 0 years")
        self.bin_years = float(bin_years)
        self.first_stage = ScaleDense(stem_channels, n_blocks, checkpointing)
        self.second_stage = SecondStage(stem_channels, n_blocks, checkpointing)
        self.cam_layer = f"first_stage.{self.first_stage.cam_layer}"
        self.first_stage_frozen = False
        self.straight_through = False

    def forward(self, image: Tensor, sex: Tensor | None = None) -> Tensor:
        """Age, discretised first-stage age and first-stage age in years, shape (B, 3).

        Parameters
        ----------
        image
            Standardised brains on the template's grid, shape (B, 1, X, Y, Z).
        sex
            Shape (B, 2): (female, male), one of them 1; None or halves where it is not known.
        """
        if self.first_stage_frozen and not self.straight_through:
            with torch.no_grad():
                first = self.first_stage(image, sex)
        else:
            first = self.first_stage(image, sex)
        discretised = discretised_age(first, self.bin_years).detach()
        if self.straight_through:
            # The difference is 0 and keeps the value exact.
            discretised = discretised + (first - first.detach())
        residual = self.second_stage(image, sex, discretised)
        return torch.cat([discretised + residual, discretised, first], dim=1)

    @torch.jit.unused
    def age_years(self, output: Tensor) -> Tensor:
        """Age in years, shape (B,), of the network's output (B, 3) or of an ensemble's (B, M, 3)."""
        return first_column(output, 3)

    def freeze_first_stage(self) -> TSAN:
        """Take the first stage out of the training: no gradients, and evaluation mode whatever is asked."""
        self.first_stage_frozen = True
        self.first_stage.requires_grad_(False)
        self.first_stage.eval()
        return self

    def train(self, mode: bool = True) -> TSAN:
        """As of any module, but a frozen first stage stays in evaluation mode."""
        super().train(mode)
        if self.first_stage_frozen:
            self.first_stage.eval()
        return self

    @contextmanager
    def explaining(self) -> Iterator[TSAN]:
        """Let gradients pass the rounding within the block, so that saliency explains the cascade as a whole.

        With the true gradient, 0 almost everywhere, a map would show the residual alone and nothing of what places
        a person in a bin.
        """
        before = self.straight_through
        self.straight_through = True
        try:
            yield self
        finally:
            self.straight_through = before


def discretised_age(age_years: Tensor, bin_years: float = 5.0) -> Tensor:
    """Nearest multiple of `bin_years`, half up: 62.4 becomes 60, 62.5 becomes 65."""
    below = torch.floor(age_years / bin_years) * bin_years
    # Not floor(age / bin + 1/2), whose sum may round up to the next whole number.
    return torch.where(age_years - below < bin_years / 2, below, below + bin_years)


def brain_age_network(
    stages: int = 2,
    stem_channels: int = 8,
    n_blocks: int = 5,
    checkpointing: bool = False,
    bin_years: float = 5,
) -> ScaleDense | TSAN:
    """The first stage alone (``stages=1``, which has no bins) or the cascade (2).

    Raises
    ------
    InputError
        For another number of stages.
    """
    if stages == 1:
        return ScaleDense(stem_channels, n_blocks, checkpointing)
    if stages == 2:
        return TSAN(stem_channels, n_blocks, bin_years, checkpointing)
    raise InputError("no such cascade", source="stages", found=stages, expected="1 or 2")
