"""Ranks of the ages in a batch, exact and differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

TEMPERATURE_YEARS = 1.0


def true_ranks(ages_years: Tensor) -> Tensor:
    """Ranks in the convention of brain_tsan: (N - (r - 1)) / N, with r the rank from the youngest, 1, to the oldest, N.

    The youngest has 1 and the oldest 1 / N. Equal ages share the mean of the ranks that they take up.

    Parameters
    ----------
    ages_years
        Shape (N,).

    Returns
    -------
    torch.Tensor
        Shape (N,), of the dtype of `ages_years`, without a gradient.

    Raises
    ------
    ValueError
        If the shape is another.
    """
    differences = _differences(ages_years.detach())
    return _ranks(0.5 * (1 + differences.sign()))


def soft_ranks(ages_years: Tensor, temperature_years: float = TEMPERATURE_YEARS) -> Tensor:
    r"""Differentiable ranks, whose limit for a falling temperature is :func:`true_ranks`.

    A person's rank is a count of the people who are younger. Here each of these pairs counts
    :math:`\mathrm{sigmoid}((x_i - x_j) / T)` instead of 0 or 1. Chosen before a soft rank by isotonic regression
    because it is smooth everywhere, also where ages are equal (a pair then counts a half, which is the mean rank), has
    a gradient for every pair that is not far apart, and takes a few lines; its N x N table is nothing at batch sizes
    that a volume allows.

    Parameters
    ----------
    ages_years
        Shape (N,), any N.
    temperature_years
        :math:`T`: at a distance of one temperature a pair is ordered by 73 %, at five by 99 %. The default of 1 year is
        our choice: below the error of a trained network, so that what it still confuses has a gradient, and yet the
        minimum of :class:`agezoo.losses.BrainAgeLoss` lies within 0.001 years of the true ages.

    Returns
    -------
    torch.Tensor
        Shape (N,), of the dtype of `ages_years`.

    Raises
    ------
    ValueError
        If the shape is another or the temperature is not positive.

    References
    ----------
    Qin, Liu and Li, "A general approximation framework for direct optimization of information retrieval measures",
    Information Retrieval 2010.
    """
    if not temperature_years > 0:
        raise ValueError(f"temperature_years must be positive, got {temperature_years}")
    return _ranks(torch.sigmoid(_differences(ages_years) / temperature_years))


def _differences(ages_years: Tensor) -> Tensor:
    if ages_years.ndim != 1:
        raise ValueError(f"ages must have shape (N,), got {tuple(ages_years.shape)}")
    return ages_years[:, None] - ages_years[None, :]


def _ranks(is_older: Tensor) -> Tensor:
    """From how far each (row) is older than each other (column), a half on the diagonal, to ranks."""
    n = len(is_older)
    # r = 1 + the younger ones, of whom the row's own half is none.
    return (n + 0.5 - is_older.sum(dim=1)) / max(n, 1)
