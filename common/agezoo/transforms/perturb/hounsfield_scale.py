"""A scanner whose Hounsfield scale is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.slabs import map_slices


def change_slope(volume_hu: np.ndarray, slope: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Multiply the attenuation relative to air: ``(HU + 1000) slope - 1000``.

    Raises
    ------
    InputError
        If the slope is not positive.
    """
    if slope <= 0:
        raise InputError("a slope of the HU scale is positive", source="hu_slope", found=slope)
    factor = np.float32(slope)
    return map_slices(volume_hu, lambda plane, _: (plane + 1000) * factor - 1000)


def change_offset(
    volume_hu: np.ndarray, offset_hu: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray:
    """Add `offset_hu` to every voxel."""
    offset = np.float32(offset_hu)
    return map_slices(volume_hu, lambda plane, _: plane + offset)
