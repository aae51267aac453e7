"""The mean-variance loss: each term by hand, the gradient by finite differences, and ages that it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from agezoo.errors import InputError
from agezoo.losses import MeanVarianceLoss

HALVES = {50: 0.5, 60: 0.5}
THIRDS = {60: 0.5, 64: 0.3, 70: 0.2}


def logits(*rows: dict[int, float], rest: float = -1e4, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Logits over 40..99 of distributions that have these chances and nothing else."""
    values = torch.full((len(rows), 60), rest, dtype=dtype)
    for row, chances in zip(values, rows, strict=True):
        for age, chance in chances.items():
            row[age - 40] = math.log(chance)
    return values


def parts(pred: torch.Tensor, *ages: float) -> list[float]:
    return [float(part) for part in MeanVarianceLoss().parts(pred, torch.tensor(ages, dtype=torch.float64))]


def test_three_terms_by_hand() -> None:
    """50 and 60 by halves, true 60: -ln 0.5; mean 55, 5 ** 2 / 2; variance 25."""
    assert parts(logits(HALVES), 60.0) == pytest.approx([0.6931471805599453, 12.5, 25.0], rel=1e-12)


def test_the_mean_term_takes_the_exact_age() -> None:
    """60, 64, 70 with 0.5, 0.3, 0.2, true 63.7 and so of class 64: -ln 0.3; mean 63.2, 0.5 ** 2 / 2; variance 14.56."""
    assert parts(logits(THIRDS), 63.7) == pytest.approx([1.2039728043259361, 0.125, 14.56], rel=1e-9)


def test_each_term_is_averaged_over_the_batch_and_weighted() -> None:
    pred, target = logits(HALVES, THIRDS), torch.tensor([[60.0], [63.7]], dtype=torch.float64)
    expected = [(0.6931471805599453 + 1.2039728043259361) / 2, (12.5 + 0.125) / 2, (25.0 + 14.56) / 2]
    assert [float(part) for part in MeanVarianceLoss().parts(pred, target)] == pytest.approx(expected, rel=1e-9)
    assert float(MeanVarianceLoss()(pred, target)) == pytest.approx(
        expected[0] + 0.2 * expected[1] + 0.05 * expected[2], rel=1e-9
    )
    other = MeanVarianceLoss(mean_weight=3.0, variance_weight=0.5)
    assert float(other(pred, target)) == pytest.approx(expected[0] + 3 * expected[1] + 0.5 * expected[2], rel=1e-9)
    assert float(MeanVarianceLoss(mean_weight=0, variance_weight=0)(pred, target)) == pytest.approx(expected[0])


def test_cross_entropy_is_torchs() -> None:
    generator = torch.Generator().manual_seed(2)
    pred = torch.randn(32, 60, generator=generator, dtype=torch.float64)
    ages = torch.randint(40, 100, (32,), generator=generator)
    theirs = torch.nn.functional.cross_entropy(pred, ages - 40)
    assert float(MeanVarianceLoss().parts(pred, ages)[0]) == pytest.approx(float(theirs), rel=1e-12)


@pytest.mark.parametrize(
    ("age", "nearest"), [(40.0, 40), (40.49, 40), (40.5, 41), (62.0, 62), (62.5, 63), (98.5, 99), (99.49, 99)]
)
def test_class_of_an_age_is_its_nearest_whole_year(age: float, nearest: int) -> None:
    cross_entropy = parts(logits({nearest: 1.0}, rest=-30.0), age)[0]
    assert cross_entropy == pytest.approx(0.0, abs=1e-9)


def test_a_sharp_right_distribution_has_no_loss() -> None:
    assert float(MeanVarianceLoss()(logits({71: 1.0}), torch.tensor([71.0]))) == pytest.approx(0.0, abs=1e-12)


def test_gradient_equals_finite_differences() -> None:
    generator = torch.Generator().manual_seed(4)
    pred = (2 * torch.randn(3, 60, generator=generator, dtype=torch.float64)).requires_grad_()
    target = torch.tensor([40.0, 63.7, 99.4], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: MeanVarianceLoss()(p, target), (pred,), eps=1e-6, atol=1e-6)
    for term in range(3):
        assert torch.autograd.gradcheck(lambda p, t=term: MeanVarianceLoss().parts(p, target)[t], (pred,), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    """A miss of 59 years squared loses its digits in half precision."""
    pred = logits({99: 1.0}, rest=-50.0, dtype=dtype).requires_grad_()
    loss = MeanVarianceLoss(variance_weight=0.0)(pred, torch.tensor([40.0]))
    assert loss.dtype is torch.float32
    assert float(loss.detach()) == pytest.approx(50.0 + 0.2 * 59**2 / 2, rel=1e-6)
    loss.backward()
    assert pred.grad is not None
    assert pred.grad.dtype is dtype
    assert pred.grad.isfinite().all()


def test_under_autocast_the_loss_is_single_too() -> None:
    """MONAI's trainer asks the loss under autocast, which would round an expectation of 63.2 to 63.25."""
    pred = logits(THIRDS, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = MeanVarianceLoss()(pred, torch.tensor([63.7]))
    assert loss.dtype is torch.float32
    assert float(loss) == pytest.approx(1.2039728 + 0.2 * 0.125 + 0.05 * 14.56, rel=1e-5)


def test_extreme_logits_give_a_finite_loss_that_leads_back() -> None:
    pred = logits({99: 1.0}, rest=-1e4, dtype=torch.float32).requires_grad_()
    loss = MeanVarianceLoss()(pred, torch.tensor([45.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert pred.grad is not None
    assert pred.grad.isfinite().all()
    assert float(pred.grad[0, 5]) < 0 < float(pred.grad[0, 59])


@pytest.mark.parametrize("age", [39.99, 39.5, 99.5, 100.0, 0.0, -5.0, math.nan, math.inf])
def test_an_age_outside_is_an_error_and_no_clamp(age: float) -> None:
    with pytest.raises(
        InputError, match=r"age_years: an age is unknown .* expected: ages from 40 to less than 99\.5"
    ) as e:
        MeanVarianceLoss()(torch.zeros(3, 60), torch.tensor([50.0, age, 60.0]))
    assert f"found: {age:g};" in str(e.value)


def test_other_ages_move_the_range() -> None:
    loss = MeanVarianceLoss(ages=(20, 22))
    assert float(loss(torch.zeros(1, 3), torch.tensor([20.0]))) == pytest.approx(
        math.log(3) + 0.2 * 0.5 + 0.05 * 2 / 3, rel=1e-6
    )
    with pytest.raises(InputError, match="found: 40; expected: ages from 20"):
        loss(torch.zeros(1, 3), torch.tensor([40.0]))


@pytest.mark.parametrize("shape", [(60,), (4, 59), (4, 2, 60)])
def test_other_outputs_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pred must have shape \(B, 60\)"):
        MeanVarianceLoss()(torch.zeros(shape), torch.full((4,), 50.0))


def test_wrong_number_of_ages_is_refused() -> None:
    """Broadcasting (B,) against (B, 1) would give a loss of B * B pairs without a word."""
    with pytest.raises(ValueError, match=r"one age per row of pred \(4\), got \(1,\)"):
        MeanVarianceLoss()(torch.zeros(4, 60), torch.full((1,), 50.0))


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="a later last age"):
        MeanVarianceLoss(ages=(99, 40))
    with pytest.raises(ValueError, match="weights cannot be negative"):
        MeanVarianceLoss(mean_weight=-0.1)
