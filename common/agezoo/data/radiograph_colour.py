"""Grey radiographs that were stored as colour pictures."""

from __future__ import annotations

import numpy as np

from agezoo.errors import InputError

# JPEG's separate compression of colour lets grey pixels drift apart by this share of the range.
_GREY_SPREAD = 0.06
# Coloured marks and letters on a grey picture stay below this share of its pixels, a report page or a photograph not.
_MOST_COLOUR = 0.05


def grey_of_colour(colours: np.ndarray, *, source: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Brightness of a picture in red, green and blue that is grey in truth.

    Parameters
    ----------
    colours
        (rows, columns, 3 or more); further channels are ignored. Whole numbers.
    source
        What to call the picture in an error.

    Returns
    -------
    (rows, columns) float32, and a note where coloured marks were turned to grey.

    Raises
    ------
    InputError
        If more than one pixel in twenty has a colour.
    """
    if colours.ndim != 3 or colours.shape[2] < 3:
        raise InputError(
            "the picture is neither grey nor in red, green and blue",
            source=source,
            found=" x ".join(map(str, colours.shape)),
            remedy="export the image again in grey",
        )
    red, green, blue = (colours[..., channel].astype(np.float32) for channel in range(3))
    full_range = float(np.iinfo(colours.dtype).max)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    share = float((spread > _GREY_SPREAD * full_range).mean())
    if share > _MOST_COLOUR:
        raise InputError(
            "is a picture in colour",
            source=source,
            found=f"{share:.0%} of its pixels are coloured",
            expected="a grey radiograph",
            remedy="export the radiograph itself, not a report page or photograph",
        )
    grey = (red + green + blue) / np.float32(3)
    return grey, (f"coloured marks on {share:.1%} of the picture",) if share > 0 else ()
