"""The augmentation of ct_age: a random patch, resized and pasted at a random place on background."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, RandomizableTransform
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array, like


@dataclass(frozen=True)
class PatchPlacement:
    """One draw for one view: which patch is taken and where it goes (rows, columns in pixels)."""

    rotation_degrees: float
    corner: tuple[float, float]
    patch_shape: tuple[int, int]
    factor: float
    paste: tuple[int, int]


def place_patch(view: np.ndarray, placement: PatchPlacement, *, background: float = 0.0) -> np.ndarray:
    """Rotate a view about its centre, cut out a patch, resize it and paste it on background.

    All three are one linear interpolation, so that the patch is blurred once, not three times.

    Returns
    -------
    numpy.ndarray
        float32 image of the shape of `view`.
    """
    angle = np.deg2rad(placement.rotation_degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = (np.array(view.shape) - 1) / 2
    # Pixel o of the patch shows position (o + 0.5) / factor - 0.5 of the cut, both counted from their corners.
    start = np.array(placement.corner) + (0.5 / placement.factor - 0.5)
    patch = ndimage.affine_transform(
        np.asarray(view, dtype=np.float32),
        rotation / placement.factor,
        offset=rotation @ (start - centre) + centre,
        output_shape=placement.patch_shape,
        order=1,
        mode="constant",
        cval=background,
    )
    canvas = np.full(view.shape, background, dtype=np.float32)
    row, column = placement.paste
    canvas[row : row + patch.shape[0], column : column + patch.shape[1]] = patch
    return canvas


class RandCropResizePaste(RandomizableTransform):
    """Random crop, resize and paste, with a small rotation and noise, for images in 0..1.

    The paper names the augmentation but not its strength, and the released code, which never calls it, works
    on the two-view image as a whole. There a patch of half the edge length often holds one view only and lands
    on the place of the other, so by default each view is treated on its own here: every image still shows a
    part of both, each where the network expects it. ``n_views=1`` is the released behaviour.

    Parameters
    ----------
    prob
        Probability that an image is changed at all.
    patch_fraction
        Edge length of the patch as a fraction of the view's, in (0, 1].
    resize_factor
        Range from which the magnification of the patch is drawn. A patch never outgrows the view: the factor
        is limited to ``1 / patch_fraction``.
    max_rotation_degrees
        Rotation is uniform within plus and minus this angle.
    noise_sd
        SD of Gaussian noise added to the whole image, in units of its 0..1 range; 0 for none.
    background
        Value around the patch.
    n_views
        Number of equal parts along the first spatial axis that are drawn separately.
    """

    def __init__(
        self,
        prob: float = 0.5,
        *,
        patch_fraction: float = 0.5,
        resize_factor: Sequence[float] = (1.0, 1.5),
        max_rotation_degrees: float = 5.0,
        noise_sd: float = 0.02,
        background: float = 0.0,
        n_views: int = 2,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        low, high = (float(factor) for factor in resize_factor)
        if not 0 < patch_fraction <= 1:
            raise InputError("the patch must be a part of the view", source="patch_fraction", found=patch_fraction)
        if not 0 < low <= high:
            raise InputError("a range of factors is needed", source="resize_factor", found=tuple(resize_factor))
        if noise_sd < 0 or max_rotation_degrees < 0 or n_views < 1:
            raise InputError(
                "augmentation strengths cannot be negative",
                found=f"noise_sd {noise_sd}, max_rotation_degrees {max_rotation_degrees}, n_views {n_views}",
                expected="noise_sd >= 0, max_rotation_degrees >= 0, n_views >= 1",
            )
        self.patch_fraction = float(patch_fraction)
        self.resize_factor = (low, high)
        self.max_rotation_degrees = float(max_rotation_degrees)
        self.noise_sd = float(noise_sd)
        self.background = float(background)
        self.n_views = int(n_views)
        self._placements: list[PatchPlacement] = []
        self._noise: np.ndarray | None = None

    def randomize(self, data: Sequence[int]) -> None:
        """Draw for an image of spatial shape `data`."""
        super().randomize(None)
        if not self._do_transform:
            return
        height, width = (int(size) for size in data)
        if height % self.n_views:
            raise InputError(
                "the image cannot be split into equal views",
                found=f"{height} rows",
                expected=f"a multiple of n_views = {self.n_views}",
            )
        self._placements = [self._draw(height // self.n_views, width) for _ in range(self.n_views)]
        self._noise = self.R.normal(0.0, self.noise_sd, size=(height, width)) if self.noise_sd > 0 else None

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        array = channel_array(img, spatial_dims=2, name="RandCropResizePaste")
        if randomize:
            self.randomize(array.shape[1:])
        if not self._do_transform:
            return img
        changed = np.stack([self._augment(channel) for channel in array])
        return like(np.clip(changed, 0.0, 1.0, out=changed), img)

    def _augment(self, channel: np.ndarray) -> np.ndarray:
        views = np.split(channel, self.n_views, axis=0)
        placed = [
            place_patch(view, placement, background=self.background)
            for view, placement in zip(views, self._placements, strict=True)
        ]
        image = np.concatenate(placed, axis=0)
        return image if self._noise is None else image + self._noise.astype(np.float32)

    def _draw(self, height: int, width: int) -> PatchPlacement:
        cut = (height * self.patch_fraction, width * self.patch_fraction)
        factor = min(self.R.uniform(*self.resize_factor), 1 / self.patch_fraction)
        patch_shape = (max(1, round(cut[0] * factor)), max(1, round(cut[1] * factor)))
        return PatchPlacement(
            rotation_degrees=self.R.uniform(-self.max_rotation_degrees, self.max_rotation_degrees),
            corner=(self.R.uniform(0, height - cut[0]), self.R.uniform(0, width - cut[1])),
            patch_shape=patch_shape,
            factor=factor,
            paste=(self.R.randint(height - patch_shape[0] + 1), self.R.randint(width - patch_shape[1] + 1)),
        )


class RandCropResizePasted(RandomizableTransform, MapTransform):
    """Dictionary form of :class:`RandCropResizePaste`; all keys of an item get the same draw."""

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        *,
        patch_fraction: float = 0.5,
        resize_factor: Sequence[float] = (1.0, 1.5),
        max_rotation_degrees: float = 5.0,
        noise_sd: float = 0.02,
        background: float = 0.0,
        n_views: int = 2,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.transform = RandCropResizePaste(
            prob=1.0,
            patch_fraction=patch_fraction,
            resize_factor=resize_factor,
            max_rotation_degrees=max_rotation_degrees,
            noise_sd=noise_sd,
            background=background,
            n_views=n_views,
        )

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandCropResizePasted:
        super().set_random_state(seed, state)
        self.transform.set_random_state(state=self.R)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        self.randomize(None)
        first = self.first_key(result)
        if not self._do_transform or first == ():
            return result
        self.transform.randomize(result[first].shape[1:])
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key], randomize=False)
        return result
