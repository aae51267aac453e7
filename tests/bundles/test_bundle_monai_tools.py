"""MONAI's own tools on the bundle: verification, export, loading, workflows."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch

from bundle_runs import BUNDLE, CONFIGS, training_settings
from cohort_files import TINY, Cohort

TINY_LAYOUT = {"block_inplanes": [TINY["trunk_width"] * factor for factor in (1, 2, 4, 8)]}


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(2, 1, 224, 224, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """Folder that holds a copy of the bundle with trained weights, as after a download."""
    shutil.copytree(BUNDLE, tmp_path / "ct_age", ignore=shutil.ignore_patterns("models", "eval", "phantom", "data"))
    (tmp_path / "ct_age" / "models").mkdir()
    shutil.copy(trained / "model.pt", tmp_path / "ct_age" / "models" / "model.pt")
    return tmp_path


def network_of(trained: Path) -> torch.nn.Module:
    """The network that the file holds, built without the bundle's config."""
    from monai.networks.nets import ResNet

    network = ResNet(
        "basic", [2, 2, 2, 2], **TINY_LAYOUT, spatial_dims=2, n_input_channels=1, conv1_t_stride=2, num_classes=2,
        bias_downsample=False,
    )  # fmt: skip
    network.load_state_dict(torch.load(trained / "model.pt", weights_only=True), strict=True)
    return network.eval()


@pytest.mark.sample_data
def test_verify_metadata(sample_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    schema = sample_data / "monai" / "meta_schema_20240725.json"
    logging.getLogger("monai").setLevel(logging.INFO)
    with caplog.at_level(logging.INFO):
        # With the schema already there nothing is downloaded.
        monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))
    assert "metadata is verified with no error" in caplog.text


@pytest.mark.parametrize("config", ["train.json", "inference.json"])
@pytest.mark.parametrize("net_id", ["network_def"])
def test_verify_net_in_out(config: str, net_id: str) -> None:
    # At full width: the metadata's shapes and types hold for what users train.
    monai.bundle.verify_net_in_out(
        net_id, meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / config), device="cpu"
    )


def test_exported_network_gives_the_same_ages(trained: Path, image: torch.Tensor, tmp_path: Path) -> None:
    exported = tmp_path / "model.ts"
    monai.bundle.ckpt_export(
        "network_def", filepath=str(exported), ckpt_file=str(trained / "model.pt"),
        meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / "inference.json"),
        trunk_width=TINY["trunk_width"],
    )  # fmt: skip
    with torch.no_grad():
        expected = network_of(trained)(image)
        found = torch.jit.load(exported).eval()(image)
    assert expected.shape == (2, 2)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("workflow_type", ["train", "inference"])
def test_load_gives_the_trained_weights(copied: Path, trained: Path, workflow_type: str) -> None:
    loaded: Any = monai.bundle.load(
        "ct_age", bundle_dir=copied, source="github", workflow_type=workflow_type, device="cpu",
        net_override=TINY_LAYOUT,
    )  # fmt: skip
    expected = torch.load(trained / "model.pt", weights_only=True)
    state = loaded.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("workflow_type", "config"), [("train", "train.json"), ("infer", "inference.json")])
def test_workflow_is_created_without_data_or_weights(workflow_type: str, config: str) -> None:
    workflow = monai.bundle.create_workflow(
        config_file=str(CONFIGS / config), workflow_type=workflow_type, logging_file=False
    )
    assert workflow.bundle_root == str(BUNDLE)
    # torchvision's ResNet-18 (11 689 512) less 999 outputs' head and two of three input channels of the stem.
    n_parameters = 11_689_512 - (512 * 1000 + 1000) + (512 * 2 + 2) - 64 * 2 * 49
    assert sum(value.numel() for value in workflow.network_def.parameters()) == n_parameters


def test_training_workflow_has_every_property(cohort: Cohort, tmp_path: Path) -> None:
    workflow = monai.bundle.create_workflow(
        config_file=str(CONFIGS / "train.json"), workflow_type="train", logging_file=False,
        **training_settings(cohort, tmp_path),
    )  # fmt: skip
    assert workflow.check_properties() == []
    assert workflow.max_epochs == TINY["max_epochs"]
    assert len(workflow.train_dataset_data) + len(workflow.val_dataset_data) == len(cohort.rows("training"))
    assert workflow.val_interval == 1


def test_inference_workflow_has_every_property(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    workflow = monai.bundle.create_workflow(
        config_file=str(CONFIGS / "inference.json"), workflow_type="infer", logging_file=False,
        datalist=str(cohort.datalist), weights=str(trained / "model.pt"), trunk_width=TINY["trunk_width"],
        output_dir=str(tmp_path),
    )  # fmt: skip
    assert workflow.check_properties() == []
    assert len(workflow.dataset) == len(cohort.rows("test"))
