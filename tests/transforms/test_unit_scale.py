"""Scaling by the image's own range."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from agezoo.errors import InputError
from agezoo.transforms import ScaleToUnit, ScaleToUnitd
from agezoo.transforms.unit_scale import scale_to_unit


def test_own_minimum_is_the_lower_end_when_it_lies_above_air():
    np.testing.assert_allclose(scale_to_unit(np.array([-500.0, 0.0, 1500.0])), [0, 0.25, 1])


def test_air_is_the_lower_end_when_values_lie_below_it():
    np.testing.assert_allclose(scale_to_unit(np.array([-3024.0, -1024.0, 0.0, 1024.0])), [0, 0, 0.5, 1])


@pytest.mark.parametrize("values", [[5.0, 5.0], [-2000.0, -1500.0], [0.0, np.nan], [0.0, np.inf]])
def test_image_without_a_range_is_an_error(values):
    with pytest.raises(InputError, match="cannot be scaled"):
        scale_to_unit(np.array(values))


def test_result_is_float32_and_of_the_input_type():
    image = MetaTensor(torch.tensor([[[-1024, 0]]], dtype=torch.int16))
    result = ScaleToUnitd("image")({"image": image})["image"]
    assert isinstance(result, MetaTensor)
    assert result.dtype == torch.float32
    assert result.flatten().tolist() == [0, 1]
    assert type(ScaleToUnit()(np.array([[0.0, 1.0]]))) is np.ndarray


def test_other_lowest_value():
    np.testing.assert_allclose(ScaleToUnit(lowest=0)(np.array([-10.0, 0.0, 5.0, 10.0])), [0, 0, 0.5, 1])
