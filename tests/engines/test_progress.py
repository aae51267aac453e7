"""The progress bar: on a terminal only, and right about what is done."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from agezoo.engines import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called within the test, because pytest sets its own streams between a fixture and the test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def engine_with(bar: ProgressBar) -> Engine:
    engine = Engine(lambda e, batch: [{"loss": torch.tensor(1.25)}])
    bar.attach(engine)
    return engine


def last_counts(bar: ProgressBar, engine: Engine, epochs: int) -> tuple[int, int, int]:
    """Where the bar started, where it ended, and of how many."""
    seen: list[Any] = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: seen.append(bar.bar))
    engine.run(range(3), max_epochs=epochs)
    return seen[0].initial, seen[-1].n, seen[-1].total


def test_silent_off_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    engine_with(ProgressBar("training", "epoch")).run(range(3), max_epochs=2)
    assert capfd.readouterr() == ("", "")


def test_silent_on_ranks_other_than_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setattr("agezoo.engines.progress.torch_rank", lambda: 1)
    engine_with(ProgressBar("training", "epoch")).run(range(3), max_epochs=2)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(("unit", "total"), [("epoch", 2), ("batch", 6)])
def test_one_bar_spans_all_epochs(monkeypatch: pytest.MonkeyPatch, unit: str, total: int) -> None:
    terminal = open_terminal(monkeypatch)
    bar = ProgressBar("training fold 0", unit)
    assert last_counts(bar, engine_with(bar), 2) == (0, total, total)
    assert "training fold 0: 100%" in terminal.getvalue()
    assert f"{total}/{total}" in terminal.getvalue()
    assert "loss=1.250" in terminal.getvalue()


@pytest.mark.parametrize(("unit", "done", "total"), [("epoch", 3, 5), ("batch", 9, 15)])
def test_a_resumed_training_starts_where_it_was(
    monkeypatch: pytest.MonkeyPatch, unit: str, done: int, total: int
) -> None:
    """The checkpoint sets the epoch after the bar has heard of the start; the time left depends on it."""
    open_terminal(monkeypatch)
    bar = ProgressBar("training", unit)
    engine = engine_with(bar)

    def resume(e: Engine) -> None:
        e.state.epoch, e.state.iteration = 3, 9

    engine.add_event_handler(Events.STARTED, resume)
    assert last_counts(bar, engine, 5) == (done, total, total)


def test_a_second_run_has_a_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    bar = ProgressBar("predicting")
    engine = engine_with(bar)
    for _ in range(2):
        engine.run(range(3))
        assert bar.bar is None
    assert terminal.getvalue().count("100%") >= 2


def test_an_error_closes_the_bar_and_goes_on_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)

    def fail(e: Engine, batch: int) -> None:
        raise ValueError("bad batch")

    engine = Engine(fail)
    bar = ProgressBar("training")
    bar.attach(engine)
    with pytest.raises(ValueError, match="bad batch"):
        engine.run(range(3))
    assert bar.bar is None
