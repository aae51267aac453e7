"""Fit a radiograph of any size into the network's canvas, and carry maps on the canvas back onto the stored image."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from torch.nn.functional import interpolate

from agezoo.errors import InputError
from agezoo.transforms.channels import channel_array, like

HEIGHT, WIDTH = 1024, 512


@dataclass(frozen=True)
class CanvasPlacement:
    """Which part of a stored image lies where on the canvas; everything in whole pixels.

    Attributes
    ----------
    stored_rows, stored_columns
        Size of the image as stored.
    area_top, area_left, area_rows, area_columns
        The part of it that is shown: what reading and the side crop left.
    canvas_height, canvas_width
        Size of the canvas.
    top, left, height, width
        The part of the canvas that shows it.
    """

    stored_rows: int
    stored_columns: int
    area_top: int
    area_left: int
    area_rows: int
    area_columns: int
    canvas_height: int
    canvas_width: int
    top: int
    left: int
    height: int
    width: int

    def as_array(self) -> np.ndarray:
        """The twelve numbers as float32, in the order of the attributes, so that placements collate into batches."""
        return np.asarray(astuple(self), dtype=np.float32)

    @staticmethod
    def unknown() -> np.ndarray:
        """Twelve NaNs: what :meth:`as_array` gives where there is no placement."""
        return np.full(len(fields(CanvasPlacement)), np.nan, dtype=np.float32)

    @classmethod
    def from_array(cls, numbers: Sequence[float] | np.ndarray | torch.Tensor) -> CanvasPlacement | None:
        """The placement that :meth:`as_array` wrote, or ``None`` where it is unknown.

        Raises
        ------
        ValueError
            If these are not twelve numbers.
        """
        values = np.asarray(numbers, dtype=float).ravel()
        if values.size != len(fields(cls)):
            raise ValueError(f"a placement is {len(fields(cls))} numbers, got {values.size}")
        return cls(*(round(value) for value in values)) if np.isfinite(values).all() else None


def place_on_canvas(
    rows: int, columns: int, *, height: int = HEIGHT, width: int = WIDTH, area: Sequence[int] | None = None
) -> CanvasPlacement:
    """Where an image goes that is enlarged or reduced, with its aspect kept, until it just fits the canvas.

    On the 1024 x 512 canvas that means: a landscape or square image fills the width; a portrait one fills the height,
    unless its width would pass 512, in which case it fills the width. The image is centred; an odd pixel of margin goes
    below or to the right.

    Parameters
    ----------
    rows, columns
        Size of the image.
    height, width
        Size of the canvas.
    area
        ``[top, left, rows, columns, stored_rows, stored_columns]``: the part of the stored image that the image is;
        by default all of it.
    """
    top, left, area_rows, area_columns, stored_rows, stored_columns = (
        (0, 0, rows, columns, rows, columns) if area is None else (int(number) for number in area)
    )
    scale = min(height / rows, width / columns)
    new_height = min(height, max(1, math.floor(rows * scale + 0.5)))
    new_width = min(width, max(1, math.floor(columns * scale + 0.5)))
    return CanvasPlacement(
        stored_rows,
        stored_columns,
        top,
        left,
        area_rows,
        area_columns,
        height,
        width,
        (height - new_height) // 2,
        (width - new_width) // 2,
        new_height,
        new_width,
    )


def fit_to_canvas(image: np.ndarray, placement: CanvasPlacement) -> np.ndarray:
    """Draw an image (rows, columns) at its place on a canvas of zeros.

    Linear interpolation whose window widens when the image is reduced, so that fine structures are averaged instead of
    aliased (PyTorch's ``bilinear`` with ``antialias``). Nothing leaves the range of the image.
    """
    canvas = np.zeros((placement.canvas_height, placement.canvas_width), dtype=np.float32)
    canvas[_shown(placement)] = _resize(image, placement.height, placement.width)
    return canvas


def map_to_original(map_2d: np.ndarray, placement: CanvasPlacement) -> np.ndarray:
    """Carry a map on the canvas, such as a saliency map, back onto the image as stored.

    Parameters
    ----------
    map_2d
        Array (canvas_height, canvas_width), also with a leading channel axis of 1. What lies on the canvas' margins is
        dropped.
    placement
        As :class:`FitToCanvasd` kept it.

    Returns
    -------
    numpy.ndarray
        float32 array (stored_rows, stored_columns); 0 where nothing of the image was shown to the network.

    Raises
    ------
    InputError
        If the map is not one of the canvas, or holds values that are not finite numbers.
    """
    plane = np.asarray(map_2d, dtype=np.float32)
    plane = plane[0] if plane.ndim == 3 and plane.shape[0] == 1 else plane
    if plane.shape != (placement.canvas_height, placement.canvas_width):
        raise InputError(
            "the map does not lie on the canvas",
            found=f"shape {np.shape(map_2d)}",
            expected=f"({placement.canvas_height}, {placement.canvas_width})",
        )
    if not np.isfinite(plane).all():
        raise InputError("the map holds values that are not finite numbers")
    stored = np.zeros((placement.stored_rows, placement.stored_columns), dtype=np.float32)
    rows = slice(placement.area_top, placement.area_top + placement.area_rows)
    columns = slice(placement.area_left, placement.area_left + placement.area_columns)
    stored[rows, columns] = _resize(plane[_shown(placement)], placement.area_rows, placement.area_columns)
    return stored


def _shown(placement: CanvasPlacement) -> tuple[slice, slice]:
    return (
        slice(placement.top, placement.top + placement.height),
        slice(placement.left, placement.left + placement.width),
    )


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    plane = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
    resized = interpolate(plane, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    result: np.ndarray = resized[0, 0].numpy()
    return result


class FitToCanvas(Transform):
    """Fit a 2D image into a canvas of zeros, keeping its aspect; see :func:`place_on_canvas`."""

    def __init__(self, height: int = HEIGHT, width: int = WIDTH) -> None:
        if height < 1 or width < 1:
            raise InputError("a canvas has at least one pixel", source="height, width", found=f"{height} x {width}")
        self.height = int(height)
        self.width = int(width)

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        return self.place(img)[0]

    def place(self, img: NdarrayOrTensor, area: Sequence[int] | None = None) -> tuple[NdarrayOrTensor, CanvasPlacement]:
        """The canvas, and what lies where on it."""
        array = channel_array(img, spatial_dims=2, name="FitToCanvas")
        placement = place_on_canvas(*array.shape[1:], height=self.height, width=self.width, area=area)
        return like(np.stack([fit_to_canvas(channel, placement) for channel in array]), img), placement


class FitToCanvasd(MapTransform):
    """Dictionary form of :class:`FitToCanvas`.

    Reads ``<key>_facts["area"]``, the part of the stored image that is still there (without it the image counts as
    the whole), and writes ``<key>_facts["canvas"]``, a :class:`CanvasPlacement` as an array.
    """

    def __init__(
        self, keys: KeysCollection, height: int = HEIGHT, width: int = WIDTH, *, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = FitToCanvas(height, width)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            facts = dict(result.get(f"{key}_facts") or {})
            area = facts.get("area")
            result[key], placement = self.transform.place(result[key], area)
            facts["canvas"] = placement.as_array()
            result[f"{key}_facts"] = facts
        return result
