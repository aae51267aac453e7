"""brain_tsan through MONAI's own entry points, on a tiny cohort of brains in MNI space."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import numpy as np
import pytest
import torch

from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError
from agezoo.networks.weights import describe, find_weights
from agezoo.registry import bundle_root
from agezoo.workflows.bundle_run import run_bundle
from brain_cohort_files import LAYOUT, TINY_BRAIN, write_brain, write_brain_cohort
from bundle_runs import command, options
from cohort_files import Cohort

CONFIGS = bundle_root("brain_tsan") / "configs"
STAGE1, STAGE2 = ["train.json"], ["train.json", "train_stage2.json"]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def run_brain(run_id: str, configs: list[str], **overrides: Any) -> None:
    logging.getLogger("monai").setLevel(logging.ERROR)
    monai.bundle.run(
        run_id=run_id, config_file=[str(CONFIGS / name) for name in configs], logging_file=False, **overrides
    )


def settings(cohort: Cohort, out: Path, **overrides: Any) -> dict[str, Any]:
    own = {"datalist": cohort.datalist, "cache_dir": cohort.cache, "models_dir": out, "eval_dir": out / "eval"}
    return {**{name: str(path) for name, path in own.items()}, **TINY_BRAIN, **overrides}


@pytest.fixture(scope="module")
def brains(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_brain_cohort(tmp_path_factory.mktemp("brains"))


@pytest.fixture(scope="module")
def trained_brain(brains: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cascade whose stages were trained one behind the other; read only."""
    out = tmp_path_factory.mktemp("trained_brain")
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file", CONFIGS / "train.json"),
        *options(**settings(brains, out)),
        cwd=out,
    )
    assert done.returncode == 0, done.stdout
    run_brain("training", STAGE2, **settings(brains, out))
    return out


def test_both_stages_leave_weights_with_their_record(brains: Cohort, trained_brain: Path) -> None:
    n_training = sum(row["fold"] != 0 for row in brains.rows("training"))
    for stage, path in ((1, trained_brain / "stage1" / "model.pt"), (2, trained_brain / "model.pt")):
        record = describe(path).record
        assert record["overrides"] == {"stages": stage, "bin_years": 5, **LAYOUT}
        assert (record["n_training"], record["origin"]) == (n_training, "trained")


def test_second_stage_keeps_the_first_as_it_was(trained_brain: Path) -> None:
    first = torch.load(trained_brain / "stage1" / "model.pt", weights_only=True)
    cascade = torch.load(trained_brain / "model.pt", weights_only=True)
    assert {name for name in cascade if name.startswith("first_stage.")} == {f"first_stage.{name}" for name in first}
    # Batch-norm averages too: a frozen network that still counts its batches is not frozen.
    assert all(torch.equal(cascade[f"first_stage.{name}"], value) for name, value in first.items())
    assert any(name.startswith("second_stage.") for name in cascade)


def test_collapse_of_the_second_stage_is_measured_each_epoch(trained_brain: Path) -> None:
    header, *epochs = (trained_brain / "eval" / "training_history.csv").read_text().splitlines()
    assert "within_bin_sd_years" in header.split(",")
    assert len(epochs) == TINY_BRAIN["max_epochs"]


@pytest.mark.parametrize("overlays", [("phantom.json", "train_stage2.json"), ("train_stage2.json", "phantom.json")])
def test_order_of_the_overlays_does_not_matter(overlays: tuple[str, str]) -> None:
    parser = monai.bundle.ConfigParser()
    parser.read_config([str(bundle_root("brain_tsan") / "configs" / name) for name in ("train.json", *overlays)])
    settings = {name: parser.get_parsed_content(name) for name in ("stages", "max_epochs", "learning_rate")}
    assert settings == {"stages": 2, "max_epochs": 15, "learning_rate": 2e-5}


def test_second_stage_without_a_first_is_refused(brains: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stage"):
        run_bundle("brain_tsan", "training", STAGE2, overrides=settings(brains, tmp_path))


def test_what_is_cached_is_the_standardised_brain(brains: Cohort, trained_brain: Path) -> None:
    kept = [torch.load(path, weights_only=True)["image"] for path in brains.cache.glob("*.pt")]
    assert {tuple(image.shape) for image in kept} == {(1, 46, 55, 46)}
    for image in kept:
        brain = image[image != 0]
        assert 0.2 < brain.numel() / image.numel() < 0.5
        assert abs(float(brain.mean())) < 0.01
        assert abs(float(brain.std()) - 1) < 0.01


@pytest.mark.parametrize(("configs", "weights"), [(STAGE1, "stage1/model.pt"), (STAGE2, "model.pt")])
def test_evaluation_of_the_test_section(
    brains: Cohort, trained_brain: Path, tmp_path: Path, configs: list[str], weights: str
) -> None:
    given = settings(brains, trained_brain, output_dir=str(tmp_path), section="test")
    given.pop("max_epochs")
    run_brain("evaluating", [*configs, "evaluate.json"], **given)
    table = read_predictions(tmp_path / "predictions.csv")
    assert len(table) == len(brains.rows("test"))
    assert set(table["weights_sha256"]) == {describe(trained_brain / weights).sha256}
    assert set(table["group"]) == {"CN", "AD"}
    if configs is STAGE2:
        bins = table["discretised_age_years"]
        assert (bins % 5 == 0).all()
        assert ((table["first_stage_age_years"] - bins).abs() <= 2.5).all()
        assert "within_bin_sd_years" in (tmp_path / "metrics.json").read_text()
    assert (tmp_path / "report.html").is_file()


def test_sex_reaches_the_network(brains: Cohort, trained_brain: Path, tmp_path: Path) -> None:
    document = json.loads(brains.datalist.read_text())
    twins = [dict(document["test"][0], subject_id=f"twin-{sex}", sex=sex) for sex in ("F", "M", None)]
    rows = [dict(row, image=str(brains.folder / row["image"])) for row in twins]
    from agezoo.predict.run import predict_rows

    weights = find_weights(bundle_root("brain_tsan"), trained_brain / "model.pt")
    table = predict_rows("brain_tsan", rows, tmp_path, weights=weights, overlays=False).set_index("subject_id")
    female, male, unknown = (table.loc[f"twin-{sex}", "predicted_age_years"] for sex in ("F", "M", None))
    assert female != male
    assert min(female, male) < unknown < max(female, male)


def test_command_line_predicts_a_folder(trained_brain: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    write_brain(images / "T1_007" / "T1_to_MNI_nonlin_brain.nii.gz", 62.0, seed=5)
    whole = write_brain(images / "plain.nii.gz", 55.0, seed=8)
    (images / "broken.nii.gz").write_bytes(whole.read_bytes()[:4000])
    done = command(
        *("-m", "monai.bundle", "run", "inferring", "--config_file", CONFIGS / "inference.json"),
        *options(dataset_dir="images", output_dir="results", weights=trained_brain / "model.pt", **LAYOUT),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    table = read_predictions(tmp_path / "results" / "predictions.csv").set_index("image")
    assert len(table) == 3
    failed = table.index[table["predicted_age_years"].isna()]
    assert list(failed) == ["broken.nii.gz"]
    finished = table.drop(index=failed)
    assert finished["age_years"].isna().all()
    assert (finished["registration_overlap"] > 0.93).all()
    pictures = list((tmp_path / "results" / "overlays").glob("*.png"))
    assert pictures, "a picture of each brain"


def test_two_processes_train_one_cascade(brains: Cohort, trained_brain: Path, tmp_path: Path) -> None:
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file"),
        str([str(CONFIGS / name) for name in [*STAGE2, "multi_gpu_train.json"]]),
        *options(
            **settings(
                brains, tmp_path, max_epochs=1, batch_size=2, stage1_weights=str(trained_brain / "stage1" / "model.pt")
            )
        ),
        cwd=tmp_path,
        launcher=TORCHRUN,
    )
    assert done.returncode == 0, done.stdout
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert {name.split(".")[0] for name in state} == {"first_stage", "second_stage"}


@pytest.mark.sample_data
def test_verify_metadata(sample_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    schema = sample_data / "monai" / "meta_schema_20240725.json"
    logging.getLogger("monai").setLevel(logging.INFO)
    with caplog.at_level(logging.INFO):
        monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))
    assert "metadata is verified with no error" in caplog.text


def test_verify_net_in_out() -> None:
    # The full grid, a thin trunk: a hundred million parameters need no test of their own here.
    monai.bundle.verify_net_in_out(
        "network_def", meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / "inference.json"),
        device="cpu", stem_channels=1,
    )  # fmt: skip


def test_exported_network_gives_the_same_ages(trained_brain: Path, tmp_path: Path) -> None:
    from agezoo.networks import brain_age_network

    exported = tmp_path / "model.ts"
    monai.bundle.ckpt_export(
        "network_def", filepath=str(exported), ckpt_file=str(trained_brain / "model.pt"),
        meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / "inference.json"), use_trace=True,
        input_shape=[1, 1, 46, 55, 46], **LAYOUT,
    )  # fmt: skip
    network = brain_age_network(stages=2, stem_channels=1, n_blocks=2)
    network.load_state_dict(torch.load(trained_brain / "model.pt", weights_only=True), strict=True)
    image = torch.rand(2, 1, 46, 55, 46, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = network.eval()(image)
        found = torch.jit.load(exported).eval()(image)
    assert expected.shape == (2, 3)
    assert torch.allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(("workflow_type", "config"), [("train", "train.json"), ("infer", "inference.json")])
def test_workflow_has_every_property(
    brains: Cohort, trained_brain: Path, tmp_path: Path, workflow_type: str, config: str
) -> None:
    given = settings(brains, tmp_path)
    if workflow_type == "infer":
        given = {"datalist": str(brains.datalist), "weights": str(trained_brain / "model.pt"), **LAYOUT}
    workflow = monai.bundle.create_workflow(
        config_file=str(CONFIGS / config), workflow_type=workflow_type, logging_file=False, **given
    )
    assert workflow.check_properties() == []


def test_cross_validation_trains_both_stages_of_every_fold(brains: Cohort, tmp_path: Path) -> None:
    from agezoo.workflows.crossval import cross_validate

    given = {**TINY_BRAIN, "max_epochs": 1}
    result = cross_validate("brain_tsan", brains.datalist, tmp_path / "out", overrides=given, workers=0)
    assert sorted(result.out_of_fold["image"]) == sorted(row["image"] for row in brains.rows("training"))
    assert result.out_of_fold["discretised_age_years"].notna().all()
    assert result.test is not None
    assert result.test["epistemic_sd_years"].notna().all(), "the folds disagree"
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("model.pt")}
    assert written == {f"fold_{fold}/{name}" for fold in range(3) for name in ("model.pt", "stage1/model.pt")}
    assert not list((tmp_path / "out").rglob("last.pt")), "finished trainings leave no checkpoint behind"
    assert len(find_weights(bundle_root("brain_tsan"), tmp_path / "out")) == 3
    # The fold that is reported steers nothing.
    assert {json.loads(p.read_text())["kept"] for p in (tmp_path / "out").rglob("model.json")} == {"last"}
    again = cross_validate("brain_tsan", brains.datalist, tmp_path / "out", overrides=given, workers=0)
    assert np.array_equal(again.out_of_fold["predicted_age_years"], result.out_of_fold["predicted_age_years"])


def test_the_zip_predicts_with_nothing_of_ours_installed(trained_brain: Path, tmp_path: Path) -> None:
    from agezoo.workflows.packaging import package_bundle

    packaged = package_bundle("brain_tsan", tmp_path / "dist", weights=trained_brain / "model.pt")
    shutil.unpack_archive(packaged.path, tmp_path)
    write_brain(tmp_path / "images" / "plain.nii.gz", 62.0, seed=5)
    # -S leaves the .pth files aside through which an editable installation is found; the libraries come by PYTHONPATH.
    done = command(
        *("-S", "-m", "monai.bundle", "run", "inferring", "--config_file", "configs/inference.json"),
        *options(dataset_dir=tmp_path / "images", output_dir=tmp_path / "results"),
        cwd=tmp_path / "brain_tsan",
        PYTHONPATH=str(Path(monai.__file__).parents[1]),
    )
    assert done.returncode == 0, done.stdout
    (row,) = read_predictions(tmp_path / "results" / "predictions.csv").to_dict("records")
    assert np.isfinite(row["predicted_age_years"])
    assert row["weights_sha256"] == describe(trained_brain / "model.pt").sha256
