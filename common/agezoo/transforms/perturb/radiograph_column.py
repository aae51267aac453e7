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
_SMOOTHING_MM = 9.0
_LUMBAR = (0.5, 0.92)
_SIDES = 0.15


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
    """The brightest band in the lower half of a lateral image, whose bone is bright.

    The back is the side on which less of the body lies. Meant for putting an implant in a plausible place, not for
    measuring anything.
    """
    height, width = pixel_mm(image.shape, spacing_mm)
    height_mm, width_mm = image.shape[0] * height, image.shape[1] * width
    size = (max(8, round(width_mm / _COARSE_MM)), max(8, round(height_mm / _COARSE_MM)))
    small = np.asarray(
        Image.fromarray(np.ascontiguousarray(image, dtype=np.float32)).resize(size, Image.Resampling.BOX)
    )
    low, high = grey_range(image)
    smooth = ndimage.gaussian_filter(np.clip((small - low) / (high - low), 0.0, 1.0), _SMOOTHING_MM / _COARSE_MM)
    left = round(_SIDES * size[0])
    inner = smooth[:, left : size[0] - left]
    rows = np.arange(round(_LUMBAR[0] * size[1]), round(_LUMBAR[1] * size[1]))
    brightest = left + inner[rows].argmax(axis=1)
    y, x = (rows + 0.5) * height_mm / size[1], (brightest + 0.5) * width_mm / size[0]
    # The median of all slopes is not drawn aside by a row whose brightest place is elsewhere.
    slope, start, _, _ = theilslopes(x, y)
    slope = float(np.clip(slope, -0.6, 0.6))
    start = float(np.median(x - slope * y))
    body = inner[rows].sum(axis=0)
    middle = (left + 0.5 + float(body @ np.arange(body.size)) / max(float(body.sum()), 1e-9)) * width_mm / size[0]
    return Column(start, slope, 1 if middle < float(np.median(x)) else -1, height_mm, width_mm)
