"""A progress bar for an engine."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm


class ProgressBar:
    """Shows how far an engine is, with the time left and, while training, the loss and the validation's key metric.

    One bar spans all epochs. Off a terminal it is silent, so that logs of background runs stay readable.

    Parameters
    ----------
    description
        Text before the bar.
    unit
        What one step is: ``"epoch"`` counts epochs, anything else counts iterations.
    """

    def __init__(self, description: str = "", unit: str = "batch") -> None:
        self.description = description
        self.unit = unit
        self.bar: Any = None

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or evaluator."""
        # Not at STARTED, where a checkpoint may yet set the epoch to resume behind.
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        step = Events.EPOCH_COMPLETED if self.unit == "epoch" else Events.ITERATION_COMPLETED
        engine.add_event_handler(step, self._step)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        if self.bar is not None:
            return
        epochs = int(engine.state.max_epochs or 1)
        total = epochs if self.unit == "epoch" else epochs * int(engine.state.epoch_length or 0)
        done = engine.state.epoch - 1 if self.unit == "epoch" else engine.state.iteration
        rank = torch_rank()
        # Several trainings side by side would write over each other's bars; who started them shows one.
        is_child = multiprocessing.parent_process() is not None
        self.bar = tqdm(
            total=total,
            initial=min(int(done), total),
            desc=self.description or None,
            unit=self.unit,
            disable=rank > 0 or is_child or not sys.stderr.isatty(),
        )

    def _step(self, engine: Engine) -> None:
        if self.bar is None:
            return
        output = engine.state.output
        if isinstance(output, list) and output and "loss" in output[0]:
            self.bar.set_postfix(loss=f"{float(output[0]['loss']):.3f}", refresh=False)
        self.bar.update(1)

    def _close(self, engine: Engine) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._close(engine)
        raise error


def torch_rank() -> int:
    """Rank of this process, 0 outside distributed runs."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
