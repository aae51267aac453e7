"""Where trainings of the brain-age cascade start: alive, at the mean age, stage 2 behind a trained stage 1."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from brain_network_cases import brains, lively

from agezoo.errors import InputError, WeightsError
from agezoo.networks import TSAN, ScaleDense, start_brain_stage
from agezoo.networks.weights import save_weights

AGES = [55.0, 65.0, 75.0, 85.0]
SEX = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(4, 1)


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("stage1") / "model.pt"
    return save_weights(lively(ScaleDense(4, 2)).state_dict(), path, {"origin": "trained"}).path


@pytest.mark.parametrize("seed", range(6))
def test_stage_1_starts_alive_at_the_mean_age(seed: int) -> None:
    """Half of all random starts emit 0 for everybody, without a gradient."""
    torch.manual_seed(seed)
    network = start_brain_stage(ScaleDense(4, 2), ages_years=AGES).train()
    ages = network(brains(8), SEX)
    assert float((ages.detach() - 70.0).abs().max()) < 4.0
    ages.sum().backward()
    assert float(network.pre[0].weight.grad.abs().max()) > 0


def test_without_a_start_some_networks_are_dead() -> None:
    dead = 0
    for seed in range(6):
        torch.manual_seed(seed)
        with torch.no_grad():
            dead += bool((ScaleDense(4, 2)(brains(8), SEX) == 0).all())
    assert dead > 0


def test_random_weights_are_drawn_as_released() -> None:
    """He for convolutions (variance 2 / fan-in), Glorot for linear layers (2 / (in + out)), biases 0."""
    torch.manual_seed(0)
    network = start_brain_stage(ScaleDense(8, 3))
    convolution = network.block[2].block[3].conv1[0].weight
    assert float(convolution.detach().std()) == pytest.approx(math.sqrt(2 / (144 * 27)), rel=0.03)
    assert float(network.deep_fc[0].weight.detach().std()) == pytest.approx(math.sqrt(2 / (216 + 32)), rel=0.05)
    assert all(not p.any() for n, p in network.named_parameters() if n.endswith("fc.0.bias") or n == "pre.0.bias")


def test_stage_2_starts_without_a_residual_behind_the_trained_first_stage(first_stage: Path) -> None:
    torch.manual_seed(0)
    network = start_brain_stage(TSAN(4, 2), ages_years=AGES, stage1_weights=first_stage).train()
    trained = torch.load(first_stage, weights_only=True)
    assert all(torch.equal(tensor, trained[name]) for name, tensor in network.first_stage.state_dict().items())
    assert network.first_stage_frozen
    assert not network.first_stage.training
    assert not any(p.requires_grad for p in network.first_stage.parameters())
    assert {p.requires_grad for n, p in network.second_stage.named_parameters() if "without" not in n} == {True}
    output = network(brains(8), SEX)
    residual = output[:, 0] - output[:, 1]
    assert float(residual.detach().abs().max()) < 3.0
    residual.square().sum().backward()
    assert float(network.second_stage.pre[0].weight.grad.abs().max()) > 0


def test_the_rounded_age_enters_standardised(first_stage: Path) -> None:
    """Mean 70 and SD sqrt(125) of the training ages, folded into a layer that keeps its name."""
    torch.manual_seed(0)
    plain = start_brain_stage(TSAN(4, 2), stage1_weights=first_stage).second_stage.dis_fc
    torch.manual_seed(0)
    started = start_brain_stage(TSAN(4, 2), ages_years=AGES, stage1_weights=first_stage).second_stage.dis_fc
    bins = torch.tensor([[60.0], [70.0], [95.0]])
    with torch.no_grad():
        assert torch.allclose(started(bins), plain((bins - 70.0) / math.sqrt(125.0)), atol=1e-5)


def test_the_second_trunk_may_start_from_the_first(first_stage: Path) -> None:
    own = start_brain_stage(TSAN(4, 2), stage1_weights=first_stage)
    copied = start_brain_stage(TSAN(4, 2), ages_years=AGES, stage1_weights=first_stage, from_first_stage=True)
    image = brains()
    with torch.no_grad():
        copied.eval()
        assert torch.equal(copied.first_stage.pooled(image), copied.second_stage.pooled(image))
        assert torch.equal(copied.first_stage.deep_fc[0].weight, copied.second_stage.fc[0].weight)
        own.eval()
        assert not torch.equal(own.first_stage.pooled(image), own.second_stage.pooled(image))
        copied.second_stage.pre[0].weight.zero_()
        assert copied.first_stage.pre[0].weight.any(), "a copy, not the same tensors"


def test_a_cascade_lends_its_first_stage(first_stage: Path, tmp_path: Path) -> None:
    cascade = lively(TSAN(4, 2))
    path = save_weights(cascade.state_dict(), tmp_path / "cascade.pt", {"origin": "imported"}).path
    network = start_brain_stage(TSAN(4, 2), stage1_weights=path)
    expected = cascade.first_stage.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.first_stage.state_dict().items())


def test_fine_tuning_takes_every_tensor_and_no_age(first_stage: Path, tmp_path: Path) -> None:
    stage = start_brain_stage(ScaleDense(4, 2), ages_years=AGES, start_from=first_stage)
    trained = torch.load(first_stage, weights_only=True)
    assert all(torch.equal(tensor, trained[name]) for name, tensor in stage.state_dict().items())
    cascade = lively(TSAN(4, 2))
    path = save_weights(cascade.state_dict(), tmp_path / "cascade.pt", {"origin": "trained"}).path
    network = start_brain_stage(TSAN(4, 2), ages_years=AGES, start_from=path)
    assert all(torch.equal(tensor, cascade.state_dict()[name]) for name, tensor in network.state_dict().items())
    assert network.first_stage_frozen


def test_a_cascade_without_a_first_stage_does_not_start() -> None:
    with pytest.raises(
        WeightsError, match=r"stage1_weights: the second stage needs a trained first.*train stage 1 first"
    ):
        start_brain_stage(TSAN(2, 1), ages_years=AGES)


def test_starts_that_do_not_fit_are_refused(first_stage: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"absent\.pt: no such weight file"):
        start_brain_stage(TSAN(4, 2), stage1_weights=tmp_path / "absent.pt")
    with pytest.raises(WeightsError, match="another network layout"):
        start_brain_stage(TSAN(4, 3), stage1_weights=first_stage)
    with pytest.raises(WeightsError, match="another network layout"):
        start_brain_stage(TSAN(4, 2), start_from=first_stage)
    with pytest.raises(WeightsError, match=r"either stage1_weights or start_from.*found: a\.pt and b\.pt"):
        start_brain_stage(TSAN(4, 2), stage1_weights="a.pt", start_from="b.pt")
    for name in ("stage1_weights", "from_first_stage"):
        with pytest.raises(WeightsError, match=f"stage 1 starts from no first stage; found: {name}"):
            start_brain_stage(ScaleDense(4, 2), **{name: first_stage})
    altered = save_weights(ScaleDense(4, 2).state_dict(), tmp_path / "model.pt", {"origin": "trained"}).path
    torch.save(ScaleDense(4, 2).state_dict(), altered)
    with pytest.raises(WeightsError, match="not those that were recorded"):
        start_brain_stage(TSAN(4, 2), stage1_weights=altered)
    with pytest.raises(InputError, match="age_years: every training age must be known; found: 1 unknown"):
        start_brain_stage(ScaleDense(2, 1), ages_years=[60.0, math.nan])
