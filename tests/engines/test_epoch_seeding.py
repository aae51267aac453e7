"""Chance as a function of seed, epoch and rank."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from agezoo.engines import EpochSeeding


class Follower:
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)


def draws(seed: int, epochs: int = 3, *, start: int = 0) -> list[tuple[float, float, float]]:
    """What Python, NumPy and torch give in each epoch, with other draws in between as validation makes them."""
    seen: list[tuple[float, float, float]] = []

    def step(engine: Engine, batch: int) -> None:
        if batch == 0:
            seen.append((random.random(), float(np.random.random()), float(torch.rand(()))))  # noqa: NPY002
        random.random(), np.random.random(), torch.rand(engine.state.epoch)  # noqa: NPY002

    engine = Engine(step)
    EpochSeeding(seed, []).attach(engine)
    engine.run([0, 1], max_epochs=epochs)
    return seen[start:]


def test_the_same_seed_repeats_every_epoch_and_no_two_epochs_are_alike() -> None:
    first = draws(7)
    torch.manual_seed(123)
    random.seed(5)
    assert draws(7) == first
    assert len(set(first)) == 3
    assert set(draws(8)).isdisjoint(first)


def test_an_epoch_does_not_depend_on_how_many_went_before_in_this_process() -> None:
    def step(engine: Engine, batch: int) -> float:
        return float(torch.rand(()))

    seen: dict[int, float] = {}
    engine = Engine(step)
    EpochSeeding(7, []).attach(engine)
    engine.state.epoch = 2
    engine.state.epoch_length, engine.state.max_epochs = 1, 3
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.update({e.state.epoch: e.state.output}))
    engine.run([0])
    torch.manual_seed(0)
    whole: dict[int, float] = {}
    other = Engine(step)
    EpochSeeding(7, []).attach(other)
    other.add_event_handler(Events.ITERATION_COMPLETED, lambda e: whole.update({e.state.epoch: e.state.output}))
    other.run([0], max_epochs=3)
    assert seen == {3: whole[3]}


def test_followers_hear_of_the_epoch_before_its_first_batch() -> None:
    follower = Follower()
    heard: list[int] = []
    engine = Engine(lambda e, batch: heard.append(follower.epochs[-1]))
    EpochSeeding(0, [follower]).attach(engine)
    engine.run([0], max_epochs=3)
    assert follower.epochs == heard == [1, 2, 3]


def test_ranks_of_a_distributed_run_draw_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise every GPU would drop out the same units."""
    alone = draws(7)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    by_rank = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        by_rank.append(draws(7))
    assert by_rank[0] == alone
    assert set(by_rank[1]).isdisjoint(alone)
