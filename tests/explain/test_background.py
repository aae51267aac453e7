"""Saliency beside the patient is measured and removed; cavities inside belong to the patient."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.explain.background import background_share, foreground, mask_background


@pytest.fixture
def ring():
    image = np.zeros((7, 7))
    image[1:6, 1:6] = 0.5
    image[3, 3] = 0
    return image


def test_enclosed_air_belongs_to_the_patient(ring):
    inside = foreground(ring)
    assert inside[3, 3]
    assert inside.sum() == 25


def test_map_is_zero_outside_and_untouched_inside(ring):
    saliency = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    masked = mask_background(saliency, ring)
    assert not masked[0].any()
    np.testing.assert_array_equal(masked[1:6, 1:6], saliency[1:6, 1:6])


def test_channels_are_taken_together(ring):
    second = np.zeros((7, 7))
    second[0, :] = 1
    assert mask_background(np.ones((7, 7)), np.stack([ring, second])).sum() == 25 + 7


def test_background_share_counts_magnitudes(ring):
    saliency = np.zeros((7, 7))
    saliency[0, 0], saliency[2, 2] = -1, 3
    assert background_share(saliency, ring) == pytest.approx(0.25)
    assert math.isnan(background_share(np.zeros((7, 7)), ring))


def test_other_shapes_are_refused(ring):
    with pytest.raises(InputError, match="differ in shape"):
        mask_background(np.ones((6, 7)), ring)
