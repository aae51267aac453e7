"""Draws that cover their range evenly however few there are."""

from __future__ import annotations

_GOLDEN = (5**0.5 - 1) / 2


def falls_due(index: int, fraction: float, phase: float) -> bool:
    """Spread a share of the indices evenly: True for every 1/fraction-th."""
    return int((index + 1) * fraction + phase + 1e-9) > int(index * fraction + phase + 1e-9)


def even_place(order: int, start: float, low: float, high: float) -> float:
    """The value number `order` of the golden-ratio sequence between two bounds; `start` (0 to 1) shifts it."""
    return float(low + (high - low) * ((start + order * _GOLDEN) % 1.0))
