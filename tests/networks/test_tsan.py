"""The cascade: what the second stage gets from the first, what learns, and how saliency sees through the rounding."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from brain_network_cases import brains, lively
from torch import Tensor, nn

from agezoo.errors import InputError
from agezoo.networks import TSAN, AgeEnsemble, ScaleDense, brain_age_network
from agezoo.networks.tsan import SecondStage, discretised_age

SEX = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


@pytest.fixture(scope="module")
def network() -> TSAN:
    """Two blocks, in evaluation mode; not to be changed."""
    torch.manual_seed(1)
    return lively(TSAN(stem_channels=4, n_blocks=2))


def test_published_size_and_names() -> None:
    with torch.device("meta"):
        made = TSAN()
        assert made(torch.zeros(2, 1, 91, 109, 91), torch.zeros(2, 2)).shape == (2, 3)
    first, second = (dict(stage.state_dict()) for stage in (made.first_stage, made.second_stage))
    assert set(made.state_dict()) == {f"first_stage.{n}" for n in first} | {f"second_stage.{n}" for n in second}
    trunk = re.compile(r"pre|block|male_fc|end_fc_with_gender|end_fc_without_gender")
    assert {name for name in first if trunk.match(name)} == {name for name in second if trunk.match(name)}
    assert {name for name in first if not trunk.match(name)} == {"deep_fc.0.weight", "deep_fc.0.bias"}
    own = {name: tuple(tensor.shape) for name, tensor in second.items() if not trunk.match(name)}
    assert own == {
        "fc.0.weight": (32, 1944),
        "fc.0.bias": (32,),
        "dis_fc.0.weight": (32, 1),
        "dis_fc.0.bias": (32,),
        "dis_fc.2.weight": (16, 32),
        "dis_fc.2.bias": (16,),
    }
    assert second["end_fc_with_gender.0.weight"].shape == (16, 56)
    assert second["end_fc_without_gender.0.weight"].shape == (16, 48)
    assert [type(layer) for layer in made.second_stage.dis_fc[1::2]] == [nn.ReLU, nn.ReLU]


def test_rounding_is_half_up_to_multiples_of_five() -> None:
    ages = [0.0, 2.4, 2.5, 57.4999, 57.5, 60.0, 62.49, 62.5, 62.51, 67.5, 99.0]
    expected = [0.0, 0.0, 5.0, 55.0, 60.0, 60.0, 60.0, 65.0, 65.0, 70.0, 100.0]
    assert discretised_age(torch.tensor(ages)).tolist() == expected
    below = torch.nextafter(torch.tensor(2.5), torch.tensor(0.0))
    assert float(discretised_age(below)) == 0.0
    assert discretised_age(torch.tensor([12.0, 15.0]), 10.0).tolist() == [10.0, 20.0]


def test_the_second_stage_is_the_written_formula(network: TSAN) -> None:
    """The trunk is that of the first stage's class, which has its own test."""
    stage = network.second_stage
    image, bins = brains(), torch.tensor([[60.0], [75.0]])

    def linear(x: Tensor, name: str) -> Tensor:
        layer = stage.get_submodule(name)
        return x @ layer.weight.T + layer.bias

    with torch.no_grad():
        features = nn.functional.elu(linear(stage.pooled(image), "fc.0"))
        sexes = nn.functional.elu(linear(linear(SEX, "male_fc.0"), "male_fc.1"))
        binned = linear(linear(bins, "dis_fc.0").relu(), "dis_fc.2").relu()
        joined = torch.cat([features, sexes, binned], dim=1)
        expected = linear(linear(joined, "end_fc_with_gender.0"), "end_fc_with_gender.1")
        assert torch.allclose(stage(image, SEX, bins), expected, atol=1e-5)
        assert (stage(image, SEX, bins) != stage(image, SEX, bins + 5)).all()


def test_a_residual_may_be_negative(network: TSAN) -> None:
    stage = copy.deepcopy(network.second_stage)
    with torch.no_grad():
        stage.end_fc_with_gender[1].bias.fill_(-100.0)
        assert (stage(brains(), SEX, torch.full((2, 1), 60.0)) < -50).all()


def test_output_is_age_bin_and_first_stage_age(network: TSAN) -> None:
    image = brains()
    with torch.no_grad():
        age, bins, first = network(image, SEX).split(1, dim=1)
        assert torch.equal(first, network.first_stage(image, SEX))
        assert torch.equal(bins, discretised_age(first))
        assert torch.allclose(age, bins + network.second_stage(image, SEX, bins))
        assert torch.equal(network(image), network(image, torch.full((2, 2), 0.5)))
        wide = copy.deepcopy(network)
        wide.bin_years = 20.0
        assert (wide(image, SEX)[:, 1] % 20 == 0).all()


def test_age_of_an_output_and_of_an_ensemble(network: TSAN) -> None:
    assert network.age_years(torch.tensor([[61.0, 60.0, 59.0]])).tolist() == [61.0]
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.second_stage.end_fc_with_gender[1].bias.add_(4.0)
        output = AgeEnsemble([network, other])(brains(), SEX)
    assert output.shape == (2, 2, 3)
    assert torch.allclose(network.age_years(output), output[:, 0, 0] + 2.0, atol=1e-4)
    with pytest.raises(ValueError, match=r"\(B, 3\) or \(B, M, 3\), got \(2, 1\)"):
        network.age_years(torch.zeros(2, 1))


def test_a_frozen_first_stage_neither_learns_nor_drifts() -> None:
    network = TSAN(2, 2)
    network.train()
    assert network.first_stage.training
    network.freeze_first_stage().train()
    assert network.training
    assert network.second_stage.training
    assert not any(module.training for module in network.first_stage.modules())
    before = {name: tensor.clone() for name, tensor in network.first_stage.state_dict().items()}
    network(brains(), SEX)[:, 0].sum().backward()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1)
    optimiser.step()
    after = network.first_stage.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert learning == {name for name, p in network.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in learning} == {"second_stage"}


def test_frozen_first_stage_keeps_nothing_for_the_way_back() -> None:
    def kept(network: TSAN) -> int:
        elements = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal elements
            elements += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            network(brains(), SEX)
        return elements

    network = TSAN(2, 2)
    assert kept(network.freeze_first_stage()) < 0.6 * kept(TSAN(2, 2))


def test_explaining_changes_no_age_and_shows_the_first_stage(network: TSAN) -> None:
    image = brains(1).requires_grad_()

    def slopes() -> tuple[Tensor, Tensor]:
        output = network(image, SEX[:1])
        (by_image,) = torch.autograd.grad(network.age_years(output).sum(), image)
        return output.detach(), by_image

    plain, residual_alone = slopes()
    with network.explaining() as same:
        assert same is network
        explained, whole = slopes()
    assert torch.equal(plain, explained)
    assert not network.straight_through
    # By hand: the rounded age counts for itself and as an input of the second stage.
    first = network.first_stage(image, SEX[:1])
    (by_first,) = torch.autograd.grad(first.sum(), image)
    bins = discretised_age(first.detach()).requires_grad_()
    residual = network.second_stage(image.detach(), SEX[:1], bins)
    (by_bin,) = torch.autograd.grad(residual.sum(), bins)
    assert torch.allclose(whole, residual_alone + (1 + by_bin) * by_first, atol=1e-6)
    assert float((whole - residual_alone).abs().max()) > 1e-4


def test_explaining_ends_with_an_error_too_and_sees_through_a_frozen_stage() -> None:
    network = lively(TSAN(2, 2)).freeze_first_stage()
    with pytest.raises(KeyError), network.explaining():
        raise KeyError
    assert not network.straight_through
    image = brains(1).requires_grad_()
    with network.explaining():
        network(image)[0, 2].backward()
    assert image.grad is not None
    assert float(image.grad.abs().max()) > 0


def test_layer_of_cams_is_in_the_first_stage_and_has_a_counterpart(network: TSAN) -> None:
    assert network.cam_layer == "first_stage.block.0"
    assert network.get_submodule(network.cam_layer.replace("first", "second"))
    with torch.device("meta"):
        assert TSAN().cam_layer == "first_stage.block.2"


def test_brain_age_network_makes_one_stage_or_two() -> None:
    assert isinstance(brain_age_network(1, 2, 2), ScaleDense)
    cascade = brain_age_network(stages=2, stem_channels=2, n_blocks=3, bin_years=10, checkpointing=True)
    assert isinstance(cascade, TSAN)
    assert isinstance(cascade.second_stage, SecondStage)
    assert cascade.bin_years == 10
    stages = (cascade.first_stage, cascade.second_stage)
    assert [(s.stem_channels, s.n_blocks, s.checkpointing) for s in stages] == [(2, 3, True)] * 2
    with pytest.raises(InputError, match="stages: no such cascade; found: 3; expected: 1 or 2"):
        brain_age_network(3)
    with pytest.raises(InputError, match="bin_years: no such bin; found: 0"):
        TSAN(2, 2, bin_years=0)
