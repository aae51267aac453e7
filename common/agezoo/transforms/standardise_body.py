"""Standardise the brightness of a body whose background is 0, and fill the background with noise."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array, like
from agezoo.transforms.noise_fill import background_field


def standardise_body(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """Scale the voxels above 0 of each channel to mean 0 and SD 1 and put standard normal noise everywhere else.

    The published recipe (Starck et al., MELBA 2024) draws fresh noise at every read, also when it predicts; here it is
    the fixed :func:`agezoo.transforms.noise_fill.background_field`, so that one scan has one age.

    Parameters
    ----------
    image
        (C, X, Y, Z), 0 outside the body.
    seed
        Of the field.

    Returns
    -------
    numpy.ndarray
        float32 array of the same shape.

    Raises
    ------
    InputError
        If a channel has fewer than two different values above 0, or a value is not finite.
    """
    result = np.array(background_field(image.shape, seed))
    for index, channel in enumerate(image):
        inside = channel > 0
        values = channel[inside]
        # Sums in float64: a body has enough voxels for float32 to lose digits.
        mean = float(values.mean(dtype=np.float64)) if values.size else 0.0
        sd = float(values.std(dtype=np.float64)) if values.size else 0.0
        if not (sd > 0 and np.isfinite(sd) and np.isfinite(channel).all()):
            raise InputError(
                "the body cannot be standardised",
                found=f"{values.size} voxels above 0 with SD {sd:g} in channel {index}",
                expected="a body of finite values that differ, on a background of 0",
                remedy="look at the scan: it may be empty, or nothing of the wanted region lies in it",
            )
        result[index][inside] = (values - np.float32(mean)) / np.float32(sd)
    return result


class StandardiseBody(Transform):
    """Standardise each channel over its voxels above 0 and fill the rest with noise; see :func:`standardise_body`.

    Parameters
    ----------
    seed
        Of the noise.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = int(seed)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        array = channel_array(img, spatial_dims=3, name="StandardiseBody")
        standardised: NdarrayOrTensor = like(standardise_body(array, self.seed), img)
        return standardised


class StandardiseBodyd(MapTransform):
    """Dictionary form of :class:`StandardiseBody`."""

    def __init__(self, keys: KeysCollection, seed: int = 0, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = StandardiseBody(seed)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result
