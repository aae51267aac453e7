"""Brightness on another scale, for every kind of MR volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.errors import InputError


def scale(image: np.ndarray, factor: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Multiply everything by `factor`.

    Raises
    ------
    InputError
        If the factor is not positive.
    """
    if not factor > 0:
        raise InputError("a scale is positive", source="scale", found=factor)
    return image * np.float32(factor)
