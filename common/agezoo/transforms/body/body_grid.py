"""The grid on which the network sees a whole body: UK Biobank's stitched neck-to-knee volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agezoo.errors import InputError

FULL_SHAPE = (224, 168, 363)
FULL_SPACING_MM = (500.0 / 224.0, 375.0 / 168.0, 3.0)


@dataclass(frozen=True)
class BodyGrid:
    """A grid whose axes grow towards the patient's left, front and head.

    Attributes
    ----------
    shape
        Voxels along each axis.
    spacing_mm
        Distance between voxel centres along each axis.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the field of view, from the outer face of the first voxel to that of the last one."""
        x, y, z = (size * edge for size, edge in zip(self.shape, self.spacing_mm, strict=True))
        return x, y, z

    def affine_around(self, centre_mm: Sequence[float] | np.ndarray) -> np.ndarray:
        """Affine (4, 4; voxel index to RAS+ mm) of the grid with the centre of its field of view at a point."""
        affine = np.diag([-self.spacing_mm[0], self.spacing_mm[1], self.spacing_mm[2], 1.0])
        middle = (np.asarray(self.shape, dtype=float) - 1) / 2
        affine[:3, 3] = np.asarray(centre_mm, dtype=float) - affine[:3, :3] @ middle
        return affine


def body_grid(spacing_factor: float = 1.0) -> BodyGrid:
    """UK Biobank's grid, 500 x 375 x 1089 mm in 224 x 168 x 363 voxels, or the same space in larger voxels.

    Parameters
    ----------
    spacing_factor
        How many times larger the voxels' edges are, at least 1; the numbers of voxels are rounded and the edges fitted
        to them, so that the space stays the same.

    Raises
    ------
    InputError
        If the factor is below 1 or leaves less than 4 voxels along an axis.
    """
    if not 1.0 <= spacing_factor <= min(FULL_SHAPE) / 4:
        raise InputError(
            "the body's grid cannot have voxels of this size",
            source="spacing_factor",
            found=spacing_factor,
            expected=f"1 (full resolution, 2.2 x 2.2 x 3 mm) to {min(FULL_SHAPE) // 4}",
        )
    x, y, z = (round(size / spacing_factor) for size in FULL_SHAPE)
    edges = [n * e / m for n, e, m in zip(FULL_SHAPE, FULL_SPACING_MM, (x, y, z), strict=True)]
    return BodyGrid((x, y, z), (edges[0], edges[1], edges[2]))


def body_shape(spacing_factor: float = 1.0) -> tuple[int, int, int]:
    """Voxels of :func:`body_grid` along each axis, for configs."""
    return body_grid(spacing_factor).shape


def centre_mm(affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Centre of a volume's field of view in mm."""
    middle = (np.asarray(shape[:3], dtype=float) - 1) / 2
    centre: np.ndarray = np.asarray(affine, dtype=float)[:3, :3] @ middle + np.asarray(affine, dtype=float)[:3, 3]
    return centre


def affine_for(grid: BodyGrid, affine: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Affine of the grid around a volume.

    The centres of both fields of view coincide; where the voxels are of the same size, they coincide but for less than
    half a voxel, so that the voxels' centres do, and no interpolation blurs the image.
    """
    around = grid.affine_around(centre_mm(affine, shape))
    if np.allclose(np.asarray(affine)[:3, :3], around[:3, :3], atol=1e-3 * min(grid.spacing_mm)):
        steps = np.linalg.solve(around[:3, :3], np.asarray(affine, dtype=float)[:3, 3] - around[:3, 3])
        # Half a voxel is as far from one neighbour as from the other; rounding of the header must not choose.
        around[:3, 3] += around[:3, :3] @ (steps - np.ceil(steps - 0.5 - 1e-3))
    return around
