"""Ending a training that no longer improves."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping as IgniteEarlyStopping

from agezoo.engines.plateau_schedule import judged_value

logger = logging.getLogger(__name__)


class EarlyStopping:
    """Ignite's ``EarlyStopping`` on an engine's key metric, once per validation.

    Attach it to the trainer, behind validation and before :class:`agezoo.engines.TrainingCheckpoint`; hand it to that
    as ``extra``, so that its count survives a kill and a training that it ended is known to be complete. A validation
    that gives no number counts as no improvement.

    Parameters
    ----------
    evaluator
        Engine whose key metric is watched, lower being better; without, that of the trainer itself.
    patience
        Validations in a row without an improvement that end the training; None: it is never ended.
    """

    def __init__(self, evaluator: Engine | None = None, patience: int | None = 20) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"patience must be at least 1, or None for a training that is never ended, got {patience}")
        self.evaluator = evaluator
        self.patience = patience
        self._stopping: IgniteEarlyStopping | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if self.patience is None:
            return
        self._stopping = IgniteEarlyStopping(self.patience, self._value, engine, mode="min")
        # Its logger has a handler of its own and would say so a second time.
        self._stopping.logger.setLevel(logging.WARNING)
        # A training that starts anew forgets; one that is resumed hears of its past from the checkpoint, later.
        engine.add_event_handler(Events.STARTED, self._stopping.reset)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _value(self, engine: Engine) -> float:
        value = judged_value(engine, self.evaluator)
        return value if value is not None and math.isfinite(value) else math.inf

    def __call__(self, engine: Engine) -> None:
        stopping = self._stopping
        if stopping is None or judged_value(engine, self.evaluator) is None:
            return
        stopping(engine)
        if engine.should_terminate:
            logger.info(
                "the training ends behind epoch %d: no improvement in %d validations (best %.3f)",
                engine.state.epoch, stopping.counter, stopping.best_score,
            )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {} if self._stopping is None else dict(self._stopping.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        if self._stopping is not None and state:
            self._stopping.load_state_dict(state)
