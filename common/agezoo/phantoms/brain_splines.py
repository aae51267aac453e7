"""Smooth fields from random coefficients: cubic B-splines along the axes of a grid in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def smooth_noise(
    rng: np.random.Generator, shape: Sequence[int], spacing_mm: Sequence[float], knots_mm: float
) -> Floats:
    """A smooth random field on a grid.

    Parameters
    ----------
    rng
        Draws one standard normal coefficient per knot.
    shape, spacing_mm
        The grid's size and the distance of its points along each axis.
    knots_mm
        Distance of the knots: how far apart the field's values are nearly independent.

    Returns
    -------
    numpy.ndarray
        Field of the grid's shape, float32, with mean 0 over many draws and SD about 0.33.
    """
    counts = [int(np.ceil(size * step / knots_mm)) + 4 for size, step in zip(shape, spacing_mm, strict=True)]
    field = rng.standard_normal(counts).astype(np.float32)
    for axis, (size, step) in enumerate(zip(shape, spacing_mm, strict=True)):
        field = _along(field, 1 + np.arange(size, dtype=np.float32) * np.float32(step / knots_mm), axis)
    return field


def _along(knots: Floats, places: Floats, axis: int) -> Floats:
    """Values at places (in knots) along one axis."""
    low = np.floor(places).astype(np.intp)
    t = (places - low).astype(np.float32)
    weights = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    shape = [1] * knots.ndim
    shape[axis] = -1
    total: Floats = np.zeros(1, np.float32)
    for step, weight in enumerate(weights):
        at = np.clip(low - 1 + step, 0, knots.shape[axis] - 1)
        total = total + np.take(knots, at, axis) * weight.reshape(shape).astype(np.float32)
    return total
