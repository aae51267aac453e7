"""Every method behind the one call finds planted signals with the right sign and leaves the network as it was."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from planted import PlantedNetwork, SmallConvNet, quarter, small_conv_net
from torch import nn

from agezoo.errors import InputError, MissingExtraError
from agezoo.explain.age_output import expected_age
from agezoo.explain.attribution import METHODS, SIGNED_METHODS, explain, map_cells
from agezoo.explain.captum_methods import CAPTUM_METHODS, captum_map
from agezoo.explain.localisation import energy_inside
from agezoo.networks import WholeBodyResNet
from agezoo.networks.age_ensemble import AgeEnsemble

FINDERS = [name for name in METHODS if name != "score_cam_published"]


@pytest.mark.parametrize("method", FINDERS)
@pytest.mark.parametrize("slope", [40.0, -40.0])
def test_unsigned_map_finds_the_planted_quarter(image_2d, method, slope):
    if method in CAPTUM_METHODS:
        pytest.importorskip("captum")
    network = PlantedNetwork((32, 32), planted=3, slope=slope)
    saliency = explain(network, image_2d, method, layer="features", signed=False, steps=8)
    assert saliency.min() >= 0
    assert saliency.max() == 1
    assert energy_inside(saliency, quarter((32, 32), 3)) > 0.85


def test_cells_are_those_of_the_layer_that_a_method_looks_at():
    network, image = WholeBodyResNet(stem_channels=2).eval(), torch.zeros(1, 1, 32, 32, 32)
    assert map_cells(network, image, "gradcam") == (8, 16, 16)
    assert map_cells(AgeEnsemble([network, network]), image, "hires_cam") == (2, 4, 4)
    assert map_cells(network, image, "score_cam", layer="backbone.stem") == (1, 2, 2)
    assert map_cells(network, image, "integrated_gradients") == (1, 1, 1)
    assert map_cells(network, image, "occlusion") is None


@pytest.mark.parametrize("method", sorted(SIGNED_METHODS))
def test_signed_map_is_positive_where_the_image_makes_older(image_2d, method):
    pytest.importorskip("captum")
    region = quarter((32, 32), 0)
    older = explain(PlantedNetwork((32, 32), slope=40), image_2d, method, layer="features", signed=True)
    younger = explain(PlantedNetwork((32, 32), slope=-40), image_2d, method, layer="features", signed=True)
    assert older[region].mean() > 0.2
    assert younger[region].mean() < -0.2


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam", "integrated_gradients", "guided_grad_cam", "score_cam"])
def test_volumes_are_explained(image_3d, method):
    pytest.importorskip("captum")
    network = PlantedNetwork((16, 16, 16), planted=2)
    saliency = explain(network, image_3d, method, layer="features", signed=False, steps=8)
    assert saliency.shape == (16, 16, 16)
    assert energy_inside(saliency, quarter((16, 16, 16), 2)) > 0.7


@pytest.mark.parametrize("method", METHODS)
def test_inplace_and_reused_activations_are_no_obstacle_and_the_network_stays_as_it_was(image_2d, method):
    pytest.importorskip("captum")
    network = small_conv_net()
    network.train()
    network.bn2.eval()
    modes = [module.training for module in network.modules()]
    # As an evaluator calls it.
    with torch.no_grad():
        saliency = explain(network, image_2d, method, steps=4)
    assert np.isfinite(saliency).all()
    assert np.abs(saliency).max() == pytest.approx(1)
    assert [module.training for module in network.modules()] == modes
    assert network.act.inplace
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())


def test_network_is_restored_when_a_gradient_method_fails(image_2d):
    pytest.importorskip("captum")
    network = small_conv_net()
    network.train()
    network.fc = nn.Linear(5, 2)
    with pytest.raises(RuntimeError, match="shape"):
        explain(network, image_2d, "guided_backprop")
    assert network.training
    assert network.act.inplace
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_integrated_gradients_add_up_to_the_age_above_the_blank_image(image_2d):
    pytest.importorskip("captum")
    network = small_conv_net(seed=1)
    found = captum_map(
        "integrated_gradients", network, image_2d, None, blank_value=0.0, steps=64, batch_size=16, seed=0, to_age=None
    )
    with torch.no_grad():
        difference_years = float(network(image_2d)[0, 0] - network(image_2d * 0)[0, 0])
    assert abs(difference_years) > 1
    assert found.sum() == pytest.approx(difference_years, rel=0.05)


def test_smooth_grad_is_seeded_and_leaves_the_global_random_state(image_2d):
    pytest.importorskip("captum")
    state = torch.random.get_rng_state()
    first, again, other = (explain(small_conv_net(), image_2d, "smooth_grad", steps=4, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_ensemble_gives_the_mean_of_its_members_maps(image_2d):
    members = [small_conv_net(seed=seed) for seed in (1, 2)]
    singles = [explain(member, image_2d) for member in members]
    mean = np.mean(singles, axis=0)
    mean = (mean - mean.min()) / (mean.max() - mean.min())
    assert np.abs(singles[0] - singles[1]).max() > 0.1
    np.testing.assert_allclose(explain(AgeEnsemble(members), image_2d), mean, atol=1e-5)


def test_integrated_gradients_of_an_ensemble_explain_its_mean_age(image_2d):
    pytest.importorskip("captum")
    # One member reads quarter 0, the other quarter 3, upwards and downwards.
    ensemble = AgeEnsemble([PlantedNetwork((32, 32), planted=0), PlantedNetwork((32, 32), planted=3, slope=-40)])
    saliency = explain(ensemble, image_2d, "integrated_gradients")
    assert saliency[quarter((32, 32), 0)].min() > 0
    assert saliency[quarter((32, 32), 3)].max() < 0
    assert not saliency[quarter((32, 32), 1)].any()


class DistributionNetwork(SmallConvNet):
    """Logits over the ages 40 to 45, which it can turn into an age itself; explained at its first convolution."""

    cam_layer = "conv1"

    def __init__(self) -> None:
        super().__init__(outputs=6)
        self.load_state_dict(small_conv_net(outputs=6).state_dict())
        self.fc.bias.data.zero_()

    def age_years(self, output: torch.Tensor) -> torch.Tensor:
        return torch.softmax(output, dim=-1).reshape(len(output), -1, 6).mean(dim=1) @ torch.arange(40.0, 46.0)


def test_distributions_over_ages_are_explained_through_their_expectation(image_2d):
    network = small_conv_net(outputs=6)
    network.fc.bias.data.zero_()
    ages_years = torch.arange(40.0, 46.0)
    with pytest.raises(InputError, match="to_age="):
        explain(network, image_2d)
    expected = explain(network, image_2d, layer="conv1", to_age=expected_age(ages_years))
    assert expected.max() == 1
    np.testing.assert_array_equal(explain(DistributionNetwork(), image_2d), expected)


@pytest.mark.parametrize("method", ["hires_cam", "input_x_gradient"])
def test_an_ensemble_of_distributions_is_explained_through_its_members_ages(image_2d, method):
    if method in CAPTUM_METHODS:
        pytest.importorskip("captum")
    network = DistributionNetwork()
    found = explain(AgeEnsemble([network, network]), image_2d, method)
    np.testing.assert_allclose(found, explain(network, image_2d, method), atol=1e-5)
    assert np.abs(found).max() == 1


def test_nothing_is_left_outside_the_patient_unless_asked_for(image_2d):
    image_2d[..., :16] = 0
    network = small_conv_net()
    assert not explain(network, image_2d)[:, :16].any()
    assert explain(network, image_2d, mask_outside_patient=False)[:, :16].any()


def test_method_that_does_not_exist_or_has_no_sign(image_2d):
    with pytest.raises(InputError, match=r"no such saliency method.*lime.*grad_cam"):
        explain(small_conv_net(), image_2d, "lime")
    with pytest.raises(InputError, match="no sign"):
        explain(small_conv_net(), image_2d, "saliency", signed=True)
    with pytest.raises(InputError, match="no sign"):
        explain(small_conv_net(), image_2d, "score_cam_published", signed=True)


def test_without_captum_the_extra_is_named_and_the_cams_still_work(image_2d, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(MissingExtraError, match=r"integrated_gradients needs captum.*agezoo\[explain\]"):
        explain(small_conv_net(), image_2d, "integrated_gradients")
    for method in ("score_cam", "grad_cam", "hires_cam"):
        assert np.abs(explain(small_conv_net(), image_2d, method)).max() == 1
