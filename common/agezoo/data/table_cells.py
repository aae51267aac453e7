"""What a value looks like in a cell of a table, and how cells are put in order."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd


def plain_cell(value: Any) -> Any:
    """A value as JSON can hold it: None for every form of "unknown", Python numbers for array scalars."""
    if hasattr(value, "item") and getattr(value, "size", None) is not None:
        value = value.item()  # array scalars, and tensors after decollating
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int):
        return value
    return ";".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def number_cell(value: Any) -> float | None:
    """A finite float, or None for everything unknown; :class:`ValueError` for text that is no number."""
    plain = plain_cell(value)
    return None if plain is None else _finite(float(plain))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def text_cell(value: Any) -> str | None:
    """Text, or None for everything unknown."""
    plain = plain_cell(value)
    return None if plain is None else str(plain)


def natural_key(value: Any) -> tuple[Any, ...]:
    """Sort key under which ``sub-2`` stands before ``sub-10`` and empty cells last."""
    if value is None:
        return (1,)
    parts = re.split(r"(\d+)", str(value))
    return (0, *((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts))
