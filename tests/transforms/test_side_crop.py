"""The side crop: how much, for which kind of image, and that the shown area of the stored image is known after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agezoo.errors import InputError
from agezoo.transforms import SideCrop, SideCropd


def columns(n: int) -> torch.Tensor:
    """An image of three rows in which every pixel holds its column's number."""
    return torch.arange(float(n)).expand(1, 3, n)


@pytest.mark.parametrize(
    ("width", "first", "last"),
    [
        (100, 5, 94),
        (2000, 100, 1899),
        # 5 % of 90 is 4.5, of 70 is 3.5, of 89 is 4.45: to the nearest pixel, a half upwards.
        (90, 5, 84),
        (70, 4, 65),
        (89, 4, 84),
        (9, 0, 8),
    ],
)
def test_five_percent_of_the_width_go_at_each_side(width: int, first: int, last: int) -> None:
    cropped = SideCrop()(columns(width))
    assert cropped.shape[:2] == (1, 3)
    assert cropped[0, 0].tolist() == list(range(first, last + 1))


def test_rows_stay() -> None:
    image = np.random.default_rng(0).normal(size=(1, 40, 20))
    assert np.array_equal(SideCrop(0.25)(image), image[:, :, 5:15])


@pytest.mark.parametrize(
    ("item", "width"),
    [
        ({"modality": "radiograph"}, 90),
        ({"modality": "vfa"}, 100),
        # What the reader found out counts more than what the datalist leaves open.
        ({"modality": "", "image_facts": {"kind": "radiograph"}}, 90),
        ({"modality": "", "image_facts": {"kind": "vfa"}}, 100),
        ({"image_facts": {"kind": "vfa"}}, 100),
    ],
)
def test_radiographs_alone_are_cropped(item: dict[str, Any], width: int) -> None:
    result = SideCropd("image")({**item, "image": columns(100)})
    assert result["image"].shape == (1, 3, width)


def test_the_other_kind_can_be_cropped_instead() -> None:
    crop = SideCropd("image", only="vfa")
    assert crop({"modality": "vfa", "image": columns(100)})["image"].shape[-1] == 90
    assert crop({"modality": "radiograph", "image": columns(100)})["image"].shape[-1] == 100


@pytest.mark.parametrize("item", [{}, {"modality": ""}, {"modality": "CT"}, {"image_facts": {"kind": ""}}])
def test_an_unknown_kind_is_an_error_and_no_guess(item: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"modality: it is not known .*expected: radiograph or vfa"):
        SideCropd("image")({**item, "image": columns(100)})


def test_the_area_of_the_stored_image_is_cut_likewise() -> None:
    """100 columns that began at column 30 of the stored 400: 90 remain and begin at 35."""
    area = np.array([20, 30, 3, 100, 500, 400], dtype=np.float32)
    facts = {"kind": "radiograph", "area": area}
    result = SideCropd("image")({"image": columns(100), "image_facts": facts})
    assert result["image_facts"]["area"].tolist() == [20, 35, 3, 90, 500, 400]
    assert result["image_facts"]["kind"] == "radiograph"
    assert area.tolist() == [20, 30, 3, 100, 500, 400], "the item given is not changed"


def test_an_area_of_another_image_is_noticed() -> None:
    facts = {"kind": "radiograph", "area": np.array([0, 0, 3, 99, 3, 99])}
    with pytest.raises(ValueError, match="the area has 99 columns, the image 100"):
        SideCropd("image")({"image": columns(100), "image_facts": facts})


@pytest.mark.parametrize("fraction", [-0.1, 0.5, 1.0, float("nan")])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="fraction: the share that is cut"):
        SideCrop(fraction)


def test_a_crop_that_would_leave_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="too narrow for the side crop; found: 2 columns"):
        SideCrop(0.45)(columns(2))


def test_an_unknown_kind_to_crop_is_refused() -> None:
    with pytest.raises(InputError, match="only: no such kind of image; found: ct"):
        SideCropd("image", only="ct")
