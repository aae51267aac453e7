"""Localisation scores against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.explain.localisation import area_share, energy_inside, pointing_hit, random_map, score_maps

SALIENCY = np.array([[0.0, 1.0, 2.0], [0.0, 5.0, 0.0], [-9.0, 0.0, 2.0]])


def region(*places):
    mask = np.zeros((3, 3), dtype=bool)
    for place in places:
        mask[place] = True
    return mask


def test_pointing_looks_at_the_largest_value_alone():
    assert pointing_hit(SALIENCY, region((1, 1))) == 1
    assert pointing_hit(SALIENCY, region((0, 2), (2, 2))) == 0


def test_pointing_tolerance_is_a_distance_in_voxels():
    # From (1, 1) to (2, 2) it is the square root of 2.
    assert pointing_hit(SALIENCY, region((2, 2)), tolerance_voxels=1.4) == 0
    assert pointing_hit(SALIENCY, region((2, 2)), tolerance_voxels=1.5) == 1


def test_tied_maxima_count_in_shares():
    assert pointing_hit(np.ones((3, 3)), region((0, 0), (0, 1), (0, 2))) == pytest.approx(1 / 3)


def test_energy_is_the_share_of_the_positive_sum():
    # 5 + 1 of 1 + 2 + 5 + 2 = 10; the negative 9 counts for nothing, inside or outside.
    assert energy_inside(SALIENCY, region((1, 1), (0, 1))) == pytest.approx(0.6)
    assert energy_inside(SALIENCY, region((1, 1), (0, 1), (2, 0))) == pytest.approx(0.6)


def test_map_without_positive_values_has_no_score_and_counts_as_a_miss():
    assert math.isnan(energy_inside(-np.ones((3, 3)), region((0, 0))))
    assert math.isnan(pointing_hit(np.zeros((3, 3)), region((0, 0))))
    score = score_maps([(SALIENCY, region((1, 1))), (np.zeros((3, 3)), region((0, 0), (0, 1)))])
    assert (score.n, score.pointing_game, score.energy_inside) == (2, 0.5, 0.25)
    assert score.area_share == pytest.approx((1 / 9 + 2 / 9) / 2)


def test_area_share_within_the_patient():
    patient = region((0, 0), (0, 1), (1, 1), (2, 2))
    assert area_share(region((0, 0), (1, 0)), within=patient) == pytest.approx(1 / 4)
    assert area_share(region((0, 0))) == pytest.approx(1 / 9)


def test_random_maps_score_what_the_area_gives():
    inside = np.zeros((60, 60), dtype=bool)
    inside[10:40, 20:50] = True
    energies = [energy_inside(random_map((60, 60), coarse_shape=(12, 12), seed=seed), inside) for seed in range(40)]
    hits = [pointing_hit(random_map((60, 60), seed=seed), inside) for seed in range(400)]
    assert np.mean(energies) == pytest.approx(0.25, abs=0.02)
    assert np.mean(hits) == pytest.approx(0.25, abs=0.08)
    np.testing.assert_array_equal(random_map((6, 6), seed=1), random_map((6, 6), seed=1))


@pytest.mark.parametrize("score", [pointing_hit, energy_inside])
def test_what_cannot_be_scored_is_refused(score):
    with pytest.raises(InputError, match="differ in shape"):
        score(SALIENCY, np.ones((2, 3), dtype=bool))
    with pytest.raises(InputError, match="region is empty"):
        score(SALIENCY, region())
    with pytest.raises(InputError, match="not finite"):
        score(np.full((3, 3), np.nan), region((0, 0)))
    with pytest.raises(InputError, match="no map"):
        score_maps([])
