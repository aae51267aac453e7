"""The passes that are told beforehand are those that a method takes."""

from __future__ import annotations

import pytest
from planted import small_conv_net

from agezoo.explain.attribution import METHODS, explain
from agezoo.explain.captum_methods import CAPTUM_METHODS
from agezoo.explain.effort import expected_seconds, passes
from agezoo.explain.gradient_cams import GRADIENT_CAMS


@pytest.mark.parametrize("method", METHODS)
def test_passes_are_those_that_a_method_takes(image_2d, method):
    if method in CAPTUM_METHODS:
        pytest.importorskip("captum")
    network = small_conv_net()
    asked = []
    network.conv1.register_forward_hook(lambda _m, inputs, _o: asked.append(len(inputs[0])))
    explain(network, image_2d, method)
    told = passes(method, maps=12, image_shape=(32, 32))
    # A gradient counts as two passes more; every image in a batch counts.
    weight = 1 if method.startswith(("score_cam", "occlusion")) or method in GRADIENT_CAMS else 3
    # Score-CAM asks a few times more to check its fast copy, and SmoothGrad and others once for the shape.
    assert sum(asked) * weight * 0.6 <= told <= sum(asked) * weight


def test_seconds_grow_with_the_passes(image_2d):
    seconds = expected_seconds(small_conv_net(), image_2d, ["hires_cam", "integrated_gradients", "occlusion"])
    assert 0 < seconds["hires_cam"] < seconds["integrated_gradients"]
    assert seconds["integrated_gradients"] == pytest.approx(96 * seconds["hires_cam"])
    # Windows of 4 pixels at steps of 2 over 32 pixels: 15 in each direction, and the whole image.
    assert seconds["occlusion"] == pytest.approx(226 * seconds["hires_cam"])


def test_score_cam_of_a_wide_layer_is_told_to_take_long():
    assert passes("score_cam", maps=1792, image_shape=(1024, 512)) == 1794
