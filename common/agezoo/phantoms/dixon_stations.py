"""Where the stations of a whole-body Dixon examination lie: six slabs that overlap, from the neck to the knees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agezoo.phantoms.body_volume import FIELD_OF_VIEW_MM

MATRIX = (224, 168)
"""Columns and rows of a slice at full resolution."""

_SLICES = (64, 44, 44, 44, 72, 64)
_SLICE_DISTANCES_MM = (3.0, 4.5, 4.5, 4.5, 3.5, 4.0)
_COARSER = 3


@dataclass(frozen=True)
class StationGrid:
    """The voxels of one station, in millimetres from the middle of the whole field of view.

    Attributes
    ----------
    number
        1 = the station at the head.
    shape
        Voxels along Left, Anterior and Superior.
    spacing_mm
        Voxel size along the same axes.
    first_mm
        Centre of the voxel that is least to the Left, Anterior and Superior.
    """

    number: int
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    first_mm: tuple[float, float, float]

    def axis_mm(self, axis: int) -> np.ndarray:
        """Voxel centres along an axis, float32."""
        return (self.first_mm[axis] + self.spacing_mm[axis] * np.arange(self.shape[axis])).astype(np.float32)


def coarseness(quick: bool) -> int:
    """By how much voxels are larger than those of UK Biobank."""
    return _COARSER if quick else 1


def station_grids(pixel_mm: float, *, quick: bool) -> list[StationGrid]:
    """Return the stations from head to foot; neighbours share 41 mm.

    Parameters
    ----------
    pixel_mm
        Size of a pixel in plane at full resolution.
    quick
        A third of the slices and of the pixels along a row.
    """
    factor = coarseness(quick)
    columns, rows = (round(size / factor) for size in MATRIX)
    pixel = pixel_mm * factor
    extents = np.multiply(_SLICES, _SLICE_DISTANCES_MM)
    overlap = (extents.sum() - FIELD_OF_VIEW_MM[2]) / (len(extents) - 1)
    top = FIELD_OF_VIEW_MM[2] / 2
    grids = []
    for number, (slices, extent) in enumerate(zip(_SLICES, extents, strict=True), start=1):
        count = round(slices / factor)
        distance = float(extent / count)
        first = (-(columns - 1) / 2 * pixel, -(rows - 1) / 2 * pixel, float(top - extent + distance / 2))
        grids.append(StationGrid(number, (columns, rows, count), (pixel, pixel, distance), first))
        top -= extent - overlap
    return grids
