"""Saliency outside the patient: take it out of pictures, and measure it, because much of it betrays a fault."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from agezoo.errors import InputError


def foreground(image: np.ndarray, *, background_value: float | np.ndarray = 0.0) -> np.ndarray:
    """Boolean mask of the patient: everything but the background that reaches the image's border.

    Other values than the background's belong to the patient, lower ones too: a standardised brain lies around 0, on a
    background of exactly 0. So do holes that are enclosed on all sides.

    Parameters
    ----------
    image
        Shape (*spatial), without channels.
    background_value
        What preprocessing writes outside the patient: one value, or an image of the same shape.
    """
    return ndimage.binary_fill_holes(np.asarray(image) != background_value)


def mask_background(
    saliency: np.ndarray, image: np.ndarray, *, background_value: float | np.ndarray = 0.0
) -> np.ndarray:
    """Copy of the map with 0 wherever the image shows no patient.

    Feature maps are coarse (one cell of ``layer3`` covers 16 x 16 pixels), so that every CAM spills over the body's
    edge; that says nothing about the air beside the patient. Look at :func:`background_share` first: a map that lies
    mostly on the background means that the network or the method is at fault, and masking would hide it.

    Parameters
    ----------
    saliency
        Shape (*spatial), signed or not.
    image
        The network's input, shape (*spatial) or (C, *spatial).
    """
    return np.where(_matching_foreground(saliency, image, background_value), saliency, 0).astype(np.float32)


def background_share(saliency: np.ndarray, image: np.ndarray, *, background_value: float | np.ndarray = 0.0) -> float:
    """Share of the map's absolute sum that lies where there is no patient, 0..1; NaN for an empty map."""
    return share_outside(saliency, _matching_foreground(saliency, image, background_value))


def share_outside(saliency: np.ndarray, inside: np.ndarray) -> float:
    """Share of the map's absolute sum that lies outside a boolean mask of its shape, 0..1; NaN for an empty map."""
    magnitude = np.abs(saliency, dtype=np.float64)
    total = magnitude.sum()
    return float(magnitude[~inside].sum() / total) if total > 0 else float("nan")


def _matching_foreground(saliency: np.ndarray, image: np.ndarray, background_value: float | np.ndarray) -> np.ndarray:
    differs = np.asarray(image) != background_value
    if differs.ndim == np.ndim(saliency) + 1:
        differs = differs.any(axis=0)
    inside = foreground(differs, background_value=False)
    if inside.shape != np.shape(saliency):
        raise InputError("map and image differ in shape", found=np.shape(saliency), expected=inside.shape)
    return inside
