"""The bridge between NumPy arrays and ITK, which is imported only when it is needed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from agezoo.errors import MissingExtraError


def load_itk(purpose: str) -> ModuleType:
    """Import ITK with its elastix part, set to one thread.

    Sums come out differently with another number of threads, and a registration that follows random samples turns
    rounding into tenths of a millimetre: the same scan would give another age on another machine. Two threads save
    little; several scans at a time use all processors.

    Raises
    ------
    MissingExtraError
        If one of the two is not installed.
    """
    try:
        import itk

        _ = itk.ParameterObject
    except (ImportError, AttributeError) as error:
        raise MissingExtraError("itk-elastix", "brain", purpose) from error
    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)
    return itk


def image_of(voxels: np.ndarray, spacing_mm: float, origin_mm: float = 0.0) -> Any:
    """An ITK image of a 3D array, float32 or uint8, whose world is the array's own axes in mm."""
    import itk

    image = itk.image_from_array(np.ascontiguousarray(voxels.T))
    image.SetSpacing([float(spacing_mm)] * 3)
    image.SetOrigin([float(origin_mm)] * 3)
    return image
