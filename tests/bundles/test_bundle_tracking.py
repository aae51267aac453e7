"""What `--tracking mlflow` records of a run, and that nobody can be recognised in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agezoo.data.datalist import datalist_hash
from agezoo.registry import bundle_root, bundle_version
from bundle_runs import another_second, run_configs, training_settings
from cohort_files import Cohort

mlflow = pytest.importorskip("mlflow")


def client_of(folder: Path) -> Any:
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{(folder / 'mlruns.db').as_posix()}")


def runs_in(folder: Path) -> list[Any]:
    """Every run of every experiment, oldest first."""
    client = client_of(folder)
    runs = [run for found in client.search_experiments() for run in client.search_runs(found.experiment_id)]
    return sorted(runs, key=lambda run: run.info.start_time)


def artifacts_of(folder: Path, run: Any) -> dict[str, Path]:
    """Name -> file of a run's artifacts, folders opened."""
    root = folder / "mlruns" / run.info.run_id / "artifacts"
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tracked(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tracked training, then two tracked evaluations; read only."""
    out = tmp_path_factory.mktemp("tracked")
    settings = training_settings(cohort, out)
    run_configs("training", ["train.json"], **settings, tracking="mlflow")
    settings.pop("max_epochs")
    for section in ("validation", "test"):
        another_second()
        run_configs("evaluating", ["train.json", "evaluate.json"], **settings, section=section, tracking="mlflow")
    return out


def test_each_run_is_one_of_its_own_and_finished(tracked: Path) -> None:
    runs = runs_in(tracked)
    assert [run.info.run_name.rsplit(" ", 2)[0] for run in runs] == [
        "training fold 0",
        "evaluation of validation",
        "evaluation of test",
    ]
    assert [run.info.status for run in runs] == ["FINISHED"] * 3


def test_a_training_is_told_by_parameters_metrics_and_figures(cohort: Cohort, tracked: Path) -> None:
    training = runs_in(tracked)[0]
    params = training.data.params
    expected = {"fold": "0", "seed": "0", "batch_size": "4", "trunk_width": "4", "max_epochs": "2", "n_training": "9"}
    assert {name: params.get(name) for name in expected} == expected
    assert float(params["learning_rate"]) == 0.0003
    tags = training.data.tags
    assert tags["datalist_sha256"] == datalist_hash(cohort.datalist)
    assert tags["bundle"] == "ct_age"
    assert tags["bundle_version"] == params["bundle_version"] == bundle_version(bundle_root("ct_age"))
    assert tags["weights_origin"] == "trained"
    history = client_of(tracked).get_metric_history(training.info.run_id, "val_mae_years")
    assert [point.step for point in history] == [1, 2]
    files = artifacts_of(tracked, training)
    assert {"training.png", "validation.png", "model.json"} <= files.keys()
    executed = [json.loads(path.read_text()) for name, path in files.items() if name.startswith("config_")]
    assert [config["trunk_width"] for config in executed] == [4], "the config as it was executed, overrides included"


def test_an_evaluation_is_told_by_its_report(tracked: Path) -> None:
    evaluation = runs_in(tracked)[1]
    assert {"section": "validation", "n": "4"}.items() <= evaluation.data.params.items()
    files = artifacts_of(tracked, evaluation)
    assert "metrics.json" in files
    assert any(name.startswith("plots/") for name in files)
    assert any(name.startswith("config_") for name in files)


def test_nobody_can_be_recognised(cohort: Cohort, tracked: Path) -> None:
    images = [row["image"] for section in ("training", "test") for row in cohort.rows(section)]
    marks = [mark.encode() for mark in (*cohort.subjects, "CANARYSUBJECT", *images)]
    recorded = [tracked / "mlruns.db", *(path for path in (tracked / "mlruns").rglob("*") if path.is_file())]
    assert len(recorded) > 10
    told = {path.name: mark for path in recorded for mark in marks if mark in path.read_bytes()}
    assert not told
    # The marks are there to be found: the prediction table, which stays with the user, has them.
    assert (
        marks[0] in (tracked / "predictions.csv").read_bytes()
        or b"CANARYSUBJECT" in (tracked / "predictions.csv").read_bytes()
    )


def test_tracked_inference_keeps_paths_to_itself(cohort: Cohort, tracked: Path, tmp_path: Path) -> None:
    # Folders of scans are often named after people, so not even the executed config is recorded.
    folder = tmp_path / "CANARYFOLDER"
    folder.mkdir()
    (folder / "CANARYFILE.nii.gz").symlink_to(cohort.folder / cohort.rows("test")[0]["image"])
    run_configs(
        "inferring", ["inference.json"], dataset_dir=str(folder), output_dir=str(tmp_path / "out"), trunk_width=4,
        weights=str(tracked / "model.pt"), overlays=False, tracking="mlflow",
    )  # fmt: skip
    (run,) = runs_in(tmp_path / "out")
    assert run.info.status == "FINISHED"
    assert run.data.params["n"] == "1"
    recorded = [path for path in (tmp_path / "out").glob("mlruns*/**/*") if path.is_file()]
    for path in [tmp_path / "out" / "mlruns.db", *recorded]:
        assert b"CANARY" not in path.read_bytes()
    assert not list((tmp_path / "out").glob("config_*.json"))
