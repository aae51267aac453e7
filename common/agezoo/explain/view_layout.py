"""How a network's input is shown to people: which views it holds, which way up, and what stands at their edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.display import display_views

FieldOfView = tuple[float, float, float]


@dataclass(frozen=True)
class ViewLayout:
    """The views in one image.

    Attributes
    ----------
    names
        What each view is called.
    ends
        Letters at the viewer's left and right edge of each view; empty where the direction is not known.
    split
        From an image of the network's shape to its views, head up; views may differ in shape.
    extents_mm
        Width and height of each view, from the field of view towards left, front and head in mm.
    note
        Line under the picture.
    square_pixels
        Without a field of view the proportions are right all the same.
    tallest_inches
        Limit of the views' height in a picture, all rows together.
    tops
        Letters at the upper and lower edge of each view; empty where nobody needs them.
    crosshairs
        Per view the point through which the others cut, as shares of its width from the left and of its height from
        the top; empty where there is none.
    columns
        Views in a row of the picture; None puts all into one.
    levels
        Of each of the first views, the heights that are marked in it, as shares from the top.
    """

    names: tuple[str, ...]
    ends: tuple[tuple[str, str], ...]
    split: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    extents_mm: Callable[[FieldOfView], tuple[tuple[float, float], ...]]
    note: str
    square_pixels: bool
    tallest_inches: float
    tops: tuple[tuple[str, str], ...] = ()
    crosshairs: tuple[tuple[float, float], ...] = ()
    columns: int | None = None
    levels: tuple[tuple[float, ...], ...] = ()

    def extents(
        self, view_shapes: Sequence[tuple[int, ...]], field_of_view_mm: FieldOfView | None
    ) -> tuple[tuple[tuple[float, float], ...], bool]:
        """Width and height of each view, and whether they are to scale.

        Raises
        ------
        InputError
            If a length that is needed is not positive.
        """
        if field_of_view_mm is None:
            return tuple((float(columns), float(rows)) for rows, columns in view_shapes), self.square_pixels
        sizes = self.extents_mm(field_of_view_mm)
        if not min(length for size in sizes for length in size) > 0:
            raise InputError("the field of view must be positive", found=field_of_view_mm, expected="lengths in mm")
        return sizes, True


def split_projections(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coronal and sagittal view of the network's input, as they are shown: head up, radiological.

    Parameters
    ----------
    image
        Shape (2 n, height) or (1, 2 n, height): coronal rows first, then sagittal; the second axis runs from foot to
        head. The coronal rows run towards the patient's left, the sagittal ones towards the front (LAS).

    Returns
    -------
    coronal, sagittal
        Shape (height, n) each, the first row at the head. Patient's left, and front in the sagittal view, lie
        at the viewer's right and left.

    Raises
    ------
    InputError
        For any other shape.
    """
    shape = np.shape(image)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != 1) or shape[-2] % 2:
        raise InputError("not a pair of projections", found=f"shape {shape}", expected="(1, 224, 224) or (224, 224)")
    coronal, sagittal = display_views(image)
    return coronal, sagittal[:, ::-1]


def _one_view(image: np.ndarray) -> tuple[np.ndarray]:
    plane = np.asarray(image)
    if plane.ndim == 3 and plane.shape[0] == 1:
        plane = plane[0]
    if plane.ndim != 2:
        raise InputError("not one view", found=f"shape {plane.shape}", expected="(1, rows, columns) or (rows, columns)")
    return (plane,)


PROJECTIONS = ViewLayout(
    names=("coronal", "sagittal"),
    ends=(("R", "L"), ("A", "P")),
    split=split_projections,
    extents_mm=lambda mm: ((float(mm[0]), float(mm[2])), (float(mm[1]), float(mm[2]))),
    note="radiological view: patient's left at the viewer's right",
    square_pixels=False,
    tallest_inches=5.2,
)
"""Coronal and sagittal projection of a CT in one image."""

LATERAL = ViewLayout(
    names=("lateral",),
    ends=(("", ""),),
    split=_one_view,
    extents_mm=lambda mm: ((float(mm[1]), float(mm[2])),),
    note="lateral view, bone bright; which side is the front is not known",
    square_pixels=True,
    tallest_inches=7.0,
)
"""A lateral radiograph, rows from head to foot."""
