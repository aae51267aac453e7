"""Stations whose water and fat have changed places are found; right ones are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic_stations import Build, make_stations

from agezoo.data.dixon import DixonStation
from agezoo.data.volume import ScanFacts
from agezoo.phantoms.body_plan import BodyCohortParameters, plan_body_cohort
from agezoo.phantoms.dixon_scanner import scan_body
from agezoo.transforms.body.stitched import stitch
from agezoo.transforms.body.swap import swap_signs, swapped_stations
from agezoo.transforms.body.water_fat import water_fat

BUILDS = {
    "usual": Build(),
    "slim": Build(fat_mm=6.0, visceral=0.1, girth=0.85),
    "obese": Build(fat_mm=40.0, visceral=0.9, girth=1.05),
}
ALL = (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("name", list(BUILDS))
@pytest.mark.parametrize("swapped", [(), (1,), (3, 4), (1, 2, 3, 4, 5), ALL], ids=str)
def test_exactly_the_swapped_stations_are_found(name, swapped):
    assert swapped_stations(make_stations(BUILDS[name], swapped=swapped)) == swapped


def test_order_of_the_stations_does_not_matter():
    stations = make_stations(swapped=(2,))
    assert swapped_stations(stations[::-1]) == (2,)


def test_a_station_alone_is_judged_by_its_fat_below_the_skin():
    (station,) = make_stations()[3:4]
    right, wrong = water_fat(station), water_fat(station).exchanged()
    assert swapped_stations([station]) == ()
    assert swapped_stations([exchanged(station)]) == (1,)
    assert swap_signs(right).score > 1
    assert swap_signs(wrong).shell_over_core == pytest.approx(-swap_signs(right).shell_over_core)
    assert swap_signs(wrong).score == pytest.approx(-swap_signs(right).score)


def test_water_alone_is_never_called_swapped():
    stations = [DixonStation({"water": s.images["water"]}, s.affine) for s in make_stations(swapped=(2, 5))]
    assert swapped_stations(stations) == ()


@pytest.fixture(scope="module")
def phantom() -> list[DixonStation]:
    """An anatomical body, coarse, as the phantom's scanner stores it, without swaps."""
    (scan, *_) = plan_body_cohort(BodyCohortParameters(subjects=1, seed=11, swap_fraction=0.0, quick=True))
    return [DixonStation(s.images, s.affine) for s in scan_body(scan.subject, scan.settings).stations]


@pytest.mark.parametrize("swapped", [(), (2,), (5, 6), ALL], ids=str)
def test_swaps_of_an_anatomical_body_are_mended_and_named(phantom, swapped):
    shown = [exchanged(station) if k in swapped else station for k, station in enumerate(phantom, start=1)]
    right, mended = stitch(phantom, ScanFacts()), stitch(shown, ScanFacts())
    assert mended.swapped == swapped
    np.testing.assert_array_equal(mended.water, right.water)
    np.testing.assert_array_equal(mended.fat, right.fat)
    told = [note for note in mended.facts.notes if "had changed places" in note]
    if not swapped:
        assert told == []
    else:
        plural = "s" if len(swapped) > 1 else ""
        assert told == [
            f"water and fat had changed places in station{plural} {', '.join(map(str, swapped))} "
            "(counted from the head); exchanged"
        ]


def test_a_right_body_gets_no_warning_of_partial_swaps(phantom):
    for stations in (phantom, *(make_stations(build) for build in BUILDS.values())):
        assert [note for note in stitch(stations, ScanFacts()).facts.notes if "may have changed" in note] == []


def test_a_swapped_leg_is_told_and_not_mended():
    stations = make_stations()
    station = stations[5]
    half = station.shape[0] // 2
    images = {name: image.copy() for name, image in station.images.items()}
    for name, other in (("water", "fat"), ("fat", "water")):
        images[name][:half] = station.images[other][:half]
    body = stitch([*stations[:5], replace(station, images=images)], ScanFacts())
    assert body.swapped == ()
    (note,) = [note for note in body.facts.notes if "part of station 6" in note]
    assert "left and right limbs" in note


def test_a_swap_of_some_slices_is_told():
    stations = make_stations()
    station = stations[2]
    images = {name: image.copy() for name, image in station.images.items()}
    for name, other in (("water", "fat"), ("fat", "water")):
        images[name][:, :, 6:9] = station.images[other][:, :, 6:9]
    body = stitch([*stations[:2], replace(station, images=images), *stations[3:]], ScanFacts())
    assert any("part of station 3" in note and "between two slices" in note for note in body.facts.notes)


def exchanged(station: DixonStation) -> DixonStation:
    names = {"water": "fat", "fat": "water"}
    return replace(station, images={names.get(name, name): image for name, image in station.images.items()})
