"""An image on another grid than it came on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Regridded:
    """What a perturbation of a brain gives where it changes the grid.

    Attributes
    ----------
    voxels
        (X, Y, Z) on the new grid.
    place
        From voxel indices of the new grid to those of the old one (4, 4).
    """

    voxels: np.ndarray
    place: np.ndarray

    @classmethod
    def stepping(cls, voxels: np.ndarray, first: tuple[float, ...], step: tuple[float, ...]) -> Regridded:
        """On a grid along the same axes: its first voxel and its steps, in voxels of the old grid."""
        place = np.diag([*step, 1.0])
        place[:3, 3] = first
        return cls(voxels, place)
