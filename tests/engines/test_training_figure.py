"""The history of a training and its two pictures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from ignite.engine import Engine, Events
from tiny_training import Killed, build_training, write_cohort

FIELDS = ["epoch", "train_loss", "train_mae_years", "val_mae_years"]


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return write_cohort(tmp_path / "cohort")


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "eval" / "training_history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_history_holds_what_the_engines_computed(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    training = build_training(tmp_path, rows, epochs=3)
    losses: dict[int, list[float]] = {}

    def note(engine: Engine) -> None:
        output: Any = engine.state.output
        losses.setdefault(engine.state.epoch, []).append(float(output[0]["loss"]))

    training.trainer.add_event_handler(Events.ITERATION_COMPLETED, note)
    training.run()
    kept = history(tmp_path)
    assert list(kept[0]) == FIELDS
    assert [row["epoch"] for row in kept] == ["1", "2", "3"]
    assert float(kept[-1]["val_mae_years"]) == training.evaluator.state.metrics["val_mae_years"]
    assert float(kept[-1]["train_mae_years"]) == training.trainer.state.metrics["train_mae_years"]
    means = [sum(losses[epoch]) / 3 for epoch in (1, 2, 3)]
    assert [float(row["train_loss"]) for row in kept] == pytest.approx(means), "the mean of each epoch alone"


def test_history_goes_on_behind_a_kill_with_each_epoch_once(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """The row of an epoch whose checkpoint was not written any more is replaced, not doubled."""
    with pytest.raises(Killed):
        build_training(tmp_path, rows, epochs=3, kill_in_epoch=3).run()
    before = history(tmp_path)
    with (tmp_path / "eval" / "training_history.csv").open("a") as stream:
        stream.write("3,99.0,99.0,99.0\n")
    build_training(tmp_path, rows, epochs=3, first_seed=1).run()
    after = history(tmp_path)
    assert [row["epoch"] for row in after] == ["1", "2", "3"]
    assert after[:2] == before
    assert after[2]["train_loss"] != "99.0"


def test_epochs_without_validation_have_an_empty_cell(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Neither the last known error nor 0, also after a resume has read the table back."""
    with pytest.raises(Killed):
        build_training(tmp_path, rows, epochs=4, val_interval=2, kill_in_epoch=4).run()
    build_training(tmp_path, rows, epochs=4, val_interval=2).run()
    assert [bool(row["val_mae_years"]) for row in history(tmp_path)] == [False, True, False, True]


def test_an_error_that_is_no_number_has_an_empty_cell(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    build_training(tmp_path, rows, epochs=2, validated_mae=lambda epoch: float("nan")).run()
    assert [row["val_mae_years"] for row in history(tmp_path)] == ["", ""]


def test_pictures_are_drawn_at_the_end(
    rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: dict[str, Figure] = {}
    save = Figure.savefig

    def keep(self: Figure, path: Path, **options: Any) -> None:
        drawn[Path(path).name] = self
        save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    build_training(tmp_path, rows, epochs=3, draw=True).run()
    assert sorted(drawn) == ["training.png", "validation.png"]
    for name in drawn:
        assert matplotlib.image.imread(tmp_path / "eval" / name).std() > 0
    kept = history(tmp_path)
    curves = {line.get_label(): list(line.get_ydata()) for axes in drawn["training.png"].axes for line in axes.lines}
    assert curves["validation MAE"] == pytest.approx([float(row["val_mae_years"]) for row in kept])
    assert curves["training MAE"] == pytest.approx([float(row["train_mae_years"]) for row in kept])
    scatter = drawn["validation.png"].axes[0].collections[0].get_offsets()
    assert sorted(scatter[:, 0]) == pytest.approx(sorted(row["age_years"] for row in rows), abs=1e-4)
    error = abs(scatter[:, 1] - scatter[:, 0]).mean()
    assert error == pytest.approx(float(kept[-1]["val_mae_years"]), abs=1e-3), "the last epoch's validation alone"
    assert f"n 12, MAE {error:.1f} years" in drawn["validation.png"].axes[0].get_title()


def test_a_training_without_validation_has_one_picture(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    build_training(tmp_path, rows, epochs=1, val_interval=5, draw=True).run()
    assert (tmp_path / "eval" / "training.png").is_file()
    assert not (tmp_path / "eval" / "validation.png").exists()
