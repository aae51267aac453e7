"""Where the vertebral column runs in a lateral radiograph, found coarsely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.stats import theilslopes

from agezoo.transforms.perturb.radiograph_scale import grey_range, pixel_mm

_COARSE_MM = 6.0
_ALONG_SD_MM = 20.0
_ACROSS_SD_MM = 8.0
_BESIDE_MM = 32.0
_LUMBAR = (0.5, 0.92)
_SIDES = 0.15
_MUSCLE_MM = (25.0, 90.0)


@dataclass(frozen=True)
class Column:
    """A straight line along the lower column, in mm from the upper left corner of the image.

    Attributes
    ----------
    x_mm
        Where it passes the top of the image, from the left.
    slope
        Millimetres to the right per millimetre down.
    back
        Side of the patient's back: 1 for the right of the image, -1 for the left.
    height_mm, width_mm
        Extent of the image.
    """

    x_mm: float
    slope: float
    back: int
    height_mm: float
    width_mm: float

    def at(self, y_mm: float) -> float:
        """How far from the left it runs at a height."""
        return self.x_mm + self.slope * y_mm


def find_column(image: np.ndarray, *, spacing_mm: Sequence[float]) -> Column:
    """The band in the lower half of a lateral image that is brighter than both of its sides; bone is bright.

    The back is the darker side, because less lies behind the column than before it. Meant for putting an implant in a
    plausible place, not for measuring anything.
    """
    height, width = pixel_mm(image.shape, spacing_mm)
    height_mm, width_mm = image.shape[0] * height, image.shape[1] * width
    size = (max(8, round(width_mm / _COARSE_MM)), max(8, round(height_mm / _COARSE_MM)))
    step_x, step_y = width_mm / size[0], height_mm / size[1]
    small = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BOX))
    low, high = grey_range(image)
    grey = np.clip((small - low) / (high - low), 0.0, 1.0)
    smooth = ndimage.gaussian_filter(grey, (_ALONG_SD_MM / step_y, _ACROSS_SD_MM / step_x), mode="nearest")
    aside = max(1, round(_BESIDE_MM / step_x))
    places = np.arange(size[0])
    beside = [smooth[:, np.clip(places + by, 0, size[0] - 1)] for by in (-aside, aside)]
    # Brighter than both sides: a belly's edge is brighter than one.
    ridge = smooth - np.maximum(*beside)
    left = round(_SIDES * size[0])
    rows = np.arange(round(_LUMBAR[0] * size[1]), round(_LUMBAR[1] * size[1]))
    brightest = left + ridge[rows, left : size[0] - left].argmax(axis=1)
    y, x = (rows + 0.5) * step_y, (brightest + 0.5) * step_x
    # The median of all slopes is not drawn aside by a row whose brightest place is elsewhere.
    slope = float(np.clip(theilslopes(x, y)[0], -0.6, 0.6))
    start = float(np.median(x - slope * y))
    across = (np.arange(size[0]) + 0.5) * step_x - (start + slope * y)[:, None]
    near = (np.abs(across) > _MUSCLE_MM[0]) & (np.abs(across) < _MUSCLE_MM[1])
    sides = [_mean(grey[rows][near & (np.sign(across) == side)]) for side in (-1, 1)]
    return Column(start, slope, 1 if sides[1] < sides[0] else -1, height_mm, width_mm)


def _mean(values: np.ndarray) -> float:
    # A side that the image does not show is no part of the body.
    return float(values.mean()) if values.size else 0.0
