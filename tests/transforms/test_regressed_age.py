"""From a regression head's output to years, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from agezoo.transforms import GaussianAge, RegressedAge, RegressedAged

NAMES = ["predicted_age_years", "aleatoric_sd_years", "epistemic_sd_years"]


def as_floats(result: dict[str, torch.Tensor]) -> list[float]:
    assert list(result) == NAMES
    assert all(value.shape == (1,) and value.dtype is torch.float32 for value in result.values())
    return [float(value) for value in result.values()]


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_one_network_without_an_sd(shape: tuple[int, ...]) -> None:
    """What is not known is NaN, never 0."""
    age, aleatoric, epistemic = as_floats(RegressedAge()(torch.full(shape, 63.5)))
    assert age == 63.5
    assert math.isnan(aleatoric)
    assert math.isnan(epistemic)


def test_ensemble_without_an_sd_by_hand() -> None:
    """Ages 60, 66, 72: mean 66; variance (36 + 0 + 36) / 3."""
    age, aleatoric, epistemic = as_floats(RegressedAge()(torch.tensor([[60.0], [66.0], [72.0]])))
    assert (age, epistemic) == pytest.approx((66.0, math.sqrt(24)))
    assert math.isnan(aleatoric)


def test_one_network_with_an_sd_by_hand() -> None:
    age, aleatoric, epistemic = as_floats(RegressedAge()(torch.tensor([61.5, math.log(4.0)])))
    assert (age, aleatoric) == pytest.approx((61.5, 4.0))
    assert math.isnan(epistemic)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (5, 2)])
def test_with_an_sd_it_is_the_gaussian_head(shape: tuple[int, ...]) -> None:
    pred = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + torch.tensor([60.0, 1.0])
    assert as_floats(RegressedAge()(pred)) == pytest.approx(as_floats(GaussianAge()(pred)), nan_ok=True)


def test_half_precision_and_whole_numbers_are_taken() -> None:
    assert as_floats(RegressedAge()(torch.tensor([64.0], dtype=torch.float16)))[0] == 64.0
    assert as_floats(RegressedAge()(torch.tensor([[60], [61]])))[0] == 60.5


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 1, 2), (0,), (0, 1), (0, 2)])
def test_another_head_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a regression head emits \(1,\), \(2,\), \(M, 1\) or \(M, 2\)"):
        RegressedAge()(torch.zeros(shape))


def test_dictionary_form_adds_and_keeps() -> None:
    pred = torch.zeros(1, requires_grad=True)
    item = {"pred": pred, "label": 49.0}
    result = RegressedAged(keys="pred")(item)
    assert list(item) == ["pred", "label"], "the item given is not changed"
    assert result["pred"] is pred
    assert [name for name in result if name not in item] == NAMES
    assert not any(result[name].requires_grad for name in NAMES), "a kept graph would hold every batch in memory"
    with pytest.raises(ValueError, match="one head at a time"):
        RegressedAged(keys=["pred", "other"])
