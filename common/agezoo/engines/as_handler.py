"""A part that a config defines under its own name, in the list of handlers."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from monai.handlers import LrScheduleHandler
from torch.optim.lr_scheduler import LRScheduler


class AsHandler:
    """Attaches `part`, which other parts of the config refer to as well.

    MONAI's check of a bundle's properties looks for definitions in the list of handlers and stumbles over references.

    Parameters
    ----------
    part
        Anything with a method ``attach(engine)``, or a schedule of PyTorch or MONAI, which then takes a step per epoch.
    """

    def __init__(self, part: Any) -> None:
        is_schedule = isinstance(part, LRScheduler)
        self.part = LrScheduleHandler(part, print_lr=False) if is_schedule else part

    def attach(self, engine: Engine) -> None:
        """Attach the part to an engine."""
        self.part.attach(engine)
