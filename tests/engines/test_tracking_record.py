"""What a tracked run tells, with MONAI's real handler and a real MLflow store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ignite.engine import Engine, Events

from agezoo.engines import TrackingRecord
from agezoo.engines.tracking_record import tracking_handler

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one database for all tests; making it takes seconds."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def client(store: Path) -> Any:
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{store / 'mlruns.db'}")


def tracked_engine(store: Path, record: TrackingRecord, run_name: str, *, close: bool = True) -> Engine:
    """An engine with the record first and MONAI's handler behind it, as the bundles attach them."""
    from monai.handlers import MLFlowHandler

    engine = Engine(lambda e, batch: None)
    record.attach(engine)
    MLFlowHandler(
        tracking_uri=f"sqlite:///{store / 'mlruns.db'}", artifact_location=(store / "artifacts").as_uri(),
        experiment_name="ct_age", run_name=run_name, iteration_log=False, close_on_complete=close,
    ).attach(engine)  # fmt: skip
    return engine


def runs_named(client: Any, name: str) -> list[Any]:
    experiment = client.get_experiment_by_name("ct_age")
    return [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == name]


def artifacts_of(client: Any, run: Any, path: str | None = None) -> list[str]:
    return sorted(item.path for item in client.list_artifacts(run.info.run_id, path))


def test_params_tags_artifacts_and_parent_arrive(store: Path, client: Any, tmp_path: Path) -> None:
    figures = tmp_path / "plots"
    record = TrackingRecord(
        params={"fold": None, "learning_rate": 0.0003, "n_training": 48},
        tags={"bundle": "ct_age", "datalist_sha256": "ab12", "absent": None},
        artifacts=[tmp_path / "training.png", figures, tmp_path / "absent.png", tmp_path / "config_*.json"],
        parent_run_id="0123456789abcdef0123456789abcdef",
    )
    engine = tracked_engine(store, record, "fold 1")

    def write_files(e: Engine) -> None:
        figures.mkdir()
        (figures / "calibration.png").write_bytes(b"png")
        (tmp_path / "training.png").write_bytes(b"png")

    engine.add_event_handler(Events.EPOCH_COMPLETED, write_files)
    engine.run([0], max_epochs=1)
    (run,) = runs_named(client, "fold 1")
    assert run.data.params.items() >= {"fold": "None", "learning_rate": "0.0003", "n_training": "48"}.items()
    assert run.data.tags.items() >= {"bundle": "ct_age", "datalist_sha256": "ab12"}.items()
    assert run.data.tags["mlflow.parentRunId"] == "0123456789abcdef0123456789abcdef"
    assert "absent" not in run.data.tags
    assert artifacts_of(client, run) == ["plots", "training.png"]
    assert artifacts_of(client, run, "plots") == ["plots/calibration.png"]
    assert run.info.status == "FINISHED"


def test_a_run_of_several_epochs_logs_once_and_going_on_in_it_is_no_conflict(
    store: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow refuses to change a parameter, so a resumed run keeps the one it began with."""
    logged: list[str] = []
    for rate in (0.1, 0.2):
        engine = tracked_engine(store, TrackingRecord(params={"learning_rate": rate}, tags={"stage": rate}), "resumed")
        handler = tracking_handler(engine)
        assert handler is not None
        original = handler.client.log_param

        def log(run_id: str, key: str, value: object, original: Any = original) -> None:
            logged.append(key)
            original(run_id, key, value)

        monkeypatch.setattr(handler.client, "log_param", log)
        if rate == 0.2:
            client.update_run(runs_named(client, "resumed")[0].info.run_id, status="RUNNING")
        engine.run([0], max_epochs=3)
    assert logged == ["learning_rate"]
    (run,) = runs_named(client, "resumed")
    assert run.data.params["learning_rate"] == "0.1"
    assert run.data.tags["stage"] == "0.2"


def test_the_run_of_an_evaluation_is_closed(store: Path, client: Any) -> None:
    """MONAI leaves it open, and the next evaluation of the same name would write into it."""
    for _ in range(2):
        tracked_engine(store, TrackingRecord(tags={"a": 1}), "evaluation", close=False).run([0])
    assert [run.info.status for run in runs_named(client, "evaluation")] == ["FINISHED", "FINISHED"]


def test_of_several_files_with_wildcards_the_newest_is_logged(store: Path, client: Any, tmp_path: Path) -> None:
    for age, name in enumerate(("config_c.json", "config_a.json", "config_b.json")):
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    tracked_engine(store, TrackingRecord(artifacts=[tmp_path / "config_*.json"]), "wildcards").run([0])
    (run,) = runs_named(client, "wildcards")
    assert artifacts_of(client, run) == ["config_c.json"]


def test_without_tracking_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figure.png").write_bytes(b"png")
    engine = Engine(lambda e, batch: None)
    TrackingRecord({"a": 1}, {"b": 2}, [tmp_path / "figure.png"], "parent").attach(engine)
    assert tracking_handler(engine) is None
    assert engine.run([0]).epoch == 1
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"], "no mlruns folder"
