"""A learning rate that falls where the validation error no longer does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

logger = logging.getLogger(__name__)


class PlateauSchedule:
    """PyTorch's ``ReduceLROnPlateau``, which looks at an engine's key metric once per validation.

    Attach it to the trainer, behind validation. An epoch without a validation is not judged by the one before it. Hand
    it to :class:`agezoo.engines.TrainingCheckpoint` as ``lr_scheduler``, so that it survives a kill.

    Parameters
    ----------
    optimizer
        Whose learning rate falls.
    evaluator
        Engine whose key metric is watched, lower being better; without, that of the trainer itself, where nothing may
        be chosen on the validation's people.
    factor, patience
        After more than `patience` judged epochs without an improvement (of 0.01 %) the rate is multiplied by `factor`.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        evaluator: Engine | None = None,
        factor: float = 0.5,
        patience: int = 5,
    ) -> None:
        self.evaluator = evaluator
        self.schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="min", factor=factor, patience=patience
        )

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        value = judged_value(engine, self.evaluator)
        if value is None:
            return
        before = self.schedule.get_last_lr()
        self.schedule.step(value)
        after = self.schedule.get_last_lr()
        if after != before:
            logger.info("epoch %d: learning rate %g", engine.state.epoch, after[0])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self.schedule.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.schedule.load_state_dict(dict(state))


def judged_value(trainer: Engine, evaluator: Engine | None) -> float | None:
    """The key metric of this epoch: the evaluator's if it ran, the trainer's without an evaluator; otherwise None."""
    engine: Any = trainer if evaluator is None else evaluator
    name = engine.state.key_metric_name
    if name is None or name not in engine.state.metrics or engine.state.epoch != trainer.state.epoch:
        return None
    return float(engine.state.metrics[name])
