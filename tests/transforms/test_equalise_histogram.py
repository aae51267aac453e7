"""Histogram equalisation against hand-computed images and MONAI's, and what it makes of 16-bit images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import HistogramNormalize

from agezoo.errors import InputError
from agezoo.transforms import EqualiseHistogram, EqualiseHistogramd
from agezoo.transforms.equalise_histogram import equalise_histogram


def in_255ths(image: np.ndarray) -> list[list[float]]:
    return [[float(round(value * 255, 4)) for value in row] for row in image]


def test_hand_computed_image() -> None:
    """Eight pixels: 10 twice, 20 three times, 30 once, 200 twice; counted up: 2, 5, 6, 8.

    Less the two of the lowest value, over 6: 0, 3/6, 4/6, 1; times 255: 0, 127.5, 170, 255. The half goes to the even
    128.
    """
    image = np.array([[10, 10, 20, 20], [20, 30, 200, 200]], dtype=np.float32)
    assert in_255ths(equalise_histogram(image)) == [[0, 0, 128, 128], [128, 170, 255, 255]]


def test_two_grey_values_become_black_and_white() -> None:
    assert equalise_histogram(np.array([[7.0, 7.0, 7.5]])).tolist() == [[0.0, 0.0, 1.0]]


def test_every_grey_value_once_stays_as_it_was() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(equalise_histogram(image), (image / 255.0).astype(np.float32))


def test_equals_monais_on_8_bit_images() -> None:
    """MONAI's interpolates between bins and does not round; on whole grey values both are one look-up table."""
    rng = np.random.default_rng(5)
    image = np.clip(rng.normal(90, 30, (64, 48)), 3, 251).astype(np.uint8)
    monais = np.rint(np.asarray(HistogramNormalize(num_bins=256)(image.astype(np.int32)[None]))[0]) / 255
    assert np.allclose(equalise_histogram(image), monais, atol=1e-6)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (257.0, 0.0), (0.01, -3.0)])
def test_only_the_order_of_grey_values_matters(scale: float, offset: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 30)).astype(np.float64)
    image[0, :2] = 0, 255
    expected = equalise_histogram(image)
    assert np.array_equal(equalise_histogram(image * scale + offset), expected)
    assert len(np.unique(expected)) > 200


def test_a_bright_marker_does_not_cost_the_anatomy_its_contrast() -> None:
    """12-bit anatomy beside a lead marker of 60000: reduced to 8 bits first it would keep 17 grey values."""
    image = np.random.default_rng(2).integers(0, 4096, (100, 100)).astype(np.uint16)
    image[:3, :3] = 60000
    equalised = equalise_histogram(image)
    assert len(np.unique(equalised)) > 200
    # A flat histogram: half of the pixels are darker than half.
    assert float(np.median(equalised)) == pytest.approx(0.5, abs=0.01)


def test_result_is_float32_in_256_steps_from_0_to_1() -> None:
    equalised = equalise_histogram(np.random.default_rng(3).normal(size=(50, 50)))
    assert equalised.dtype == np.float32
    assert equalised.min() == 0.0
    assert equalised.max() == 1.0
    assert np.allclose(np.rint(equalised * 255), equalised * 255, atol=1e-4)


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.full((4, 4), 3.0), np.array([[0.0, np.nan]])])
def test_blank_and_unknown_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="histogram cannot be equalised; found: values from"):
        equalise_histogram(image)


def test_an_infinite_value_is_refused() -> None:
    with pytest.raises(InputError, match="values from 0 to inf"):
        equalise_histogram(np.array([[0.0, 1.0, np.inf]]))


def test_dictionary_form_keeps_type_and_meta_data() -> None:
    image = MetaTensor(torch.tensor([[[0.0, 4.0, 4.0, 9.0]]]), meta={"filename_or_obj": "a.dcm"})
    result = EqualiseHistogramd("image")({"image": image, "modality": "vfa"})
    assert isinstance(result["image"], MetaTensor)
    assert result["image"].meta["filename_or_obj"] == "a.dcm"
    assert result["image"].dtype is torch.float32
    assert result["image"].tolist() == [[[0.0, pytest.approx(170 / 255), pytest.approx(170 / 255), 1.0]]]
    assert result["modality"] == "vfa"


def test_channels_are_images_of_their_own_and_volumes_are_refused() -> None:
    two = EqualiseHistogram()(np.array([[[0, 1, 1]], [[0, 0, 5]]], dtype=np.float32))
    assert np.asarray(two).tolist() == [[[0, 1, 1]], [[0, 0, 1]]]
    with pytest.raises(InputError, match="2 spatial axes"):
        EqualiseHistogram()(np.zeros((1, 3, 3, 3)))
