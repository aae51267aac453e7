"""Large batches on small GPUs: one step of the optimiser for the gradients of several batches."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents


class GradientAccumulation:
    """An ``iteration_update`` for MONAI's ``SupervisedTrainer``: MONAI's accumulation, its last group at full weight.

    MONAI divides every loss by `steps`. Where an epoch's last group is smaller, its gradient would be smaller by as
    much; here it is the mean over the group. So a step is the same as on one batch of the group's cases, for losses
    that are means over cases (and batches of equal size), also under mixed precision. Not the same are batch
    normalisation and ranking losses, which compare the cases of each batch by itself.

    Parameters
    ----------
    steps
        Batches per step of the optimiser; 1 is a training without accumulation.
    """

    def __init__(self, steps: int = 1) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.steps = steps
        self._trainer: Engine | None = None

    def __call__(self, engine: SupervisedTrainer, batch: Any) -> Any:
        """Go through one batch."""
        if engine is not self._trainer:
            self._trainer = engine
            engine.accumulation_steps = self.steps
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._weigh_last_group)
        return engine._iteration(engine, batch)

    def _weigh_last_group(self, engine: SupervisedTrainer) -> None:
        length = engine.state.epoch_length
        if length is None or engine.state.iteration % length:
            return
        in_group = length % self.steps
        if in_group:
            for group in engine.optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad.mul_(self.steps / in_group)
