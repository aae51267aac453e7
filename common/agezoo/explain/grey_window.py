"""Which grey an image is shown in."""

from __future__ import annotations

import numpy as np

from agezoo.explain.background import foreground


def as_shown(image: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The image with a black background, and the values that are shown black and white.

    Grey runs from the 1st to the 99.5th percentile inside the patient, so that one piece of metal does not darken
    everything else. An image with negative values is standardised: its background of exactly 0 lies in the middle of
    its tissue's values, and is lowered to what is black.

    Parameters
    ----------
    image
        The network's input, without or with one channel first.
    """
    array = np.asarray(image)
    if not (array < 0).any():
        values = array[array > 0]
        if values.size == 0:
            return array, (0.0, 1.0)
        low, high = (float(value) for value in np.percentile(values, (1, 99.5)))
        # Air around the patient must stay black even where the patient is evenly grey.
        return array, (min(low, 0.9 * high), max(high, 1e-6))
    patient = foreground(array[0] if array.shape[0] == 1 else array).reshape(array.shape)
    low, high = (float(value) for value in np.percentile(array[patient], (1, 99.5)))
    return np.where(patient, array, low), (low, max(high, low + 1e-6))
