"""Ending a training early: when, with which weights, known as complete, and the same across a kill."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from tiny_training import Killed, build_training, write_cohort

from agezoo.engines import EarlyStopping
from agezoo.engines.training_checkpoint import training_is_complete
from agezoo.errors import InputError
from agezoo.networks.weights import read_state_dict

MAES = {1: 5.0, 2: 4.0, 3: 4.5, 4: 4.2, 5: 3.9, 6: 4.0, 7: 4.1, 8: 3.9, 9: 3.0, 10: 2.0}
"""With a patience of three: ends behind epoch 8, whose error only equals the best one, of epoch 5."""


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return write_cohort(tmp_path / "cohort")


def options(**others: Any) -> dict[str, Any]:
    return {"epochs": 10, "validated_mae": MAES.__getitem__, "stop_patience": 3, "plateau_patience": 1, **others}


def epochs_of(folder: Path) -> list[int]:
    with (folder / "eval" / "training_history.csv").open(newline="") as stream:
        return [int(row["epoch"]) for row in csv.DictReader(stream)]


def record(folder: Path) -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((folder / "models" / "model.json").read_text())
    return kept


def test_it_ends_behind_the_patience_and_keeps_the_best_epoch(
    rows: list[dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="agezoo"):
        build_training(tmp_path, rows, draw=True, **options()).run()
    assert epochs_of(tmp_path) == list(range(1, 9))
    assert (record(tmp_path)["epoch"], record(tmp_path)["kept"]) == (5, "best")
    assert caplog.text.count("ends behind epoch 8: no improvement in 3 validations (best 3.900)") == 1
    assert (tmp_path / "eval" / "training.png").is_file()


def test_the_last_epoch_is_the_one_that_it_ended_with(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Where the last weights are kept, those are of the epoch of the stop, not of one that never came."""
    training = build_training(tmp_path, rows, keep="last", **options())
    training.run()
    assert (record(tmp_path)["epoch"], record(tmp_path)["kept"]) == (8, "last")
    kept = read_state_dict(tmp_path / "models" / "model.pt")
    assert torch.equal(kept["1.weight"], training.network[1].weight)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stopped_training_is_complete_and_stays_as_it_is(
    rows: list[dict[str, Any]], tmp_path: Path, keep: str
) -> None:
    models = tmp_path / "models"
    build_training(tmp_path, rows, keep=keep, **options()).run()
    assert training_is_complete(models, 10)
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    again = build_training(tmp_path, rows, keep=keep, first_seed=7, **options())
    again.run()
    assert {path.name: path.read_bytes() for path in models.iterdir()} == before
    assert epochs_of(tmp_path) == list(range(1, 9)), "not one epoch more"
    assert again.trainer.state.epoch == 8


def test_a_killed_training_is_not_complete(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(Killed):
        build_training(tmp_path, rows, kill_in_epoch=7, **options()).run()
    assert not training_is_complete(tmp_path / "models", 10)


@pytest.mark.parametrize("killed_in", [4, 8])
def test_count_and_schedule_survive_a_kill(rows: list[dict[str, Any]], tmp_path: Path, killed_in: int) -> None:
    """To the last bit, with the rate halved and one or two epochs without an improvement behind it."""
    whole = build_training(tmp_path / "whole", rows, **options())
    whole.run()
    with pytest.raises(Killed):
        build_training(tmp_path / "killed", rows, kill_in_epoch=killed_in, **options()).run()
    again = build_training(tmp_path / "killed", rows, first_seed=77, **options())
    again.run()
    assert epochs_of(tmp_path / "killed") == epochs_of(tmp_path / "whole") == list(range(1, 9))
    assert torch.equal(again.weights(), whole.weights())
    rates = [each.checkpoint.optimizer.param_groups[0]["lr"] for each in (again, whole)]
    assert rates[0] == rates[1] == 0.05 / 4, "halved behind epochs 4 and 7, at a patience of one"
    assert again.checkpoint.lr_scheduler.state_dict() == whole.checkpoint.lr_scheduler.state_dict()
    assert (
        again.checkpoint.extra["early_stopping"].state_dict() == whole.checkpoint.extra["early_stopping"].state_dict()
    )
    assert (tmp_path / "killed/models/model.pt").read_bytes() == (tmp_path / "whole/models/model.pt").read_bytes()


def test_starting_afresh_forgets_the_count(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    training = build_training(tmp_path, rows, resume=False, **options(epochs=4))
    training.run()
    assert training.checkpoint.extra["early_stopping"].state_dict()["counter"] == 2
    training.trainer.state.epoch = training.trainer.state.iteration = 0
    training.run()
    assert training.checkpoint.extra["early_stopping"].state_dict()["counter"] == 2, "and not four, which would end it"


def test_no_patience_never_ends(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    build_training(tmp_path, rows, **options(stop_patience=None, epochs=5, validated_mae=lambda epoch: 5.0)).run()
    assert epochs_of(tmp_path) == [1, 2, 3, 4, 5]


def test_validations_without_a_number_count_and_epochs_without_one_do_not(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Validated in epochs 2, 4 and 6: a number, then two that are none."""
    maes = {2: 5.0, 4: float("nan"), 6: float("nan"), 8: float("nan")}
    build_training(tmp_path, rows, val_interval=2, **options(stop_patience=2, validated_mae=maes.__getitem__)).run()
    assert epochs_of(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_without_an_evaluator_the_training_error_is_watched(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    training = build_training(tmp_path, rows, **options(stop_patience=None, validated_mae=lambda epoch: 9.0 - epoch))

    @training.trainer.on(Events.EPOCH_COMPLETED)
    def stay(engine: Any) -> None:
        engine.state.metrics["train_mae_years"] = 9.0

    EarlyStopping(patience=2).attach(training.trainer)
    training.run()
    assert training.trainer.state.epoch == 3


def test_a_checkpoint_without_the_count_is_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """As one that an earlier config, without early stopping, has left."""
    first = build_training(tmp_path, rows, **options(epochs=1))
    first.checkpoint.extra = {}
    first.run()
    with pytest.raises(InputError, match=r"last\.pt: the checkpoint there knows nothing of early_stopping"):
        build_training(tmp_path, rows, **options(epochs=1)).run()


def test_a_patience_of_0_is_refused() -> None:
    with pytest.raises(ValueError, match="patience must be at least 1"):
        EarlyStopping(patience=0)
