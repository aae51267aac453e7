"""Slices through a volume as people look at them: three that cross in one point, or a montage of axial ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from agezoo.errors import InputError
from agezoo.explain.background import foreground
from agezoo.explain.mni_grid import mni_affine_of
from agezoo.explain.view_layout import FieldOfView, ViewLayout

# Voxels whose value is this share of the largest one count as the strongest place, of which the middle is shown: a
# coarse map is level over many voxels.
_NEARLY_LARGEST = 0.98


def orthogonal_slices(
    image: np.ndarray,
    saliency: np.ndarray | None = None,
    *,
    voxel: Sequence[int] | None = None,
    affine: np.ndarray | None = None,
) -> ViewLayout:
    """Coronal, sagittal and axial slice that cross in one point of a volume.

    Parameters
    ----------
    image
        The network's input in LAS, (X, Y, Z) or (1, X, Y, Z).
    saliency
        Map of the image's shape; the slices cross at :func:`strongest_voxel`. None, or an empty map: in the middle of
        the patient.
    voxel
        Where they cross instead.
    affine
        (4, 4) from voxels to millimetres (right, front, head), by which the slices are called. None takes that of the
        MNI grid of this shape, if there is one; otherwise they are called by their voxel index.

    Returns
    -------
    ViewLayout
        For this image, its map, and every other volume of its shape.

    Raises
    ------
    InputError
        If the image is no volume, or the voxel lies outside it.
    """
    volume = as_volume(image)
    place = tuple(int(v) for v in (strongest_voxel(saliency, volume) if voxel is None else voxel))
    if len(place) != 3 or not all(0 <= v < size for v, size in zip(place, volume.shape, strict=True)):
        raise InputError("the voxel lies outside the volume", found=place, expected=f"within {volume.shape}")
    shape = volume.shape
    left, front, head = (index + 0.5 for index in place)
    known = mni_affine_of(shape) if affine is None else affine
    places = slice_names(place, known)

    def split(values: np.ndarray) -> tuple[np.ndarray, ...]:
        cut = same_volume(values, shape)
        return coronal(cut, place[1]), sagittal(cut, place[0]), axial(cut, place[2])

    return ViewLayout(
        names=(f"coronal, {places[1]}", f"sagittal, {places[0]}", f"axial, {places[2]}"),
        ends=(("R", "L"), ("A", "P"), ("R", "L")),
        split=split,
        extents_mm=lambda mm: (
            (float(mm[0]), float(mm[2])),
            (float(mm[1]), float(mm[2])),
            (float(mm[0]), float(mm[1])),
        ),
        note=orientation_note(known),
        square_pixels=True,
        tallest_inches=4.2,
        tops=(("S", "I"), ("S", "I"), ("A", "P")),
        crosshairs=(
            (left / shape[0], 1 - head / shape[2]),
            (1 - front / shape[1], 1 - head / shape[2]),
            (left / shape[0], 1 - front / shape[1]),
        ),
    )


def axial_montage(
    image: np.ndarray, *, rows: int = 3, columns: int = 7, affine: np.ndarray | None = None
) -> ViewLayout:
    """Axial slices at even distances from the lowest to the highest part of the patient, cut to the patient's box.

    Parameters
    ----------
    image
        The network's input in LAS, (X, Y, Z) or (1, X, Y, Z).
    rows, columns
        Slices under and beside each other; fewer where the patient has fewer.
    affine
        As in :func:`orthogonal_slices`.

    Raises
    ------
    InputError
        If the image is no volume, or rows or columns are not positive.
    """
    if rows < 1 or columns < 1:
        raise InputError("a montage needs rows and columns", found=(rows, columns), expected="at least 1 each")
    volume = as_volume(image)
    shape = volume.shape
    inside = foreground(volume)
    box = patient_box(inside if inside.any() else np.ones(shape, dtype=bool))
    low, high = box[2].start, box[2].stop - 1
    # The outermost slices show next to nothing of a head that ends in a dome.
    count = min(rows * columns, high - low + 1)
    heights = np.unique(np.linspace(low, high, count + 2)[1:-1].round().astype(int))
    known = mni_affine_of(shape) if affine is None else affine

    def split(values: np.ndarray) -> tuple[np.ndarray, ...]:
        cut = same_volume(values, shape)[box[0], box[1]]
        return tuple(axial(cut, int(height)) for height in heights)

    def extents_mm(mm: FieldOfView) -> tuple[tuple[float, float], ...]:
        width, depth = ((box[axis].stop - box[axis].start) * mm[axis] / shape[axis] for axis in (0, 1))
        return ((float(width), float(depth)),) * len(heights)

    first_only = [("", "")] * (len(heights) - 1)
    return ViewLayout(
        names=tuple(slice_names((0, 0, int(height)), known)[2] for height in heights),
        ends=(("R", "L"), *first_only),
        split=split,
        extents_mm=extents_mm,
        note=orientation_note(known),
        square_pixels=True,
        tallest_inches=1.75 * math.ceil(len(heights) / columns),
        tops=(("A", "P"), *first_only),
        columns=columns,
    )


def strongest_voxel(
    saliency: np.ndarray | None, image: np.ndarray, *, inside: np.ndarray | None = None
) -> tuple[int, int, int]:
    """Voxel of the patient in the middle of where a map is strongest, in either sign.

    Parameters
    ----------
    saliency
        Shape (X, Y, Z). None, or a map that is 0 all over the patient: the middle of the patient is meant.
    image
        (X, Y, Z) or (1, X, Y, Z); tells where the patient is.
    inside
        Boolean mask of the patient, (X, Y, Z), if the image's background does not tell it.
    """
    volume = as_volume(image)
    inside = foreground(volume) if inside is None else inside
    if not inside.any():
        inside = np.ones(volume.shape, dtype=bool)
    if saliency is not None:
        magnitude = np.where(inside, np.abs(same_volume(saliency, volume.shape)), 0)
        if magnitude.max() > 0:
            inside = magnitude >= _NEARLY_LARGEST * magnitude.max()
    voxels = np.argwhere(inside)
    nearest = int(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin())
    x, y, z = (int(v) for v in voxels[nearest])
    return x, y, z


def as_volume(image: np.ndarray) -> np.ndarray:
    """(X, Y, Z) of a volume with or without its one channel.

    Raises
    ------
    InputError
        For any other shape.
    """
    array = np.asarray(image)
    volume = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    if volume.ndim != 3 or 0 in volume.shape:
        raise InputError("not a volume", found=f"shape {array.shape}", expected="(1, X, Y, Z) or (X, Y, Z)")
    return volume


def same_volume(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(X, Y, Z) of a volume with or without its one channel, which must have the given shape."""
    volume = as_volume(values)
    if volume.shape != shape:
        raise InputError("map and image differ in shape", found=volume.shape, expected=shape)
    return volume


# Axes run towards left, front and head. The viewer sees the head, in an axial slice the front, on top, and the
# patient's right, in a sagittal slice the front, at the left.
def coronal(volume: np.ndarray, index: int) -> np.ndarray:
    """Slice of a volume in LAS as it is shown: patient's left at the viewer's right, the head on top."""
    return volume[:, index, ::-1].T


def sagittal(volume: np.ndarray, index: int) -> np.ndarray:
    """Slice of a volume in LAS as it is shown: the front at the viewer's left, the head on top."""
    return volume[index, ::-1, ::-1].T


def axial(volume: np.ndarray, index: int) -> np.ndarray:
    """Slice of a volume in LAS as it is shown: patient's left at the viewer's right, the front on top."""
    return volume[:, ::-1, index].T


def orientation_note(affine: np.ndarray | None) -> str:
    """Line under a picture of slices, which are called by millimetres where an affine is known."""
    right_and_up = "" if affine is None else "; x, y, z towards right, front and head"
    return f"radiological view: patient's left at the viewer's right{right_and_up}"


def slice_names(voxel: Sequence[int], affine: np.ndarray | None) -> list[str]:
    """What the sagittal, coronal and axial slice through a voxel are called."""
    if affine is None:
        return [f"{axis} voxel {index}" for axis, index in zip("xyz", voxel, strict=True)]
    mm = np.asarray(affine, dtype=float)[:3] @ [*voxel, 1.0]
    # Negative zero is written as 0.
    return [f"{axis} = {round(float(value)) + 0} mm" for axis, value in zip("xyz", mm, strict=True)]


def patient_box(inside: np.ndarray) -> tuple[slice, slice, slice]:
    """Bounding box with a margin of a fiftieth of the volume in the slice's plane."""
    bounds = []
    for axis, size in enumerate(inside.shape):
        found = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = max(1, size // 50) if axis < 2 else 0
        bounds.append(slice(max(0, int(found[0]) - margin), min(size, int(found[-1]) + 1 + margin)))
    return bounds[0], bounds[1], bounds[2]
