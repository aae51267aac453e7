"""Brain-age networks leave Python: TorchScript, torch.export and ONNX compute the ages of the network itself."""

from __future__ import annotations

import io
import json
from pathlib import Path

import monai.bundle
import pytest
import torch
from brain_network_cases import brains, lively
from torch import nn

from agezoo.networks import TSAN, ScaleDense, fuse

SEX = torch.tensor([[1.0, 0.0]])

# PyTorch announces the end of TorchScript, which MONAI's ckpt_export still writes.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture(scope="module", params=["stage", "cascade"])
def published(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(3)
    return lively(ScaleDense(4, 2) if request.param == "stage" else TSAN(4, 2))


@pytest.fixture(scope="module")
def network(published: nn.Module) -> nn.Module:
    """The fused form."""
    return fuse(published)


def test_published_form_is_scriptable(published: nn.Module) -> None:
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(published)(brains(2)), published(brains(2)), atol=1e-3)


@pytest.mark.parametrize("way", ["script", "trace"])
def test_torchscript_gives_the_same_ages_for_any_batch(network: nn.Module, way: str) -> None:
    with torch.no_grad():
        exported = torch.jit.script(network) if way == "script" else torch.jit.trace(network, (brains(1), SEX))
        stream = io.BytesIO()
        torch.jit.save(exported, stream)
        stream.seek(0)
        loaded = torch.jit.load(stream)
        image, sex = brains(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        assert torch.allclose(loaded(image, sex), network(image, sex), atol=1e-3)


def test_torchscript_without_a_sex(network: nn.Module) -> None:
    with torch.no_grad():
        assert torch.allclose(torch.jit.script(network)(brains(2)), network(brains(2)), atol=1e-3)
        assert torch.allclose(torch.jit.trace(network, brains(1))(brains(2)), network(brains(2)), atol=1e-3)


def test_torch_export_gives_the_same_ages_for_any_batch(network: nn.Module) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    dynamic = {"image": {0: batch}, "sex": {0: batch}}
    with torch.no_grad():
        program = torch.export.export(network, (brains(2), SEX.expand(2, 2)), dynamic_shapes=dynamic)
        image, sex = brains(3), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        assert torch.allclose(program.module()(image, sex), network(image, sex), atol=1e-3)


def test_onnx_holds_the_network(network: nn.Module, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    path = tmp_path / "model.onnx"
    torch.onnx.export(network, (brains(1), SEX), path, input_names=["image", "sex"], output_names=["pred"])
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert [value.name for value in model.graph.input] == ["image", "sex"]
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    assert convolutions == sum(isinstance(module, nn.Conv3d) for module in network.modules())


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("trace", [False, True], ids=["script", "trace"])
def test_monai_exports_a_checkpoint(stages: int, trace: bool, tmp_path: Path) -> None:
    settings = {"stages": stages, "stem_channels": 2, "n_blocks": 2}
    network = lively(TSAN(2, 2) if stages == 2 else ScaleDense(2, 2))
    torch.save(network.state_dict(), tmp_path / "model.pt")
    config, meta = tmp_path / "inference.json", tmp_path / "metadata.json"
    config.write_text(json.dumps({"network_def": {"_target_": "agezoo.networks.brain_age_network", **settings}}))
    meta.write_text("{}")
    monai.bundle.ckpt_export(
        "network_def", filepath=str(tmp_path / "model.ts"), ckpt_file=str(tmp_path / "model.pt"),
        meta_file=str(meta), config_file=str(config), use_trace=trace, input_shape=[1, 1, 20, 23, 18],
    )  # fmt: skip
    loaded = torch.jit.load(tmp_path / "model.ts").eval()
    with torch.no_grad():
        assert torch.allclose(loaded(brains(1)), network(brains(1)), atol=1e-4)
