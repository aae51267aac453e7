"""Whole bodies as people look at them: three slices through the strongest place, and a montage front to back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agezoo.errors import InputError
from agezoo.explain.view_layout import FieldOfView, ViewLayout
from agezoo.explain.volume_layout import (
    as_volume,
    axial,
    coronal,
    orientation_note,
    orthogonal_slices,
    patient_box,
    same_volume,
    slice_names,
    strongest_voxel,
)

_TALLEST_SLICES_INCHES = 6.6
_TALLEST_MONTAGE_INCHES = 7.6
# The outermost slices of a body show skin and little else. Some people's belly or breast stands out from the rest.
_INNER_SHARE = 0.8
_LEAST_AREA = 0.25


def body_picture(image: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The first channel of a body in noise as it is shown: nowhere negative, and exactly 0 where there is no body.

    Parameters
    ----------
    image
        The network's input (C, X, Y, Z).
    body
        Boolean (X, Y, Z), see :func:`agezoo.transforms.noise_fill.body_of`.

    Returns
    -------
    numpy.ndarray
        float32 (X, Y, Z).

    Raises
    ------
    InputError
        If the shapes differ.
    """
    channel = np.asarray(image)[0]
    if np.ndim(image) != 4 or channel.shape != body.shape:
        raise InputError("body and image differ in shape", found=np.shape(body), expected=channel.shape)
    if not body.any():
        return np.zeros(body.shape, dtype=np.float32)
    values = channel[body]
    # A little above the background, so that the darkest voxel still belongs to the body.
    lift = 1e-3 * max(float(np.ptp(values)), 1.0) - float(values.min())
    return np.where(body, channel + lift, 0).astype(np.float32)


def body_slices(
    picture: np.ndarray,
    saliency: np.ndarray | None = None,
    *,
    body: np.ndarray,
    voxel: Sequence[int] | None = None,
    affine: np.ndarray | None = None,
) -> ViewLayout:
    """Coronal, sagittal and axial slice of a whole body that cross where its map is strongest.

    Parameters
    ----------
    picture
        (X, Y, Z) in LAS, see :func:`body_picture`.
    saliency
        Map of its shape; None, or an empty map: the slices cross in the middle of the body.
    body
        Boolean mask of the body.
    voxel
        Where they cross instead.
    affine
        (4, 4) from voxels to millimetres (right, front, head), by which the slices are called; None calls them by
        their voxel index.
    """
    place = strongest_voxel(saliency, picture, inside=body) if voxel is None else voxel
    return replace(
        orthogonal_slices(picture, voxel=place, affine=affine), tallest_inches=_TALLEST_SLICES_INCHES, columns=None
    )


def body_montage(
    picture: np.ndarray,
    *,
    body: np.ndarray,
    columns: int = 6,
    axial_rows: int = 2,
    affine: np.ndarray | None = None,
) -> ViewLayout:
    """A row of coronal slices from front to back, and below it axial slices from top to bottom.

    All are cut to the body's box and stand at even distances in its inner part; of the coronal ones in that where at
    least a quarter of the largest slice is body. The heights of the axial slices are
    marked in a coronal one in the middle.

    Parameters
    ----------
    picture, body, affine
        As in :func:`body_slices`.
    columns
        Slices in each row.
    axial_rows
        Rows of axial slices.

    Raises
    ------
    InputError
        If columns or axial_rows are not positive.
    """
    if columns < 1 or axial_rows < 1:
        raise InputError("a montage needs rows and columns", found=(axial_rows, columns), expected="at least 1 each")
    shape = as_volume(picture).shape
    inside = body if body.any() else np.ones(shape, dtype=bool)
    box = patient_box(inside)
    areas = inside.sum(axis=(0, 2))
    fronts = _inner(np.flatnonzero(areas >= _LEAST_AREA * areas.max()), columns)[::-1]
    heights = _inner(np.flatnonzero(inside.any(axis=(0, 1))), columns * axial_rows)[::-1]

    def split(values: np.ndarray) -> tuple[np.ndarray, ...]:
        cut = same_volume(values, shape)
        frontal, flat = cut[box[0], :, box[2]], cut[box[0], box[1]]
        return *(coronal(frontal, front) for front in fronts), *(axial(flat, height) for height in heights)

    def extents_mm(mm: FieldOfView) -> tuple[tuple[float, float], ...]:
        width, depth, height = (
            float((part.stop - part.start) * length / size) for part, length, size in zip(box, mm, shape, strict=True)
        )
        return ((width, height),) * len(fronts) + ((width, depth),) * len(heights)

    first_of = [index in (0, len(fronts)) for index in range(len(fronts) + len(heights))]
    tall = box[2].stop - box[2].start
    return ViewLayout(
        names=(
            *(slice_names((0, front, 0), affine)[1] for front in fronts),
            *(slice_names((0, 0, height), affine)[2] for height in heights),
        ),
        ends=tuple(("R", "L") if first else ("", "") for first in first_of),
        split=split,
        extents_mm=extents_mm,
        note=orientation_note(affine),
        square_pixels=True,
        tallest_inches=_TALLEST_MONTAGE_INCHES,
        tops=tuple(
            ("", "") if not first else ("S", "I") if index == 0 else ("A", "P") for index, first in enumerate(first_of)
        ),
        columns=columns,
        levels=((),) * (len(fronts) // 2) + (tuple(1 - (height + 0.5 - box[2].start) / tall for height in heights),),
    )


def _inner(indices: np.ndarray, count: int) -> list[int]:
    """Up to `count` different indices at even distances in the inner part of where the body is, rising."""
    low, high = float(indices[0]), float(indices[-1])
    middle, reach = (low + high) / 2, _INNER_SHARE * (high - low) / 2
    places = np.linspace(middle - reach, middle + reach, count) if count > 1 else np.array([middle])
    return [int(index) for index in np.unique(places.round().astype(int))]
