"""Water and fat of one station from whichever contrasts it has."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_stations import make_stations

from agezoo.data.dixon import DixonStation
from agezoo.errors import InputError
from agezoo.transforms.body.water_fat import head_to_foot, water_fat


def test_the_scanners_own_images_are_taken_before_the_echoes():
    station, echoes = make_stations()[2], make_stations(echoes=True)[2]
    both = water_fat(DixonStation({**station.images, **echoes.images}, station.affine))
    np.testing.assert_array_equal(both.water, station.images["water"])
    np.testing.assert_array_equal(both.fat, station.images["fat"])
    assert not both.computed


def test_echoes_alone_give_both_and_say_so():
    station = make_stations(echoes=True)[2]
    both = water_fat(station)
    assert both.computed
    np.testing.assert_allclose(both.signal, station.images["in"], rtol=1e-5)


def test_water_alone_has_no_fat_and_no_fraction():
    station = make_stations()[2]
    alone = water_fat(DixonStation({"water": station.images["water"]}, station.affine))
    assert alone.fat is None
    assert alone.fraction is None
    assert alone.exchanged() is alone


@pytest.mark.parametrize("names", [["fat"], ["in"], ["opposed"], []])
def test_too_few_contrasts_are_refused(names):
    image = np.ones((4, 4, 4), np.float32)
    with pytest.raises(InputError, match=r"neither water nor both echoes.*expected: water"):
        water_fat(DixonStation(dict.fromkeys(names, image), np.eye(4)))


@pytest.mark.parametrize(("value", "found"), [(0.0, "one value everywhere"), (np.nan, "not finite")])
def test_a_station_without_a_body_is_refused(value, found):
    with pytest.raises(InputError, match=found):
        water_fat(DixonStation({"water": np.full((8, 8, 8), value, np.float32)}, np.eye(4)))


def test_stations_are_ordered_by_height_alone():
    stations = make_stations()
    shuffled = [stations[k] for k in (3, 0, 5, 1, 4, 2)]
    assert [id(station) for station in head_to_foot(shuffled)] == [id(station) for station in stations]
