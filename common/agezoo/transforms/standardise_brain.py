"""Standardise the brightness of a brain whose background is 0."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform

from agezoo.errors import InputError
from agezoo.transforms.channels import like, plain_array


def standardise_brain(image: np.ndarray) -> np.ndarray:
    """Scale the voxels above 0 to mean 0 and SD 1; all others stay as they are.

    Mean and SD are those of the voxels above 0 alone, and the SD divides by their number. A background of 0 thus
    stays 0, inside the range of the brain, as in the published recipe (Cheng et al., IEEE TMI 2021).

    Parameters
    ----------
    image
        Array of any shape, taken as one image.

    Returns
    -------
    numpy.ndarray
        float32 array of the same shape.

    Raises
    ------
    InputError
        If fewer than two different values lie above 0, or a value is not finite.
    """
    inside = image > 0
    # Sums in float64: a brain has enough voxels for float32 to lose digits.
    values = np.asarray(image)[inside].astype(np.float64)
    sd = float(values.std()) if values.size else 0.0
    if not (sd > 0 and np.isfinite(sd) and np.isfinite(image).all()):
        raise InputError(
            "the brain cannot be standardised",
            found=f"{values.size} voxels above 0 with SD {sd:g}",
            expected="a brain of finite values that differ, on a background of 0",
            remedy="bring the scan to MNI152 with BrainToMNI first",
        )
    result = np.array(image, dtype=np.float32)
    result[inside] = (values - values.mean()) / sd
    return result


class StandardiseBrain(Transform):
    """Scale the voxels above 0 to mean 0 and SD 1 (all channels together); see :func:`standardise_brain`."""

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        return like(standardise_brain(plain_array(img)), img)


class StandardiseBraind(MapTransform):
    """Dictionary form of :class:`StandardiseBrain`."""

    def __init__(self, keys: KeysCollection, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = StandardiseBrain()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result
