"""The forms in which a radiograph is stored: bit depth, polarity, look-up table, window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agezoo.phantoms.spine_layer import Picture


@dataclass(frozen=True)
class Storage:
    """How a picture becomes stored values.

    Attributes
    ----------
    kind
        ``"cr_10_bit"``: MONOCHROME1 with a window; ``"dx_12_bit"``: MONOCHROME2 with a window; ``"dx_lut"``:
        MONOCHROME2, 14 bit, with a VOI LUT sequence; ``"dx_inverted"``: MONOCHROME1, 16 bit allocated and stored, with
        a window; ``"cr_8_bit"``: MONOCHROME2, 8 bit; ``"secondary_capture"``: MONOCHROME2, 8 bit, no window.
    gamma
        Of the display curve; above 1 is darker.
    compressed
        RLE lossless instead of no compression.
    spacing
        0: PixelSpacing and ImagerPixelSpacing, 1: ImagerPixelSpacing alone, 2: PixelSpacing alone.
    """

    kind: str
    gamma: float
    compressed: bool
    spacing: int


@dataclass(frozen=True)
class StoredPixels:
    """Values of the file and what its header says of them.

    Attributes
    ----------
    values
        uint8 or uint16, shape (rows, columns).
    bits_stored
        Bits in use.
    inverted
        MONOCHROME1: the highest value is black.
    window
        Centre and width, or None.
    lut
        Entries of the VOI LUT for the stored values from 0, or None; its bits are `lut_bits`.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    bits_stored: int
    inverted: bool
    window: tuple[float, float] | None = None
    lut: NDArray[np.uint16] | None = None
    lut_bits: int = 12


_BITS = {"cr_10_bit": 10, "dx_12_bit": 12, "dx_lut": 14, "dx_inverted": 16, "cr_8_bit": 8, "secondary_capture": 8}


def store_picture(picture: Picture, storage: Storage) -> StoredPixels:
    """Quantise a picture (0 black to 1 white, bone bright).

    Parameters
    ----------
    picture
        Shape (rows, columns).
    storage
        The form.
    """
    bits = _BITS[storage.kind]
    top = 2**bits - 1
    kind = np.uint8 if bits <= 8 else np.uint16
    if storage.kind == "dx_lut":
        # The detector's values stay linear and use the middle of the range; the table holds the display curve.
        low, high = 0.125 * top, 0.875 * top
        values = np.round(low + picture * (high - low)).astype(kind)
        shown = np.clip((np.arange(top + 1) - low) / (high - low), 0.0, 1.0) ** storage.gamma
        return StoredPixels(values, bits, False, lut=np.round(4095 * shown).astype(np.uint16))
    shown = picture ** np.float32(storage.gamma)
    if storage.kind == "secondary_capture":
        return StoredPixels(np.round(top * shown).astype(kind), bits, False)
    inverted = storage.kind in ("cr_10_bit", "dx_inverted")
    # The window leaves out the ends of the range that the detector never reaches.
    margin = 0.03 * top
    values = np.round(margin + (1.0 - shown if inverted else shown) * (top - 2 * margin)).astype(kind)
    return StoredPixels(values, bits, inverted, window=(round(top / 2.0 + 0.5, 1), round(top - 2 * margin + 1.0, 1)))
