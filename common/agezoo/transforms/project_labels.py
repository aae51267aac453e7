"""Where regions of a volume lie in its two-view projection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.resample_grid import GRID
from agezoo.transforms.separable import n_inside
from agezoo.transforms.slab_projection import THICKNESS, central_slab_projection


def project_labels(
    labels_las: np.ndarray,
    values: Sequence[int],
    *,
    grid: Sequence[int] = GRID,
    thickness: int = THICKNESS,
) -> np.ndarray:
    """Bring a label volume through the geometry that makes the network's image of its scan.

    A pixel belongs to a region if any voxel of its slab does: in a maximum-intensity projection of 10 voxels several
    regions may share a pixel, so every label has a mask of its own. The label at a voxel of the grid is that of the
    source voxel nearest to the position which :func:`agezoo.transforms.resample_grid.resample_to_grid` reads there;
    where that function writes air, there is no label.

    Parameters
    ----------
    labels_las
        3D array (X, Y, Z) of whole numbers in LAS, on the grid of the scan.
    values
        The labels to project.
    grid, thickness
        As they are when the scan is projected.

    Returns
    -------
    numpy.ndarray
        bool of shape (len(values), grid[0] + grid[1], grid[2]), coronal view first.

    Raises
    ------
    InputError
        If the labels are not a 3D array of whole numbers.
    """
    labels = np.asarray(labels_las)
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise InputError(
            "labels are a volume of whole numbers",
            source="labels_las",
            found=f"shape {labels.shape}, {labels.dtype}",
            expected="(X, Y, Z), an integer type",
        )
    nearest = [_nearest(source, target) for source, target in zip(labels.shape, grid, strict=True)]
    on_grid = np.zeros(tuple(int(size) for size in grid), dtype=labels.dtype)
    on_grid[tuple(slice(len(index)) for index in nearest)] = labels[np.ix_(*nearest)]
    return np.stack([central_slab_projection(on_grid == value, thickness=thickness) for value in values])


def _nearest(n_source: int, n_target: int) -> np.ndarray:
    """Source voxel nearest to each position ``i * n_source / n_target`` that lies inside the source."""
    i = np.arange(n_inside(n_source, n_target))
    # Half up in integers, because a rounded quotient could land on the wrong side of the middle.
    return (2 * i * n_source + n_target) // (2 * n_target)
