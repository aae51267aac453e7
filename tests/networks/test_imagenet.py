"""ImageNet weights in the three layouts that are around: taken whole or refused."""

from __future__ import annotations

import re

import pytest
import torch
from monai.networks.nets import EfficientNetBN
from torch import Tensor

from agezoo.errors import WeightsError
from agezoo.networks.imagenet import load_imagenet
from agezoo.networks.spine_age_net import EfficientNetTrunk, SpineAgeNet

# Blocks per stage of B0 and B4 (Tan and Le 2019, table 1, with B4's depth factor of 1.8).
STAGES = {0: (1, 2, 2, 3, 3, 4, 1), 4: (2, 4, 4, 6, 6, 8, 2)}


def original(variant: int = 0) -> EfficientNetBN:
    """A network as ImageNet needs it: three colours, 1000 classes, and averages that are not 0 and 1."""
    torch.manual_seed(variant)
    made = EfficientNetBN(f"efficientnet-b{variant}", pretrained=False, in_channels=3, num_classes=1000)
    for name, buffer in made.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return made.eval()


def efficientnet_pytorchs(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors in the names of efficientnet_pytorch, which numbers its blocks throughout."""
    return {re.sub(r"_blocks\.\d+\.(\d+)\.", r"_blocks.\1.", name): tensor for name, tensor in state.items()}


def torchvisions(state: dict[str, Tensor], variant: int = 0) -> dict[str, Tensor]:
    """The same tensors in torchvision's names, built from its order of layers instead of by renaming.

    ``features`` holds the stem, seven stages and the head convolution; a block holds expansion (but for the first
    stage, which does not widen), depthwise convolution, squeeze-excitation and projection; a convolution with its norm
    is 0 and 1.
    """
    tensors = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    result: dict[str, Tensor] = {}

    def put(place: str, convolution: str, norm: str) -> None:
        result[f"{place}.0.weight"] = state[f"{convolution}.weight"]
        for tensor in tensors:
            result[f"{place}.1.{tensor}"] = state[f"{norm}.{tensor}"]

    put("features.0", "_conv_stem", "_bn0")
    number = 0
    for stage, blocks in enumerate(STAGES[variant]):
        for block in range(blocks):
            ours, place, layer = f"_blocks.{stage}.{number}", f"features.{stage + 1}.{block}.block", 0
            if stage > 0:
                put(f"{place}.{layer}", f"{ours}._expand_conv", f"{ours}._bn0")
                layer += 1
            put(f"{place}.{layer}", f"{ours}._depthwise_conv", f"{ours}._bn1")
            for name, fc in (("_se_reduce", "fc1"), ("_se_expand", "fc2")):
                for tensor in ("weight", "bias"):
                    result[f"{place}.{layer + 1}.{fc}.{tensor}"] = state[f"{ours}.{name}.{tensor}"]
            put(f"{place}.{layer + 2}", f"{ours}._project_conv", f"{ours}._bn2")
            number += 1
    put("features.8", "_conv_head", "_bn1")
    result["classifier.1.weight"], result["classifier.1.bias"] = state["_fc.weight"], state["_fc.bias"]
    return result


LAYOUTS = {"monai": dict, "efficientnet_pytorch": efficientnet_pytorchs, "torchvision": torchvisions}


def fresh(channels: int = 1, variant: int = 0) -> EfficientNetTrunk:
    torch.manual_seed(99)
    return SpineAgeNet(variant=variant, in_channels=channels, hidden=4).features


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return original().state_dict()


def test_layouts_of_this_test_use_every_tensor_once(state: dict[str, Tensor]) -> None:
    for rename in LAYOUTS.values():
        renamed = rename(state)
        assert len(renamed) == len(state)
        assert {tensor.data_ptr() for tensor in renamed.values()} == {tensor.data_ptr() for tensor in state.values()}
    names = torchvisions(state)
    # Names as they stand in torchvision's efficientnet_b0 file.
    for name, shape in {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.0.block.0.0.weight": (32, 1, 3, 3),
        "features.1.0.block.1.fc1.weight": (8, 32, 1, 1),
        "features.1.0.block.2.0.weight": (16, 32, 1, 1),
        "features.2.0.block.0.0.weight": (96, 16, 1, 1),
        "features.6.3.block.3.1.running_var": (192,),
        "features.8.0.weight": (1280, 320, 1, 1),
    }.items():
        assert tuple(names[name].shape) == shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_tensor_of_the_trunk_is_taken(layout: str, state: dict[str, Tensor]) -> None:
    trunk = load_imagenet(fresh(channels=3), LAYOUTS[layout](state), "file.pth")
    for name, tensor in trunk.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_b4_has_the_same_layouts() -> None:
    state = original(4).state_dict()
    for renamed in (efficientnet_pytorchs(state), torchvisions(state, 4)):
        trunk = load_imagenet(fresh(channels=3, variant=4), renamed, "file.pth")
        assert all(torch.equal(tensor, state[name]) for name, tensor in trunk.state_dict().items())


def test_grey_image_gives_what_the_original_makes_of_it_three_times(state: dict[str, Tensor]) -> None:
    grey = torch.rand(2, 1, 64, 32, generator=torch.Generator().manual_seed(5))
    colour = load_imagenet(fresh(channels=3), state, "file.pth").eval()
    single = load_imagenet(fresh(channels=1), state, "file.pth").eval()
    assert single._conv_stem.weight.shape == (32, 1, 3, 3)
    with torch.no_grad():
        expected = colour(grey.expand(-1, 3, -1, -1))
        assert float(expected.std()) > 1e-3
        assert torch.allclose(single(grey), expected, atol=1e-5)


def test_one_channel_file_is_taken_as_it_is() -> None:
    """A trunk that was pretrained on grey images."""
    own = fresh(channels=1).state_dict()
    trunk = load_imagenet(EfficientNetTrunk(0, 1, 0.01, 0.2), own, "file.pth")
    assert all(torch.equal(tensor, own[name]) for name, tensor in trunk.state_dict().items())


def test_old_files_without_batch_counters_are_taken(state: dict[str, Tensor]) -> None:
    old = {n: t for n, t in efficientnet_pytorchs(state).items() if not n.endswith("num_batches_tracked")}
    trunk = load_imagenet(fresh(), old, "file.pth")
    assert torch.equal(trunk.state_dict()["_bn1.running_var"], state["_bn1.running_var"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["_conv_stem.weight", "_blocks.2.4._se_expand.bias", "_bn1.running_mean"])
def test_a_missing_tensor_is_named_and_nothing_is_loaded(layout: str, name: str, state: dict[str, Tensor]) -> None:
    renamed = LAYOUTS[layout](state)
    theirs = next(key for key, tensor in renamed.items() if tensor.data_ptr() == state[name].data_ptr())
    del renamed[theirs]
    trunk = fresh()
    before = {key: tensor.clone() for key, tensor in trunk.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"file\.pth: .*found: 1 tensors missing, 0 unknown.*{re.escape(theirs)}"):
        load_imagenet(trunk, renamed, "file.pth")
    assert all(torch.equal(tensor, before[key]) for key, tensor in trunk.state_dict().items()), "left as it was"


def test_unknown_tensors_and_other_shapes_are_errors(state: dict[str, Tensor]) -> None:
    changed = {**state, "_blocks.7.16._bn0.weight": torch.zeros(3), "_bn0.weight": torch.zeros(7)}
    with pytest.raises(
        WeightsError, match=r"0 tensors missing, 1 unknown, 1 of another shape, .*_blocks\.7.*, _bn0\.we"
    ):
        load_imagenet(fresh(), changed, "file.pth")


def test_another_variant_and_another_network_are_refused(state: dict[str, Tensor]) -> None:
    with torch.device("meta"):
        b4 = EfficientNetTrunk(4, 1, 0.01, 0.2)
    with pytest.raises(WeightsError, match="EfficientNet weights of the same variant, with a stem of 48 kernels"):
        load_imagenet(b4, state, "file.pth")
    with pytest.raises(WeightsError, match="does not fit the trunk"):
        load_imagenet(fresh(), {"layer1.0.conv1.weight": torch.zeros(64, 64, 3, 3)}, "resnet.pth")
