"""Parts of the head that the image does not show: top, neck, face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.brain_regions import brain_alone, foreground, top_slice
from agezoo.transforms.perturb.brain_regrid import Regridded
from agezoo.transforms.perturb.perturbation import NotApplicable

# The face lies in front of a plane that falls backwards from the root of the nose, in a head of this length. Frontal
# lobes lie above it, temporal lobes behind it.
_HEAD_LENGTH_MM = 195.0
_BELOW_TOP_MM = 100.0
_BEHIND_FOREHEAD_MM = 10.0
_FALL = 0.85
# Forehead and back of the head are looked for so far below the top.
_FOREHEAD_MM = (20.0, 80.0)


def cut_top(
    image: np.ndarray, missing_mm: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray | Regridded:
    """Leave out this much of the top of the head, or of a brain alone.

    Returns
    -------
    Regridded or numpy.ndarray
        A head without the slices; a brain alone with 0 there, on its former grid.

    Raises
    ------
    InputError
        If the length is negative, or nothing is left.
    """
    _must_not_be_negative(missing_mm, "cut_top")
    mask = brain_alone(image, spacing_mm)
    kept = top_slice(image, mask, spacing_mm) + 1 - round(missing_mm / float(spacing_mm[2]))
    if kept < 2:
        raise InputError("nothing of the head is left", source="cut_top", found=f"{missing_mm:g} mm")
    if missing_mm == 0:
        return image
    return _between(image, mask, 0, kept)


def cut_neck(
    image: np.ndarray, shown_mm: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray | Regridded:
    """End the image this far below the top of the head; returns as :func:`cut_top`.

    Raises
    ------
    NotApplicable
        If the image shows no more than that.
    """
    _must_not_be_negative(shown_mm, "cut_neck")
    mask = brain_alone(image, spacing_mm)
    first = top_slice(image, mask, spacing_mm) + 1 - round(shown_mm / float(spacing_mm[2]))
    below = image[:, :, : max(first, 0)]
    if not (foreground(image)[:, :, : below.shape[2]] if mask is None else mask[:, :, : below.shape[2]]).any():
        raise NotApplicable("the image shows no more than that", source="cut_neck", found=f"{shown_mm:g} mm")
    return _between(image, mask, first, image.shape[2])


def deface(image: np.ndarray, grade: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Set the face to 0: all in front of a plane from the root of the nose that falls backwards; grade 0 does nothing.

    The plane is placed by the top of the head, the forehead and the head's length, without any registration.

    Raises
    ------
    NotApplicable
        If the image shows a brain alone.
    """
    if not grade:
        return image
    if brain_alone(image, spacing_mm) is not None:
        raise NotApplicable("an image of a brain alone has no face", source="deface")
    _, front_mm, head_mm = (float(s) for s in spacing_mm)
    top = top_slice(image, None, spacing_mm)
    low, high = (max(top - round(mm / head_mm), 0) for mm in reversed(_FOREHEAD_MM))
    # Of the middle third, where no ear and no coil lies.
    third = image.shape[0] // 3
    profile = foreground(image)[third:-third, :, low : high + 1].any(axis=(0, 2))
    found = np.flatnonzero(profile)
    if not found.size:
        raise InputError("no forehead found", source="deface", expected="a head")
    size = (found[-1] - found[0]) * front_mm / _HEAD_LENGTH_MM
    before_mm = (np.arange(image.shape[1]) - found[-1]) * front_mm + _BEHIND_FOREHEAD_MM * size
    plane_mm = -_BELOW_TOP_MM * size + _FALL * before_mm
    below_mm = (np.arange(image.shape[2]) - top) * head_mm
    face = below_mm[None, :] < plane_mm[:, None]
    return np.where(face[None], 0, image).astype(np.float32)


def _between(image: np.ndarray, mask: np.ndarray | None, first: int, last: int) -> np.ndarray | Regridded:
    if mask is None:
        return Regridded.stepping(image[:, :, first:last], (0.0, 0.0, float(first)), (1.0, 1.0, 1.0))
    result = np.zeros_like(image)
    result[:, :, first:last] = image[:, :, first:last]
    return result


def _must_not_be_negative(length_mm: float, name: str) -> None:
    if length_mm < 0:
        raise InputError("a length is not negative", source=name, found=length_mm)
