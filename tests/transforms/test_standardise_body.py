"""Body voxels at mean 0 and SD 1, per channel; the same noise around them at every read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agezoo.errors import InputError
from agezoo.transforms import StandardiseBody, StandardiseBodyd
from agezoo.transforms.noise_fill import background_field, body_of


def test_each_channel_is_standardised_over_its_own_voxels_above_0() -> None:
    image = torch.zeros(2, 4, 4, 4)
    image[0, 1:3, 1:3, 1:3] = torch.arange(1.0, 9.0).reshape(2, 2, 2)
    image[1, 1:3, 1:3, 1:3] = 1000 * torch.arange(8.0).reshape(2, 2, 2)
    result = torch.as_tensor(StandardiseBodyd("image")({"image": image})["image"])
    # 1..8: mean 4.5, variance (64 - 1) / 12. 1..7 of the other channel, whose 0 is no body: mean 4, variance 4.
    assert torch.allclose(result[0][image[0] > 0], (torch.arange(1.0, 9.0) - 4.5) / (63 / 12) ** 0.5, atol=1e-6)
    assert torch.allclose(result[1][image[1] > 0], (torch.arange(1.0, 8.0) - 4) / 2, atol=1e-6)
    field = torch.from_numpy(np.array(background_field((2, 4, 4, 4))))
    assert torch.equal(result[image == 0], field[image == 0])
    np.testing.assert_array_equal(body_of(result), (image[0] > 0).numpy())


def test_two_reads_give_the_same_image_whatever_the_scanners_unit() -> None:
    image = np.random.default_rng(0).random((1, 6, 6, 6), dtype=np.float32)
    image[image < 0.5] = 0
    one, other = StandardiseBody()(image), StandardiseBody()(700 * image)
    np.testing.assert_array_equal(one, StandardiseBody()(image))
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    "image",
    [torch.zeros(1, 3, 3, 3), torch.ones(1, 3, 3, 3), torch.tensor([[[[1.0, float("nan"), 2.0]]]])],
    ids=["empty", "constant", "not a number"],
)
def test_nothing_to_standardise_is_refused(image: torch.Tensor) -> None:
    with pytest.raises(InputError, match="in channel 0"):
        StandardiseBody()(image)
