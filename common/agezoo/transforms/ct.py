"""The whole preprocessing of ct_age in one call: from a CT volume to the two-view image the network sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.transforms.body_mask import OUTSIDE_HU, THRESHOLD_HU, mask_to_body
from agezoo.transforms.resample_grid import GRID, resample_to_grid
from agezoo.transforms.slab_projection import THICKNESS, central_slab_projection
from agezoo.transforms.unit_scale import scale_to_unit


def ct_projection(
    volume_las: np.ndarray,
    *,
    grid: Sequence[int] = GRID,
    thickness: int = THICKNESS,
    threshold_hu: float = THRESHOLD_HU,
    outside_hu: float = OUTSIDE_HU,
    blank_inner_air: bool = True,
) -> np.ndarray:
    """Project a CT volume as Kerber et al. do: resample, mask to the body, central-slab MIPs, scale to 0..1.

    Parameters
    ----------
    volume_las
        3D array in HU, axes left, anterior, superior (as ``Volume.hu`` comes from ``agezoo.data.read``).
    grid, thickness, threshold_hu, outside_hu, blank_inner_air
        As in the transforms of the same names; the defaults are the published recipe.

    Returns
    -------
    numpy.ndarray
        float32 image (1, grid[0] + grid[1], grid[2]) in 0..1, coronal view first, then sagittal.

    Raises
    ------
    InputError
        For volumes that hold no body, too few voxels or values that are not numbers.

    References
    ----------
    Kerber et al., PLOS ONE 2023, 18(11): e0292993.
    """
    resampled = resample_to_grid(volume_las, grid=grid, fill=outside_hu)
    body = mask_to_body(resampled, threshold_hu=threshold_hu, outside_hu=outside_hu, blank_inner_air=blank_inner_air)
    return scale_to_unit(central_slab_projection(body, thickness=thickness), lowest=outside_hu)[np.newaxis]
