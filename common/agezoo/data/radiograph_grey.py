"""Stored DICOM pixels of a projection image to grey values as the sender meant them to be seen.

The steps of DICOM's grey scale pipeline (PS3.4 N.2): stored values, Modality LUT (rescale or table), VOI LUT (table, or
the first window), and last the direction: in MONOCHROME1 the lowest value is the brightest. The result grows with
brightness, so that bone is bright in every radiograph that is displayed in the usual way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.pixels import apply_color_lut, apply_windowing, pixel_array
from scipy.ndimage import label

from agezoo.data.dicom_elements import number_of, quiet_pydicom, text_of, texts_of
from agezoo.data.dicom_headers import PixelFormat
from agezoo.data.dicom_pixels import read_stack
from agezoo.data.radiograph_colour import grey_of_colour
from agezoo.data.radiograph_header import RadiographHeader
from agezoo.errors import InputError

_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
# Below this share of pixels between black and white a window shows no picture.
_LEAST_SHOWN = 0.05
# A padding value further from the other values than this share of their range stands for nothing else.
_CLEARLY_OUTSIDE = 0.1


@dataclass(frozen=True)
class GreyImage:
    """A whole image as stored, before anything is cut away.

    Parameters
    ----------
    pixels
        (rows, columns), float32, growing with brightness.
    outside
        Where there is no picture (padding, transparency); None where everything is one.
    notes
        Repairs and choices, in words for the user.
    """

    pixels: np.ndarray
    outside: np.ndarray | None
    notes: tuple[str, ...]


def grey_image(header: RadiographHeader, *, source: str) -> GreyImage:
    """Decode an image and take it through the grey scale pipeline.

    Raises
    ------
    InputError
        If the pixels cannot be decoded, are cut off, or are in colour.
    """
    pixels = header.image.pixels
    with quiet_pydicom():
        if pixels.samples != 1 or pixels.photometric not in (*_MONOCHROME, ""):
            grey, note = grey_of_colour(_colours(header, source), source=source)
            return GreyImage(grey, None, note)
        notes: list[str] = []
        stored = _stored_values(header, source)
        outside = _padding(stored, header)
        values = _window(_rescaled(stored, header.dataset, notes), outside, header, notes)
        return GreyImage(_brightness(values, header, notes), outside, tuple(notes))


def _stored_values(header: RadiographHeader, source: str) -> np.ndarray:
    """Whole numbers as stored, (rows, columns)."""
    pixels = header.image.pixels
    # Unsigned 16 bits are shifted into the range of int16, in which the decoder needs one pass only.
    shift = 0 if pixels.is_signed or pixels.bits_stored < 16 else -(1 << 15)
    plain = replace(pixels, slope=1.0, intercept=float(shift), padding=None)
    stored = read_stack([replace(header.image, pixels=plain)], names=[source])[0]
    return stored.astype(np.int32) - shift


def _padding(stored: np.ndarray, header: RadiographHeader) -> np.ndarray | None:
    """Pixels with PixelPaddingValue, or between it and PixelPaddingRangeLimit."""
    first = header.image.pixels.padding
    if first is None:
        return None
    limit = header.dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((first, limit if isinstance(limit, int) else first))
    padded = (stored >= low) & (stored <= high)
    # An image of nothing but padding is left to the check for blank images.
    if not padded.any() or padded.all():
        return None
    darkest, brightest = int(stored[~padded].min()), int(stored[~padded].max())
    margin = _CLEARLY_OUTSIDE * (brightest - darkest)
    if high < darkest - margin or low > brightest + margin:
        return padded
    # The mark is a grey value that tissue or metal may have as well: it counts where it reaches the image's edge.
    parts, _ = label(padded)
    at_edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    joined = np.isin(parts, at_edge[at_edge > 0])
    return joined if joined.any() else None


def _rescaled(stored: np.ndarray, dataset: Dataset, notes: list[str]) -> np.ndarray:
    tables = dataset.get("ModalityLUTSequence")
    if tables:
        mapped = _through_table(stored, tables[0])
        if mapped is None:
            notes.append("the Modality LUT is damaged and was not used")
        return stored if mapped is None else mapped
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    if slope is None and intercept is None:
        return stored
    if slope == 0:
        notes.append("RescaleSlope 0 is impossible and was not used")
        slope = 1.0
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if slope == 1.0 and intercept.is_integer():
        return stored + int(intercept)
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _through_table(values: np.ndarray, item: Dataset) -> np.ndarray | None:
    """Values through a lookup table of DICOM (PS3.3 C.11.1.1); None if the table cannot be read.

    pydicom's own function wraps values above 255 where the table's entries have 8 bits, and accepts no 12-bit table.
    """
    try:
        n_entries, first, bits = (int(float(text)) for text in texts_of(item, "LUTDescriptor"))
        n_entries = n_entries or 1 << 16
        data = item["LUTData"].value
        if isinstance(data, bytes):
            # Entries of 8 bits are packed by some writers and stored as words by others.
            table = np.frombuffer(data, np.uint8 if len(data) < 2 * n_entries else np.dtype("<u2"))
        else:
            table = np.asarray(data, dtype=np.int64)
    except (KeyError, ValueError, TypeError):
        return None
    table = table[:n_entries]
    if len(table) < n_entries or not 1 <= bits <= 16:
        return None
    if first >= 1 << 15 and values.min() < 0:
        first -= 1 << 16
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, n_entries - 1)
    return table.astype(np.int32)[index]


def _window(values: np.ndarray, outside: np.ndarray | None, header: RadiographHeader, notes: list[str]) -> np.ndarray:
    """The first VOI LUT, else the first window; neither where it shows nothing."""
    dataset = header.dataset
    seen = None
    if dataset.get("VOILUTSequence"):
        seen = _through_table(values, dataset.VOILUTSequence[0])
        if seen is None:
            notes.append("the VOI LUT is damaged and was not used")
    if seen is None:
        seen = _through_window(values, dataset, header.image.pixels, notes)
    if seen is None:
        return values
    inside = seen if outside is None else seen[~outside]
    between = (inside > inside.min()) & (inside < inside.max())
    if between.mean() < _LEAST_SHOWN:
        notes.append("the stated window shows next to nothing and was not used")
        return values
    return seen


def _through_window(values: np.ndarray, dataset: Dataset, pixels: PixelFormat, notes: list[str]) -> np.ndarray | None:
    centre, width = (_first_number(dataset, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    function = text_of(dataset, "VOILUTFunction").upper() or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        notes.append("the VOI LUT function is unknown: taken as LINEAR")
        function = "LINEAR"
    if width <= 0 or (function == "LINEAR" and width <= 1):
        notes.append(f"window width {width:g} is impossible: no window was used")
        return None
    # A data set of its own: with the header's rescale slope, a negative one would turn the picture's brightness.
    window = Dataset()
    window.PhotometricInterpretation, window.VOILUTFunction = "MONOCHROME2", function
    window.WindowCenter, window.WindowWidth = repr(centre)[:16], repr(width)[:16]
    window.BitsStored, window.PixelRepresentation = 16, 0
    return apply_windowing(values, window)


def _first_number(dataset: Dataset, keyword: str) -> float | None:
    try:
        number = float(texts_of(dataset, keyword)[0])
    except (IndexError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _brightness(values: np.ndarray, header: RadiographHeader, notes: list[str]) -> np.ndarray:
    """Turn MONOCHROME1 round; PresentationLUTShape must say the same (PS3.3 C.11.6.1.2) and yields where it does not.

    Every image has a PhotometricInterpretation and all viewers follow it; some ignore the shape.
    """
    photometric = header.image.pixels.photometric
    is_inverse = photometric == "MONOCHROME1"
    if not photometric:
        notes.append("no PhotometricInterpretation: taken as MONOCHROME2")
    shape = text_of(header.dataset, "PresentationLUTShape").upper()
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != is_inverse:
        notes.append(f"PresentationLUTShape {shape} contradicts {photometric or 'MONOCHROME2'}, which was followed")
    result = values.astype(np.float32)
    return np.negative(result, out=result) if is_inverse else result


def _colours(header: RadiographHeader, source: str) -> np.ndarray:
    """(rows, columns, 3) of a picture in colour, in RGB."""
    try:
        dataset = dcmread(header.image.path, force=True)
        colours = pixel_array(dataset)
        if header.image.pixels.photometric == "PALETTE COLOR":
            colours = apply_color_lut(colours, dataset)
    except Exception as error:  # every decoder plugin raises kinds of its own
        raise InputError(
            "the pixels cannot be decoded",
            source=source,
            found=f"transfer syntax {header.image.pixels.transfer_syntax}, "
            f"PhotometricInterpretation {header.image.pixels.photometric or 'empty'}",
            expected="an undamaged grey image",
            remedy="export the image again as MONOCHROME2",
        ) from error
    return colours
