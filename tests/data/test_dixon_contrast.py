"""Which contrast an image shows, by the names that manufacturers use and by echo times."""

from __future__ import annotations

import pytest

from agezoo.data.dicom_headers import SliceHeader, scan_headers
from agezoo.data.dixon_contrast import OTHER, contrast_of_echo, contrast_of_words, is_composed, named_contrast
from dixon_files import DixonLayout, dicom_bytes, station_datasets


@pytest.fixture
def header(tmp_path):
    """The header of one image with the given elements."""

    def read(**elements) -> SliceHeader:
        path = tmp_path / "image.dcm"
        path.write_bytes(dicom_bytes(station_datasets(DixonLayout(shape=(4, 4, 1)), 0, "in", **elements)[0]))
        return scan_headers([path]).headers[0]

    return read


@pytest.mark.parametrize(
    ("image_type", "contrast"),
    [
        (["DERIVED", "PRIMARY", "DIXON", "WATER"], "water"),
        (["ORIGINAL", "PRIMARY", "M", "NORM", "DIS3D", "FAT"], "fat"),
        (["ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE"], "in"),
        (["ORIGINAL", "PRIMARY", "DIXON", "OPP_PHASE"], "opposed"),
        (["ORIGINAL", "PRIMARY", "DIXON", "OUT_PHASE"], "opposed"),
        (["DERIVED", "PRIMARY", "W", "W", "DERIVED"], "water"),
        (["DERIVED", "PRIMARY", "F", "F", "DERIVED"], "fat"),
        (["DERIVED", "PRIMARY", "IP", "IP", "DERIVED"], "in"),
        (["DERIVED", "PRIMARY", "OP", "OP", "DERIVED"], "opposed"),
        (["DERIVED", "PRIMARY", "FF", "FF", "DERIVED"], OTHER),
        (["DERIVED", "PRIMARY", "DIXON", "FAT_FRACTION"], OTHER),
        (["DERIVED", "PRIMARY", "T2_STAR", "T2_STAR"], OTHER),
        (["ORIGINAL", "PRIMARY", "PHASE MAP", "W"], OTHER),
        (["ORIGINAL", "PRIMARY", "P", "IN_PHASE"], OTHER),
        (["ORIGINAL", "PRIMARY", "M", "WATER", "FAT"], OTHER),
        (["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], None),
        (["ORIGINAL", "PRIMARY"], None),
    ],
)
def test_image_type(header, image_type, contrast):
    assert named_contrast(header(ImageType=image_type, SeriesDescription="T1")) == contrast


@pytest.mark.parametrize(
    ("description", "contrast"),
    [
        ("Dixon_BH_17s_W", "water"),
        ("Dixon_BH_17s_F", "fat"),
        ("Dixon_noBH_in", "in"),
        ("Dixon_noBH_opp", "opposed"),
        ("WATER: Ax LAVA-Flex", "water"),
        ("FAT: Ax LAVA-Flex", "fat"),
        ("InPhase: Ax LAVA-Flex", "in"),
        ("Out-of-phase: Ax LAVA-Flex", "opposed"),
        ("t1 vibe opp phase tra", "opposed"),
        ("T1 in-phase BH", "in"),
        ("FATFRAC: Ax IDEAL IQ", OTHER),
        ("R2*: Ax IDEAL IQ", OTHER),
        # Words that mean something else inside a sentence, or two contrasts.
        ("T2 haste fat sat", None),
        ("T1 in plane f tra", None),
        ("water fat", None),
        ("", None),
    ],
)
def test_series_description(header, description, contrast):
    kind = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    assert named_contrast(header(ImageType=kind, SeriesDescription=description)) == contrast


def test_image_type_goes_before_the_description_and_the_protocol_is_not_asked(header):
    named = header(ImageType=["DERIVED", "PRIMARY", "DIXON", "FAT"], SeriesDescription="Dixon_W")
    assert named_contrast(named) == "fat"
    protocol = header(ImageType=["ORIGINAL", "PRIMARY", "M"], SeriesDescription="", ProtocolName="T1DUAL_InPhase")
    assert named_contrast(protocol) is None


def test_a_component_other_than_the_magnitude(header):
    assert named_contrast(header(ComplexImageComponent="PHASE")) == OTHER
    assert named_contrast(header(ComplexImageComponent="MAGNITUDE")) == "in"


@pytest.mark.parametrize(
    ("echo_ms", "frequency_mhz", "contrast"),
    [
        # At 1.5 T fat lags water by 3.4e-6 * 63.9 MHz = 217 turns a second: half a turn takes 2.3 ms.
        (2.30, 63.9, "opposed"),
        (4.60, 63.9, "in"),
        (6.90, 63.9, "opposed"),
        (9.20, 63.9, "in"),
        (3.45, 63.9, None),
        (0.10, 63.9, None),
        (1.15, 127.7, "opposed"),
        (2.30, 127.7, "in"),
        # UK Biobank at 1.5 T: 2.39 and 4.77 ms.
        (2.39, 63.6, "opposed"),
        (4.77, 63.6, "in"),
    ],
)
def test_echo_times(echo_ms, frequency_mhz, contrast):
    assert contrast_of_echo(echo_ms, frequency_mhz) == contrast


def test_a_field_strength_in_gauss_is_one_in_tesla(header):
    for field in (1.5, 15000):
        assert header(MagneticFieldStrength=field).mr.frequency_mhz == pytest.approx(63.87, abs=0.01)
    assert header(ImagingFrequency=63.5).mr.frequency_mhz == 63.5


def test_siemens_private_table_position(header):
    from pydicom.dataset import Dataset

    from agezoo.data.mr_sequence import sequence_of

    image = Dataset()
    block = image.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x13, "SL", [0, 0, -1250])
    assert sequence_of(image).table_mm == -1250
    image[0x0019, 0x1013].VR, image[0x0019, 0x1013].value = "UN", b"\0" * 8 + (-1250).to_bytes(4, "little", signed=True)
    assert sequence_of(image).table_mm == -1250
    image[0x0019, 0x0010].value = "ANOTHER OWNER"
    assert sequence_of(image).table_mm is None


def test_joined_volumes(header):
    assert is_composed(header(ImageType=["DERIVED", "PRIMARY", "DIXON", "W", "COMP_SP"]))
    assert not is_composed(header())


def test_words_in_order_decide():
    assert contrast_of_words(["DIXON", "F"]) == "fat"
    assert contrast_of_words(["F", "DIXON"]) is None
