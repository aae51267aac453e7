"""Which slices of a body are shown, and how they are cut out of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MARGIN_MM = 10.0


@dataclass(frozen=True)
class BodySlice:
    """One slice of an LAS volume, head or front up; the patient's left, or the back, at the viewer's right.

    Attributes
    ----------
    axis
        2 axial, 1 coronal, 0 sagittal.
    index
        Voxel along the axis.
    """

    axis: int
    index: int

    @property
    def name(self) -> str:
        """``axial``, ``coronal`` or ``sagittal``."""
        return ("sagittal", "coronal", "axial")[self.axis]

    @property
    def ends(self) -> tuple[str, str]:
        """Letters at the viewer's left and right."""
        return ("A", "P") if self.axis == 0 else ("R", "L")

    @property
    def axes(self) -> tuple[int, int]:
        """The volume's axes that run across and up the page."""
        across, up = (axis for axis in range(3) if axis != self.axis)
        return across, up

    def cut(self, volume: np.ndarray, window: Sequence[slice]) -> np.ndarray:
        """Rows from the top down."""
        plane = np.take(volume, self.index, axis=self.axis)[tuple(window[axis] for axis in self.axes)].T[::-1]
        return plane[:, ::-1] if self.axis == 0 else plane


@dataclass(frozen=True)
class SliceChoice:
    """Slices of one figure.

    Attributes
    ----------
    tall
        Coronal and sagittal slices, side by side.
    stack
        Axial slices, one below the other, from the head down.
    window
        Part of the volume that is shown, along each axis.
    """

    tall: tuple[BodySlice, ...]
    stack: tuple[BodySlice, ...]
    window: tuple[slice, slice, slice]

    @property
    def slices(self) -> tuple[BodySlice, ...]:
        """All slices in the order in which they are drawn."""
        return (*self.tall, *self.stack)

    def cuts(self, volume: np.ndarray) -> list[np.ndarray]:
        """The volume's slices in this order."""
        return [part.cut(volume, self.window) for part in self.slices]


def choose_slices(
    weight: np.ndarray, mask: np.ndarray, spacing_mm: Sequence[float], *, tall_each: int = 1, stack: int = 3
) -> SliceChoice:
    """Choose slices where the weight lies.

    Parameters
    ----------
    weight
        Non-negative, shape (X, Y, Z); its square decides, so that hot spots count more than wide areas.
    mask
        The body; the window encloses it.
    spacing_mm
        Edges of a voxel.
    tall_each
        Coronal and sagittal slices each; a single one is the slice with the most.
    stack
        Axial slices.
    """
    mass = np.where(mask, weight, 0.0).astype(np.float64) ** 2
    if not mass.any():
        mass = mask.astype(np.float64)
    profiles = [mass.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    tall = [
        BodySlice(axis, index) for axis in (1, 0) for index in _indices(profiles[axis], tall_each, largest_alone=True)
    ]
    axial = [BodySlice(2, index) for index in _indices(profiles[2], stack)[::-1]]
    window = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(_MARGIN_MM / spacing_mm[axis]))
        window.append(slice(max(0, int(occupied[0]) - margin), min(mask.shape[axis], int(occupied[-1]) + 1 + margin)))
    return SliceChoice(tuple(tall), tuple(axial), (window[0], window[1], window[2]))


def _indices(profile: np.ndarray, n: int, *, largest_alone: bool = False) -> list[int]:
    """Slices that divide the mass evenly."""
    if n == 1 and largest_alone:
        return [int(np.argmax(profile))]
    shares = (np.arange(n) + 0.5) / n
    return [int(i) for i in np.searchsorted(np.cumsum(profile), shares * profile.sum())]
