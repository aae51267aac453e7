"""A part that a config defines under its own name, in the list of handlers."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine


class AsHandler:
    """Attaches `part`, which other parts of the config refer to as well.

    MONAI's check of a bundle's properties looks for definitions in the list of handlers and stumbles over references.

    Parameters
    ----------
    part
        Anything with a method ``attach(engine)``.
    """

    def __init__(self, part: Any) -> None:
        self.part = part

    def attach(self, engine: Engine) -> None:
        """Attach the part to an engine."""
        self.part.attach(engine)
