"""The augmentation that spine_age's train.json lists: what it changes, and that a run can be repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from scipy import ndimage

from agezoo import registry
from agezoo.engines import CohortDataset


@pytest.fixture(scope="module")
def config() -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(registry.bundle_root("spine_age") / "configs" / "train.json"))
    return parser


def cohort(config: ConfigParser, image: torch.Tensor, n: int = 40, **settings: Any) -> CohortDataset:
    """A cohort of `n` people who all have this image."""
    for name, value in settings.items():
        config[name] = value
    config.parse()
    return CohortDataset(
        [{"image": "x.dcm", "age_years": 60.0}] * n,
        preprocessing=lambda item: {"image": image.clone()},
        augmentation=config.get_parsed_content("augmentation"),
        seed=3,
    )


@pytest.fixture
def block() -> torch.Tensor:
    """A white block of 120 x 40 pixels in the middle of a canvas of 256 x 128."""
    image = torch.zeros(1, 256, 128)
    image[:, 68:188, 44:84] = 1
    return image


def test_the_same_seed_and_epoch_give_the_same_images_in_any_order(config: ConfigParser, block: torch.Tensor) -> None:
    dataset = cohort(config, block, 12, augmentation_prob=1.0)
    first = [dataset[index]["image"] for index in range(12)]
    again = [dataset[index]["image"] for index in reversed(range(12))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({float(image.sum()) for image in first}) == 12, "every person gets a draw of their own"
    dataset.set_epoch(1)
    assert not any(torch.equal(dataset[index]["image"], first[index]) for index in range(12))


def test_images_stay_images(config: ConfigParser, block: torch.Tensor) -> None:
    """Plain float32 in 0..1 of the canvas' shape, also where noise would leave the range."""
    for item in (cohort(config, block, augmentation_prob=1.0, augmentation_noise=0.3)[index] for index in range(10)):
        image = item["image"]
        assert type(image) is torch.Tensor
        assert image.shape == block.shape
        assert image.dtype is torch.float32
        assert float(image.min()) == 0.0
        assert float(image.max()) == 1.0


def test_scale_keeps_the_aspect_and_both_scale_and_rotation_their_limits(
    config: ConfigParser, block: torch.Tensor
) -> None:
    """Measured on the block: its area, its proportions and its axis. A vertebra's height must not change by itself."""
    dataset = cohort(config, block, 40, augmentation_prob=1.0, augmentation_noise=0.0)
    scales, degrees = [], []
    for index in range(len(dataset)):
        image = dataset[index]["image"][0].numpy()
        area = float(image.sum())
        rows, columns = np.nonzero(image > 0.5)
        moments = np.cov(rows, columns)
        lengths = np.sqrt(12 * np.linalg.eigvalsh(moments))
        assert lengths[1] / lengths[0] == pytest.approx(3.0, rel=0.03)
        scales.append(np.sqrt(area / 4800))
        degrees.append(np.degrees(0.5 * np.arctan2(2 * moments[0, 1], moments[0, 0] - moments[1, 1])))
        assert np.abs(np.subtract(ndimage.center_of_mass(image), (127.5, 63.5))).max() < 1.5
    assert 0.84 <= min(scales) < 0.9
    assert 1.1 < max(scales) <= 1.16
    assert -10.3 <= min(degrees) < -6
    assert 6 < max(degrees) <= 10.3


def test_nothing_is_changed_at_probability_0(config: ConfigParser, block: torch.Tensor) -> None:
    dataset = cohort(config, block, 8, augmentation_prob=0.0)
    assert all(torch.equal(dataset[index]["image"], block) for index in range(8))
