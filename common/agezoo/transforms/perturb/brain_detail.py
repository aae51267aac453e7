"""Less detail than the scan has: larger voxels, smoothing, a narrower part of k-space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.transforms import GaussianSmooth, GibbsNoise
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.perturb.brain_regions import brain_alone, continued, kept_apart
from agezoo.transforms.perturb.brain_regrid import Regridded
from agezoo.transforms.perturb.perturbation import NotApplicable
from agezoo.transforms.perturb.slice_thickness import thick_geometry, thicken_slices

_FWHM_PER_SD = 2.0 * np.sqrt(2.0 * np.log(2.0))
_ALL_AXES = (0, 1, 2)


def thicken(
    image: np.ndarray, thickness_mm: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray | Regridded:
    """Average axial slices into slices of this thickness, without gaps or overlap.

    Returns
    -------
    Regridded or numpy.ndarray
        A head on the thick slices' own grid. A brain alone on its former grid, interpolated from the thick slices,
        because the grid may be what tells preprocessing that it is in MNI space.

    Raises
    ------
    NotApplicable
        If the slices are that thick already.
    """
    return _averaged(image, thickness_mm, (2,), spacing_mm)


def enlarge_voxels(
    image: np.ndarray, edge_mm: float, *, spacing_mm: Sequence[float], rng: Any = None
) -> np.ndarray | Regridded:
    """Average into cubes of this edge; axes whose voxels are that long already stay. Returns as :func:`thicken`.

    Raises
    ------
    NotApplicable
        If all axes do.
    """
    axes = [axis for axis in _ALL_AXES if edge_mm > spacing_mm[axis] * 1.01]
    if not axes:
        raise NotApplicable("the voxels are that large already", found=f"{min(spacing_mm):g} mm")
    return _averaged(image, edge_mm, axes, spacing_mm)


def smooth(image: np.ndarray, fwhm_mm: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Smooth by a Gaussian of this full width at half maximum; a brain alone is not mixed with its background.

    Raises
    ------
    InputError
        If the width is negative.
    """
    if fwhm_mm < 0:
        raise InputError("a width is not negative", source="smoothing", found=fwhm_mm)
    if fwhm_mm == 0:
        return image
    gaussian = GaussianSmooth(sigma=[fwhm_mm / _FWHM_PER_SD / float(s) for s in spacing_mm])
    mask = brain_alone(image, spacing_mm)
    changed = np.asarray(gaussian(image[None]))[0]
    if mask is None:
        return changed
    share = np.asarray(gaussian(mask[None].astype(np.float32)))[0]
    return kept_apart(changed / np.where(mask, share, 1), mask)


def cut_k_space(image: np.ndarray, alpha: float, *, spacing_mm: Sequence[float], rng: Any = None) -> np.ndarray:
    """Keep a ball in the middle of k-space: detail goes, and sharp edges get ripples (MONAI's ``GibbsNoise``).

    Raises
    ------
    InputError
        If alpha is not in 0..1.
    """
    if not 0 <= alpha < 1:
        raise InputError("alpha lies in 0..1", source="gibbs", found=alpha)
    if alpha == 0:
        # MONAI's ball would still leave out the corners of a cube.
        return image
    rippled = np.asarray(GibbsNoise(alpha)(image[None]))[0]
    return kept_apart(np.abs(rippled).astype(np.float32), brain_alone(image, spacing_mm))


def _averaged(
    image: np.ndarray, edge_mm: float, axes: Sequence[int], spacing_mm: Sequence[float]
) -> np.ndarray | Regridded:
    mask = brain_alone(image, spacing_mm)
    coarse = image if mask is None else continued(image, mask)
    first, step = [0.0] * 3, [1.0] * 3
    for axis in axes:
        turned = np.moveaxis(coarse, axis, 2)
        along = (*np.delete(np.asarray(spacing_mm, dtype=float), axis), float(spacing_mm[axis]))
        starts, steps = thick_geometry(turned.shape, edge_mm, spacing_mm=along)
        first[axis], step[axis] = starts[2], steps[2]
        coarse = np.moveaxis(thicken_slices(turned, edge_mm, spacing_mm=along), 2, axis)
    if mask is None:
        return Regridded.stepping(coarse, tuple(first), tuple(step))
    back = np.asarray(step)
    fine = ndimage.affine_transform(
        coarse, 1 / back, offset=-np.asarray(first) / back, output_shape=image.shape, order=1, mode="nearest"
    )
    return kept_apart(fine, mask)
