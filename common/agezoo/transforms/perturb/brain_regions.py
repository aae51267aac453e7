"""What a T1 shows, as far as perturbations must know it: a head or a brain alone, how bright it is, where it ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from agezoo.errors import InputError

# The largest brains with all their fluid have about two litres, the heads of children with their neck three.
_LARGEST_BRAIN_ML = 2300.0
_SMALLEST_BACKGROUND_SHARE = 0.3
# A slice belongs to the head if it shows this much of it: no speck of noise is that large.
_SMALLEST_SLICE_MM2 = 500.0
# What stays of a brain must stay above 0, by which preprocessing knows it.
_DARKEST_SHARE = 1e-3


def brain_alone(image: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray | None:
    """Mask of the brain if the image shows nothing else, None if it shows a head.

    An image of a brain alone is exactly 0 over a large part, and the rest is no larger than a brain. A head whose
    background a scanner has set to 0 is larger.

    Parameters
    ----------
    image
        (X, Y, Z).
    spacing_mm
        Distances of voxel centres.
    """
    mask = image != 0
    volume_ml = float(mask.sum()) * float(np.prod(spacing_mm)) / 1000.0
    is_alone = mask.any() and mask.mean() < 1 - _SMALLEST_BACKGROUND_SHARE and volume_ml < _LARGEST_BRAIN_ML
    return mask if is_alone else None


def kept_apart(changed: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The changed image; of a brain alone with 0 around it as before, and above 0 everywhere within."""
    if mask is None:
        return changed
    inside = changed[mask]
    darkest = _DARKEST_SHARE * float(np.median(np.abs(inside)))
    return np.where(mask, np.maximum(changed, darkest), 0).astype(np.float32)


def foreground(image: np.ndarray) -> np.ndarray:
    """What is not dark: skin, fat, muscle and brain of a head, most of a brain alone.

    Raises
    ------
    InputError
        If the image has only one value.
    """
    sample = image[::2, ::2, ::2]
    if not float(sample.max()) > float(sample.min()):
        raise InputError("the image shows nothing", found=f"only the value {float(sample.max()):g}")
    return image > threshold_otsu(sample.ravel())


def typical_brightness(image: np.ndarray, mask: np.ndarray | None) -> float:
    """Median of the brain, or of what is not dark in a head: the unit of noise and offsets."""
    return float(np.median(image[foreground(image) if mask is None else mask]))


def top_slice(image: np.ndarray, mask: np.ndarray | None, spacing_mm: Sequence[float]) -> int:
    """Index along the third axis of the uppermost slice that shows the head, or the brain alone.

    Raises
    ------
    InputError
        If no slice does.
    """
    shown = foreground(image) if mask is None else mask
    areas_mm2 = shown.sum(axis=(0, 1)) * float(spacing_mm[0]) * float(spacing_mm[1])
    found = np.flatnonzero(areas_mm2 >= _SMALLEST_SLICE_MM2)
    if not found.size:
        raise InputError("no slice shows a head", expected="a T1 of a head or brain")
    return int(found[-1])


def continued(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The brain's outermost values carried outwards, so that interpolating at its edge mixes in no background."""
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    result: np.ndarray = image[tuple(nearest)]
    return result
