"""Stored DICOM pixels to Hounsfield units, for every transfer syntax that pydicom or GDCM decodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.pixels import pixel_array

from agezoo.data.dicom_elements import quiet_pydicom
from agezoo.data.dicom_headers import EXPLICIT_BIG_ENDIAN, PixelFormat, SliceHeader
from agezoo.errors import InputError

AIR_HU = -1024
# Rescaled padding values inside this range could be tissue, so they are left as they are.
_TISSUE_HU = (-1000.0, 4000.0)
_INT16 = np.iinfo(np.int16)
# Plain files are copied by the operating system while Python's lock is free; more threads gain nothing.
_N_THREADS = 2


class _DoesNotFitInt16(Exception):
    pass


def open_file(header: SliceHeader) -> BinaryIO:
    """The file that holds a slice."""
    return header.path.open("rb")


def read_stack(
    headers: Sequence[SliceHeader],
    *,
    names: Sequence[str],
    empty: int = AIR_HU,
    open_stream: Callable[[SliceHeader], BinaryIO] = open_file,
) -> np.ndarray:
    """Rescaled pixels of slices that share one matrix size.

    Slices without rescale values are taken as they are stored; for CT the series check has refused them before.

    Parameters
    ----------
    headers
        Slices in the wanted order.
    names
        What to call each slice's file in an error.
    empty
        What pixels without data (those that hold the padding value) become.
    open_stream
        Gives the file of a slice, from its beginning, able to seek; several threads call it.

    Returns
    -------
    numpy.ndarray
        Shape (slices, rows, columns). int16 where every value is a whole number that fits, else float32. Nothing
        is clipped.

    Raises
    ------
    InputError
        If a file is cut off, or its pixels cannot be decoded.
    """
    is_whole = all(_is_whole(header.pixels.slope) and _is_whole(header.pixels.intercept) for header in headers)
    with quiet_pydicom():
        if is_whole:
            try:
                return _read(headers, names, np.dtype(np.int16), empty, open_stream)
            except _DoesNotFitInt16:
                pass
        return _read(headers, names, np.dtype(np.float32), empty, open_stream)


def _is_whole(number: float | None) -> bool:
    return number is None or float(number).is_integer()


def _read(
    headers: Sequence[SliceHeader],
    names: Sequence[str],
    dtype: np.dtype,
    empty: int,
    open_stream: Callable[[SliceHeader], BinaryIO],
) -> np.ndarray:
    pixels = headers[0].pixels
    stack = np.empty((len(headers), pixels.rows, pixels.columns), dtype)
    decoder = _Decoder(open_stream)

    def fill(index: int) -> None:
        header = headers[index]
        target = stack[index]
        if dtype == np.int16 and _can_read_in_place(header.pixels):
            with open_stream(header) as stream:
                _read_in_place(stream, header, target, names[index])
            stored = target if header.pixels.is_signed else target.view(np.uint16)
        else:
            stored = decoder.stored_values(header, names[index])
        _rescale(stored, header.pixels, target, empty)

    if all(header.pixels.data_offset is not None for header in headers):
        with ThreadPoolExecutor(_N_THREADS) as pool:
            list(pool.map(fill, range(len(headers))))
    else:
        for index in range(len(headers)):
            fill(index)
    return stack


def _can_read_in_place(pixels: PixelFormat) -> bool:
    return (
        pixels.data_offset is not None
        and pixels.bits_allocated == 16
        and pixels.samples == 1
        and pixels.transfer_syntax != EXPLICIT_BIG_ENDIAN
        and np.little_endian
    )


def _read_in_place(stream: BinaryIO, header: SliceHeader, target: np.ndarray, name: str) -> None:
    stream.seek(header.pixels.data_offset or 0)
    if stream.readinto(target.reshape(-1).view(np.uint8)) != target.nbytes:  # type: ignore[attr-defined]
        raise _cut_off(name)
    _drop_unused_bits(target if header.pixels.is_signed else target.view(np.uint16), header.pixels, name)


def _drop_unused_bits(stored: np.ndarray, pixels: PixelFormat, name: str) -> None:
    """Move the stored bits to the low end in place and extend the sign; old files keep overlays in the other bits."""
    unused_above = pixels.bits_allocated - 1 - pixels.high_bit
    unused_below = pixels.high_bit + 1 - pixels.bits_stored
    if unused_above < 0 or unused_below < 0 or pixels.bits_stored < 1:
        raise InputError(
            "the header does not say which bits hold the pixels",
            source=name,
            found=f"BitsAllocated {pixels.bits_allocated}, BitsStored {pixels.bits_stored}, HighBit {pixels.high_bit}",
            remedy="copy or export the file again",
        )
    if unused_above or unused_below:
        np.left_shift(stored, unused_above, out=stored)
        np.right_shift(stored, unused_above + unused_below, out=stored)


def _rescale(stored: np.ndarray, pixels: PixelFormat, target: np.ndarray, empty: int) -> None:
    """Write ``stored * slope + intercept`` to ``target``, which may be the same memory."""
    slope, intercept = _rescale_values(pixels)
    lowest, highest = int(stored.min()), int(stored.max())
    padded = None
    if _marks_padding(pixels) and lowest <= pixels.padding <= highest:  # type: ignore[operator]
        padded = stored == pixels.padding
        kept = stored[~padded]
        lowest, highest = (int(kept.min()), int(kept.max())) if kept.size else (0, 0)
    if target.dtype == np.int16:
        bounds = sorted((lowest * slope + intercept, highest * slope + intercept))
        if bounds[0] < _INT16.min or bounds[1] > _INT16.max:
            raise _DoesNotFitInt16
        if slope == 1 and stored.dtype.itemsize == 2:
            # A sum that wraps around on the way is right in the end, because the result fits.
            np.add(stored.view(np.uint16), np.uint16(int(intercept) % (1 << 16)), out=target.view(np.uint16))
        else:
            np.copyto(target, stored.astype(np.int64) * int(slope) + int(intercept), casting="unsafe")
    else:
        np.multiply(stored, np.float32(slope), out=target, casting="unsafe")
        target += np.float32(intercept)
    if padded is not None:
        target[padded] = empty


def _rescale_values(pixels: PixelFormat) -> tuple[float, float]:
    return 1.0 if pixels.slope is None else pixels.slope, 0.0 if pixels.intercept is None else pixels.intercept


def _marks_padding(pixels: PixelFormat) -> bool:
    if pixels.padding is None:
        return False
    slope, intercept = _rescale_values(pixels)
    rescaled = pixels.padding * slope + intercept
    return not _TISSUE_HU[0] <= rescaled <= _TISSUE_HU[1]


class _Decoder:
    """Stored values of slices that cannot be copied straight from the file.

    Keeps the last multi-frame file open, because its frames are asked for one after the other.
    """

    def __init__(self, open_stream: Callable[[SliceHeader], BinaryIO]) -> None:
        self._open_stream = open_stream
        self._path: Path | None = None
        self._dataset: Dataset | None = None

    def stored_values(self, header: SliceHeader, name: str) -> np.ndarray:
        """Shape (rows, columns), in a whole-number type of native byte order."""
        pixels = header.pixels
        is_plain = pixels.data_offset is not None
        if is_plain:
            with self._open_stream(header) as stream:
                stored = _native_values(stream, header, name)
        else:
            stored = self._decoded(header, name)
        if stored.shape != (pixels.rows, pixels.columns):
            raise InputError(
                "the decoded image has another size than its header says",
                source=name,
                found=" x ".join(map(str, stored.shape)),
                expected=f"{pixels.rows} x {pixels.columns}",
                remedy="export the series again",
            )
        return stored

    def _decoded(self, header: SliceHeader, name: str) -> np.ndarray:
        if self._path != header.path or self._dataset is None:
            try:
                with self._open_stream(header) as stream:
                    self._dataset, self._path = dcmread(stream, force=True), header.path
            except (EOFError, ValueError, OSError, NotImplementedError) as error:
                raise _cut_off(name) from error
        if "PixelData" not in self._dataset:
            raise _cut_off(name)
        try:
            return pixel_array(self._dataset, index=header.frame)
        except Exception as error:  # every decoder plugin raises kinds of its own; GDCM has the last word
            return _decode_with_gdcm(header, name, error)


def _native_values(stream: BinaryIO, header: SliceHeader, name: str) -> np.ndarray:
    pixels = header.pixels
    kind = "i" if pixels.is_signed else "u"
    order = ">" if pixels.transfer_syntax == EXPLICIT_BIG_ENDIAN else "<"
    stored_type = np.dtype(f"{order}{kind}{pixels.bits_allocated // 8}")
    stream.seek(pixels.data_offset or 0)
    data = stream.read(pixels.frame_bytes)
    if len(data) != pixels.frame_bytes:
        raise _cut_off(name)
    stored = np.frombuffer(data, stored_type).reshape(pixels.rows, pixels.columns)
    stored = stored.astype(stored_type.newbyteorder("="))
    _drop_unused_bits(stored, pixels, name)
    return stored


def _decode_with_gdcm(header: SliceHeader, name: str, earlier: Exception) -> np.ndarray:
    """GDCM's own reader: it knows 12-bit JPEG and the retired progressive JPEG syntaxes, which pydicom refuses."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(header.path))
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    if not reader.Read():
        raise _undecodable(header, name) from earlier
    image = reader.GetImage()
    pixel_type = image.GetPixelFormat()
    try:
        # The binding hands bytes over as text with undecodable bytes escaped, or None where decoding failed.
        data = image.GetBuffer().encode("utf-8", "surrogateescape")
    except (AttributeError, UnicodeError) as error:
        raise _undecodable(header, name) from error
    kind = "i" if pixel_type.GetPixelRepresentation() else "u"
    stored = np.frombuffer(data, np.dtype(f"{kind}{pixel_type.GetBitsAllocated() // 8}"))
    frame_size = header.pixels.rows * header.pixels.columns
    if stored.size < (header.frame + 1) * frame_size:
        raise _undecodable(header, name) from earlier
    frame = stored[header.frame * frame_size : (header.frame + 1) * frame_size]
    return frame.reshape(header.pixels.rows, header.pixels.columns)


def _cut_off(name: str) -> InputError:
    return InputError(
        "the file is cut off: its pixel data is incomplete",
        source=name,
        remedy="copy or export the file again",
    )


def _undecodable(header: SliceHeader, name: str) -> InputError:
    return InputError(
        "the pixels cannot be decoded",
        source=name,
        found=f"transfer syntax {header.pixels.transfer_syntax}",
        expected="a transfer syntax that pydicom or GDCM decodes, and an undamaged file",
        remedy="export the series again, or decompress it (for example with gdcmconv --raw)",
    )
