"""Stored pixels of every kind become the same picture: bone bright, 0 at the darkest pixel."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from agezoo.data.radiograph import read_radiograph
from agezoo.errors import InputError
from radiograph_files import lookup_table, radiograph_dataset, spine_image, write_radiograph

IMAGE = spine_image()
EXPECTED = (IMAGE - IMAGE.min()).astype(np.float32)


def read(path, pixels=None, **header):
    return read_radiograph(write_radiograph(path / "image.dcm", pixels, **header))


def test_pixels_are_as_stored_with_the_darkest_at_zero(tmp_path):
    radiograph = read(tmp_path, IMAGE)
    assert radiograph.pixels.dtype == np.float32
    np.testing.assert_array_equal(radiograph.pixels, EXPECTED)
    assert radiograph.area == (0, 0, 240, 180)
    assert radiograph.stored_shape == (240, 180)
    assert radiograph.facts.notes == ()


@pytest.mark.parametrize(
    "voi",
    [
        {},
        {"WindowCenter": 2000, "WindowWidth": 2500},
        {"WindowCenter": 2000, "WindowWidth": 2500, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 2000, "WindowWidth": 2500, "VOILUTFunction": "SIGMOID"},
        {"RescaleSlope": 0.5, "RescaleIntercept": 10},
    ],
    ids=str,
)
def test_the_same_image_in_both_photometric_kinds_gives_the_same_pixels(tmp_path, voi):
    """MONOCHROME1 stores bone low; the window's centre is mirrored with it (LINEAR lies half a step aside)."""
    bright = read(tmp_path, IMAGE, **voi)
    mirrored = dict(voi)
    if "WindowCenter" in voi:
        is_exact = "VOILUTFunction" in voi
        mirrored["WindowCenter"] = 4095 - voi["WindowCenter"] + (0 if is_exact else 1)
    inverse = read(tmp_path, 4095 - IMAGE, PhotometricInterpretation="MONOCHROME1", **mirrored)
    np.testing.assert_allclose(inverse.pixels, bright.pixels, atol=0.02)
    assert bright.pixels.flat[IMAGE.argmax()] == bright.pixels.max()
    assert inverse.facts.notes == ()


@pytest.mark.parametrize(("reader", "correlation"), [("ITKReader", 1.0), ("PydicomReader", -1.0)])
def test_monais_two_readers_disagree_about_monochrome1_and_this_one_has_bone_bright(tmp_path, reader, correlation):
    """The reason for a door of one's own: ITK turns MONOCHROME1 round, MONAI's PydicomReader does not."""
    import monai.data

    if reader == "ITKReader":
        pytest.importorskip("itk")
    path = write_radiograph(tmp_path / "inverse.dcm", 4095 - IMAGE, PhotometricInterpretation="MONOCHROME1")
    one = getattr(monai.data, reader)()
    data = np.squeeze(np.asarray(one.get_data(one.read(str(path)))[0])).T
    assert np.corrcoef(data.ravel().astype(float), IMAGE.ravel())[0, 1] == pytest.approx(correlation)
    np.testing.assert_array_equal(read_radiograph(path).pixels, EXPECTED)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 15, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_bit_depths_and_signs_keep_every_value(tmp_path, bits, signed):
    image = spine_image(bits=bits)
    stored = image.astype(np.int32) - (1 << (bits - 1)) if signed else image
    np.testing.assert_array_equal(read(tmp_path, stored, bits=bits).pixels, (image - image.min()).astype(np.float32))


def test_overlays_in_unused_bits_are_no_brightness(tmp_path):
    overlay = IMAGE | (np.indices(IMAGE.shape).sum(axis=0) % 2 << 15).astype(np.uint16)
    np.testing.assert_array_equal(read(tmp_path, overlay).pixels, EXPECTED)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless],
)
@pytest.mark.parametrize("bits", [8, 16])
def test_transfer_syntaxes_give_the_same_pixels(tmp_path, syntax, bits):
    image = spine_image(bits=bits)
    compressed = syntax in (RLELossless, JPEG2000Lossless)
    ds = radiograph_dataset(image, bits=bits, **({} if compressed else {"syntax": syntax}))
    if compressed:
        ds.compress(syntax)
    ds.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    radiograph = read_radiograph(tmp_path / "image.dcm")
    np.testing.assert_array_equal(radiograph.pixels, (image - image.min()).astype(np.float32))


def test_rescale_is_applied_before_the_window(tmp_path):
    """Stored v means 2 v - 1000; a window from 1000 to 3000 then spans stored 1000 to 2000."""
    values = read(
        tmp_path, IMAGE, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=2000, WindowWidth=2000,
        VOILUTFunction="LINEAR_EXACT",
    ).pixels  # fmt: skip
    expected = np.clip((IMAGE.astype(float) - 1000) / 1000, 0, 1)
    np.testing.assert_allclose(values / values.max(), expected, atol=1e-5)


def test_a_negative_rescale_slope_turns_the_brightness_and_the_window_does_not_turn_it_again(tmp_path):
    window = {"WindowCenter": -2048, "WindowWidth": 4096}
    values = read(tmp_path, 4095 - IMAGE, RescaleSlope=-1, RescaleIntercept=0, **window).pixels
    assert np.corrcoef(values.ravel(), IMAGE.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_modality_lookup_table_replaces_rescale(tmp_path, vr, bits):
    table = np.linspace(0, 1, 4096) ** 2 * (2**bits - 1)
    tables = lookup_table(np.rint(table), bits=bits, vr=vr)
    values = read(tmp_path, IMAGE, ModalityLUTSequence=tables).pixels
    expected = np.rint(table)[IMAGE]
    np.testing.assert_array_equal(values, expected - expected.min())


def test_a_lookup_table_that_starts_above_the_lowest_value_and_ends_early_is_held_at_its_ends(tmp_path):
    tables = lookup_table(np.arange(1500) * 10, first=1000)
    values = read(tmp_path, IMAGE, ModalityLUTSequence=tables).pixels
    expected = np.clip(IMAGE.astype(int) - 1000, 0, 1499) * 10
    np.testing.assert_array_equal(values, expected - expected.min())


def test_a_table_for_signed_values_may_start_below_zero(tmp_path):
    stored = IMAGE.astype(np.int32) - 2048
    tables = lookup_table(np.arange(4096) // 2, first=-2048)
    np.testing.assert_array_equal(read(tmp_path, stored, VOILUTSequence=tables).pixels, IMAGE // 2 - IMAGE.min() // 2)


@pytest.mark.parametrize("vr", ["US", "OW", "bytes"])
def test_a_voi_table_of_12_bits_in_and_8_out_wraps_nowhere(tmp_path, vr):
    """pydicom's own function counts in the table's output type, in which index 256 is 0 again."""
    table = np.arange(4096) // 16
    values = read(tmp_path, IMAGE, VOILUTSequence=lookup_table(table, bits=8, vr=vr)).pixels
    np.testing.assert_array_equal(values, table[IMAGE] - table[IMAGE].min())


def test_a_voi_table_comes_before_a_window_and_the_first_of_several_windows_counts(tmp_path):
    table = lookup_table(np.arange(4096) // 2)
    window = {"WindowCenter": [2000, 100], "WindowWidth": [1000, 50], "VOILUTFunction": "LINEAR_EXACT"}
    np.testing.assert_array_equal(
        read(tmp_path, IMAGE, VOILUTSequence=table, **window).pixels, IMAGE // 2 - IMAGE.min() // 2
    )
    values = read(tmp_path, IMAGE, **window).pixels
    np.testing.assert_allclose(values / values.max(), np.clip((IMAGE.astype(float) - 1500) / 1000, 0, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ({"WindowCenter": 2000, "WindowWidth": 0}, "window width 0 is impossible"),
        ({"WindowCenter": 60000, "WindowWidth": 100}, "window shows next to nothing"),
        ({"ModalityLUTSequence": lookup_table(np.arange(4096), bits=99)}, "Modality LUT is damaged"),
        ({"VOILUTSequence": lookup_table(np.arange(4096), bits=99)}, "VOI LUT is damaged"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "RescaleSlope 0 is impossible"),
        ({"PresentationLUTShape": "INVERSE"}, "PresentationLUTShape INVERSE contradicts MONOCHROME2"),
        ({"PresentationLUTShape": "IDENTITY"}, ""),
        ({"PhotometricInterpretation": ""}, "no PhotometricInterpretation"),
    ],
)
def test_impossible_statements_are_not_followed_and_noted(tmp_path, header, note):
    radiograph = read(tmp_path, IMAGE, **header)
    np.testing.assert_array_equal(radiograph.pixels, EXPECTED)
    assert note in "; ".join(radiograph.facts.notes)
    assert bool(note) == bool(radiograph.facts.notes)


def test_an_unknown_voi_function_is_taken_as_linear_with_a_note(tmp_path):
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    odd = read(tmp_path, IMAGE, VOILUTFunction="CURVED", **window)
    np.testing.assert_array_equal(odd.pixels, read(tmp_path, IMAGE, **window).pixels)
    assert odd.facts.notes == ("the VOI LUT function is unknown: taken as LINEAR",)


def test_presentation_shape_inverse_agrees_with_monochrome1(tmp_path):
    header = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    radiograph = read(tmp_path, 4095 - IMAGE, **header)
    np.testing.assert_array_equal(radiograph.pixels, EXPECTED)
    assert radiograph.facts.notes == ()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_as_dark_as_the_darkest_pixel_in_both_photometric_kinds(tmp_path, photometric):
    """The mark's value lies far outside the picture's; taken as brightness it would squeeze all else together."""
    stored = IMAGE if photometric == "MONOCHROME2" else 4095 - IMAGE
    stored = stored.astype(np.uint16).copy()
    hole = (slice(100, 120), slice(60, 90))
    stored[hole] = 65535
    values = read(tmp_path, stored, bits=16, PixelPaddingValue=65535, PhotometricInterpretation=photometric).pixels
    expected = IMAGE.astype(np.float32)
    outside = np.zeros(IMAGE.shape, bool)
    outside[hole] = True
    expected -= expected[~outside].min()
    expected[hole] = 0
    np.testing.assert_array_equal(values, expected)


def test_a_padding_value_that_saturated_metal_also_has_counts_at_the_edge_alone(tmp_path):
    """In MONOCHROME1 the value 0 is the brightest; turned dark it would punch a hole into the metal."""
    stored = np.maximum(4095 - IMAGE, 1)
    stored[:, :25] = 0
    stored[100:120, 60:90] = 0
    radiograph = read(tmp_path, stored, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    assert radiograph.area == (0, 25, 240, 155)
    assert (radiograph.pixels[100:120, 35:65] == radiograph.pixels.max()).all()


def test_a_range_of_padding_values_ends_at_its_limit(tmp_path):
    stored = IMAGE.copy()
    stored[:30] = np.arange(180) % 3 + 4090
    radiograph = read(tmp_path, np.minimum(stored, 4095), PixelPaddingValue=4090, PixelPaddingRangeLimit=4092)
    assert radiograph.area[:2] == (30, 0)


@pytest.mark.parametrize("layout", ["RGB", "YBR_FULL", "PALETTE COLOR"])
def test_a_grey_secondary_capture_in_colour_is_grey(tmp_path, layout):
    image = spine_image(bits=8).astype(np.uint8)
    if layout == "PALETTE COLOR":
        ds = radiograph_dataset(255 - image, bits=8, PhotometricInterpretation=layout)
        for colour in ("Red", "Green", "Blue"):
            setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
            setattr(ds, f"{colour}PaletteColorLookupTableData", np.arange(255, -1, -1, dtype=np.uint8).tobytes())
    elif layout == "RGB":
        ds = radiograph_dataset(np.repeat(image[..., None], 3, axis=2), bits=8)
    else:
        neutral = np.full_like(image, 128)
        ds = radiograph_dataset(np.dstack([image, neutral, neutral]), bits=8, PhotometricInterpretation=layout)
    ds.save_as(tmp_path / "capture.dcm", enforce_file_format=True)
    radiograph = read_radiograph(tmp_path / "capture.dcm")
    np.testing.assert_allclose(radiograph.pixels, (image - image.min()).astype(np.float32), atol=1)
    assert radiograph.facts.notes == ()


def test_a_few_coloured_marks_are_noted_and_a_coloured_picture_is_refused(tmp_path):
    colours = np.repeat(spine_image(bits=8).astype(np.uint8)[..., None], 3, axis=2)
    colours[10:20, 10:40] = (255, 0, 0)
    assert read(tmp_path, colours, bits=8).facts.notes == ("coloured marks on 0.7% of the picture",)
    colours[:, :90, 2] = 0
    with pytest.raises(InputError, match=r"is a picture in colour.*of its pixels are coloured"):
        read(tmp_path, colours, bits=8)


def test_pixels_that_no_decoder_reads_are_refused(tmp_path):
    ds = radiograph_dataset(IMAGE)
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.PixelData = encapsulate([b"\xff\x4f\xff\x51 no code stream follows"])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(tmp_path / "broken.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=r"broken\.dcm: the pixels cannot be decoded.*1\.2\.840\.10008\.1\.2\.4\.90"):
        read_radiograph(tmp_path / "broken.dcm")


def test_an_element_that_cannot_be_interpreted_is_as_if_absent(tmp_path):
    path = write_radiograph(tmp_path / "a.dcm", IMAGE)
    data = path.read_bytes()
    assert data.count(b"CS\x06\x00LSPINE") == 1
    path.write_bytes(data.replace(b"CS\x06\x00LSPINE", b"C?\x06\x00LSPINE"))
    radiograph = read_radiograph(path)
    np.testing.assert_array_equal(radiograph.pixels, EXPECTED)
    assert radiograph.facts.notes == ("the header names no part of the body: taken as spine",)


def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path):
    ds = radiograph_dataset(IMAGE)
    ds.compress(JPEG2000Lossless)
    ds.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    data = (tmp_path / "image.dcm").read_bytes()
    (tmp_path / "image.dcm").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(InputError, match=r"image\.dcm.*(cut off|cannot be decoded)"):
        read_radiograph(tmp_path / "image.dcm")
