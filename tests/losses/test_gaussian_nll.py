"""The Gaussian negative log-likelihood against hand-computed values, torch's own loss and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from agezoo.losses import GaussianNLLLoss


def prediction(*rows: tuple[float, float], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(rows, dtype=dtype, requires_grad=True)


def test_hand_computed_values() -> None:
    """A miss of 6 years at SD 3: ln 3 + 36 / 18 + ln(2 pi) / 2; a hit at SD 1: ln(2 pi) / 2."""
    half_log_2pi = 0.9189385332046727
    one = GaussianNLLLoss()(prediction((50.0, math.log(3.0))), torch.tensor([[56.0]]))
    assert one.item() == pytest.approx(1.0986122886681098 + 2.0 + half_log_2pi, abs=1e-12)
    both = GaussianNLLLoss()(prediction((50.0, math.log(3.0)), (40.0, 0.0)), torch.tensor([[56.0], [40.0]]))
    assert both.item() == pytest.approx((1.0986122886681098 + 2.0) / 2 + half_log_2pi, abs=1e-12)
    bare = GaussianNLLLoss(constant=False)(prediction((40.0, 0.0)), torch.tensor([40.0]))
    assert bare.item() == 0.0


@pytest.mark.parametrize("target_shape", [(64, 1), (64,)])
def test_equals_torch_with_the_variance(target_shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    mean = 60 + 15 * torch.randn(64, generator=generator, dtype=torch.float64)
    log_sd = torch.empty(64, dtype=torch.float64).uniform_(math.log(0.02), math.log(900), generator=generator)
    target = 60 + 15 * torch.randn(64, generator=generator, dtype=torch.float64)
    theirs = nn.GaussianNLLLoss(full=True)(mean, target, torch.exp(2 * log_sd))
    ours = GaussianNLLLoss()(torch.stack([mean, log_sd], dim=1), target.reshape(target_shape))
    assert ours.item() == pytest.approx(float(theirs), rel=1e-10)


def test_gradient_equals_finite_differences_inside_and_outside_the_bounds() -> None:
    pred = prediction((50.0, 1.0), (41.0, -2.0), (30.0, -9.0), (70.0, 12.0))
    target = torch.tensor([53.0, 40.0, 30.001, 20.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: GaussianNLLLoss()(p, target), (pred,), eps=1e-6, atol=1e-5)


def test_double_precision_is_kept() -> None:
    assert GaussianNLLLoss()(prediction((50.0, 0.0)), torch.tensor([50])).dtype is torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    """A miss of 300 years squared is 90000, beyond what float16 holds."""
    pred = prediction((0.0, 0.0), dtype=dtype)
    loss = GaussianNLLLoss(constant=False)(pred, torch.tensor([300.0]))
    assert loss.dtype is torch.float32
    assert loss.item() == 45000.0
    loss.backward()
    assert pred.grad is not None
    assert pred.grad.dtype is dtype
    assert float(pred.grad[0, 0]) == -300.0 if dtype is torch.float16 else pred.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(("log_sd", "direction"), [(-1e4, -1.0), (1e4, 1.0)])
def test_absurd_sd_gives_a_finite_loss_that_leads_back(log_sd: float, direction: float, dtype: torch.dtype) -> None:
    """Descending against the gradient raises an SD that is far too small and lowers one that is far too large."""
    pred = prediction((50.0, log_sd), dtype=dtype)
    loss = GaussianNLLLoss()(pred, torch.tensor([[50.5]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert pred.grad is not None
    assert pred.grad.isfinite().all()
    assert float(pred.grad[0, 1]) == direction
    assert float(pred.grad[0, 0]) < 0, "the mean is still drawn towards the target"


def test_loss_is_continuous_at_the_bounds() -> None:
    target = torch.tensor([50.0], dtype=torch.float64)
    for bound in (math.log(0.01), math.log(1000.0)):
        below, above = (GaussianNLLLoss()(prediction((50.001, bound + step)), target).item() for step in (-1e-9, 1e-9))
        assert below == pytest.approx(above, abs=1e-7)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3), (4, 2, 1)])
def test_other_outputs_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pred must have shape"):
        GaussianNLLLoss()(torch.zeros(shape), torch.zeros(4))


def test_wrong_number_of_ages_is_refused() -> None:
    """Broadcasting (B,) against (B, 1) would give a loss of B * B pairs without a word."""
    with pytest.raises(ValueError, match=r"one age per row of pred \(4\), got \(1,\)"):
        GaussianNLLLoss()(torch.zeros(4, 2), torch.zeros(1))
