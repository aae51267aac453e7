"""A learning rate that falls where the validation error does not, also across a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from tiny_training import Training, build_training, write_cohort

from agezoo.engines import PlateauSchedule


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return write_cohort(tmp_path / "cohort", n=4)


def rates(folder: Path, rows: list[dict[str, Any]], maes: list[float], **options: Any) -> list[float]:
    """Learning rates behind each epoch of a training whose validations have these errors."""
    training = build_training(folder, rows, epochs=len(maes), validated_mae=lambda epoch: maes[epoch - 1])
    return schedule_and_run(training, **options)


def schedule_and_run(training: Training, **options: Any) -> list[float]:
    optimizer = torch.optim.SGD(training.network.parameters(), lr=1.0)
    found: list[float] = []
    PlateauSchedule(optimizer, **{"evaluator": training.evaluator, **options}).attach(training.trainer)
    training.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda e: found.append(optimizer.param_groups[0]["lr"]))
    training.run()
    return found


def test_the_rate_is_halved_behind_more_than_the_patience(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """5, then no better for two epochs, which are forgiven, and a third; then the count begins anew."""
    maes = [5.0, 5.0, 6.0, 5.0, 7.0, 7.0, 4.0, 4.5]
    assert rates(tmp_path, rows, maes, patience=2) == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_published_settings_are_the_default(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Half behind the sixth epoch without an improvement."""
    assert rates(tmp_path, rows, [3.0] * 8) == [1.0] * 6 + [0.5] * 2


def test_a_validation_without_a_number_is_no_improvement(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert rates(tmp_path, rows, [5.0, float("nan"), float("nan")], patience=1) == [1, 1, 0.5]


def test_an_epoch_without_a_validation_is_not_judged(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Validation in every second epoch: the metrics of the last one are still there in the next."""
    training = build_training(tmp_path, rows, epochs=7, val_interval=2, validated_mae=lambda epoch: 5.0)
    assert schedule_and_run(training, patience=1) == [1, 1, 1, 1, 1, 0.5, 0.5]


def test_without_an_evaluator_the_training_error_is_watched(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """And nothing is chosen on the people of the validation, whose error falls all the time."""
    training = build_training(tmp_path, rows, epochs=3, validated_mae=lambda epoch: 5.0 - epoch)

    @training.trainer.on(Events.EPOCH_COMPLETED)
    def stay(engine: Any) -> None:
        engine.state.metrics["train_mae_years"] = 9.0

    assert schedule_and_run(training, evaluator=None, patience=1) == [1, 1, 0.5]
