"""The network that ct_age's config names has the layout of torchvision's resnet18, so that its weights load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from torch import nn

from agezoo.registry import bundle_root


def resnet18_layout(*, width: int = 64, channels: int = 3, outputs: int = 1000) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's resnet18, written down from He et al. 2016, table 1 (18 layers, option B)."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (width, channels, 7, 7)}

    def batch_norm(name: str, planes: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (planes,)
        shapes[f"{name}.num_batches_tracked"] = ()

    batch_norm("bn1", width)
    before = width
    for stage in (1, 2, 3, 4):
        planes = width * 2 ** (stage - 1)
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1.weight"] = (planes, before if block == 0 else planes, 3, 3)
            batch_norm(f"{name}.bn1", planes)
            shapes[f"{name}.conv2.weight"] = (planes, planes, 3, 3)
            batch_norm(f"{name}.bn2", planes)
        if stage > 1:
            shapes[f"layer{stage}.0.downsample.0.weight"] = (planes, before, 1, 1)
            batch_norm(f"layer{stage}.0.downsample.1", planes)
        before = planes
    return {**shapes, "fc.weight": (outputs, before), "fc.bias": (outputs,)}


def configured_network(config: str, **settings: object) -> nn.Module:
    parser = ConfigParser()
    parser.read_config(str(bundle_root("ct_age") / "configs" / config))
    for name, value in settings.items():
        parser[name] = value
    network = parser.get_parsed_content("network_def")
    assert isinstance(network, nn.Module)
    return network


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_the_layout_written_down_has_resnet18s_size() -> None:
    """11,689,512 parameters is what torchvision documents for resnet18; running statistics are not parameters."""
    layout = resnet18_layout()
    learnt = [s for name, s in layout.items() if not name.endswith(("running_mean", "running_var", "tracked"))]
    assert len(layout) == 122
    assert sum(int(torch.tensor(shape).prod()) for shape in learnt) == 11_689_512


@pytest.mark.parametrize("config", ["train.json", "inference.json"])
def test_configured_network_is_resnet18_with_one_channel_and_two_outputs(config: str) -> None:
    assert shapes_of(configured_network(config)) == resnet18_layout(channels=1, outputs=2)


def test_a_narrower_trunk_keeps_the_names() -> None:
    narrow = configured_network("train.json", trunk_width=16)
    assert shapes_of(narrow) == resnet18_layout(width=16, channels=1, outputs=2)
    assert narrow(torch.zeros(1, 1, 224, 224)).shape == (1, 2)


def test_strides_and_padding_are_resnet18s() -> None:
    """Shapes of weights do not show them: a 224 pixel image is 56, 28, 14 and 7 pixels wide behind the four stages."""
    network = configured_network("train.json", trunk_width=4).eval()
    sizes: dict[str, int] = {}
    for stage in ("layer1", "layer2", "layer3", "layer4"):

        def keep_width(module: nn.Module, inputs: object, output: torch.Tensor, stage: str = stage) -> None:
            sizes[stage] = output.shape[-1]

        network.get_submodule(stage).register_forward_hook(keep_width)
    network(torch.zeros(1, 1, 224, 224))
    assert sizes == {"layer1": 56, "layer2": 28, "layer3": 14, "layer4": 7}


def test_training_and_inference_configure_the_same_network() -> None:
    folder = Path(bundle_root("ct_age")) / "configs"
    training, inference = (
        json.loads((folder / f"{n}.json").read_text())["network_def"] for n in ("train", "inference")
    )
    assert training == inference
