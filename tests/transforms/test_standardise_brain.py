"""Brain voxels at mean 0 and SD 1."""

from __future__ import annotations

import pytest
import torch

from agezoo.errors import InputError
from agezoo.transforms.standardise_brain import StandardiseBrain, StandardiseBraind


def test_brain_voxels_have_mean_0_and_sd_1_and_the_rest_stays() -> None:
    image = torch.zeros(1, 4, 4, 4)
    image[0, 1:3, 1:3, 1:3] = torch.arange(1.0, 9.0).reshape(2, 2, 2)
    result = torch.as_tensor(StandardiseBrain()(image))
    brain = result[image > 0]
    # 1..8: mean 4.5, variance (64 - 1) / 12.
    assert torch.allclose(brain, (torch.arange(1.0, 9.0) - 4.5) / (63 / 12) ** 0.5, atol=1e-3)
    assert not result[image == 0].any()


def test_result_does_not_depend_on_the_scanners_unit() -> None:
    image = torch.rand(1, 5, 5, 5) * (torch.rand(1, 5, 5, 5) > 0.4)
    one, other = (torch.as_tensor(StandardiseBraind("image")({"image": image * f})["image"]) for f in (1.0, 3000.0))
    assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("image", [torch.zeros(1, 3, 3, 3), torch.ones(1, 3, 3, 3)], ids=["empty", "constant"])
def test_nothing_to_standardise_is_refused(image: torch.Tensor) -> None:
    with pytest.raises(InputError):
        StandardiseBrain()(image)
