"""Which way the table moved, told by the images: manufacturers count its position in either direction.

Stations that were placed by the table position overlap or touch. Placed the right way round, the slices in an overlap
show the same anatomy; placed in reverse, the top of one station meets the bottom of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from agezoo.errors import InputError

# Mean correlation of meeting slices by which one direction must beat the other.
_CLEAR_DIFFERENCE = 0.02


def is_reversed(images: Sequence[np.ndarray], affines: Sequence[np.ndarray], *, source: str) -> bool:
    """Whether stations lie the wrong way round.

    Parameters
    ----------
    images
        One contrast of each station, (X, Y, Z) LAS, in the assumed order from head to foot.
    affines
        Where they were placed.

    Raises
    ------
    InputError
        If the images do not tell.
    """
    assumed, reverse = [], []
    for (upper, upper_affine), (lower, lower_affine) in pairwise(zip(images, affines, strict=True)):
        step_mm = float(lower_affine[2, 2])
        n_common = round((lower_affine[2, 3] - upper_affine[2, 3]) / step_mm) + lower.shape[2]
        n_common = min(max(n_common, 1), lower.shape[2], upper.shape[2])
        assumed.append(_likeness(upper[:, :, :n_common], lower[:, :, -n_common:]))
        reverse.append(_likeness(upper[:, :, -n_common:], lower[:, :, :n_common]))
    difference = float(np.mean(reverse) - np.mean(assumed))
    if abs(difference) < _CLEAR_DIFFERENCE:
        raise InputError(
            "stations lie on top of each other, and which way the table moved cannot be told",
            source=source,
            found=f"stations meet equally well in both orders (correlations {np.mean(assumed):.2f} and "
            f"{np.mean(reverse):.2f})",
            expected="positions in the patient's coordinates, or overlapping stations",
            remedy="export the original series from the archive, or convert the stitched volumes to NIfTI",
        )
    return difference > 0


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of voxels; 0 where the shapes differ or one is constant."""
    if one.shape != other.shape or not (np.ptp(one) and np.ptp(other)):
        return 0.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
