"""Noise around the body: one fixed field, so that the network's input is the same at every read."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, RandomizableTransform

from agezoo.transforms.channels import channel_array, like

# Machines may round the last digit of the field otherwise.
_TOLERANCE = 1e-5


def background_field(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Standard normal noise that is the same on every call, whatever the machine and the number of threads.

    The first channels of a field of more channels are the field of fewer.

    Parameters
    ----------
    shape
        (C, X, Y, Z), or any other.
    seed
        Another seed gives another field.

    Returns
    -------
    numpy.ndarray
        float32 array, kept for the next call and read-only.
    """
    return _field(tuple(int(size) for size in shape), int(seed))


@lru_cache(maxsize=2)
def _field(shape: tuple[int, ...], seed: int) -> np.ndarray:
    # NumPy promises this older generator's numbers for ever, which it does not for the newer ones.
    generator = np.random.RandomState(seed)
    field = np.empty(shape, dtype=np.float32)
    for part in field.reshape(-1, shape[-1] * (shape[-2] if len(shape) > 1 else 1)):
        part[:] = generator.standard_normal(part.shape)
    field.flags.writeable = False
    return field


def background_of(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """Where an image holds the fixed noise, channel by channel; bool, of the image's shape (C, X, Y, Z)."""
    return np.abs(image - background_field(image.shape, seed)) <= _TOLERANCE


def body_of(image: NdarrayOrTensor, seed: int = 0) -> np.ndarray:
    """Where an image that :class:`agezoo.transforms.StandardiseBodyd` made shows the body in any channel.

    Parameters
    ----------
    image
        (C, X, Y, Z) with the fixed noise around the body, before any augmentation.
    seed
        Of the field.

    Returns
    -------
    numpy.ndarray
        bool (X, Y, Z). Voxels of the body that were exactly 0 count as background.
    """
    background = background_of(channel_array(image, spatial_dims=3, name="body_of"), seed)
    return np.asarray(~background.all(axis=0))


class RandRefillBackground(RandomizableTransform):
    """Put fresh noise where an image holds the fixed noise, so that training cannot learn the field by heart.

    It comes first among the augmentations: moved or scaled noise is not recognised.

    Parameters
    ----------
    prob
        Probability that the noise is drawn anew.
    seed
        Of the fixed field.
    """

    def __init__(self, prob: float = 1.0, *, seed: int = 0) -> None:
        RandomizableTransform.__init__(self, prob)
        self.seed = int(seed)
        self._noise_seed = 0

    def randomize(self, data: Any = None) -> None:
        """Draw whether, and with which noise."""
        super().randomize(None)
        self._noise_seed = int(self.R.randint(2**31 - 1))

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        if randomize:
            self.randomize()
        if not self._do_transform:
            return img
        array = channel_array(img, spatial_dims=3, name="RandRefillBackground")
        background = background_of(array, self.seed)
        result = np.array(array, dtype=np.float32)
        noise = np.random.default_rng(self._noise_seed)
        result[background] = noise.standard_normal(int(np.count_nonzero(background)), dtype=np.float32)
        refilled: NdarrayOrTensor = like(result, img)
        return refilled


class RandRefillBackgroundd(MapTransform, RandomizableTransform):
    """Dictionary form of :class:`RandRefillBackground`; all keys share the draw."""

    def __init__(
        self, keys: KeysCollection, prob: float = 1.0, *, seed: int = 0, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, 1.0)
        self.transform = RandRefillBackground(prob, seed=seed)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandRefillBackgroundd:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        self.transform.randomize()
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], randomize=False)
        return result
