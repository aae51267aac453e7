"""Training in units of the ages' SD while the network that is kept emits years."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from agezoo.losses import GaussianNLLLoss
from agezoo.networks import StandardisedHead, initialise
from agezoo.networks.standardised_head import deployed_state_dict

AGES_YEARS = [40.0, 50.0, 60.0, 70.0]  # mean 55, SD sqrt(125)


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Linear(6, 5)
        self.fc = nn.Linear(5, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(torch.relu(self.conv1(image)))


@pytest.fixture
def image() -> Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(1))


def test_wrapping_changes_nothing_that_is_computed(image: Tensor) -> None:
    expected = Trunk()(image)
    assert torch.allclose(StandardisedHead(Trunk(), AGES_YEARS)(image), expected, rtol=1e-5, atol=1e-5)


def test_the_layer_itself_is_in_units_of_the_sd(image: Tensor) -> None:
    """Initialised at the cohort's mean and SD, its bias is 0; its own output times SD plus mean is the age."""
    wrapped = StandardisedHead(initialise(Trunk(), ages_years=AGES_YEARS), AGES_YEARS)
    assert wrapped.network.fc.bias.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    inner, outer = wrapped.network(image), wrapped(image)
    assert torch.allclose(outer[:, 0], 55.0 + math.sqrt(125.0) * inner[:, 0])
    assert torch.allclose(outer[:, 1], 0.5 * math.log(125.0) + inner[:, 1])


def test_a_trained_head_folds_into_the_bare_layout(image: Tensor) -> None:
    wrapped = StandardisedHead(Trunk(), AGES_YEARS)
    optimizer = torch.optim.AdamW(wrapped.parameters(), lr=0.05)
    for _ in range(20):
        loss = GaussianNLLLoss()(wrapped(image), torch.linspace(30, 80, 8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    before = {name: value.clone() for name, value in wrapped.state_dict().items()}
    folded = deployed_state_dict(wrapped)
    assert folded.keys() == Trunk().state_dict().keys()
    bare = Trunk()
    bare.load_state_dict(folded, strict=True)
    assert torch.allclose(bare(image), wrapped(image), rtol=1e-5, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in wrapped.state_dict().items()), "training goes on"
    assert StandardisedHead(bare, [20.0, 90.0])(image).detach().numpy() == pytest.approx(
        wrapped(image).detach().numpy(), rel=1e-4
    ), "another cohort goes on with the same ages"


def test_first_steps_move_the_ages_by_more(image: Tensor) -> None:
    """What it is for: with a step of equal size the ages move about SD times as far."""
    moved = []
    for standardised in (False, True):
        network: nn.Module = Trunk()
        if standardised:
            network = StandardisedHead(network, AGES_YEARS)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        before = network(image)[:, 0].detach()
        GaussianNLLLoss()(network(image), torch.full((8,), 70.0)).backward()
        optimizer.step()
        moved.append(float((network(image)[:, 0] - before).abs().mean()))
    assert moved[1] > 5 * moved[0]


def test_a_network_without_standardised_head_is_kept_as_it_is() -> None:
    network = Trunk()
    assert {k: v.tolist() for k, v in deployed_state_dict(network).items()} == {
        k: v.tolist() for k, v in network.state_dict().items()
    }


def test_a_cohort_of_one_age_is_scaled_by_one_year(image: Tensor) -> None:
    wrapped = StandardisedHead(Trunk(), [63.0, 63.0])
    assert (float(wrapped.mean_years), float(wrapped.sd_years)) == (63.0, 1.0)
    assert torch.allclose(wrapped(image), Trunk()(image), rtol=1e-5, atol=1e-4)


def test_unknown_ages_and_other_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="every training age must be known"):
        StandardisedHead(Trunk(), [60.0, math.nan])
    with pytest.raises(ValueError, match="the head 'conv1' must be a linear layer with two outputs"):
        StandardisedHead(Trunk(), AGES_YEARS, head="conv1")
