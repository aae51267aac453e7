"""From the Gaussian head to years, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from agezoo.transforms.gaussian_age import GaussianAge, GaussianAged


def as_floats(result: dict[str, torch.Tensor]) -> list[float]:
    assert list(result) == ["predicted_age_years", "aleatoric_sd_years", "epistemic_sd_years"]
    assert all(value.shape == (1,) and value.dtype is torch.float32 for value in result.values())
    return [float(value) for value in result.values()]


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_one_network_has_no_epistemic_sd(shape: tuple[int, ...]) -> None:
    mean, aleatoric, epistemic = as_floats(GaussianAge()(torch.tensor([61.5, math.log(4.0)]).reshape(shape)))
    assert mean == 61.5
    assert aleatoric == pytest.approx(4.0, rel=1e-6)
    assert math.isnan(epistemic), "not known is NaN, never 0"


def test_mixture_of_three_members_by_hand() -> None:
    """Means 50, 56, 62 and SDs 3, 4, 5: mean 56; mean variance 50/3; variance of the means 72/3."""
    heads = torch.tensor([[50.0, math.log(3.0)], [56.0, math.log(4.0)], [62.0, math.log(5.0)]])
    mean, aleatoric, epistemic = as_floats(GaussianAge()(heads))
    assert mean == 56.0
    assert aleatoric == pytest.approx(math.sqrt(50 / 3), rel=1e-6)
    assert epistemic == pytest.approx(math.sqrt(24.0), rel=1e-6)


def test_both_variances_add_up_to_that_of_the_mixture() -> None:
    """Checked by drawing from the mixture itself."""
    means, sds = torch.tensor([40.0, 60.0, 75.0]), torch.tensor([2.0, 8.0, 5.0])
    _, aleatoric, epistemic = as_floats(GaussianAge()(torch.stack([means, sds.log()], dim=1)))
    generator = torch.Generator().manual_seed(0)
    draws = means + sds * torch.randn(400_000, 3, generator=generator)
    assert math.hypot(aleatoric, epistemic) == pytest.approx(float(draws.flatten().double().std()), rel=0.01)


def test_members_that_agree_have_an_epistemic_sd_of_zero() -> None:
    assert as_floats(GaussianAge()(torch.tensor([[50.0, 0.0], [50.0, 0.0]]))) == [50.0, 1.0, 0.0]


def test_half_precision_output_is_taken() -> None:
    mean, aleatoric, _ = as_floats(GaussianAge()(torch.tensor([64.0, 2.0], dtype=torch.float16)))
    assert mean == 64.0
    assert aleatoric == pytest.approx(math.exp(2.0), rel=1e-6)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 2)])
def test_another_head_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a Gaussian head emits \(2,\) or \(M, 2\)"):
        GaussianAge()(torch.zeros(shape))


def test_dictionary_form_adds_and_keeps() -> None:
    pred = torch.tensor([50.0, 0.0], requires_grad=True)
    item = {"pred": pred, "label": 49.0}
    result = GaussianAged(keys="pred")(item)
    assert list(item) == ["pred", "label"], "the item given is not changed"
    assert result["pred"] is pred
    assert result["label"] == 49.0
    assert float(result["predicted_age_years"]) == 50.0
    assert not result["predicted_age_years"].requires_grad, "a kept graph would hold every batch in memory"
    with pytest.raises(ValueError, match="one head at a time"):
        GaussianAged(keys=["pred", "other"])
