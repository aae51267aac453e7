"""Score-CAM finds planted signals, follows the published recipe and leaves the network as it was."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from planted import PlantedNetwork, quarter, small_conv_net
from torch import nn
from torch.nn import functional

from agezoo.errors import InputError
from agezoo.explain.localisation import energy_inside, pointing_hit
from agezoo.explain.score_cam import score_cam


@pytest.mark.parametrize("planted", [0, 3])
@pytest.mark.parametrize("slope", [40.0, -40.0])
@pytest.mark.parametrize("weighting", ["baseline", "centred"])
def test_map_lies_in_the_planted_quarter_whichever_way_it_moves_the_age(image_2d, planted, slope, weighting):
    network = PlantedNetwork((32, 32), planted=planted, slope=slope)
    saliency = score_cam(network, image_2d, "features", weighting=weighting)
    region = quarter((32, 32), planted)
    assert saliency.shape == (32, 32)
    assert saliency.max() == 1
    assert pointing_hit(saliency, region) == 1
    # Interpolation between coarse cells lets some of it spill over the quarter's edge; an even map has 0.25.
    assert energy_inside(saliency, region) > 0.85


def test_map_of_a_volume_lies_in_the_planted_quarter(image_3d):
    network = PlantedNetwork((16, 16, 16), planted=1)
    saliency = score_cam(network, image_3d, "features")
    assert saliency.shape == (16, 16, 16)
    assert energy_inside(saliency, quarter((16, 16, 16), 1)) > 0.75
    assert pointing_hit(saliency, quarter((16, 16, 16), 1)) == 1


def test_published_weighting_barely_tells_the_quarters_apart(image_2d):
    # Ages near 50 for every mask: that is why it is not the default.
    network = PlantedNetwork((32, 32), planted=0, slope=4)
    published, baseline = (
        energy_inside(score_cam(network, image_2d, "features", weighting=weighting), quarter((32, 32), 0))
        for weighting in ("published", "baseline")
    )
    assert published < 0.4
    assert baseline > 0.85


def test_sign_tells_older_from_younger(image_2d):
    older = score_cam(PlantedNetwork((32, 32), planted=2, slope=30), image_2d, "features", signed=True)
    younger = score_cam(PlantedNetwork((32, 32), planted=2, slope=-30), image_2d, "features", signed=True)
    assert older.max() == 1
    assert younger.min() == -1
    np.testing.assert_allclose(younger, -older, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("weighting", ["baseline", "centred", "published"])
def test_map_equals_one_mask_at_a_time_by_hand(image_2d, image_3d, dims, weighting):
    network, image = small_conv_net(dims, seed=1), image_2d if dims == 2 else image_3d
    mode = "bilinear" if dims == 2 else "trilinear"
    # Cells lie at pixels 0, 4, 8 and so on: spread from corner to corner of the part that they reach, then go on level.
    reach, rest = [size - 3 for size in image.shape[2:]], [0, 3] * dims
    with torch.no_grad():
        # layer3 by hand: no hook, no folding.
        x = functional.relu(network.bn1(network.conv1(image)))
        maps = functional.relu(network.layer3(functional.relu(network.bn2(network.conv2(x)) + x)))[0]
        ages, kept = [], []
        for one in maps:
            inner = functional.interpolate(one[None, None], reach, mode=mode, align_corners=True)
            large = functional.pad(inner, rest, mode="replicate")[0, 0]
            if large.max() > large.min():
                mask = (large - large.min()) / (large.max() - large.min())
                ages.append(float(network(image * mask)[0, 0]))
                kept.append(large.double().numpy())
        blank, whole = float(network(image * 0)[0, 0]), float(network(image)[0, 0])
    assert len(kept) >= 4
    turn = -1 if whole < blank else 1
    weights = {
        "baseline": turn * (np.array(ages) - blank),
        "centred": turn * (np.array(ages) - np.mean(ages)),
        "published": np.array(ages),
    }[weighting]
    by_hand = np.maximum(sum(weight * one for weight, one in zip(weights, kept, strict=True)), 0)
    by_hand = (by_hand - by_hand.min()) / (by_hand.max() - by_hand.min())
    assert by_hand.std() > 0.05
    np.testing.assert_allclose(score_cam(network, image, weighting=weighting), by_hand, atol=1e-4)


def test_map_is_not_empty_when_every_dimmed_image_moves_the_age_the_wrong_way(image_2d, caplog):
    class Ridge(nn.Module):
        """Highest age at a brightness that only dimmed images have; the whole image is younger than the blank one."""

        def __init__(self) -> None:
            super().__init__()
            self.features = PlantedNetwork((32, 32)).features

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            self.features(image)
            brightness = image.mean(dim=(1, 2, 3))
            return 50 + 100 * brightness * (0.9 - brightness)

    with caplog.at_level(logging.DEBUG, logger="agezoo"):
        saliency = score_cam(Ridge(), image_2d + 0.35, "features")
    assert saliency.max() == 1
    assert "turned" in caplog.text


def test_batch_size_does_not_matter(image_2d):
    one, all_at_once = (score_cam(small_conv_net(), image_2d, batch_size=size) for size in (1, 64))
    np.testing.assert_allclose(one, all_at_once, atol=1e-5)


def test_same_call_gives_the_same_map(image_2d):
    np.testing.assert_array_equal(score_cam(small_conv_net(), image_2d), score_cam(small_conv_net(), image_2d))


def test_bfloat16_keeps_the_map(image_2d):
    exact, quick = (score_cam(small_conv_net(), image_2d, precision=kind) for kind in ("float32", "bfloat16"))
    assert np.abs(exact - quick).max() < 0.03
    assert (exact != quick).any()


def test_bfloat16_keeps_small_differences_between_large_ages(image_2d):
    # Between 64 and 128 a bfloat16 age could only move in steps of half a year; here all masks lie within one year.
    network = small_conv_net()
    network.fc.weight.data.mul_(0.02)
    network.fc.bias.data[0] = 80.0
    exact, quick = (score_cam(network, image_2d, precision=kind) for kind in ("float32", "bfloat16"))
    assert np.abs(exact - quick).max() < 0.05


def test_fewer_maps_borrow_from_their_likes(image_2d):
    # Every map twice over: half of the tries suffice to give exactly the map of all.
    network = PlantedNetwork((32, 32), planted=1)
    everything = score_cam(network, image_2d, "features")
    network.features.masks = torch.cat([network.features.masks, network.features.masks])
    tried = []
    network.register_forward_hook(lambda _module, inputs, _output: tried.append(len(inputs[0])))
    quick = score_cam(network, image_2d, "features", max_maps=4)
    np.testing.assert_allclose(quick, everything, atol=1e-6)
    assert max(tried) <= 4


def test_constant_maps_are_not_asked_for_and_change_nothing(image_2d):
    network = PlantedNetwork((32, 32), planted=1)
    without = score_cam(network, image_2d, "features")
    network.features.masks = torch.cat([network.features.masks, torch.zeros(3, 8, 8)])
    np.testing.assert_allclose(score_cam(network, image_2d, "features"), without, atol=1e-6)


def test_empty_layer_gives_an_empty_map_and_says_so(image_2d, caplog):
    network = PlantedNetwork((32, 32))
    network.features.masks.zero_()
    with caplog.at_level(logging.WARNING):
        assert not score_cam(network, image_2d, "features").any()
    assert "constant" in caplog.text


def test_network_is_left_as_it_was(image_2d):
    network = small_conv_net()
    network.train()
    network.bn1.eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    score_cam(network, image_2d, precision="bfloat16")
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    # Tensors made in inference mode would make the next training step fail.
    network(image_2d)[:, 0].sum().backward()


def test_hook_and_mode_are_restored_when_the_network_fails(image_2d):
    network = small_conv_net()
    network.train()
    network.fc = nn.Linear(5, 2)
    with pytest.raises(RuntimeError, match="shape"):
        score_cam(network, image_2d)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_network_that_cannot_be_traced_is_explained_all_the_same(image_2d):
    class DataDependent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small_conv_net()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            if float(image.mean()) < 0:
                return self.inner(-image)
            return self.inner(image)

    expected = score_cam(small_conv_net(), image_2d)
    np.testing.assert_allclose(score_cam(DataDependent(), image_2d), expected, atol=1e-4)
    np.testing.assert_allclose(score_cam(DataDependent(), image_2d, precision="bfloat16"), expected, atol=0.03)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"layer": "layer9"}, "no such layer.*layer9.*conv1"),
        ({"layer": nn.ReLU()}, "not part of the network"),
        ({"layer": "act"}, "exactly once.*3 times"),
        ({"layer": "fc"}, "feature maps"),
        ({"weighting": "softmax"}, "no such weighting"),
        ({"weighting": "published", "signed": True}, "no sign"),
        ({"precision": "int8"}, "no such precision"),
        ({"batch_size": 0}, "batch_size"),
        ({"max_maps": 0}, "max_maps"),
    ],
)
def test_unusable_options_are_named(image_2d, options, match):
    with pytest.raises(InputError, match=match):
        score_cam(small_conv_net(), image_2d, **options)


def test_more_than_one_image_or_values_that_are_not_finite_are_refused(image_2d):
    with pytest.raises(InputError, match="one image at a time"):
        score_cam(small_conv_net(), image_2d.repeat(2, 1, 1, 1))
    image_2d[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        score_cam(small_conv_net(), image_2d)


def test_age_that_is_not_finite_is_refused(image_2d):
    network = small_conv_net()
    network.fc.bias.data[0] = torch.inf
    with pytest.raises(InputError, match="no finite age"):
        score_cam(network, image_2d)


def test_image_without_batch_axis_and_as_array_is_understood(image_2d):
    expected = score_cam(small_conv_net(), image_2d)
    np.testing.assert_array_equal(score_cam(small_conv_net(), image_2d[0].numpy()), expected)
