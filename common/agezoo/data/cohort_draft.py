"""A cohort on its way to a datalist: its rows, and what is to be told about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agezoo.data.datalist import DatalistRow


@dataclass
class CohortDraft:
    """Rows on their way to a datalist.

    Attributes
    ----------
    rows
        Section and row, image paths absolute.
    left_out
        Reason -> how many images were left out for it.
    notes
        Repairs and choices, in words for the user.
    faults
        What forbids a datalist, one sentence each.
    """

    rows: list[tuple[str, DatalistRow]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def stored_image(files: Sequence[Path]) -> str | list[str]:
    """A row's image: one path, or a list where the scan is several files."""
    return str(files[0]) if len(files) == 1 else [str(file) for file in files]


def known_sex(sex: str | None) -> Literal["F", "M"] | None:
    """A header's sex as a row takes it."""
    return "F" if sex == "F" else "M" if sex == "M" else None
