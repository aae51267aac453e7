"""Where regions of a stored radiograph lie on the network's canvas."""

from __future__ import annotations

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.canvas import CanvasPlacement


def labels_on_canvas(labels: np.ndarray, placement: CanvasPlacement, *, source: str = "labels") -> np.ndarray:
    """Bring a label image through the geometry that makes the network's image of its radiograph.

    Parameters
    ----------
    labels
        Whole numbers, shape (stored_rows, stored_columns): a label for each pixel of the stored image.
    placement
        What of the stored image lies where on the canvas.
    source
        What the labels are called in an error.

    Returns
    -------
    numpy.ndarray
        Shape (canvas_height, canvas_width), type of the labels: at each pixel the label of the stored pixel in which
        its middle lies; 0 on the margins.

    Raises
    ------
    InputError
        If the labels are no image of whole numbers, or not on the stored image's grid.
    """
    values = np.asarray(labels)
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise InputError(
            "labels of a radiograph are an image of whole numbers",
            source=source,
            found=f"shape {values.shape}, {values.dtype}",
            expected="(rows, columns), an integer type",
        )
    if values.shape != (placement.stored_rows, placement.stored_columns):
        raise InputError(
            "the mask does not lie on the image's grid",
            source=source,
            found=f"{values.shape[0]} x {values.shape[1]} pixels",
            expected=f"{placement.stored_rows} x {placement.stored_columns}, the size of the stored image",
        )
    rows = placement.area_top + _nearest(placement.area_rows, placement.height)
    columns = placement.area_left + _nearest(placement.area_columns, placement.width)
    canvas = np.zeros((placement.canvas_height, placement.canvas_width), dtype=values.dtype)
    shown = (
        slice(placement.top, placement.top + placement.height),
        slice(placement.left, placement.left + placement.width),
    )
    canvas[shown] = values[np.ix_(rows, columns)]
    return canvas


def _nearest(n_source: int, n_target: int) -> np.ndarray:
    """Source pixel in which the middle of each target pixel lies, both spanning the same extent."""
    # In whole numbers, because a rounded quotient could land on the wrong side of a border.
    return (2 * np.arange(n_target) + 1) * n_source // (2 * n_target)
