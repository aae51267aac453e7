"""What neighbouring stations show of their overlap, against bodies with known differences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from synthetic_stations import PLACES, make_stations

from agezoo.data.dixon import DixonStation
from agezoo.transforms.body.overlaps import Overlap, compare
from agezoo.transforms.body.station_places import visit_grid
from agezoo.transforms.body.water_fat import water_fat


def compared(stations: list[DixonStation], upper: int = 0) -> Overlap:
    pictures = [water_fat(station) for station in stations]
    return compare(pictures, upper, visit_grid([(p.affine, p.water.shape) for p in pictures]))


def test_equal_stations_agree():
    overlap = compared(make_stations(places=PLACES[2:4], noise_sd=0.0, falloff=0.0))
    assert overlap.slices == 5  # 80 mm in slices of 16
    assert overlap.ratio == pytest.approx(1)
    assert min(overlap.correlation, overlap.agreement, overlap.fraction_correlation) == pytest.approx(1)
    assert overlap.opposite_share == overlap.gap_mm == 0


@pytest.mark.parametrize(("upper", "lower"), [(1.5, 1.0), (0.8, 1.2)])
def test_the_ratio_is_that_of_the_gains(upper, lower):
    assert compared(make_stations(places=PLACES[2:4], gains=(upper, lower))).ratio == pytest.approx(
        upper / lower, rel=0.02
    )


def test_equal_fading_at_both_ends_makes_no_step():
    assert compared(make_stations(places=PLACES[2:4], falloff=0.4)).ratio == pytest.approx(1, abs=0.02)


def test_a_swap_turns_the_fractions_round_and_not_the_signal():
    overlap = compared(make_stations(places=PLACES[2:4], swapped=(1,)))
    assert overlap.fraction_correlation < -0.9
    assert overlap.opposite_share > 0.5
    assert overlap.ratio == pytest.approx(1, rel=0.05)


def test_a_gap_is_measured():
    assert compared(make_stations(places=(PLACES[2], PLACES[4]))).gap_mm == pytest.approx(80)


def test_bodies_beside_each_other_have_nothing_in_common():
    upper, lower = make_stations(places=PLACES[4:6], width_mm=420.0)
    moved = lower.affine.copy()
    moved[0, 3] -= 420.0
    overlap = compared([upper, replace(lower, affine=moved)])
    assert math.isnan(overlap.ratio)
    assert overlap.agreement < 0.1


def test_without_fat_only_the_signal_is_compared():
    stations = [DixonStation({"water": s.images["water"]}, s.affine) for s in make_stations(places=PLACES[2:4])]
    overlap = compared(stations)
    assert math.isnan(overlap.fraction_correlation)
    assert np.isfinite(overlap.correlation)
