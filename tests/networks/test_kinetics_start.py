"""Where a training of wholebody_mr starts: the ages of the cohort, a Kinetics backbone, own weights, other networks."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
import torch
from monai.networks.nets import DenseNet121, resnet18
from torch import Tensor, nn

from agezoo.errors import InputError, WeightsError
from agezoo.explain.attribution import explain
from agezoo.losses import GaussianNLLLoss
from agezoo.networks import WholeBodyResNet, start_whole_body
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.weights import save_weights
from agezoo.networks.whole_body_resnet import VideoTrunk
from agezoo.transforms import RegressedAge

AGES = [50.0, 60.0, 70.0]
SD = math.sqrt(200 / 3)


def small(outputs: int = 1, channels: int = 1, seed: int = 0) -> WholeBodyResNet:
    torch.manual_seed(seed)
    return WholeBodyResNet(channels, 4, outputs)


def bodies(batch: int = 4) -> Tensor:
    return torch.randn(batch, 1, 12, 16, 20, generator=torch.Generator().manual_seed(0))


def r3d_18(width: int = 4, seed: int = 7) -> dict[str, Tensor]:
    """A state dict as torchvision's r3d_18 has it, with averages that are not 0 and 1."""
    torch.manual_seed(seed)
    state = VideoTrunk(width).state_dict()
    for name, tensor in state.items():
        if name.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 1.5)
    return {**state, "fc.weight": torch.zeros(400, 8 * width), "fc.bias": torch.zeros(400)}


def on_disk(state: dict[str, Tensor], folder: Path, name: str = "r3d_18.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


def test_training_starts_at_guessing_the_mean() -> None:
    network = start_whole_body(small(), ages_years=AGES).train()
    with torch.no_grad():
        ages = network(bodies())
    assert network.head.age.bias.tolist() == [60.0]
    assert torch.allclose(ages, torch.tensor(60.0), atol=2 * SD)


def test_with_an_uncertainty_it_starts_at_the_mean_and_the_spread() -> None:
    """Guessing from a Gaussian costs log SD + 1/2 + log(2 pi) / 2; the first step is not far above."""
    network = start_whole_body(small(2), ages_years=AGES, outputs=2).eval()
    assert network.head.age.bias.tolist() == pytest.approx([60.0, math.log(SD)])
    with torch.no_grad():
        loss = GaussianNLLLoss()(network(bodies(3)), torch.tensor(AGES)[:, None])
    assert float(loss) == pytest.approx(math.log(SD) + 0.5 + 0.5 * math.log(2 * math.pi), abs=0.3)


def test_the_ages_change_the_last_layer_alone_and_scale_the_age_by_their_spread() -> None:
    plain, started = small(2).state_dict(), start_whole_body(small(2), ages_years=AGES).state_dict()
    untouched = start_whole_body(small(2)).state_dict()
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in plain.items())
    changed = {name for name in plain if not torch.equal(plain[name], started[name])}
    assert changed == {"head.age.weight", "head.age.bias"}
    weight = plain["head.age.weight"] * torch.tensor([[SD], [1.0]])
    assert torch.allclose(started["head.age.weight"], weight)


def test_a_cohort_of_one_age_starts_too() -> None:
    network = start_whole_body(small(2), ages_years=[61.0, 61.0])
    assert network.head.age.bias.tolist() == [61.0, 0.0]


def test_an_unknown_age_is_refused() -> None:
    with pytest.raises(InputError, match="every training age must be known; found: 1 unknown ages"):
        start_whole_body(small(), ages_years=[60.0, math.nan])


@pytest.mark.parametrize("channels", [1, 3])
def test_kinetics_backbone_grey_adapter_and_fresh_head(tmp_path: Path, channels: int) -> None:
    state = r3d_18()
    network = start_whole_body(small(1, channels), ages_years=AGES, pretrained=on_disk(state, tmp_path))
    mine, plain = network.state_dict(), small(1, channels).state_dict()
    for name, tensor in state.items():
        if not name.startswith("fc."):
            assert torch.equal(mine[f"backbone.{name}"], tensor)
    image = torch.randn(2, channels, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        colours = network.adapter(image)
    assert torch.allclose(colours, image.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1, -1), atol=1e-6)
    assert torch.equal(mine["head.fc.weight"], plain["head.fc.weight"])
    assert mine["head.age.bias"].tolist() == [60.0]


def test_files_without_classifier_or_counters_are_taken(tmp_path: Path) -> None:
    state = {k: v for k, v in r3d_18().items() if not k.startswith("fc.") and not k.endswith("num_batches_tracked")}
    network = start_whole_body(small(), pretrained=on_disk(state, tmp_path))
    assert torch.equal(network.backbone.layer4[1].conv2[0].weight, state["layer4.1.conv2.0.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer3.0.downsample.0.weight"), "1 tensors missing, 0 unknown, 0 of another shape, e.g. lay"),
        (lambda s: s.update({"layer5.0.weight": s["fc.bias"]}), "0 tensors missing, 1 unknown, 0 .*layer5.0.weight"),
        (
            lambda s: s.update({"stem.0.weight": torch.zeros(4, 3, 7, 7, 7)}),
            "0 .*, 1 of another shape, e.g. stem.0.weight",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_changed(tmp_path: Path, change: object, message: str) -> None:
    state = r3d_18()
    change(state)  # type: ignore[operator]
    network = small()
    with pytest.raises(
        WeightsError, match=rf"r3d_18\.pth: the file does not fit the network's backbone; found: {message}"
    ):
        start_whole_body(network, ages_years=AGES, pretrained=on_disk(state, tmp_path))
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in small().state_dict().items())


def test_a_narrower_network_is_told_that_it_starts_without(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"a stem of 6 channels; expected: .* a stem of 4 channels .*kinetics"):
        start_whole_body(small(), pretrained=on_disk(r3d_18(6), tmp_path))


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    path = on_disk(r3d_18(), tmp_path, "r3d_18-b3b3357e.pth")
    with pytest.raises(WeightsError, match=r"not the one that its name says.*begins with b3b3357e.*download it again"):
        start_whole_body(small(), pretrained=path)
    right = path.rename(tmp_path / f"r3d_18-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth")
    start_whole_body(small(), pretrained=right)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save(nn.ReLU(), tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match="the weights cannot be opened safely"):
        start_whole_body(small(), pretrained=tmp_path / "whole.pth")


def test_fine_tuning_takes_every_tensor_and_leaves_the_head_alone(tmp_path: Path) -> None:
    source = small(seed=1)
    save_weights(source.state_dict(), tmp_path / "model.pt", {"origin": "trained"})
    network = start_whole_body(small(seed=2), ages_years=[45.0, 50.0], start_from=tmp_path / "model.pt")
    assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_fine_tuning_is_strict(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="another network layout"):
        start_whole_body(small(), start_from=on_disk(r3d_18(), tmp_path))


def test_two_starts_at_once_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"either pretrained or start_from, not both; found: a\.pth and b\.pt"):
        start_whole_body(small(), pretrained="a.pth", start_from="b.pt")


OTHERS = {
    "resnet18": lambda outputs: resnet18(spatial_dims=3, n_input_channels=1, num_classes=outputs, widen_factor=0.125),
    "DenseNet121": lambda outputs: DenseNet121(spatial_dims=3, in_channels=1, out_channels=outputs),
}


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("name", list(OTHERS))
def test_monais_networks_start_at_the_mean_age(name: str, outputs: int) -> None:
    network = start_whole_body(OTHERS[name](outputs), ages_years=AGES, outputs=outputs)
    (changed,) = [p for n, p in network.named_parameters() if n.endswith("bias") and float(p.detach().max()) == 60.0]
    assert changed.shape == (outputs,)
    assert changed.tolist() == pytest.approx([60.0, math.log(SD)][:outputs])


@pytest.mark.parametrize("outputs", [1, 2])
def test_monais_resnet_goes_all_the_way(outputs: int) -> None:
    """A training step, an ensemble, the head transform, and a map of a layer that the class does not name."""
    network = start_whole_body(OTHERS["resnet18"](outputs), ages_years=AGES)
    image = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[50.0], [70.0]])
    (nn.L1Loss() if outputs == 1 else GaussianNLLLoss())(network(image), target).backward()
    ensemble = AgeEnsemble([network, network]).eval()
    with torch.no_grad():
        result = RegressedAge()(ensemble(image)[0])
    assert 30 < float(result["predicted_age_years"]) < 90
    assert float(result["epistemic_sd_years"]) == 0.0
    assert math.isfinite(float(result["aleatoric_sd_years"])) == (outputs == 2)
    # Without the attribute cam_layer, layer3 is taken; any other is named in the setting layer.
    default = explain(network, image[0], "grad_cam", signed=True, mask_outside_patient=False)
    named = explain(network, image[0], "grad_cam", layer="layer3", signed=True, mask_outside_patient=False)
    assert (default == named).all()
    assert float(abs(default).max()) > 0


def test_other_networks_get_no_kinetics_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"the bundle's own network alone; found: ResNet; .*leave pretrained out"):
        start_whole_body(OTHERS["resnet18"](1), pretrained=on_disk(r3d_18(), tmp_path))


@pytest.mark.parametrize(
    ("network", "outputs", "message"),
    [
        (nn.Sequential(nn.Conv3d(1, 1, 3), nn.Flatten()), None, "found: no linear layer; .*1 or 2 outputs"),
        (nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 3)), None, "found: a last linear layer with 3 outputs; .*num_cl"),
        (nn.Sequential(nn.Linear(4, 1, bias=False)), None, "with 1 outputs and no bias"),
        (nn.Sequential(nn.Linear(4, 2)), 1, "with 2 outputs; expected: a last linear layer with 1 outputs"),
    ],
)
def test_a_network_that_ends_otherwise_is_refused(network: nn.Module, outputs: int | None, message: str) -> None:
    with pytest.raises(InputError, match=rf"network_def: .*{message}"):
        start_whole_body(network, outputs=outputs)
