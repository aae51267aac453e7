"""Counts in words."""

from __future__ import annotations


def rows(n: int) -> str:
    """``1 row`` or ``3 rows``."""
    return "1 row" if n == 1 else f"{n} rows"


def people(n: int) -> str:
    """``1 person`` or ``3 people``."""
    return "1 person" if n == 1 else f"{n} people"
