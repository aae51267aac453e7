"""spine_age through MONAI's own entry points, on a tiny cohort of lateral images."""

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
from agezoo.networks.weights import describe
from agezoo.registry import bundle_root
from agezoo.workflows.bundle_run import run_bundle
from bundle_runs import command, options
from cohort_files import Cohort
from spine_cohort_files import LAYOUT, SHAPE, TINY_SPINE, write_png, write_radiograph, write_radiograph_cohort

CONFIGS = bundle_root("spine_age") / "configs"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def run_spine(run_id: str, configs: list[str], **overrides: Any) -> None:
    logging.getLogger("monai").setLevel(logging.ERROR)
    monai.bundle.run(
        run_id=run_id, config_file=[str(CONFIGS / name) for name in configs], logging_file=False, **overrides
    )


def settings(cohort: Cohort, out: Path, **overrides: Any) -> dict[str, Any]:
    own = {"datalist": cohort.datalist, "cache_dir": cohort.cache, "ckpt_dir": out, "output_dir": out}
    return {**{name: str(path) for name, path in own.items()}, **TINY_SPINE, **overrides}


@pytest.fixture(scope="module")
def spines(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return write_radiograph_cohort(tmp_path_factory.mktemp("spines"))


@pytest.fixture(scope="module")
def trained_spine(spines: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished training of fold 0 that was started from the command line; read only."""
    out = tmp_path_factory.mktemp("trained_spine")
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file", CONFIGS / "train.json"),
        *options(**settings(spines, out)),
        cwd=out,
    )
    assert done.returncode == 0, done.stdout
    return out


def test_training_leaves_weights_with_their_record(spines: Cohort, trained_spine: Path) -> None:
    record = json.loads((trained_spine / "model.json").read_text())
    assert record["overrides"] == LAYOUT, "what the layout and the input depend on travels with the weights"
    assert record["n_training"] == sum(row["fold"] != 0 for row in spines.rows("training"))
    assert record["origin"] == "trained"
    state = torch.load(trained_spine / "model.pt", weights_only=True)
    assert state[max(name for name in state if name.endswith("weight") and state[name].ndim == 2)].shape[1] == 8
    lines = (trained_spine / "training_history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2"]
    assert (trained_spine / "training.png").stat().st_size > 5000


def test_what_is_cached_is_the_canvas(spines: Cohort, trained_spine: Path) -> None:
    kept = [torch.load(path, weights_only=True)["image"] for path in spines.cache.glob("*.pt")]
    assert {tuple(image.shape) for image in kept} == {(1, 64, 32)}
    assert all(float(image.min()) >= 0 and float(image.max()) <= 1 for image in kept)


def test_evaluation_of_the_test_section(spines: Cohort, trained_spine: Path, tmp_path: Path) -> None:
    given = settings(spines, trained_spine, output_dir=str(tmp_path), section="test")
    given.pop("max_epochs")
    run_spine("evaluating", ["train.json", "evaluate.json"], **given)
    table = read_predictions(tmp_path / "predictions.csv")
    assert len(table) == len(spines.rows("test"))
    assert set(table["modality"]) == {"radiograph", "vfa"}
    assert (table["predicted_age_years"] == table["predicted_age_years"].round()).all(), "rounded, as published"
    assert ((table["predicted_age_years"] - table["expected_age_years"]).abs() <= 0.5).all()
    assert table["expected_age_years"].between(40, 99).all()
    assert (table["aleatoric_sd_years"] > 0).all()
    assert (tmp_path / "report.html").is_file()


def test_command_line_predicts_a_folder_of_dicom_and_png(trained_spine: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    write_radiograph(images / "study" / "lateral.dcm", 62.0, seed=5)
    write_radiograph(images / "study" / "frontal.dcm", 62.0, seed=6, ViewPosition="AP")
    write_radiograph(images / "dxa" / "vfa.dcm", 71.0, seed=7, vfa=True)
    write_png(images / "plain.png", 55.0, seed=8)
    (images / "broken.png").write_bytes((images / "plain.png").read_bytes()[:400])
    done = command(
        *("-m", "monai.bundle", "run", "inferring", "--config_file", CONFIGS / "inference.json"),
        *options(dataset_dir="images", output_dir="results", weights=trained_spine / "model.pt", **LAYOUT),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    table = read_predictions(tmp_path / "results" / "predictions.csv").set_index("image")
    assert set(table.index) == {"study/lateral.dcm", "study/frontal.dcm", "dxa/vfa.dcm", "plain.png", "broken.png"}
    assert table.loc["study/lateral.dcm", "age_years"] == 62.0, "the header's age belongs into the table"
    assert table.loc["dxa/vfa.dcm", "modality"] == "vfa"
    assert table.loc["study/lateral.dcm", "modality"] == "radiograph"
    failed = table["predicted_age_years"].isna()
    assert set(table.index[failed]) == {"study/frontal.dcm", "broken.png"}
    assert "frontal" in table.loc["study/frontal.dcm", "error"]
    assert np.isnan(table.loc["plain.png", "age_years"])
    pictures = [path.stem for path in (tmp_path / "results" / "overlays").glob("*.png")]
    originals = [name for name in pictures if name.endswith("_original")]
    assert len(pictures) == 6
    assert len(originals) == 3, "the map is carried back onto every stored image"
    everything = b"".join(path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file())
    assert b"CANARYID" not in everything
    assert b"Canary" not in everything


def test_fine_tuning_on_vfa(spines: Cohort, trained_spine: Path, tmp_path: Path) -> None:
    given = settings(spines, tmp_path / "models", start_from=str(trained_spine / "model.pt"), max_epochs=1)
    run_spine("training", ["train.json", "finetune_vfa.json"], **given)
    record = json.loads((tmp_path / "models" / "model.json").read_text())
    # 30 % of ten people, one of the three to choose the epoch.
    assert record["n_training"] == 2
    given.pop("max_epochs")
    evaluated = given | {"output_dir": str(tmp_path / "test"), "section": "test"}
    run_spine("evaluating", ["train.json", "finetune_vfa.json", "evaluate.json"], **evaluated)
    table = read_predictions(tmp_path / "test" / "predictions.csv")
    assert len(table) == 7
    assert set(table["modality"]) == {"vfa"}
    assert set(table["weights_sha256"]) == {describe(tmp_path / "models" / "model.pt").sha256}


def test_an_age_outside_the_distribution_stops_the_training(spines: Cohort, tmp_path: Path) -> None:
    document = json.loads(spines.datalist.read_text())
    document["training"][0]["age_years"] = 35.0
    datalist = spines.folder / "too_young.json"
    datalist.write_text(json.dumps(document))
    with pytest.raises(InputError, match="35"):
        run_bundle(
            "spine_age",
            "training",
            ["train.json"],
            overrides=settings(spines, tmp_path, datalist=str(datalist), fold=1),
        )


def test_two_processes_train_one_model(spines: Cohort, tmp_path: Path) -> None:
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file"),
        f"['{CONFIGS / 'train.json'}','{CONFIGS / 'multi_gpu_train.json'}']",
        *options(**settings(spines, tmp_path / "models", max_epochs=1)),
        cwd=tmp_path,
        launcher=TORCHRUN,
    )
    assert done.returncode == 0, done.stdout
    describe(tmp_path / "models" / "model.pt")
    state = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in state)


@pytest.mark.sample_data
def test_verify_metadata(sample_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    schema = sample_data / "monai" / "meta_schema_20240725.json"
    logging.getLogger("monai").setLevel(logging.INFO)
    with caplog.at_level(logging.INFO):
        monai.bundle.verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=str(schema))
    assert "metadata is verified with no error" in caplog.text


@pytest.mark.parametrize("config", ["train.json", "inference.json"])
def test_verify_net_in_out(config: str) -> None:
    # At full size: the metadata's shapes and types hold for what users train.
    monai.bundle.verify_net_in_out(
        "network_def", meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / config), device="cpu"
    )


def test_exported_network_gives_the_same_ages(trained_spine: Path, tmp_path: Path) -> None:
    from agezoo.networks import SpineAgeNet

    exported = tmp_path / "model.ts"
    monai.bundle.ckpt_export(
        "network_def", filepath=str(exported), ckpt_file=str(trained_spine / "model.pt"),
        meta_file=str(CONFIGS / "metadata.json"), config_file=str(CONFIGS / "inference.json"), use_trace=True,
        input_shape=[1, 1, 64, 32], **LAYOUT,
    )  # fmt: skip
    network = SpineAgeNet(variant=0, hidden=8)
    network.load_state_dict(torch.load(trained_spine / "model.pt", weights_only=True), strict=True)
    image = torch.rand(2, 1, 64, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = network.eval()(image)
        found = torch.jit.load(exported).eval()(image)
    assert expected.shape == (2, 60)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("workflow_type", "config"), [("train", "train.json"), ("infer", "inference.json")])
def test_workflow_has_every_property(
    spines: Cohort, trained_spine: Path, tmp_path: Path, workflow_type: str, config: str
) -> None:
    given = settings(spines, tmp_path)
    if workflow_type == "infer":
        given = {"datalist": str(spines.datalist), "weights": str(trained_spine / "model.pt"), **LAYOUT}
    workflow = monai.bundle.create_workflow(
        config_file=str(CONFIGS / config), workflow_type=workflow_type, logging_file=False, **given
    )
    assert workflow.check_properties() == []


def test_cross_validation_reports_the_kinds_of_image_apart(spines: Cohort, tmp_path: Path) -> None:
    from agezoo.workflows.crossval import cross_validate

    given = {**TINY_SPINE, "max_epochs": 1}
    result = cross_validate("spine_age", spines.datalist, tmp_path / "out", overrides=given, workers=0)
    assert sorted(result.out_of_fold["image"]) == sorted(row["image"] for row in spines.rows("training"))
    assert result.test is not None
    assert len(result.test) == len(spines.rows("test"))
    assert set(result.metrics["other_sections"]) == {
        "Test (ensemble), modality: radiograph",
        "Test (ensemble), modality: vfa",
    }
    assert {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("model.pt")} == {
        f"fold_{fold}/model.pt" for fold in range(3)
    }
    kept = torch.load(next((tmp_path / "out" / "cache").glob("*.pt")), weights_only=True)
    assert kept["image"].shape == (1, 64, 32), "preparation, training and prediction share one canvas"
    assert len(list((tmp_path / "out" / "cache").glob("*.pt"))) == len(spines.subjects), "each image prepared once"


def test_the_zip_predicts_with_nothing_of_ours_installed(trained_spine: Path, tmp_path: Path) -> None:
    from agezoo.workflows.packaging import package_bundle

    packaged = package_bundle("spine_age", tmp_path / "dist", weights=trained_spine / "model.pt")
    shutil.unpack_archive(packaged.path, tmp_path)
    write_radiograph(tmp_path / "images" / "lateral.dcm", 62.0, seed=5)
    # -S leaves the .pth files aside through which an editable installation is found; the libraries come by PYTHONPATH.
    done = command(
        *("-S", "-m", "monai.bundle", "run", "inferring", "--config_file", "configs/inference.json"),
        *options(dataset_dir=tmp_path / "images", output_dir=tmp_path / "results"),
        cwd=tmp_path / "spine_age",
        PYTHONPATH=str(Path(monai.__file__).parents[1]),
    )
    assert done.returncode == 0, done.stdout
    (row,) = read_predictions(tmp_path / "results" / "predictions.csv").to_dict("records")
    assert row["age_years"] == 62.0
    assert 40 <= row["predicted_age_years"] <= 99
    assert row["weights_sha256"] == describe(trained_spine / "model.pt").sha256
    assert (tmp_path / "results" / "overlays").is_dir()


def test_a_datalist_without_test_rows_is_evaluated_on_its_fold(
    spines: Cohort, trained_spine: Path, tmp_path: Path
) -> None:
    document = json.loads(spines.datalist.read_text()) | {"test": []}
    datalist = spines.folder / "without_test.json"
    datalist.write_text(json.dumps(document))
    given = settings(spines, trained_spine, datalist=str(datalist), output_dir=str(tmp_path))
    given.pop("max_epochs")
    run_spine("evaluating", ["train.json", "evaluate.json"], **given)
    assert len(read_predictions(tmp_path / "predictions.csv")) == 4


def test_maps_are_saved_on_the_grid_of_the_stored_image(trained_spine: Path, tmp_path: Path) -> None:
    import nibabel as nib

    from agezoo.predict.run import predict

    image = write_radiograph(tmp_path / "lateral.dcm", 62.0, seed=5)
    table = predict("spine_age", [image], tmp_path / "out", weights=trained_spine / "model.pt", save_maps=True)
    assert table["predicted_age_years"].notna().all()
    (path,) = (tmp_path / "out" / "overlays" / "maps").glob("*.nii.gz")
    assert sorted(nib.load(path).shape[:2]) == sorted(SHAPE)
    with pytest.raises(InputError, match="maps are written of radiographs, brains"):
        predict("ct_age", [tmp_path], tmp_path / "ct", weights="phantom", save_maps=True)
