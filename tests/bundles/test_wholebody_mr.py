"""wholebody_mr through MONAI's own entry points, on a tiny cohort of whole bodies."""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch

from agezoo.data.prediction_table import read_predictions
from agezoo.networks.weights import describe, find_weights
from agezoo.registry import bundle_root
from agezoo.transforms.noise_fill import body_of
from body_cohort_files import HEART, LAYOUT, TINY_BODY, body, write_body, write_body_cohort
from bundle_runs import command, options
from cohort_files import Cohort

CONFIGS = bundle_root("wholebody_mr") / "configs"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
GRID = (22, 17, 36)


def run_body(run_id: str, configs: list[str], **overrides: Any) -> None:
    logging.getLogger("monai").setLevel(logging.ERROR)
    monai.bundle.run(
        run_id=run_id, config_file=[str(CONFIGS / name) for name in configs], logging_file=False, **overrides
    )


def settings(cohort: Cohort, out: Path, **overrides: Any) -> dict[str, Any]:
    own = {"datalist": cohort.datalist, "cache_dir": cohort.cache, "models_dir": out, "eval_dir": out / "eval"}
    return {**{name: str(path) for name, path in own.items()}, **TINY_BODY, **overrides}


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_body_cohort(tmp_path_factory.mktemp("bodies"))


@pytest.fixture(scope="module")
def trained_body(bodies: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished training, started as a command; read only."""
    out = tmp_path_factory.mktemp("trained_body")
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file", CONFIGS / "train.json"),
        *options(**settings(bodies, out)),
        cwd=out,
    )
    assert done.returncode == 0, done.stdout
    return out


def test_training_leaves_weights_with_their_record(bodies: Cohort, trained_body: Path) -> None:
    record = describe(trained_body / "model.pt").record
    inputs = {"water": True, "fat": False, "water_fraction": False, "fat_fraction": False, "regions": []}
    assert record["overrides"] == {"uncertainty": False, **inputs, **LAYOUT}
    assert record["n_training"] == sum(row["fold"] != 0 for row in bodies.rows("training"))
    assert (trained_body / "eval" / "training_history.csv").read_text().count("\n") == 1 + TINY_BODY["max_epochs"]


def test_what_is_cached_is_the_standardised_body_in_noise(bodies: Cohort, trained_body: Path) -> None:
    kept = [torch.load(path, weights_only=True)["image"] for path in bodies.cache.glob("*.pt")]
    shapes = {tuple(image.shape) for image in kept}
    assert shapes == {(1, *GRID)}
    for image in kept:
        within = np.asarray(body_of(image.numpy()))
        values = image[0].numpy()
        assert 0.1 < within.mean() < 0.6
        assert abs(values[within].mean()) < 0.01
        assert abs(values[within].std() - 1) < 0.01
        assert abs(values[~within].std() - 1) < 0.05, "N(0, 1) around it"


def test_evaluation_of_the_test_section(bodies: Cohort, trained_body: Path, tmp_path: Path) -> None:
    given = settings(bodies, trained_body, output_dir=str(tmp_path), section="test")
    given.pop("max_epochs")
    run_body("evaluating", ["train.json", "evaluate.json"], **given)
    table = read_predictions(tmp_path / "predictions.csv")
    assert len(table) == len(bodies.rows("test"))
    assert set(table["weights_sha256"]) == {describe(trained_body / "model.pt").sha256}
    assert table["aleatoric_sd_years"].isna().all(), "an L1 loss gives no SD"
    assert (tmp_path / "report.html").is_file()


def test_on_phantoms_the_rate_follows_a_cosine_and_goes_on_behind_a_stop(bodies: Cohort, tmp_path: Path) -> None:
    """Two of four epochs, a stop, the others: the rates of an unbroken run."""
    given = settings(bodies, tmp_path, batch_size=2, learning_rate=1e-3, max_epochs=4, warmup_epochs=1)
    stop = {"train#trainer#max_epochs": 2}
    for more in (stop, {}):
        run_body("training", ["train.json", "phantom.json"], **given, **more)
        kept = torch.load(tmp_path / "last.pt", weights_only=True)
        (group,) = kept["optimizer"]["param_groups"]
        epochs = kept["lr_scheduler"]["last_epoch"]
        share = (epochs - 1) / (4 - 1)
        assert group["lr"] == pytest.approx(1e-3 * 0.5 * (1 + math.cos(math.pi * share)), abs=1e-9)
        assert epochs == (2 if more else 4)


def test_a_gaussian_likelihood_with_two_channels_gives_an_sd(bodies: Cohort, tmp_path: Path) -> None:
    chosen = {"uncertainty": True, "fat_fraction": True}
    run_body("training", ["train.json"], **settings(bodies, tmp_path, max_epochs=1, **chosen))
    assert torch.load(tmp_path / "model.pt", weights_only=True)["adapter.weight"].shape[1] == 2
    given = settings(bodies, tmp_path, section="test", **chosen)
    given.pop("max_epochs")
    run_body("evaluating", ["train.json", "evaluate.json"], **given)
    table = read_predictions(tmp_path / "eval" / "predictions.csv")
    assert (table["aleatoric_sd_years"] > 0).all()


def test_organ_age_sees_the_organ_alone(bodies: Cohort, tmp_path: Path) -> None:
    configs = ["train.json", "organ.json"]
    chosen = {"regions": [HEART], "cache_dir": str(tmp_path / "cache")}
    run_body("training", configs, **settings(bodies, tmp_path, max_epochs=1, **chosen))
    weights = tmp_path / f"organ_{HEART}" / "model.pt"
    assert describe(weights).record["overrides"]["regions"] == [HEART]
    image = torch.load(next((tmp_path / "cache").glob("*.pt")), weights_only=True)["image"]
    assert 0 < np.asarray(body_of(image.numpy())).mean() < 0.05
    from agezoo.data.datalist import datalist_rows
    from agezoo.predict.run import predict_rows

    rows = datalist_rows(bodies.datalist, "test")
    table = predict_rows("wholebody_mr", rows, tmp_path / "out", weights=find_weights(CONFIGS.parent, weights))
    assert table["predicted_age_years"].notna().all()
    without = [{"image": str(write_body(tmp_path / "no mask", 60.0, 3)), "subject_id": "none", "session": None}]
    failed = predict_rows("wholebody_mr", without, tmp_path / "no", weights=find_weights(CONFIGS.parent, weights))
    assert "mask" in failed["error"].iloc[0]


def test_organ_age_without_an_organ_is_refused(bodies: Cohort, tmp_path: Path) -> None:
    with pytest.raises(Exception) as raised:
        run_body("training", ["train.json", "organ.json"], **settings(bodies, tmp_path, max_epochs=1))
    causes, error = [], raised.value
    while error is not None:
        causes.append(str(error))
        error = error.__cause__ or error.__context__
    assert any("no region to keep" in cause for cause in causes)
    assert not list(tmp_path.glob("**/model.pt"))


def test_command_line_predicts_a_folder(trained_body: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    write_body(images / "first", 62.0, seed=5)
    write_body(images / "second", 75.0, seed=8)
    (images / "broken.zip").write_bytes(b"PK\x03\x04 cut short")
    done = command(
        *("-m", "monai.bundle", "run", "inferring", "--config_file", CONFIGS / "inference.json"),
        *options(dataset_dir="images", output_dir="results", weights=trained_body / "model.pt", save_maps=True),
        *options(**LAYOUT),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    table = read_predictions(tmp_path / "results" / "predictions.csv").set_index("subject_id")
    assert len(table) == 3
    assert list(table.index[table["predicted_age_years"].isna()]) == ["broken"]
    assert "broken.zip" in table.loc["broken", "error"]
    pictures = {path.name for path in (tmp_path / "results" / "overlays").glob("*.png")}
    assert {"first.png", "first_montage.png", "second.png"} <= pictures
    saved = nib.load(next((tmp_path / "results").rglob("first*.nii.gz")))
    assert saved.shape == GRID
    # In the scanner's millimetres: the middle of the map's field of view is that of the scan's.
    middle = saved.affine @ [*((np.array(GRID) - 1) / 2), 1]
    expected = np.array([250 - 12.5 * 19.5, -187 + 12.5 * 14.5, -540 + 12 * 44.5])
    assert np.allclose(middle[:3], expected, atol=8)


def test_robustness_of_a_trained_network(bodies: Cohort, trained_body: Path, tmp_path: Path) -> None:
    from agezoo.workflows.robustness import robustness

    result = robustness(
        "wholebody_mr", [bodies.datalist], tmp_path, weights=trained_body / "model.pt",
        perturbations=["scale", "crop_cranial"], grades={"scale": [100.0], "crop_cranial": [100.0]}, limit=3,
    )  # fmt: skip
    table = result.table.dropna(subset=["difference_years"]).set_index("perturbation")
    assert table.loc["scale", "difference_years"].abs().max() < 1e-2
    assert table.loc["crop_cranial", "difference_years"].abs().min() > 0
    assert "stitched body" in result.page.read_text()
    assert list((tmp_path / "plots").glob("*.png"))


def test_two_processes_train_one_network(bodies: Cohort, tmp_path: Path) -> None:
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file"),
        str([str(CONFIGS / name) for name in ("train.json", "multi_gpu_train.json")]),
        *options(**settings(bodies, tmp_path, max_epochs=1, batch_size=2, accumulate=1)),
        cwd=tmp_path,
        launcher=TORCHRUN,
    )
    assert done.returncode == 0, done.stdout
    assert describe(tmp_path / "model.pt").origin == "trained"


@pytest.mark.sample_data
def test_verify_metadata(sample_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    schema = sample_data / "monai" / "meta_schema_20240725.json"
    logging.getLogger("monai").setLevel(logging.INFO)
    with caplog.at_level(logging.INFO):
        monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))
    assert "metadata is verified with no error" in caplog.text


def test_verify_net_in_out() -> None:
    # The full grid of 14 million voxels, a thin trunk.
    monai.bundle.verify_net_in_out(
        "network_def", meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / "inference.json"),
        device="cpu", stem_channels=1,
    )  # fmt: skip


def test_exported_network_gives_the_same_ages(trained_body: Path, tmp_path: Path) -> None:
    from agezoo.networks import WholeBodyResNet

    exported = tmp_path / "model.ts"
    monai.bundle.ckpt_export(
        "network_def", filepath=str(exported), ckpt_file=str(trained_body / "model.pt"),
        meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / "inference.json"), use_trace=True,
        input_shape=[1, 1, *GRID], **LAYOUT,
    )  # fmt: skip
    network = WholeBodyResNet(stem_channels=LAYOUT["stem_channels"], halvings=LAYOUT["halvings"])
    network.load_state_dict(torch.load(trained_body / "model.pt", weights_only=True), strict=True)
    image = torch.randn(2, 1, *GRID, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = network.eval()(image)
        found = torch.jit.load(exported).eval()(image)
    assert expected.shape == (2, 1)
    assert torch.allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("workflow_type", "config"), [("train", "train.json"), ("infer", "inference.json")])
def test_workflow_has_every_property(
    bodies: Cohort, trained_body: Path, tmp_path: Path, workflow_type: str, config: str
) -> None:
    given = settings(bodies, tmp_path)
    if workflow_type == "infer":
        given = {"datalist": str(bodies.datalist), "weights": str(trained_body / "model.pt"), **LAYOUT}
    workflow = monai.bundle.create_workflow(
        config_file=str(CONFIGS / config), workflow_type=workflow_type, logging_file=False, **given
    )
    assert workflow.check_properties() == []


def test_another_network_of_monai_by_config(bodies: Cohort, tmp_path: Path) -> None:
    network = {
        "_target_": "monai.networks.nets.resnet10",
        "spatial_dims": 3,
        "n_input_channels": "$len(@channels)",
        "num_classes": "$2 if @uncertainty else 1",
        "feed_forward": True,
    }
    alternative = tmp_path / "monai_resnet.json"
    alternative.write_text(json.dumps({"network_def": network}))
    run_body("training", ["train.json", str(alternative)], **settings(bodies, tmp_path, max_epochs=1, batch_size=2))
    assert "conv1.weight" in torch.load(tmp_path / "model.pt", weights_only=True)


def test_cross_validation(bodies: Cohort, tmp_path: Path) -> None:
    from agezoo.workflows.crossval import cross_validate

    given = {**TINY_BODY, "max_epochs": 1}
    result = cross_validate("wholebody_mr", bodies.datalist, tmp_path / "out", overrides=given, workers=0)
    assert sorted(result.out_of_fold["image"]) == sorted(row["image"] for row in bodies.rows("training"))
    assert result.test is not None
    assert result.test["epistemic_sd_years"].notna().all(), "the folds disagree"
    assert len(find_weights(bundle_root("wholebody_mr"), tmp_path / "out")) == 3
    assert {json.loads(p.read_text())["kept"] for p in (tmp_path / "out").rglob("model.json")} == {"last"}


def test_the_zip_predicts_with_nothing_of_ours_installed(trained_body: Path, tmp_path: Path) -> None:
    from agezoo.workflows.packaging import package_bundle

    packaged = package_bundle("wholebody_mr", tmp_path / "dist", weights=trained_body / "model.pt")
    shutil.unpack_archive(packaged.path, tmp_path)
    write_body(tmp_path / "images" / "plain", 62.0, seed=5)
    # -S leaves the .pth files aside through which an editable installation is found; the libraries come by PYTHONPATH.
    done = command(
        *("-S", "-m", "monai.bundle", "run", "inferring", "--config_file", "configs/inference.json"),
        *options(dataset_dir=tmp_path / "images", output_dir=tmp_path / "results"),
        cwd=tmp_path / "wholebody_mr",
        PYTHONPATH=str(Path(monai.__file__).parents[1]),
    )
    assert done.returncode == 0, done.stdout
    (row,) = read_predictions(tmp_path / "results" / "predictions.csv").to_dict("records")
    assert np.isfinite(row["predicted_age_years"])
    assert row["weights_sha256"] == describe(trained_body / "model.pt").sha256


def test_fat_that_is_wanted_and_not_there_is_named(trained_body: Path, tmp_path: Path) -> None:
    from agezoo.errors import InputError
    from agezoo.transforms import LoadBodyd

    folder = write_body(tmp_path / "lean", 50.0, 1, fat=False)
    with pytest.raises(Exception, match="fat") as caught:
        LoadBodyd("image", channels=("water", "fat_fraction"), spacing_factor=10.0)({"image": str(folder)})
    assert isinstance(caught.value, InputError) or isinstance(caught.value.__cause__, InputError)
    assert body(50.0, 1)[0].shape == (40, 30, 90)
