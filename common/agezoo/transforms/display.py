"""Bring the two views of a projection into the position in which people look at them."""

from __future__ import annotations

import numpy as np

from agezoo.errors import InputError


def display_views(image: np.ndarray, *, n_coronal: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Split a two-view projection into head-up pictures for ``imshow``.

    Parameters
    ----------
    image
        Array (X + Y, Z) or (1, X + Y, Z) of a volume in LAS: a projection, or a map on it.
    n_coronal
        X, the number of rows of the coronal view; half of all rows if not given.

    Returns
    -------
    tuple of numpy.ndarray
        Coronal view (Z, X) as a radiologist sees it, the patient's left on the right; sagittal view (Z, Y),
        the front of the body on the right. Both are views of the input, head in row 0.
    """
    plane = np.asarray(image)
    if plane.ndim == 3 and plane.shape[0] == 1:
        plane = plane[0]
    if plane.ndim != 2:
        raise InputError("a two-view projection is one plane", found=f"shape {np.shape(image)}", expected="(X + Y, Z)")
    split = plane.shape[0] // 2 if n_coronal is None else n_coronal
    return np.rot90(plane[:split]), np.rot90(plane[split:])
