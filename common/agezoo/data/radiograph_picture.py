"""Radiographs in PNG, JPEG and TIFF, for those who have nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from agezoo.data.radiograph_colour import grey_of_colour
from agezoo.data.radiograph_grey import GreyImage
from agezoo.data.radiograph_header import MAX_PIXELS
from agezoo.errors import InputError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# Named, so that a file with a picture's name never reaches the parsers of other formats.
_FORMATS = ("PNG", "JPEG", "TIFF")
_ON_TRUST = "a picture has no header: that it shows a lateral spine, with bone bright, is taken on trust"


def is_picture(path: Path) -> bool:
    """Whether a file's name says PNG, JPEG or TIFF."""
    return path.name.lower().endswith(PICTURE_SUFFIXES)


def check_picture(path: Path, *, source: str) -> None:
    """Refuse what cannot be one grey picture, from the file's header alone; see :func:`read_picture`."""
    with _opened(path, source):
        pass


def read_picture(path: Path, *, source: str) -> GreyImage:
    """A picture's grey values, turned upright as its EXIF entry asks.

    8 and 16 bit, with palette or transparency; transparent pixels hold no picture. Colour pictures that are grey in
    truth become grey.

    Raises
    ------
    InputError
        If the file is no such picture, is cut off, in colour, holds several pictures or more pixels than any
        radiograph has.
    """
    with _opened(path, source) as image:
        try:
            with warnings.catch_warnings():
                # Pillow warns of damaged EXIF entries, which lose nothing but the turn.
                warnings.simplefilter("ignore")
                return _grey(ImageOps.exif_transpose(image), source)
        except InputError:
            raise
        except Exception as error:  # decoders raise kinds of their own on damaged files
            raise InputError(
                "the picture cannot be decoded",
                source=source,
                found=f"a damaged or cut off {image.format} file",
                remedy="copy or export the file again",
            ) from error


def _opened(path: Path, source: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # The size is judged below, by what radiographs have.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(source, "far more than pillow opens") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InputError(
            "is no picture that can be read",
            source=source,
            expected="an undamaged PNG, JPEG or TIFF file",
            remedy="copy or export the file again",
        ) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _too_large(source, f"{image.height} x {image.width} pixels")
    n_frames = getattr(image, "n_frames", 1)
    if n_frames > 1:
        image.close()
        raise InputError(
            "holds more than one picture",
            source=source,
            found=f"{n_frames} pictures",
            expected="one",
            remedy="save the lateral image on its own",
        )
    return image


def _too_large(source: str, found: str) -> InputError:
    return InputError(
        "is larger than any radiograph",
        source=source,
        found=found,
        expected=f"at most {MAX_PIXELS // 1_000_000} million pixels",
    )


def _grey(image: Image.Image, source: str) -> GreyImage:
    notes: tuple[str, ...] = ()
    outside = None
    if image.mode in ("PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        transparent = np.asarray(image.getchannel("A")) < 128
        outside = transparent if transparent.any() and not transparent.all() else None
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode == "L" or image.mode == "F" or image.mode.startswith("I"):
        pixels = np.asarray(image).astype(np.float32)
    else:
        pixels, notes = grey_of_colour(np.asarray(image.convert("RGB")), source=source)
    return GreyImage(pixels, outside, (_ON_TRUST, *notes))
