"""The MNI152 template on FSL's grid: intensities, brain mask and tissue maps, from the files in nilearn's wheel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from agezoo.errors import InputError, MissingExtraError

# FSL's MNI152 grid: voxel 0 lies at this point (RAS mm), and the axes grow towards left, front and head.
CORNER_MM = (90.0, -126.0, -72.0)
FIELD_OF_VIEW_MM = (182.0, 218.0, 182.0)
_AXIS_SIGNS = (-1.0, 1.0, 1.0)
_SPACINGS_MM = (1.0, 12.0)


@dataclass(frozen=True, eq=False)
class Template:
    """The average T1 of 152 young adults and what is known of it, all on one grid; do not write to its arrays.

    Parameters
    ----------
    spacing_mm
        Edge of a voxel.
    affine
        Voxel index to RAS mm (4, 4).
    t1
        float32 intensities scaled to 0..1, 0 outside the brain.
    mask
        bool, the brain with the fluid in its sulci and ventricles.
    grey, white
        float32 probability of grey and of white matter, 0..1.
    """

    spacing_mm: float
    affine: np.ndarray
    t1: np.ndarray
    mask: np.ndarray
    grey: np.ndarray
    white: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along left, front and head."""
        n0, n1, n2 = self.mask.shape
        return n0, n1, n2


def mni_affine(spacing_mm: float) -> np.ndarray:
    """Affine (voxel index to RAS mm) of the MNI152 grid at a spacing; its axes are LAS."""
    affine = np.diag([*(sign * spacing_mm for sign in _AXIS_SIGNS), 1.0])
    affine[:3, 3] = CORNER_MM
    return affine


def mni_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Voxels of the MNI152 grid at a spacing: 91 x 109 x 91 at 2 mm, 46 x 55 x 46 at 4 mm."""
    n0, n1, n2 = (math.ceil(extent_mm / spacing_mm - 1e-6) for extent_mm in FIELD_OF_VIEW_MM)
    return n0, n1, n2


@lru_cache(maxsize=4)
def template(spacing_mm: float = 2.0) -> Template:
    """Read the template once per process and spacing.

    The template is the symmetric ICBM152 2009a average; the grid is that of FSL's MNI152, the space is the same.

    Raises
    ------
    InputError
        If the spacing lies outside 1..8 mm.
    MissingExtraError
        If nilearn is not installed.
    """
    if not _SPACINGS_MM[0] <= spacing_mm <= _SPACINGS_MM[1]:
        raise InputError(
            "no template can be made at this spacing",
            source="spacing_mm",
            found=spacing_mm,
            expected=f"{_SPACINGS_MM[0]:g} to {_SPACINGS_MM[1]:g} mm",
            remedy="use 2 mm, the spacing of the published networks",
        )
    try:
        from nilearn.datasets import (
            load_mni152_brain_mask,
            load_mni152_gm_template,
            load_mni152_template,
            load_mni152_wm_template,
        )
    except ImportError as error:
        raise MissingExtraError("nilearn", "brain", "The MNI152 template") from error

    affine, shape = mni_affine(spacing_mm), mni_shape(spacing_mm)

    def on_grid(image: object) -> np.ndarray:
        values = np.asarray(image.dataobj, dtype=np.float32)  # type: ignore[attr-defined]
        to_index = np.linalg.inv(image.affine) @ affine  # type: ignore[attr-defined]
        blurred = ndimage.gaussian_filter(values, antialias_sigma(1.0, spacing_mm))
        return ndimage.affine_transform(blurred, to_index[:3, :3], to_index[:3, 3], shape, order=1)

    mask = on_grid(load_mni152_brain_mask(resolution=1)) >= 0.5
    t1 = np.where(mask, on_grid(load_mni152_template(resolution=1)), np.float32(0))
    grey, white = (on_grid(load(resolution=1)) for load in (load_mni152_gm_template, load_mni152_wm_template))
    for array in (t1, mask, grey, white):
        array.flags.writeable = False
    return Template(spacing_mm, affine, t1, mask, grey, white)


def antialias_sigma(source_mm: float, target_mm: float) -> float:
    """SD in source voxels of the Gaussian that brings voxels of one size to the resolution of larger ones.

    The profile of a voxel is taken for a Gaussian whose width at half height is the voxel's edge.
    """
    return math.sqrt(max(0.0, target_mm**2 - source_mm**2)) / (2 * math.sqrt(2 * math.log(2))) / source_mm
