"""The grid of brains in MNI space, told from a volume's shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Millimetres between voxels that a bundle may use; FSL's own grids are those of 1 and 2 mm.
_SPACINGS_MM = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_EXTENT_MM = np.array([182.0, 218.0, 182.0])
# Middle of the first voxel, at the patient's right, back and foot, in millimetres of MNI152 (right, front, head).
_FIRST_VOXEL_RAS_MM = (90.0, -126.0, -72.0)


def mni_affine_of(shape: Sequence[int]) -> np.ndarray | None:
    """Affine of the MNI152 grid of this shape, or None if no such grid has it.

    FSL's grid of 2 mm has 91 x 109 x 91 voxels; coarser and finer ones begin at the same voxel middle and cover
    the same 182 x 218 x 182 mm, rounded up to whole voxels (46 x 55 x 46 at 4 mm).

    Parameters
    ----------
    shape
        Voxels towards the patient's left, front and head; a leading axis of one channel is passed over.

    Returns
    -------
    numpy.ndarray or None
        (4, 4), from voxel indices to millimetres of MNI152, right, front and head positive.
    """
    counts = tuple(shape)[1:] if len(shape) == 4 and shape[0] == 1 else tuple(shape)
    for spacing_mm in _SPACINGS_MM:
        if counts == tuple(np.ceil(_EXTENT_MM / spacing_mm).astype(int)):
            affine = np.diag([-spacing_mm, spacing_mm, spacing_mm, 1.0])
            affine[:3, 3] = _FIRST_VOXEL_RAS_MM
            return affine
    return None
