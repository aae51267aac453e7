"""Where a training of spine_age starts: the ages of the cohort, an ImageNet trunk, or own weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import EfficientNetBN

from agezoo.errors import InputError, WeightsError
from agezoo.losses import MeanVarianceLoss
from agezoo.networks import SpineAgeNet, start_spine_age
from agezoo.networks.initial_ages import log_age_distribution
from agezoo.networks.weights import save_weights


def small(seed: int = 0) -> SpineAgeNet:
    torch.manual_seed(seed)
    return SpineAgeNet(variant=0, hidden=8)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imagenet") / "efficientnet-b0.pth"
    torch.manual_seed(7)
    torch.save(EfficientNetBN("efficientnet-b0", pretrained=False, num_classes=10).state_dict(), path)
    return path


def test_distribution_of_one_age_by_hand() -> None:
    """A Gaussian of SD 3 around 70: a year beside it exp(-1 / 18) as likely; a twentieth is spread over 60 ages."""
    chances = log_age_distribution([70.0], (40, 99)).double().exp()
    norm = sum(math.exp(-0.5 * (distance / 3) ** 2) for distance in range(-30, 30))
    assert float(chances.sum()) == pytest.approx(1.0, abs=1e-6)
    assert float(chances[30]) == pytest.approx(0.95 / norm + 0.05 / 60, rel=1e-5)
    assert float(chances[31]) == pytest.approx(0.95 * math.exp(-1 / 18) / norm + 0.05 / 60, rel=1e-5)
    assert float(chances[0]) == pytest.approx(0.05 / 60, rel=1e-5), "ruled out is nothing"


def test_everybody_counts_the_same_also_at_the_ends() -> None:
    """Half of the cohort is 40, half 70: half of the distribution is below 55."""
    chances = log_age_distribution([40.0, 70.0], (40, 99)).double().exp()
    assert float(chances[:15].sum()) == pytest.approx(0.95 / 2 + 0.05 / 4, abs=1e-4)


@pytest.mark.parametrize("ages", [[39.9], [99.5], [50.0, math.nan], [50.0, 120.0]])
def test_ages_that_the_network_cannot_tell_are_refused(ages: list[float]) -> None:
    with pytest.raises(InputError, match=r"age_years: training ages must be known .*ages from 40 to less than 99\.5"):
        start_spine_age(small(), ages_years=ages)


def test_training_starts_at_guessing_from_the_ages() -> None:
    """Before the first step everyone gets about the cohort's mean age, with its spread, and the loss of guessing."""
    rng = np.random.default_rng(0)
    ages = rng.normal(68, 8, 300).clip(45, 95)
    network = start_spine_age(small(), ages_years=ages).train()
    images = torch.rand(16, 1, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = network(images)
    predicted = network.age_years(logits)
    assert float(predicted.mean()) == pytest.approx(ages.mean(), abs=1.0)
    assert float(predicted.std()) < 1.0
    guess = torch.from_numpy(ages)
    guessing = MeanVarianceLoss()(log_age_distribution(ages, (40, 99)).double().expand(300, -1), guess)
    target = torch.from_numpy(rng.choice(ages, 16))
    untrained = MeanVarianceLoss()(logits.double(), target)
    expected = MeanVarianceLoss()(log_age_distribution(ages, (40, 99)).double().expand(16, -1), target)
    assert float(untrained) == pytest.approx(float(expected), rel=0.1)
    fresh = small().train()
    with torch.no_grad():
        unprepared = MeanVarianceLoss()(fresh(images).double(), target)
    assert float(unprepared) > float(guessing) * 1.2


def test_the_ages_change_the_last_layer_alone() -> None:
    plain, started = small().state_dict(), start_spine_age(small(), ages_years=[60.0, 70.0]).state_dict()
    untouched = start_spine_age(small()).state_dict()
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in plain.items())
    assert {name for name in plain if not torch.equal(plain[name], started[name])} == {"logits.weight", "logits.bias"}


def test_pretrained_trunk_and_fresh_head(imagenet: Path) -> None:
    network = start_spine_age(small(), ages_years=[60.0, 70.0], pretrained=imagenet)
    file = torch.load(imagenet, weights_only=True)
    state, plain = network.state_dict(), small().state_dict()
    assert torch.equal(state["features._conv_head.weight"], file["_conv_head.weight"])
    assert torch.equal(state["features._conv_stem.weight"], file["_conv_stem.weight"].sum(dim=1, keepdim=True))
    assert torch.equal(state["head.fc.weight"], plain["head.fc.weight"])
    assert float(network.logits.bias.detach().argmax()) in range(19, 32)


def test_pretrained_weights_of_another_variant_are_refused(imagenet: Path) -> None:
    network = SpineAgeNet(variant=1, hidden=8)
    with pytest.raises(WeightsError, match=r"efficientnet-b0\.pth: the file does not fit the trunk"):
        start_spine_age(network, pretrained=imagenet)


def test_fine_tuning_takes_every_tensor_and_leaves_the_head_alone(tmp_path: Path) -> None:
    source = small(1)
    save_weights(source.state_dict(), tmp_path / "model.pt", {"origin": "trained"})
    network = start_spine_age(small(2), ages_years=[45.0, 50.0], start_from=tmp_path / "model.pt")
    assert all(torch.equal(t, source.state_dict()[name]) for name, t in network.state_dict().items())


def test_fine_tuning_is_strict(tmp_path: Path, imagenet: Path) -> None:
    with pytest.raises(WeightsError, match="another network layout"):
        start_spine_age(small(), start_from=imagenet)
    path = save_weights(small(1).state_dict(), tmp_path / "model.pt", {"origin": "trained"}).path
    torch.save(small(2).state_dict(), path)
    with pytest.raises(WeightsError, match="not those that were recorded"):
        start_spine_age(small(), start_from=path)


def test_two_starts_at_once_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"either pretrained or start_from, not both; found: a\.pth and b\.pt"):
        start_spine_age(small(), pretrained="a.pth", start_from="b.pt")
