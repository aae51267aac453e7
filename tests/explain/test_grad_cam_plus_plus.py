"""Grad-CAM++ is the published one of "what makes older" less that of "what makes younger"."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import PlantedNetwork, quarter, small_conv_net

from agezoo.explain.attribution import explain
from agezoo.explain.gradient_cams import GRADIENT_CAMS, gradient_cam


def published(maps: torch.Tensor, slopes: torch.Tensor) -> torch.Tensor:
    """Weights (K,) of a linear score by the paper's equations, each derivative of exp(score) taken by autograd."""
    cells = maps.clone().requires_grad_()
    # The constant drops out of the ratio of derivatives.
    score = (slopes * cells).sum()
    outcome = torch.exp(score - score.detach())
    weights = torch.zeros(len(maps), dtype=maps.dtype)
    (first,) = torch.autograd.grad(outcome, cells, create_graph=True)
    for place in np.ndindex(*maps.shape):
        (second,) = torch.autograd.grad(first[place], cells, create_graph=True)
        (third,) = torch.autograd.grad(second[place], cells, retain_graph=True)
        alpha = second[place] / (2 * second[place] + maps[place[0]].sum() * third[place])
        weights[place[0]] += (alpha * torch.relu(first[place])).detach()
    return weights


def test_weights_follow_from_the_derivatives_of_the_exponential_score_in_both_directions():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand((3, 2, 3), generator=generator, dtype=torch.float64)
    slopes = torch.randn((3, 2, 3), generator=generator, dtype=torch.float64)
    expected = torch.tensordot(published(maps, slopes) - published(maps, -slopes), maps, dims=1)
    found = GRADIENT_CAMS["grad_cam_plus_plus"](maps[None], slopes[None])[0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("slope", [40.0, -40.0])
def test_a_rising_and_a_falling_age_give_one_map_of_opposite_signs(image_3d, slope):
    network = PlantedNetwork((16, 16, 16), planted=1, slope=slope)
    found = explain(network, image_3d, "grad_cam_plus_plus", layer="features")
    inside = quarter((16, 16, 16), 1)
    assert found[inside].mean() * np.sign(slope) > 0.2
    other = explain(PlantedNetwork((16, 16, 16), planted=1, slope=-slope), image_3d, "grad_cam++", layer="features")
    np.testing.assert_allclose(found, -other, atol=1e-6)


def test_maps_that_move_the_age_much_weigh_less_than_in_grad_cam():
    # One cell each: 1 year and 18 years; a Grad-CAM shows their ratio, Grad-CAM++ 1 / 3 against 18 / 20.
    maps = torch.ones((1, 2, 1, 1), dtype=torch.float64)
    maps[0, 1] = 2
    slopes = torch.tensor([1.0, 9.0], dtype=torch.float64).reshape(1, 2, 1, 1)
    assert float(GRADIENT_CAMS["grad_cam"](maps, slopes)) == 19
    assert float(GRADIENT_CAMS["grad_cam_plus_plus"](maps, slopes)) == pytest.approx(1 / 3 + 18 / 20)


def test_a_negative_gradient_as_large_as_the_published_divisors_pole_does_no_harm():
    maps, slopes = torch.ones((1, 1, 2, 2)), torch.full((1, 1, 2, 2), -0.5)
    # 2 g^2 + g^3 * sum(A) = 0 in the published form.
    found = GRADIENT_CAMS["grad_cam_plus_plus"](maps, slopes)
    np.testing.assert_allclose(found, 4 * -0.5 / 4)


def test_several_layers_give_the_mean_of_their_scaled_maps(image_2d):
    network = small_conv_net()
    both = explain(network, image_2d, "grad_cam_plus_plus", layer=["conv2", "layer3"], mask_outside_patient=False)
    single = [
        explain(network, image_2d, "grad_cam_plus_plus", layer=layer, mask_outside_patient=False)
        for layer in ("conv2", "layer3")
    ]
    mean = np.mean(single, axis=0)
    np.testing.assert_allclose(both, mean / np.abs(mean).max(), atol=1e-6)
    unscaled = gradient_cam("grad_cam_plus_plus", network, image_2d, "conv2")
    np.testing.assert_allclose(single[0], unscaled / np.abs(unscaled).max(), atol=1e-6)
