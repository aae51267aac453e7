"""Scale one image to 0..1 by its own range."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform

from agezoo.errors import InputError
from agezoo.transforms.channels import like, plain_array

LOWEST_HU = -1024.0


def scale_to_unit(image: np.ndarray, *, lowest: float = LOWEST_HU) -> np.ndarray:
    """Scale an image to 0..1: ``max(lowest, minimum)`` becomes 0, the maximum becomes 1.

    Parameters
    ----------
    image
        Array of any shape, taken as one image (all channels together).
    lowest
        Values below this become 0 (in HU, the value of air).

    Returns
    -------
    numpy.ndarray
        float32 array of the same shape.

    Raises
    ------
    InputError
        If the image has no range to scale, or holds values that are not finite numbers.
    """
    minimum, maximum = float(np.min(image)), float(np.max(image))
    low = max(float(lowest), minimum)
    # A NaN makes the comparison false, an infinite maximum would scale everything else to 0.
    if not (maximum > low and np.isfinite(maximum)):
        raise InputError(
            "the image cannot be scaled to 0..1",
            found=f"values from {minimum:g} to {maximum:g}",
            expected=f"finite numbers with more than one value above {lowest:g}",
            remedy="look at the image: it may be blank, cropped to air, or not in Hounsfield units",
        )
    scaled = (np.asarray(image, dtype=np.float32) - np.float32(low)) / np.float32(maximum - low)
    return np.clip(scaled, 0, 1, out=scaled)


class ScaleToUnit(Transform):
    """Scale images (all channels together) to 0..1 by their own range; see :func:`scale_to_unit`."""

    def __init__(self, lowest: float = LOWEST_HU) -> None:
        self.lowest = float(lowest)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        return like(scale_to_unit(plain_array(img), lowest=self.lowest), img)


class ScaleToUnitd(MapTransform):
    """Dictionary form of :class:`ScaleToUnit`."""

    def __init__(self, keys: KeysCollection, lowest: float = LOWEST_HU, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = ScaleToUnit(lowest)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result
