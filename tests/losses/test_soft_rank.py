"""Soft ranks: by hand, their limit, ties, every batch size, and the gradient by finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import rankdata

from agezoo.losses import soft_ranks
from agezoo.losses.soft_rank import true_ranks

AGES = [54.0, 71.0, 33.0, 54.0, 80.5]


def years(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_true_ranks_by_hand() -> None:
    """From the youngest: 33 is 1, both 54 share 2 and 3, 71 is 4, 80.5 is 5; rank = (5 - (r - 1)) / 5."""
    assert true_ranks(years(*AGES)).tolist() == pytest.approx([3.5 / 5, 2 / 5, 5 / 5, 3.5 / 5, 1 / 5], rel=1e-12)


def test_true_ranks_are_scipys_also_with_many_ties() -> None:
    generator = torch.Generator().manual_seed(3)
    for n in (1, 2, 3, 32, 57):
        ages = torch.randint(40, 60, (n,), generator=generator).double()
        expected = (n - (rankdata(ages.numpy()) - 1)) / n
        assert true_ranks(ages).tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_soft_ranks_by_hand() -> None:
    """50, 51 and 53 years at 2 years: of the youngest r = 1 + s(-1/2) + s(-3/2), and so on."""
    ranks = soft_ranks(years(50, 51, 53), temperature_years=2.0)
    r = [1 + sigmoid(-0.5) + sigmoid(-1.5), 1 + sigmoid(0.5) + sigmoid(-1.0), 1 + sigmoid(1.5) + sigmoid(1.0)]
    assert ranks.tolist() == pytest.approx([(3 - (each - 1)) / 3 for each in r], rel=1e-12)


@pytest.mark.parametrize("ages", [AGES, [60.0], [60.0, 60.0], [61.0, 60.0], [7.0] * 6])
def test_true_ranks_are_the_limit(ages: list[float]) -> None:
    """The error falls with the temperature and is nothing at a thousandth of the least difference."""
    truth = true_ranks(years(*ages))
    errors = [float((soft_ranks(years(*ages), t) - truth).abs().max()) for t in (10.0, 1.0, 0.1, 0.001)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 30.0])
def test_equal_ages_share_the_mean_rank_at_every_temperature(temperature: float) -> None:
    """Far from others: 20, then three of 50 with the ranks 2 to 4, then 90."""
    ranks = soft_ranks(years(50, 20, 50, 90, 50), temperature_years=temperature)
    assert ranks[0] == ranks[2] == ranks[4]
    if temperature < 2:
        assert ranks.tolist() == pytest.approx([3 / 5, 1, 3 / 5, 1 / 5, 3 / 5], abs=1e-9)
    assert float(ranks.mean()) == pytest.approx(3 / 5, rel=1e-12), "ranks always add up to the same"


def test_one_person_has_rank_1_and_no_gradient() -> None:
    age = years(63).requires_grad_()
    ranks = soft_ranks(age)
    ranks.sum().backward()
    assert ranks.tolist() == [1.0]
    assert age.grad is not None
    assert age.grad.tolist() == [0.0]


@pytest.mark.parametrize("ages", [[60.0], [60.0, 61.5], AGES, [50.0, 50.0, 50.0]])
def test_gradient_equals_finite_differences(ages: list[float]) -> None:
    """Ties included, where a sort has none."""
    x = years(*ages).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: soft_ranks(p, 1.5), (x,), eps=1e-6, atol=1e-8)
    assert torch.autograd.gradgradcheck(lambda p: soft_ranks(p, 1.5), (x,), eps=1e-6, atol=1e-6)


def test_the_gradient_makes_an_older_person_older() -> None:
    """At a tie, a lower rank value of one person is reached by a higher age of that one."""
    x = years(60, 60).requires_grad_()
    soft_ranks(x)[0].backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([-0.125, 0.125]), "slope of the sigmoid, a quarter, over N"


def test_extreme_distances_stay_finite() -> None:
    x = torch.tensor([-1e30, 0.0, 1e30]).requires_grad_()
    ranks = soft_ranks(x, 1e-3)
    ranks.sum().backward()
    assert ranks.tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ages must have shape \(N,\), got \(3, 1\)"):
        soft_ranks(torch.zeros(3, 1))
    with pytest.raises(ValueError, match="temperature_years must be positive"):
        soft_ranks(torch.zeros(3), temperature_years=0.0)
