"""From the cascade's output to years, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from agezoo.transforms import CascadeAge, CascadeAged

NAMES = [
    "predicted_age_years", "aleatoric_sd_years", "epistemic_sd_years", "first_stage_age_years", "discretised_age_years",
]  # fmt: skip


def as_floats(result: dict[str, torch.Tensor]) -> list[float]:
    assert list(result) == NAMES
    assert all(value.shape == (1,) and value.dtype is torch.float32 for value in result.values())
    return [float(value) for value in result.values()]


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_first_stage_alone(shape: tuple[int, ...]) -> None:
    """What it has not is NaN, never 0."""
    age, *others = as_floats(CascadeAge()(torch.full(shape, 63.5)))
    assert age == 63.5
    assert all(math.isnan(other) for other in others)


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_one_cascade(shape: tuple[int, ...]) -> None:
    age, aleatoric, epistemic, first_stage, discretised = as_floats(
        CascadeAge()(torch.tensor([63.5, 65.0, 66.25]).reshape(shape))
    )
    assert (age, first_stage, discretised) == (63.5, 66.25, 65.0)
    assert math.isnan(aleatoric)
    assert math.isnan(epistemic)


def test_members_of_an_ensemble_by_hand() -> None:
    """Ages 60 and 66: mean 63, SD 3; bins 60 and 65; first stages 61 and 64."""
    pred = torch.tensor([[60.0, 60.0, 61.0], [66.0, 65.0, 64.0]])
    age, aleatoric, epistemic, first_stage, discretised = as_floats(CascadeAge()(pred))
    assert (age, epistemic, first_stage, discretised) == (63.0, 3.0, 62.5, 62.5)
    assert math.isnan(aleatoric)


def test_members_of_an_ensemble_of_first_stages() -> None:
    age, _, epistemic, first_stage, discretised = as_floats(CascadeAge()(torch.tensor([[60.0], [66.0], [72.0]])))
    assert (age, epistemic) == pytest.approx((66.0, math.sqrt(24)))
    assert math.isnan(first_stage)
    assert math.isnan(discretised)


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (2, 1, 3), (0, 3), (0,)])
def test_another_head_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a cascade emits \(1,\), \(3,\), \(M, 1\) or \(M, 3\)"):
        CascadeAge()(torch.zeros(shape))


def test_dictionary_form_adds_and_keeps() -> None:
    pred = torch.zeros(3, requires_grad=True)
    item = {"pred": pred, "label": 49.0}
    result = CascadeAged(keys="pred")(item)
    assert list(item) == ["pred", "label"], "the item given is not changed"
    assert result["pred"] is pred
    assert [name for name in result if name not in item] == NAMES
    assert not any(result[name].requires_grad for name in NAMES), "a kept graph would hold every batch in memory"
    with pytest.raises(ValueError, match="one head at a time"):
        CascadeAged(keys=["pred", "other"])
