"""The whole-body network: torchvision's video layout layer by layer, its head, memory saving, and export."""

from __future__ import annotations

import copy
import io
import json
import re
from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch
from monai.networks.nets.resnet import ResNet, ResNetBlock
from torch import Tensor, nn

from agezoo.errors import InputError
from agezoo.explain.attribution import explain
from agezoo.losses import GaussianNLLLoss
from agezoo.networks import WholeBodyResNet
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.whole_body_resnet import VideoTrunk

# PyTorch announces the end of TorchScript, which MONAI's ckpt_export still writes.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

SHAPE = (12, 20, 26)


def lively(network: nn.Module) -> nn.Module:
    """In evaluation mode with random averages, factors and summands in every batch norm."""
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            for tensor, low, high in (
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.5, 1.5), (module.bias.data, -0.3, 0.3),
            ):  # fmt: skip
                assert tensor is not None
                tensor.uniform_(low, high)
    return network.eval()


def bodies(batch: int = 2, channels: int = 1) -> Tensor:
    return torch.randn(batch, channels, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> WholeBodyResNet:
    torch.manual_seed(3)
    made = WholeBodyResNet(stem_channels=4)
    lively(made)
    with torch.no_grad():
        made.head.age.bias.fill_(60.0)
        made.head.age.weight.mul_(20.0)
    return made


def test_names_are_torchvisions() -> None:
    """Built from the layout as torchvision documents it; 33,371,472 parameters with its 400 classes."""
    with torch.device("meta"):
        trunk = VideoTrunk()
    tensors = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def pair(place: str) -> list[str]:
        return [f"{place}.0.weight", *(f"{place}.1.{tensor}" for tensor in tensors)]

    expected = pair("stem")
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            expected += pair(f"layer{layer}.{block}.conv1") + pair(f"layer{layer}.{block}.conv2")
            if layer > 1 and block == 0:
                expected += pair(f"layer{layer}.{block}.downsample")
    assert list(trunk.state_dict()) == expected
    assert sum(parameter.numel() for parameter in trunk.parameters()) + 512 * 400 + 400 == 33_371_472


def test_it_computes_what_monais_resnet_computes_with_a_videos_stem() -> None:
    """MONAI's ResNet with the stem's kernel and stride, without max-pool and biases, is the same network."""
    torch.manual_seed(1)
    trunk = lively(VideoTrunk(4))
    theirs = ResNet(
        ResNetBlock, [2, 2, 2, 2], [4, 8, 16, 32], spatial_dims=3, n_input_channels=3, conv1_t_size=(3, 7, 7),
        conv1_t_stride=(1, 2, 2), no_max_pool=True, bias_downsample=False, num_classes=32,
    )  # fmt: skip
    names = {"stem.0.": "conv1.", "stem.1.": "bn1."}
    state = {}
    for name, tensor in trunk.state_dict().items():
        for ours, other in names.items():
            name = name.replace(ours, other)
        name = re.sub(r"\.conv(\d)\.0\.", r".conv\1.", name)
        state[re.sub(r"\.conv(\d)\.1\.", r".bn\1.", name)] = tensor
    theirs.load_state_dict({**state, "fc.weight": torch.eye(32), "fc.bias": torch.zeros(32)}, strict=True)
    image = bodies(2, 3)
    with torch.no_grad():
        maps = trunk(image)
        assert maps.shape == (2, 32, 2, 2, 2), "12 / 8, 20 / 16 and 26 / 16, rounded up"
        averages = maps.mean(dim=(2, 3, 4))
        assert torch.allclose(averages, theirs.eval()(image), atol=1e-5)
    assert float((averages[0] - averages[1]).abs().max()) > 1e-2, "the comparison would see a difference"


def test_published_widths_and_the_first_axis_kept_whole() -> None:
    with torch.device("meta"):
        made = WholeBodyResNet()
        maps = made.backbone.layer3(made.backbone.layer2(made.backbone.layer1(made.backbone.stem(
            torch.empty(1, 3, 224, 168, 363)
        ))))  # fmt: skip
        assert maps.shape == (1, 256, 56, 21, 46)
        assert made.backbone.layer4(maps).shape == (1, 512, 28, 11, 23)
        assert made(torch.empty(2, 1, 56, 42, 91)).shape == (2, 1)
    shapes = [tuple(layer.weight.shape) for layer in made.head if isinstance(layer, nn.Linear)]
    assert (tuple(made.adapter.weight.shape), shapes) == ((3, 1, 1, 1, 1), [(256, 512), (1, 256)])


@pytest.mark.parametrize(("halvings", "cells"), [(3, (6, 3, 5)), (2, (12, 5, 10)), (1, (23, 9, 19)), (0, (45, 17, 37))])
def test_fewer_halvings_leave_smaller_cells_and_the_same_weights(halvings: int, cells: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        made, published = WholeBodyResNet(halvings=halvings), WholeBodyResNet()
        assert made.backbone(torch.empty(1, 3, 45, 34, 73)).shape == (1, 512, *cells)
    shapes = [{name: t.shape for name, t in n.state_dict().items()} for n in (made, published)]
    assert shapes[0] == shapes[1]


def test_first_weights_are_hes() -> None:
    torch.manual_seed(0)
    weight = WholeBodyResNet(stem_channels=16).backbone.layer3[0].conv2[0].weight
    assert float(weight.detach().std()) == pytest.approx((2 / (64 * 27)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (1, 2), (2, 1), (4, 2)])
def test_channels_and_outputs(channels: int, outputs: int) -> None:
    made = WholeBodyResNet(channels, 2, outputs).eval()
    with torch.no_grad():
        assert made(bodies(3, channels)).shape == (3, outputs)


@pytest.mark.parametrize("settings", [{"in_channels": 0}, {"stem_channels": 0}, {"outputs": 3}, {"halvings": 4}])
def test_impossible_sizes_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"no such whole-body network.*1 output \(age\) or 2"):
        WholeBodyResNet(**{"stem_channels": 2, **settings})


@pytest.mark.parametrize("shape", [(1, 2, *SHAPE), (1, *SHAPE)])
def test_an_image_with_other_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"cannot take this image; found: an image of shape .*\(batch, 1, X, Y, Z\)"):
        WholeBodyResNet(stem_channels=2)(torch.zeros(shape))


def test_ages_of_one_network_and_of_an_ensemble() -> None:
    point, gaussian = WholeBodyResNet(1, 2), WholeBodyResNet(1, 2, 2)
    assert point.age_years(torch.tensor([[60.0], [70.0]])).tolist() == [60.0, 70.0]
    assert point.age_years(torch.tensor([[[60.0], [62.0]]])).tolist() == [61.0]
    assert gaussian.age_years(torch.tensor([[60.0, 1.5]])).tolist() == [60.0]
    assert gaussian.age_years(torch.tensor([[[60.0, 1.0], [64.0, 3.0]]])).tolist() == [62.0]
    with pytest.raises(ValueError, match=r"the network emits \(B, 1\) or \(B, M, 1\)"):
        point.age_years(torch.zeros(2, 2))


@pytest.mark.parametrize("in_training", [True, False])
def test_checkpointing_changes_no_number(in_training: bool) -> None:
    torch.manual_seed(0)
    plain = WholeBodyResNet(stem_channels=4).train(in_training)
    saving = copy.deepcopy(plain)
    saving.backbone.checkpointing = True
    kept: list[int] = []
    ages: list[Tensor] = []
    for made in (plain, saving):
        storages: dict[int, int] = {}

        def count(tensor: Tensor, storages: dict[int, int] = storages) -> Tensor:
            storages[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
            return tensor

        # Large enough that maps, not weights, make up what is kept.
        image = torch.randn(2, 1, 16, 48, 48, generator=torch.Generator().manual_seed(0))
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            age = made(image)
        ages.append(age.detach())
        age.square().sum().backward()
        kept.append(sum(storages.values()))
    if in_training:
        assert kept[1] < kept[0] / 2, "less is kept for the way back"
    else:
        assert kept[1] == kept[0]
    assert torch.equal(*ages)
    pairs = zip(plain.named_parameters(), saving.parameters(), strict=True)
    assert all(torch.equal(a.grad, b.grad) for (_, a), b in pairs)
    # Batch norms count every batch once.
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), saving.buffers(), strict=True))
    assert int(saving.backbone.layer1[0].conv1[1].num_batches_tracked) == int(in_training)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_few_steps_lower_the_loss(outputs: int, checkpointing: bool) -> None:
    """With the published L1 loss and with the Gaussian likelihood, labels (B, 1) as MONAI's trainer gives them."""
    torch.manual_seed(0)
    made = WholeBodyResNet(1, 4, outputs, checkpointing).train()
    loss_function = nn.L1Loss() if outputs == 1 else GaussianNLLLoss()
    ages = torch.tensor([[1.0], [3.0], [2.0], [4.0]])
    image, optimizer = bodies(4) * ages[:, :, None, None, None], torch.optim.Adam(made.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = loss_function(made(image), ages)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_under_mixed_precision_ages_are_not_rounded(network: WholeBodyResNet) -> None:
    """In bfloat16 two neighbouring ages about 60 are 0.25 years apart."""
    with torch.no_grad():
        plain = network(bodies(4))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(bodies(4))
    assert mixed.dtype is torch.float32
    assert bool((mixed.remainder(0.25) != 0).any())
    assert torch.allclose(mixed, plain, atol=0.5)


def test_mixed_precision_trains_with_checkpointing() -> None:
    made = WholeBodyResNet(stem_channels=2, checkpointing=True).train()
    # Of maps of 2 x 2 x 2 cells, PyTorch's bfloat16 gradients on a CPU are at times not finite.
    image = torch.randn(2, 1, 20, 40, 56, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        loss = made(image).mean()
    loss.backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in made.parameters())


@pytest.mark.parametrize("method", ["grad_cam", "hires_cam"])
def test_a_map_of_the_named_layer_of_one_network_and_of_an_ensemble(network: WholeBodyResNet, method: str) -> None:
    image = bodies(1)[0]
    alone = explain(network, image, method, signed=True, mask_outside_patient=False)
    assert alone.shape == SHAPE
    assert float(abs(alone).max()) > 0
    own = {"grad_cam": "backbone.layer4.1", "hires_cam": "backbone.layer2.0"}[method]
    named = explain(network, image, method, layer=own, signed=True, mask_outside_patient=False)
    assert (alone == named).all(), "the class names the method's layer"
    other = explain(network, image, method, layer="layer3", signed=True, mask_outside_patient=False)
    assert not (other == alone).all()
    ensemble = AgeEnsemble([network, network])
    together = explain(ensemble, image, method, signed=True, mask_outside_patient=False)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_torchscript_and_export_of_an_ensemble(network: WholeBodyResNet) -> None:
    ensemble = AgeEnsemble([network, copy.deepcopy(network)])
    stream = io.BytesIO()
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(ensemble, bodies(1)), stream)
        stream.seek(0)
        assert torch.allclose(torch.jit.load(stream)(bodies(3)), ensemble(bodies(3)), atol=1e-4)
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.export.export(network, (bodies(2),), dynamic_shapes={"image": {0: batch}})
        assert torch.allclose(program.module()(bodies(3)), network(bodies(3)), atol=1e-4)


def test_onnx_holds_the_network(network: WholeBodyResNet, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    torch.onnx.export(network, (bodies(1),), path, input_names=["image"], output_names=["pred"])
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 1 + 1 + 16 + 3


@pytest.mark.parametrize("trace", [False, True], ids=["script", "trace"])
def test_monai_exports_a_checkpoint(network: WholeBodyResNet, trace: bool, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "model.pt")
    config, meta = tmp_path / "inference.json", tmp_path / "metadata.json"
    definition = {"_target_": "agezoo.networks.WholeBodyResNet", "stem_channels": 4, "checkpointing": True}
    config.write_text(json.dumps({"network_def": definition}))
    meta.write_text("{}")
    monai.bundle.ckpt_export(
        "network_def", filepath=str(tmp_path / "model.ts"), ckpt_file=str(tmp_path / "model.pt"),
        meta_file=str(meta), config_file=str(config), use_trace=trace, input_shape=[1, 1, *SHAPE],
    )  # fmt: skip
    loaded = torch.jit.load(tmp_path / "model.ts").eval()
    with torch.no_grad():
        assert torch.allclose(loaded(bodies(3)), network(bodies(3)), atol=1e-4)
