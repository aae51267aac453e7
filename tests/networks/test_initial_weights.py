"""Where training starts: the cohort's age, an ImageNet trunk, or own weights."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.nets import ResNet
from torch import Tensor, nn

from agezoo.errors import WeightsError
from agezoo.networks import initialise
from agezoo.networks.weights import save_weights


def resnet(*, channels: int = 1, outputs: int = 2, width: int = 2) -> ResNet:
    torch.manual_seed(channels)
    return ResNet(
        "basic", [2, 2, 2, 2], [width, 2 * width, 4 * width, 8 * width], spatial_dims=2, n_input_channels=channels,
        conv1_t_size=7, conv1_t_stride=2, num_classes=outputs, bias_downsample=False,
    )  # fmt: skip


@pytest.fixture
def imagenet() -> dict[str, Tensor]:
    """A state dict as torchvision's: 3-channel stem, 1000 classes."""
    return resnet(channels=3, outputs=1000).state_dict()


def saved(state: dict[str, Tensor], folder: Path) -> Path:
    path = folder / "resnet18.pth"
    torch.save(state, path)
    return path


def test_head_starts_at_the_cohorts_mean_and_log_sd() -> None:
    """Ages 40, 50, 60, 70: mean 55, SD sqrt(125)."""
    network = initialise(resnet(), ages_years=[40, 50, 60, 70])
    assert network.fc.bias.tolist() == pytest.approx([55.0, 0.5 * math.log(125.0)], rel=1e-6)
    assert initialise(resnet(), ages_years=np.array([40.0, 50.0])).fc.bias[0] == 45.0


def test_a_cohort_of_one_age_starts_with_an_sd_of_one_year() -> None:
    assert initialise(resnet(), ages_years=[63.0, 63.0]).fc.bias.tolist() == [63.0, 0.0]


def test_an_unknown_age_is_refused_before_it_spoils_the_head() -> None:
    with pytest.raises(ValueError, match="every training age must be known"):
        initialise(resnet(), ages_years=[60.0, math.nan])


def test_another_head_is_refused() -> None:
    with pytest.raises(ValueError, match="the head 'fc' must be a linear layer with two outputs"):
        initialise(resnet(outputs=1), ages_years=[60.0, 70.0])
    with pytest.raises(ValueError, match="the head '0' must be"):
        initialise(nn.Sequential(nn.Linear(3, 2, bias=False)), ages_years=[60.0, 70.0], head="0")


def test_pretrained_trunk_is_taken_whole_and_stem_and_head_stay_random(
    tmp_path: Path, imagenet: dict[str, Tensor]
) -> None:
    network = resnet()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    initialise(network, pretrained=saved(imagenet, tmp_path))
    for name, tensor in network.state_dict().items():
        if name in ("conv1.weight", "fc.weight", "fc.bias"):
            assert torch.equal(tensor, before[name]), name
        else:
            assert torch.equal(tensor, imagenet[name]), name
    assert not torch.equal(before["layer1.0.conv1.weight"], imagenet["layer1.0.conv1.weight"])


def test_old_files_without_batch_counters_are_taken(tmp_path: Path, imagenet: dict[str, Tensor]) -> None:
    old = {name: tensor for name, tensor in imagenet.items() if not name.endswith("num_batches_tracked")}
    network = initialise(resnet(), pretrained=saved(old, tmp_path))
    assert torch.equal(network.state_dict()["layer4.1.bn2.weight"], imagenet["layer4.1.bn2.weight"])


@pytest.mark.parametrize("name", ["layer1.0.conv1.weight", "bn1.running_mean", "layer4.0.downsample.0.weight"])
def test_anything_missing_outside_stem_and_head_is_an_error(
    tmp_path: Path, imagenet: dict[str, Tensor], name: str
) -> None:
    """`layer1.0.conv1` is no stem, although its name ends like it."""
    del imagenet[name]
    network = resnet()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"do not fit the network; found: 1 tensors .*{name}") as caught:
        initialise(network, pretrained=saved(imagenet, tmp_path))
    assert "resnet18.pth" in str(caught.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items()), "left as it was"


def test_unknown_tensors_and_other_shapes_are_errors(tmp_path: Path, imagenet: dict[str, Tensor]) -> None:
    imagenet["layer5.weight"] = torch.zeros(3)
    imagenet["layer2.0.conv1.weight"] = torch.zeros(4, 2, 5, 5)
    with pytest.raises(WeightsError, match=r"found: 2 tensors .* layer5\.weight, layer2\.0\.conv1\.weight"):
        initialise(resnet(), pretrained=saved(imagenet, tmp_path))


def test_fine_tuning_takes_every_tensor_and_leaves_the_head_alone(tmp_path: Path) -> None:
    source = resnet(channels=1)
    with torch.no_grad():
        source.fc.bias.copy_(torch.tensor([71.0, 1.5]))
    save_weights(source.state_dict(), tmp_path / "model.pt", {"origin": "trained"})
    torch.manual_seed(99)
    network = initialise(resnet(width=2), ages_years=[20.0, 30.0], start_from=tmp_path / "model.pt")
    assert all(torch.equal(t, source.state_dict()[name]) for name, t in network.state_dict().items())


def test_fine_tuning_needs_head_and_stem_too(tmp_path: Path, imagenet: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match="another network layout; found: 0 tensors missing, 0 unknown, 3 of another"):
        initialise(resnet(), start_from=saved(imagenet, tmp_path))


def test_fine_tuning_from_altered_weights_is_refused(tmp_path: Path) -> None:
    path = save_weights(resnet().state_dict(), tmp_path / "model.pt", {"origin": "trained"}).path
    torch.save(resnet(channels=1).double().state_dict(), path)
    with pytest.raises(WeightsError, match="not those that were recorded"):
        initialise(resnet(), start_from=path)


def test_two_starts_at_once_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"either pretrained or start_from, not both; found: a\.pth and b\.pt"):
        initialise(resnet(), pretrained="a.pth", start_from="b.pt")


def test_random_head_tells_people_apart_by_about_the_cohorts_spread() -> None:
    """Scaled by the SD of the ages (10 years), so that a head in standardised units starts with usual weights."""
    torch.manual_seed(0)
    untouched = nn.Linear(8, 2)
    network = nn.Module()
    network.fc = copy.deepcopy(untouched)
    initialise(network, ages_years=[40.0, 60.0])
    assert torch.allclose(network.fc.weight[0], 10.0 * untouched.weight[0])
    assert torch.equal(network.fc.weight[1], untouched.weight[1])
