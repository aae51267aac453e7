"""White noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.slabs import map_slices


def add_noise(
    volume_hu: np.ndarray, sd_hu: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Add independent Gaussian noise of standard deviation `sd_hu` to every voxel.

    Raises
    ------
    InputError
        If `sd_hu` is negative.
    """
    if sd_hu < 0:
        raise InputError("noise has no negative strength", source="noise", found=sd_hu)
    sd = np.float32(sd_hu)
    return map_slices(volume_hu, lambda plane, _: plane + sd * rng.standard_normal(plane.shape, dtype=np.float32))
