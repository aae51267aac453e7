"""One finished scan of a brain phantom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class BrainScan:
    """A scan as it is stored.

    Attributes
    ----------
    voxels
        Whole numbers (X, Y, Z).
    labels
        Regions that age, on the same grid; see :data:`agezoo.phantoms.brain_labels.LABELS`.
    affine
        Voxel indices to RAS+ mm.
    """

    voxels: NDArray[np.int16]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
