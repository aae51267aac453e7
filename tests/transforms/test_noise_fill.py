"""The fixed noise around a body, how the body is told from it, and fresh noise in training."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from agezoo.transforms import RandRefillBackground, RandRefillBackgroundd
from agezoo.transforms.noise_fill import background_field, body_of


def with_body(channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """An image with the fixed noise around a cuboid, and the cuboid."""
    body = np.zeros((10, 8, 12), bool)
    body[3:7, 2:6, 1:11] = True
    image = np.array(background_field((channels, *body.shape)))
    image[:, body] = np.random.default_rng(1).normal(size=(channels, body.sum()))
    return image, body


def test_the_field_is_standard_normal_and_cannot_be_changed() -> None:
    field = background_field((1, 40, 50, 60))
    assert field.dtype == np.float32
    # 120,000 draws: the mean's SD is 0.003, that of the SD 0.002.
    assert abs(field.mean()) < 0.012
    assert abs(field.std() - 1) < 0.009
    with pytest.raises(ValueError, match="read-only"):
        field[0, 0, 0, 0] = 0


def test_the_field_is_the_same_in_another_process_and_with_other_threads() -> None:
    code = (
        "import numpy as np; from agezoo.transforms.noise_fill import background_field as f;"
        "import hashlib; print(hashlib.sha256(np.round(f((1, 5, 6, 7)), 4).tobytes()).hexdigest())"
    )
    here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    import hashlib

    assert here.strip() == hashlib.sha256(np.round(background_field((1, 5, 6, 7)), 4).tobytes()).hexdigest()


def test_more_channels_begin_with_the_field_of_fewer() -> None:
    np.testing.assert_array_equal(background_field((3, 4, 5, 6))[:1], background_field((1, 4, 5, 6)))
    assert not np.array_equal(background_field((1, 4, 5, 6)), background_field((1, 4, 5, 6), seed=1))


def test_the_body_is_told_from_the_image_alone() -> None:
    image, body = with_body(2)
    np.testing.assert_array_equal(body_of(torch.from_numpy(image)), body)
    image[1][body] = background_field(image.shape)[1][body]
    np.testing.assert_array_equal(body_of(image), body), "one channel is enough"


def test_fresh_noise_leaves_the_body_and_follows_the_random_state() -> None:
    image, body = with_body()
    tensor = torch.from_numpy(image)
    transform = RandRefillBackgroundd("image").set_random_state(seed=5)
    first, second = (np.asarray(transform({"image": tensor})["image"]) for _ in range(2))
    again = np.asarray(RandRefillBackgroundd("image").set_random_state(seed=5)({"image": tensor})["image"])
    np.testing.assert_array_equal(first, again)
    for refilled in (first, second):
        np.testing.assert_array_equal(refilled[:, body], image[:, body])
        assert not (refilled[:, ~body] == image[:, ~body]).any()
    assert not (first[:, ~body] == second[:, ~body]).any()
    np.testing.assert_array_equal(tensor, image), "the image itself is untouched"


def test_without_chance_nothing_happens() -> None:
    image, _ = with_body()
    np.testing.assert_array_equal(RandRefillBackground(prob=0.0)(image), image)
