"""Equalise an image's histogram to 8 bit and scale it to 0..1."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array, like, map_channels

_BINS = 1 << 16


def equalise_histogram(image: np.ndarray) -> np.ndarray:
    """Replace each grey value by the share of pixels that are not brighter, in 256 steps from 0 to 1.

    A grey value v becomes ``round(255 (c(v) - c(lowest)) / (n - c(lowest))) / 255``, where c(v) counts the pixels up to
    v and n all of them: the usual equalisation of 8-bit images, whose darkest value becomes 0 and brightest 1. The
    pixels are counted in 65536 bins between the lowest and the highest value, so that an image of 16 bits, in which a
    marker may be far brighter than all anatomy, is equalised before it is reduced to 8 bits and not afterwards.

    Parameters
    ----------
    image
        Array of any shape, taken as one image. Only the order of its grey values matters, not their scale.

    Returns
    -------
    numpy.ndarray
        float32 array of the same shape.

    Raises
    ------
    InputError
        If the image has only one grey value, or holds values that are not finite numbers.
    """
    lowest, highest = float(np.min(image)), float(np.max(image))
    # A NaN makes the comparison false.
    if not (highest > lowest and np.isfinite(highest - lowest)):
        raise InputError(
            "the image's histogram cannot be equalised",
            found=f"values from {lowest:g} to {highest:g}",
            expected="finite numbers with more than one grey value",
            remedy="look at the image: it may be blank",
        )
    bins = np.asarray(image, dtype=np.float32) - np.float32(lowest)
    bins *= np.float32((_BINS - 1) / (highest - lowest))
    places = np.rint(bins, out=bins).astype(np.uint16)
    up_to = np.cumsum(np.bincount(places.ravel(), minlength=_BINS))
    steps = np.rint(255.0 * (up_to - up_to[0]) / (up_to[-1] - up_to[0]))
    grey: np.ndarray = (steps / 255.0).astype(np.float32)[places]
    return grey


class EqualiseHistogram(Transform):
    """Equalise each channel's histogram to 8 bit, in 0..1; see :func:`equalise_histogram`."""

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        array = channel_array(img, spatial_dims=2, name="EqualiseHistogram")
        equalised: NdarrayOrTensor = like(map_channels(array, equalise_histogram), img)
        return equalised


class EqualiseHistogramd(MapTransform):
    """Dictionary form of :class:`EqualiseHistogram`."""

    def __init__(self, keys: KeysCollection, *, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = EqualiseHistogram()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result
