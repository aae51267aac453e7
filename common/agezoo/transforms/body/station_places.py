"""Where the stations of one visit lie: their common grid, their overlaps, their weights along the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Share of a station's length over which its end fades where no neighbour says how far.
_FREE_END = 0.1


@dataclass(frozen=True, eq=False)
class VisitGrid:
    """The grid of a whole visit.

    Attributes
    ----------
    affine
        Voxel index to RAS+ mm; axes grow towards left, front and head.
    shape
        Voxels along each axis.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]

    def slab(self, low_mm: float, high_mm: float) -> slice:
        """Slices whose centres lie between two heights in mm."""
        first, spacing_mm = float(self.affine[2, 3]), float(self.affine[2, 2])
        tolerance = 1e-3
        start = int(np.ceil((low_mm - first) / spacing_mm - tolerance))
        stop = int(np.floor((high_mm - first) / spacing_mm + tolerance)) + 1
        return slice(max(start, 0), max(min(stop, self.shape[2]), max(start, 0)))

    def part(self, slab: slice) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Affine and shape of some slices alone."""
        affine = self.affine.copy()
        affine[2, 3] += slab.start * affine[2, 2]
        return affine, (self.shape[0], self.shape[1], slab.stop - slab.start)


def field_of_view(affine: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner in RAS+ mm of a volume, outer faces of its voxels."""
    corners = np.array(np.meshgrid(*[(-0.5, size - 0.5) for size in shape[:3]])).reshape(3, -1)
    world = affine[:3, :3] @ corners + affine[:3, 3:]
    return world.min(axis=1), world.max(axis=1)


def visit_grid(places: Sequence[tuple[np.ndarray, Sequence[int]]]) -> VisitGrid:
    """Smallest grid that covers all stations, in the smallest voxel edges that occur along each axis.

    Along each axis its voxel centres are those of the first station with that edge, so that this station needs no
    interpolation.

    Parameters
    ----------
    places
        Affine and shape of each station, axes growing towards left, front and head.
    """
    edges = np.array([np.linalg.norm(affine[:3, :3], axis=0) for affine, _ in places])
    views = np.array([field_of_view(affine, shape) for affine, shape in places])
    low, high = views[:, 0].min(axis=0), views[:, 1].max(axis=0)
    affine = np.eye(4)
    shape = []
    for axis, sign in enumerate((-1, 1, 1)):
        edge = float(edges[:, axis].min())
        phase = float(places[int(np.argmin(edges[:, axis]))][0][axis, 3])
        # First voxel centre: on the lattice of that station, the outermost one whose centre the stations cover.
        start, end = (high[axis], low[axis]) if sign < 0 else (low[axis], high[axis])
        first = phase + sign * edge * np.ceil(sign * (start - phase) / edge - 1e-3)
        shape.append(int(np.floor(sign * (end - first) / edge + 1e-3)) + 1)
        affine[axis, axis], affine[axis, 3] = sign * edge, first
    return VisitGrid(affine, (shape[0], shape[1], shape[2]))


def heights_mm(affine: np.ndarray, shape: Sequence[int]) -> tuple[float, float]:
    """Lowest and highest face of a station along the body, in mm."""
    low, high = field_of_view(affine, shape)
    return float(low[2]), float(high[2])


def end_weights(z_mm: np.ndarray, index: int, heights: Sequence[tuple[float, float]]) -> np.ndarray:
    """Weight of a station at heights along the body: 1 in its middle, falling smoothly to 0 at its ends.

    An end fades over as far as the neighbour reaches into the station, so that two neighbours with the same coil
    fall-off share their overlap evenly and the outermost slices, which hold most of the fall-off, count least. Nothing
    here depends on the order of the stations.

    Parameters
    ----------
    z_mm
        Heights within the station.
    index
        Which station.
    heights
        Lowest and highest face of every station.
    """
    low, high = heights[index]
    free = _FREE_END * (high - low)
    above = [other[0] for k, other in enumerate(heights) if k != index and low < other[0] < high and other[1] > high]
    below = [other[1] for k, other in enumerate(heights) if k != index and low < other[1] < high and other[0] < low]
    top = high - max(above) if above else free
    bottom = min(below) - low if below else free
    rise = np.clip((z_mm - low) / bottom, 0, 1)
    fall = np.clip((high - z_mm) / top, 0, 1)
    weight: np.ndarray = _smooth(rise) * _smooth(fall)
    # Never exactly 0: where no other station reaches, even an end's slice counts.
    return np.maximum(weight, 1e-4).astype(np.float32)


def _smooth(x: np.ndarray) -> np.ndarray:
    smooth: np.ndarray = x * x * (3 - 2 * x)
    return smooth
