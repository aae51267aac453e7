"""PNG, JPEG and TIFF: every depth and mode gives the same picture, and hostile files are turned away."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from agezoo.data.radiograph import read_radiograph
from agezoo.errors import InputError
from radiograph_files import spine_image

EIGHT = spine_image(bits=8).astype(np.uint8)
SIXTEEN = spine_image(bits=16)
ON_TRUST = "a picture has no header: that it shows a lateral spine, with bone bright, is taken on trust"


def expected(image):
    return (image - image.min()).astype(np.float32)


def saved(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "TIFF"])
@pytest.mark.parametrize("pixels", [EIGHT, SIXTEEN], ids=["8 bit", "16 bit"])
def test_grey_files_keep_every_value(tmp_path, pixels, suffix):
    radiograph = read_radiograph(saved(tmp_path / f"a.{suffix}", Image.fromarray(pixels)))
    np.testing.assert_array_equal(radiograph.pixels, expected(pixels))
    assert radiograph.spacing_mm is None
    assert radiograph.kind == "radiograph"
    assert radiograph.facts.notes == (ON_TRUST,)
    assert radiograph.facts.modality == ""


def test_jpeg_is_read_and_the_kind_may_be_given(tmp_path):
    radiograph = read_radiograph(saved(tmp_path / "a.jpg", Image.fromarray(EIGHT), quality=95), kind="vfa")
    assert np.abs(radiograph.pixels - expected(EIGHT)).mean() < 3
    assert radiograph.kind == "vfa"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_colour_palette_and_alpha_of_a_grey_picture_change_nothing(tmp_path, mode):
    image = Image.fromarray(EIGHT)
    if mode == "P":
        image = Image.fromarray(255 - EIGHT, "L")
        image.putpalette([255 - level for level in range(256) for _ in range(3)])
        assert image.mode == "P"
    else:
        image = image.convert(mode)
    np.testing.assert_array_equal(read_radiograph(saved(tmp_path / "a.png", image)).pixels, expected(EIGHT))


def test_transparent_pixels_hold_no_picture(tmp_path):
    image = Image.fromarray(EIGHT).convert("LA")
    alpha = np.full(EIGHT.shape, 255, np.uint8)
    alpha[:, :20] = 0
    image.putalpha(Image.fromarray(alpha))
    radiograph = read_radiograph(saved(tmp_path / "a.png", image))
    assert radiograph.area == (0, 20, 240, 160)
    np.testing.assert_array_equal(radiograph.pixels, expected(EIGHT[:, 20:]))


def test_a_picture_is_turned_upright_as_its_exif_entry_asks(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(np.rot90(EIGHT))
    radiograph = read_radiograph(saved(tmp_path / "a.png", lying, exif=exif))
    np.testing.assert_array_equal(radiograph.pixels, expected(EIGHT))
    assert radiograph.stored_shape == EIGHT.shape


def test_sides_brighter_than_the_middle_are_noted_and_nothing_is_turned(tmp_path):
    radiograph = read_radiograph(saved(tmp_path / "a.png", Image.fromarray(255 - EIGHT)))
    assert radiograph.facts.notes == (
        ON_TRUST,
        "both sides are brighter than the middle: bone may be dark in this image; look at it",
    )
    np.testing.assert_array_equal(radiograph.pixels, expected(255 - EIGHT))


def test_a_colour_photograph_is_refused(tmp_path):
    colours = np.dstack([EIGHT, EIGHT[::-1], EIGHT[:, ::-1]])
    with pytest.raises(InputError, match=r"a\.png: is a picture in colour; found: \d+% of its pixels are coloured"):
        read_radiograph(saved(tmp_path / "a.png", Image.fromarray(colours)))


def test_pixels_that_are_no_numbers_are_refused(tmp_path):
    pixels = spine_image().astype(np.float32)
    np.testing.assert_array_equal(
        read_radiograph(saved(tmp_path / "whole.tif", Image.fromarray(pixels))).pixels, expected(pixels)
    )
    pixels[3, 4] = np.nan
    with pytest.raises(InputError, match=r"pixels that are no numbers; found: 1 of 43200"):
        read_radiograph(saved(tmp_path / "a.tif", Image.fromarray(pixels)))


def test_several_pictures_in_one_file_are_refused(tmp_path):
    pages = [Image.fromarray(EIGHT), Image.fromarray(EIGHT[::-1])]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"holds more than one picture; found: 2 pictures; expected: one"):
        read_radiograph(tmp_path / "a.tif")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_picture_that_unpacks_to_far_more_than_any_radiograph_is_refused_unopened(tmp_path, side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(InputError, match=r"bomb\.png: is larger than any radiograph.*at most 100 million pixels"):
        read_radiograph(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_picture_that_is_cut_off_is_refused(tmp_path, suffix):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(EIGHT))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cannot be decoded.*cut off|is no picture"):
        read_radiograph(path)


@pytest.mark.parametrize("content", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF89a" + b"\0" * 40, b"<svg/>"])
def test_other_files_with_a_pictures_name_are_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match="is no picture that can be read"):
        read_radiograph(tmp_path / "a.png")
