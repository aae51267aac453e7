"""What writing a phantom cohort gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd

Parameters = TypeVar("Parameters")


@dataclass(frozen=True)
class WrittenCohort(Generic[Parameters]):
    """A cohort on disk.

    Attributes
    ----------
    folder
        Where it lies.
    parameters
        What it was made from.
    table
        One row per image, as in ``cohort.csv``.
    written
        Images that this call wrote; the others were there.
    seconds
        Time that this call took.
    """

    folder: Path
    parameters: Parameters
    table: pd.DataFrame
    written: int
    seconds: float
