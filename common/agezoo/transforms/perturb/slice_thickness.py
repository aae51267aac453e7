"""Thicker slices than were reconstructed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.perturbation import NotApplicable
from agezoo.transforms.perturb.slabs import as_type

Geometry = tuple[tuple[float, ...], tuple[float, ...]]


def thicken_slices(
    volume_hu: np.ndarray, thickness_mm: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray:
    """Average slices into as many equal ones as come closest to `thickness_mm`, without gaps or overlap.

    The whole length of the scan is divided, so the slices are as thick as asked for within rounding; a slice that
    lies across a border counts for both sides by its share.

    Returns
    -------
    numpy.ndarray
        Array with fewer slices along the third axis, same type.

    Raises
    ------
    NotApplicable
        If the scan's slices are that thick already.
    InputError
        If the thickness is not positive, or leaves fewer than two slices.
    """
    n_new = _count(volume_hu.shape[2], thickness_mm, float(spacing_mm[2]))
    edges = np.arange(n_new + 1) * (volume_hu.shape[2] / n_new)
    result = np.empty((*volume_hu.shape[:2], n_new), dtype=volume_hu.dtype)
    for index in range(n_new):
        first, last = int(np.floor(edges[index])), int(np.ceil(edges[index + 1] - 1e-9))
        cells = np.arange(first, last)
        share = np.minimum(cells + 1, edges[index + 1]) - np.maximum(cells, edges[index])
        mean = volume_hu[:, :, first:last].astype(np.float32) @ (share / share.sum()).astype(np.float32)
        result[:, :, index] = as_type(mean, volume_hu.dtype)
    return result


def thick_geometry(shape: Sequence[int], thickness_mm: float, *, spacing_mm: Sequence[float]) -> Geometry:
    """See ``Perturbation.geometry``: the first thick slice is centred among the slices that it is made of."""
    step = shape[2] / _count(shape[2], thickness_mm, float(spacing_mm[2]))
    return (0.0, 0.0, (step - 1) / 2), (1.0, 1.0, step)


def _count(n_slices: int, thickness_mm: float, spacing_mm: float) -> int:
    if thickness_mm <= 0:
        raise InputError("a thickness is needed", source="slice_thickness", found=thickness_mm, expected="above 0 mm")
    if thickness_mm <= spacing_mm * 1.01:
        raise NotApplicable(
            "the slices are that thick already",
            found=f"{spacing_mm:g} mm",
            expected=f"thinner than {thickness_mm:g} mm",
        )
    n_new = round(n_slices * spacing_mm / thickness_mm)
    if n_new < 2:
        raise InputError(
            "slices of this thickness are longer than the scan",
            source="slice_thickness",
            found=f"{thickness_mm:g} mm",
            expected=f"at most {n_slices * spacing_mm / 2:.0f} mm",
        )
    return n_new
