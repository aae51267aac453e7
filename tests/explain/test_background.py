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


def test_a_standardised_brain_is_told_from_its_zeros():
    brain = np.zeros((9, 9, 9))
    brain[2:7, 2:7, 2:7] = np.random.default_rng(1).normal(size=(5, 5, 5))
    brain[2, 3, 4] = -2.5
    # A voxel of exactly the mean, and a ventricle that was cut out.
    brain[4, 4, 3:6] = 0
    inside = foreground(brain)
    assert inside.sum() == 125
    assert inside[2, 3, 4]
    assert inside[4, 4, 4]
    masked = mask_background(np.ones((9, 9, 9)), brain[None])
    assert masked.sum() == 125
    assert background_share(np.ones((9, 9, 9)), brain) == pytest.approx(1 - 125 / 9**3)
