"""Which of two echoes' components is water, in bodies whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_stations import Build, make_stations

from agezoo.errors import InputError
from agezoo.transforms.body.two_point import water_and_fat

BUILDS = {"usual": Build(), "slim": Build(fat_mm=8.0, visceral=0.2), "obese": Build(fat_mm=35.0, visceral=0.85)}


@pytest.mark.parametrize("name", list(BUILDS))
def test_water_and_fat_of_known_bodies(name):
    """Voxels that clearly hold more of one; at 6 mm, voxels of the rim hold air too."""
    echoes = make_stations(BUILDS[name], echoes=True)
    truth = make_stations(BUILDS[name], noise_sd=0.0)
    wrong, clear = 0, 0
    for station, true in zip(echoes, truth, strict=True):
        water, fat = water_and_fat(station.images["in"], station.images["opposed"], station.affine)
        share = np.divide(true.images["fat"], true.images["fat"] + true.images["water"] + 1e-6)
        held = (true.images["fat"] + true.images["water"] > 400) & (np.abs(share - 0.5) > 0.3)
        wrong += np.count_nonzero(((fat > water) != (share > 0.5))[held])
        clear += np.count_nonzero(held)
    assert wrong / clear < 0.03


def test_the_two_add_up_to_the_in_phase_image_and_differ_by_the_opposed_one():
    station = make_stations(echoes=True)[2]
    water, fat = water_and_fat(station.images["in"], station.images["opposed"], station.affine)
    np.testing.assert_allclose(water + fat, station.images["in"], rtol=1e-5)
    opposed = np.minimum(station.images["opposed"], station.images["in"])
    np.testing.assert_allclose(np.abs(water - fat), opposed, atol=1e-3)
    assert min(water.min(), fat.min()) >= 0


def test_shading_of_the_coil_does_not_turn_fat_into_water():
    """From front to back brightness falls to 40 %, so fat at the back is darker than water at the front."""
    station = make_stations(echoes=True)[3]
    shade = np.linspace(0.4, 1.0, station.shape[1], dtype=np.float32)[None, :, None]
    plain, shaded = (
        np.subtract(*water_and_fat(s * station.images["in"], s * station.images["opposed"], station.affine)) > 0
        for s in (np.float32(1.0), shade)
    )
    body = station.images["in"] > 400
    assert np.mean(plain[body] != shaded[body]) < 0.03


def test_fat_as_dark_as_water_is_refused():
    station = make_stations(echoes=True)[3]
    water, fat = water_and_fat(station.images["in"], station.images["opposed"], station.affine)
    dark = 0.55 * fat
    with pytest.raises(InputError, match=r"cannot be told apart.*no brighter.*T1-weighted.*own water and fat"):
        water_and_fat(water + dark, np.abs(water - dark), station.affine)
