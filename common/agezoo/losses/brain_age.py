"""Squared error with the order of the ages and their differences, for brain_tsan's two stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from agezoo.errors import InputError
from agezoo.losses.soft_rank import TEMPERATURE_YEARS, soft_ranks, true_ranks


class BrainAgeLoss(nn.Module):
    r"""The first stage's loss: :math:`\text{MSE} + \lambda (\text{ranking} + \lambda_d \text{ age difference})`.

    Ranking is the mean squared error between the soft ranks of the predictions and the true ranks of the ages in the
    batch (see :mod:`agezoo.losses.soft_rank`); age difference the mean of
    :math:`((p_a - p_b) - (y_a - y_b))^2` over N pairs of the N people.

    Both look at the batch that they are given: with gradient accumulation that is the micro-batch, with several
    processes that of each process. A person alone has a rank and no pair. Computed in float32 at least, also under
    mixed precision.

    Parameters
    ----------
    ranking_weight
        :math:`\lambda`; 0 leaves the squared error alone.
    difference_weight
        :math:`\lambda_d`, within the bracket.
    temperature_years
        See :func:`agezoo.losses.soft_ranks`.
    pairs
        ``"random"``: the people in a random circle, each with the next, drawn from torch's CPU generator (so that a
        seed decides them, on every device). ``"all"``: every pair once; the mean of ``"random"`` over all circles.
    sorter
        Gives the soft ranks instead, e.g. :class:`agezoo.losses.SorterRanks`.

    References
    ----------
    Cheng et al., "Brain age estimation from MRI using cascade networks with ranking loss", IEEE TMI 2021.
    """

    n_outputs = 1

    def __init__(
        self,
        ranking_weight: float = 10.0,
        difference_weight: float = 1.0,
        temperature_years: float = TEMPERATURE_YEARS,
        pairs: Literal["random", "all"] = "random",
        sorter: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if ranking_weight < 0 or difference_weight < 0:
            raise ValueError(f"weights cannot be negative, got {ranking_weight} and {difference_weight}")
        if not temperature_years > 0:
            raise ValueError(f"temperature_years must be positive, got {temperature_years}")
        if pairs not in ("random", "all"):
            raise ValueError(f"pairs is 'random' or 'all', not {pairs!r}")
        self.ranking_weight = float(ranking_weight)
        self.difference_weight = float(difference_weight)
        self.temperature_years = float(temperature_years)
        self.pairs = pairs
        self.sorter = sorter

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss.

        Parameters
        ----------
        pred
            Shape (B, 1): age in years.
        target
            Shape (B, 1) or (B,): age in years.

        Raises
        ------
        InputError
            If an age is unknown (NaN), or the sorter is bound to another batch size.
        ValueError
            If the shapes are others.
        """
        predicted, ages = self._ages_years(pred, target)
        loss = (predicted - ages).square().mean()
        if self.ranking_weight > 0:
            ordering = self._ranking(predicted, ages)
            if self.difference_weight > 0:
                ordering = ordering + self.difference_weight * self._age_difference(predicted - ages)
            loss = loss + self.ranking_weight * ordering
        return loss

    def parts(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three terms without their weights: squared error (years²), ranking, age difference (years²)."""
        predicted, ages = self._ages_years(pred, target)
        errors = predicted - ages
        return errors.square().mean(), self._ranking(predicted, ages), self._age_difference(errors)

    def _ages_years(self, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and true ages, both (B,)."""
        if pred.ndim != 2 or pred.shape[1] != self.n_outputs:
            raise ValueError(f"pred must have shape (B, {self.n_outputs}), got {tuple(pred.shape)}")
        if target.numel() != pred.shape[0]:
            raise ValueError(f"target must hold one age per row of pred ({pred.shape[0]}), got {tuple(target.shape)}")
        pred = pred if pred.dtype == torch.float64 else pred.float()
        ages = target.detach().reshape(-1).to(pred)
        known = torch.isfinite(ages)
        if not bool(known.all()):
            raise InputError(
                "an age is unknown",
                source="age_years",
                found=f"{int((~known).sum())} of the {len(ages)} people in a batch",
                expected="a number of years",
                remedy="leave these people out of the training (agezoo check lists them)",
            )
        return pred[:, 0], ages

    def _ranking(self, predicted: Tensor, ages: Tensor) -> Tensor:
        ranks = soft_ranks(predicted, self.temperature_years) if self.sorter is None else self.sorter(predicted)
        return (ranks - true_ranks(ages)).square().mean()

    def _age_difference(self, errors: Tensor) -> Tensor:
        """Mean over pairs of the squared difference between two errors, which is that of the two age differences."""
        n = len(errors)
        if n < 2:
            return 0 * errors.sum()
        if self.pairs == "all":
            first, second = torch.triu_indices(n, n, offset=1, device=errors.device)
            return (errors[first] - errors[second]).square().mean()
        circle = errors[torch.randperm(n).to(errors.device)]
        return (circle - circle.roll(1)).square().mean()


class CascadeLoss(BrainAgeLoss):
    r"""The second stage's loss, on what :class:`agezoo.networks.TSAN` gives.

    The squared error is that of the residual, which the second stage predicts beside the first stage's discretised age
    :math:`d`: :math:`((p - d) - (y - d))^2`, which is the squared error of the final age :math:`p`. The ranking terms
    look at the final age. So the loss is that of :class:`BrainAgeLoss` on the first of three columns: final age,
    discretised first-stage age, first-stage age, all in years; the other two get no gradient.

    Parameters
    ----------
    ranking_weight, difference_weight, temperature_years, pairs, sorter
        As for :class:`BrainAgeLoss`.
    """

    n_outputs = 3
