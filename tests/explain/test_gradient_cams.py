"""Grad-CAM and HiResCAM agree with captum's, by hand, and cost little more than a prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import PlantedNetwork, quarter, small_conv_net
from torch import nn
from torch.nn import functional

from agezoo.errors import InputError
from agezoo.explain.age_output import AgeOutput
from agezoo.explain.gradient_cams import gradient_cam
from agezoo.explain.layer_view import cam_grid, layer_view
from agezoo.explain.network_state import without_inplace
from agezoo.networks.age_ensemble import AgeEnsemble


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam"])
@pytest.mark.parametrize("dims", [2, 3])
def test_maps_equal_captums(image_2d, image_3d, method, dims):
    attr = pytest.importorskip("captum.attr")
    network, image = small_conv_net(dims), image_2d if dims == 2 else image_3d
    with without_inplace(network):
        ages = AgeOutput(network).eval()
        if method == "grad_cam":
            cells = attr.LayerGradCam(ages, network.layer3).attribute(image, relu_attributions=False)
        else:
            cells = attr.LayerGradientXActivation(ages, network.layer3).attribute(image).sum(1, keepdim=True)
    inner = functional.interpolate(
        cells, [s - 3 for s in image.shape[2:]], mode="bilinear" if dims == 2 else "trilinear", align_corners=True
    )
    expected = functional.pad(inner, [0, 3] * dims, mode="replicate")[0, 0].detach()
    assert expected.abs().max() > 0.01
    np.testing.assert_allclose(gradient_cam(method, network, image), expected, rtol=1e-4, atol=1e-6)


def test_hires_cam_is_what_each_cell_adds_to_the_age_where_the_head_is_linear(image_2d):
    network = PlantedNetwork((32, 32), planted=1)
    saliency = gradient_cam("hires_cam", network, image_2d, "features")
    # 16 of the 64 cells are alive: 40 years times a sixteenth of the brightness of the 4 x 4 pixels in the cell.
    years = 40 / 16 * functional.avg_pool2d(image_2d, 4)[0, 0].numpy() * quarter((8, 8), 1)
    assert years.sum() == pytest.approx(float(network(image_2d)[0, 0]) - 50, rel=1e-5)
    expected = functional.interpolate(torch.tensor(years)[None, None], (32, 32), mode="bilinear")[0, 0]
    np.testing.assert_allclose(saliency, expected, atol=1e-5)


def test_only_what_follows_the_layer_is_remembered(image_2d):
    network = small_conv_net()
    recorded = []
    network.conv2.register_forward_hook(lambda _m, _i, output: recorded.append(output.requires_grad))
    network.fc.register_forward_hook(lambda _m, _i, output: recorded.append(output.requires_grad))
    view = layer_view(AgeOutput(network).eval(), network.layer3, image_2d, gradients=True)
    assert recorded == [False, True]
    assert torch.is_grad_enabled()
    assert view.gradients.shape == view.maps.shape == (1, 12, 8, 8)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_layer_on_which_the_age_does_not_hang_gives_an_empty_map(image_2d):
    class Idle(PlantedNetwork):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            self.features(image)
            return self.activation(image.mean(dim=(1, 2, 3)) * nn.Parameter(torch.ones(1)))

    assert not gradient_cam("hires_cam", Idle((32, 32)), image_2d, "features").any()


@pytest.mark.parametrize(("layer", "match"), [("act", "exactly once.*3 times"), ("fc", "feature maps")])
def test_layers_that_cannot_be_mapped_are_refused_and_nothing_stays(image_2d, layer, match):
    network = small_conv_net()
    with pytest.raises(InputError, match=match):
        gradient_cam("grad_cam", network, image_2d, layer)
    assert not any(module._forward_hooks for module in network.modules())


def test_the_grid_of_an_ensembles_map_is_its_members(image_2d):
    grid = cam_grid(AgeEnsemble([small_conv_net(), small_conv_net(seed=1)]), image_2d)
    assert (grid.counts, grid.first, grid.steps) == ((8, 8), (0, 0), (4, 4))
    assert cam_grid(small_conv_net(), image_2d[0].numpy(), "conv1").counts == (16, 16)
