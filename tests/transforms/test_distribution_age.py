"""From logits over ages to years, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from agezoo.transforms import DistributionAge, DistributionAged

NAMES = ["predicted_age_years", "expected_age_years", "aleatoric_sd_years", "epistemic_sd_years"]


def logits(chances: dict[int, float]) -> torch.Tensor:
    """Logits over 40..99 of a distribution that has these chances and nothing else."""
    values = torch.full((60,), -1e4)
    for age, chance in chances.items():
        values[age - 40] = math.log(chance)
    return values


def as_floats(result: dict[str, torch.Tensor]) -> list[float]:
    assert list(result) == NAMES
    assert all(value.shape == (1,) and value.dtype is torch.float32 for value in result.values())
    return [float(value) for value in result.values()]


@pytest.mark.parametrize("shape", [(60,), (1, 60)])
def test_one_network_by_hand(shape: tuple[int, ...]) -> None:
    """60, 64 and 70 with 0.5, 0.3 and 0.2: mean 63.2; variance 0.5 * 10.24 + 0.3 * 0.64 + 0.2 * 46.24 = 14.56."""
    pred = logits({60: 0.5, 64: 0.3, 70: 0.2}).reshape(shape)
    rounded, expected, aleatoric, epistemic = as_floats(DistributionAge()(pred))
    assert rounded == 63.0
    assert expected == pytest.approx(63.2, abs=1e-5)
    assert aleatoric == pytest.approx(math.sqrt(14.56), rel=1e-6)
    assert math.isnan(epistemic), "not known is NaN, never 0"


@pytest.mark.parametrize(("chances", "rounded"), [((0.5, 0.5), 61.0), ((0.51, 0.49), 60.0), ((0.49, 0.51), 61.0)])
def test_a_half_is_rounded_upwards(chances: tuple[float, float], rounded: float) -> None:
    assert as_floats(DistributionAge()(logits(dict(zip((60, 61), chances, strict=True)))))[0] == rounded


def test_a_uniform_distribution_has_the_middle_and_its_own_sd() -> None:
    """40..99: mean 69.5, variance (60 ** 2 - 1) / 12; all logits equal, whatever they are."""
    rounded, expected, aleatoric, _ = as_floats(DistributionAge()(torch.full((60,), 3.0)))
    assert (rounded, expected) == (70.0, 69.5)
    assert aleatoric == pytest.approx(math.sqrt(3599 / 12), rel=1e-6)


def test_members_by_hand() -> None:
    """A: 50 and 60 by halves, 55 with variance 25. B: 70 with variance 0. Mean 62.5, spread 7.5, mean variance 12.5."""
    pred = torch.stack([logits({50: 0.5, 60: 0.5}), logits({70: 1.0})])
    rounded, expected, aleatoric, epistemic = as_floats(DistributionAge()(pred))
    assert rounded == 63.0, "62.5 is rounded once, at the end, and upwards"
    assert expected == pytest.approx(62.5)
    assert aleatoric == pytest.approx(math.sqrt(12.5), rel=1e-6)
    assert epistemic == pytest.approx(7.5, rel=1e-6)


def test_both_variances_add_up_to_that_of_the_mixture() -> None:
    generator = torch.Generator().manual_seed(0)
    pred = 3 * torch.randn(5, 60, generator=generator)
    _, expected, aleatoric, epistemic = as_floats(DistributionAge()(pred))
    mixture = torch.softmax(pred.double(), dim=1).mean(dim=0)
    ages = torch.arange(40.0, 100.0, dtype=torch.float64)
    mean = float(mixture @ ages)
    assert expected == pytest.approx(mean, rel=1e-6)
    assert aleatoric**2 + epistemic**2 == pytest.approx(float(mixture @ (ages - mean) ** 2), rel=1e-5)


def test_half_precision_output_is_taken() -> None:
    assert as_floats(DistributionAge()(torch.zeros(60, dtype=torch.float16)))[1] == 69.5


def test_other_ages() -> None:
    result = as_floats(DistributionAge(ages=(0, 2))(torch.tensor([0.0, 0.0, 0.0])))
    assert result[:2] == [1.0, 1.0]
    with pytest.raises(ValueError, match="ages must be the first and a later last age"):
        DistributionAge(ages=(60, 60))


@pytest.mark.parametrize("shape", [(), (2,), (59,), (2, 61), (1, 2, 60), (0, 60)])
def test_another_head_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a head over the ages 40 to 99 emits \(60,\) or \(M, 60\)"):
        DistributionAge()(torch.zeros(shape))


def test_dictionary_form_adds_and_keeps() -> None:
    pred = torch.zeros(60, requires_grad=True)
    item = {"pred": pred, "label": 49.0}
    result = DistributionAged(keys="pred")(item)
    assert list(item) == ["pred", "label"], "the item given is not changed"
    assert result["pred"] is pred
    assert [name for name in result if name not in item] == NAMES
    assert not any(result[name].requires_grad for name in NAMES), "a kept graph would hold every batch in memory"
    with pytest.raises(ValueError, match="one head at a time"):
        DistributionAged(keys=["pred", "other"])
