"""What the transforms that perturb an image share, whatever kind of image it is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array
from agezoo.transforms.perturb.perturbation import Perturbation
from agezoo.transforms.perturb.seeding import chance, one_of


class GradedTransform(Transform):
    """One perturbation at one grade.

    The same transform gives the same result every time: what is left to chance (noise, directions) comes from `seed`
    and the perturbation's name, so that the grades of one perturbation differ in strength alone.

    Parameters
    ----------
    name
        A name of the class's `catalogue`.
    grade
        Its strength, in the perturbation's unit.
    seed
        Seed of what is left to chance.

    Raises
    ------
    InputError
        For an unknown name.
    """

    catalogue: ClassVar[Mapping[str, Perturbation]]

    def __init__(self, name: str, grade: float, *, seed: int = 0) -> None:
        self.perturbation = one_of(self.catalogue, name)
        self.grade = float(grade)
        self.seed = int(seed)

    def chance(self) -> np.random.Generator:
        """Source of chance, begun anew."""
        return chance(self.seed, self.perturbation.name)


class GradedTransformd(MapTransform):
    """Dictionary form of a :class:`GradedTransform`, named by the class's `single`."""

    single: ClassVar[type[GradedTransform]]

    def __init__(
        self, keys: KeysCollection, name: str, grade: float, *, seed: int = 0, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = self.single(name, grade, seed=seed)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.transform(result[key])
        return result


def channels_with_affine(img: Any, *, name: str, only_one: bool, reader: str) -> tuple[np.ndarray, np.ndarray]:
    """Channels (C, X, Y, Z) and affine of a volume that was read with its geometry.

    Raises
    ------
    InputError
        If it has no geometry, or several channels where `only_one` is wanted; `reader` is named as the remedy.
    """
    channels = channel_array(img, spatial_dims=3, name=name)
    if not isinstance(img, MetaTensor) or (only_one and channels.shape[0] != 1):
        raise InputError(
            "a perturbation needs one volume with its geometry",
            found=f"{type(img).__name__} of shape {tuple(channels.shape)}",
            expected=f"a MetaTensor ({1 if only_one else 'C'}, X, Y, Z)",
            remedy=f"load the image with {reader}",
        )
    return channels, np.asarray(img.affine, dtype=np.float64)


def spacing_of(affine: np.ndarray) -> tuple[float, ...]:
    """Distance of voxel centres along the axes, in mm."""
    return tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
