"""A marker and text that were burnt into the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agezoo.errors import InputError
from agezoo.transforms.perturb.radiograph_scale import grey_range, pixel_mm

_TEXT = "L 4711"
_INSET = 0.07


def burn_in(
    image: np.ndarray, height_mm: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Write a side mark and a number of this height in white into an upper corner, left or right by chance.

    It begins 7 % of the width away from the edge, so that a crop of 5 % at the sides leaves it.

    Raises
    ------
    InputError
        If the height is negative.
    """
    if height_mm < 0:
        raise InputError("a height in mm is needed", source="marker", found=height_mm, expected="0 or more")
    at_left = rng.random() < 0.5
    height, width = pixel_mm(image.shape, spacing_mm)
    rows = round(height_mm / height)
    if rows < 1:
        return image
    letters = _letters(rows, round(height_mm / width))[:, : image.shape[1]][: image.shape[0]]
    inset = round(_INSET * image.shape[1])
    top = min(round(8.0 / height), image.shape[0] - letters.shape[0])
    left = inset if at_left else image.shape[1] - inset - letters.shape[1]
    left = int(np.clip(left, 0, image.shape[1] - letters.shape[1]))
    result = np.array(image, dtype=np.float32, copy=True)
    part = result[top : top + letters.shape[0], left : left + letters.shape[1]]
    part += letters * (np.float32(max(float(image.max()), grey_range(image)[1])) - part)
    return result


def _letters(rows: int, rows_if_square: int) -> np.ndarray:
    """The text's share of each pixel, 0..1, cut to its letters: `rows` high, as wide as its pixels' shape makes it."""
    sheet = Image.new("L", (100 * len(_TEXT), 200))
    ImageDraw.Draw(sheet).text((20, 20), _TEXT, fill=255, font=ImageFont.load_default(100))
    # The font's own box has margins, so the ink is looked for.
    drawn = sheet.crop(sheet.point(lambda grey: 255 if grey > 127 else 0).getbbox())
    columns = max(1, round(drawn.width / drawn.height * rows_if_square))
    return np.asarray(drawn.resize((columns, rows), Image.Resampling.BILINEAR), dtype=np.float32) / np.float32(255)
