"""Cut the sides off radiographs, which often hold markers, collimator edges and nothing of the spine."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array, like

KINDS = ("radiograph", "vfa")


def side_columns(columns: int, fraction: float) -> int:
    """Number of columns to cut at each side: `fraction` of the width, to the nearest pixel."""
    return math.floor(columns * fraction + 0.5)


class SideCrop(Transform):
    """Cut a share of the width off the left and the right side of a 2D image.

    Parameters
    ----------
    fraction
        Share of the width that is cut at each side, at least 0 and less than 0.5.
    """

    def __init__(self, fraction: float = 0.05) -> None:
        if not 0 <= fraction < 0.5:
            raise InputError(
                "the share that is cut at each side must leave something",
                source="fraction",
                found=fraction,
                expected="at least 0 and less than 0.5",
            )
        self.fraction = float(fraction)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        array = channel_array(img, spatial_dims=2, name="SideCrop")
        columns = array.shape[2]
        cut = side_columns(columns, self.fraction)
        if 2 * cut >= columns:
            raise InputError("the image is too narrow for the side crop", found=f"{columns} columns")
        cropped: NdarrayOrTensor = like(array[:, :, cut : columns - cut], img)
        return cropped


class SideCropd(MapTransform):
    """Dictionary form of :class:`SideCrop`, for one kind of image alone.

    DXA VFA images are narrow and show the spine up to their edges; the published recipe crops radiographs only. The
    kind is taken from ``<key>_facts["kind"]``, else from ``modality``. Where the facts hold the ``area`` of the stored
    image that is shown, it is cut likewise.

    Parameters
    ----------
    keys
        Keys of the images.
    fraction
        As in :class:`SideCrop`.
    only
        The kind that is cropped, ``"radiograph"`` or ``"vfa"``.
    """

    def __init__(
        self,
        keys: KeysCollection,
        fraction: float = 0.05,
        only: str = "radiograph",
        *,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if only not in KINDS:
            raise InputError("no such kind of image", source="only", found=only, expected=" or ".join(KINDS))
        self.transform = SideCrop(fraction)
        self.only = only

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            facts = dict(result.get(f"{key}_facts") or {})
            kind = str(facts.get("kind") or result.get("modality") or "")
            if kind not in KINDS:
                raise InputError(
                    "it is not known whether the image is a radiograph or VFA, which decides about the side crop",
                    source="modality",
                    found=repr(kind),
                    expected=" or ".join(KINDS),
                    remedy="name the kind of each image in the datalist's column modality",
                )
            if kind != self.only:
                continue
            columns = result[key].shape[-1]
            result[key] = self.transform(result[key])
            if facts.get("area") is not None:
                facts["area"] = _cut_area(facts["area"], columns, side_columns(columns, self.transform.fraction))
                result[f"{key}_facts"] = facts
        return result


def _cut_area(area: Any, columns: int, cut: int) -> np.ndarray:
    """The area ``[top, left, rows, columns, stored_rows, stored_columns]`` after `cut` columns went at each side."""
    numbers = np.array(area, dtype=np.float32)
    if round(float(numbers[3])) != columns:
        raise ValueError(f"the area has {numbers[3]:g} columns, the image {columns}")
    numbers[1] += cut
    numbers[3] -= 2 * cut
    return numbers
