"""What the simulated Dixon scanner makes of a body: stations, contrasts, noise, swaps, places."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from agezoo.phantoms.body_volume import FIELD_OF_VIEW_MM, BodyPhantom
from agezoo.phantoms.dixon_scanner import PhantomDixon, PhantomStation, acquire, drawn_spacing_mm
from agezoo.phantoms.dixon_settings import DixonSettings, draw_dixon_settings
from agezoo.phantoms.dixon_stations import station_grids

CAVITY, SHELL = 1, 2
DAY = date(2016, 3, 4)


@pytest.fixture(scope="module")
def body() -> BodyPhantom:
    """A water cylinder in a shell of fat, with an empty ball to the left of and above the middle."""
    step = drawn_spacing_mm(quick=True)
    shape = tuple(round(extent / size) for extent, size in zip(FIELD_OF_VIEW_MM, step, strict=True))
    x, y, z = (np.float32(size * (np.arange(n) - (n - 1) / 2)) for n, size in zip(shape, step, strict=True))
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    radius = np.hypot(x, y)
    ball = np.sqrt((x - 40) ** 2 + y**2 + (z - 100) ** 2) < 50
    water = np.where((radius < 120) & ~ball, 0.6, 0).astype(np.float32)
    fat = np.where((radius >= 120) & (radius < 150) & (z < 1e9), 0.9, 0).astype(np.float32)
    labels = np.where(ball, CAVITY, np.where(fat > 0, SHELL, 0)).astype(np.uint8)
    affine = np.diag([-step[0], step[1], step[2], 1.0])
    return BodyPhantom(water=water, fat=fat, labels=labels, affine=affine)


def settings(**changes: object) -> DixonSettings:
    drawn = draw_dixon_settings(
        np.random.default_rng(1), session="first", site="site_a", study_date=DAY, quick=True, swap=False
    )
    return replace(drawn, **changes)  # type: ignore[arg-type]


PERFECT = {
    "noise": 0.0,
    "residual_phase_rad": 0.0,
    "coil": (0.0, 0.0, 0.0, 0.0),
    "end_signal": 1.0,
    "station_gains": (1.0,) * 6,
    "station_shifts_mm": ((0.0, 0.0, 0.0),) * 6,
    "shift_mm": (0.0, 0.0, 0.0),
    "rotation_deg": 0.0,
    "gain": 1000.0,
}


def seen_labels(scan: PhantomDixon, station: PhantomStation) -> np.ndarray:
    """The label map on a station's voxels, through patient space alone."""
    to_labels = np.linalg.inv(scan.labels_affine) @ station.affine
    shape = station.images["water"].shape
    return ndimage.affine_transform(scan.labels, to_labels[:3, :3], to_labels[:3, 3], output_shape=shape, order=0)


@pytest.mark.parametrize(("quick", "slices"), [(False, [64, 44, 44, 44, 72, 64]), (True, [21, 15, 15, 15, 24, 21])])
def test_stations_overlap_by_41_mm_and_cover_the_field_of_view(quick: bool, slices: list[int]) -> None:
    grids = station_grids(2.232143, quick=quick)
    assert [grid.shape[2] for grid in grids] == slices
    assert grids[0].shape[:2] == ((75, 56) if quick else (224, 168))
    faces = [
        (grid.axis_mm(2)[0] - grid.spacing_mm[2] / 2, grid.axis_mm(2)[-1] + grid.spacing_mm[2] / 2) for grid in grids
    ]
    assert faces[0][1] == pytest.approx(1089 / 2, abs=1e-3)
    assert faces[-1][0] == pytest.approx(-1089 / 2, abs=1e-3)
    for (low, _), (_, high) in pairwise(faces):
        assert high - low == pytest.approx(41.0, abs=1e-3)
    for grid in grids:
        assert grid.axis_mm(0).mean() == pytest.approx(0, abs=1e-3)


def test_contrasts_follow_from_water_and_fat(body: BodyPhantom) -> None:
    for station in acquire(body, settings(**PERFECT)).stations:
        water, fat, together, opposed = (station.images[name].astype(int) for name in ("water", "fat", "in", "opposed"))
        assert np.abs(together - (water + fat)).max() <= 1
        assert np.abs(opposed - np.abs(water - fat)).max() <= 1
        assert np.median(water[30:45, 22:34]) in (0, 600)
        assert fat.max() == 900


def test_swap_exchanges_water_and_fat_in_the_named_stations_alone(body: BodyPhantom) -> None:
    right, swapped = (acquire(body, settings(swapped_stations=numbers)) for numbers in ((), (2, 5)))
    for one, other in zip(right.stations, swapped.stations, strict=True):
        names = {"water": "fat", "fat": "water"} if one.number in (2, 5) else {}
        for name, image in one.images.items():
            assert np.array_equal(image, other.images[names.get(name, name)])


def test_station_gain_and_coil_shade_the_signal_and_not_the_noise(body: BodyPhantom) -> None:
    gains = (1.0, 2.0, 1.0, 1.0, 1.0, 1.0)
    plain, stepped = (
        acquire(body, settings(**{**PERFECT, "noise": 0.01, "station_gains": g})) for g in ((1.0,) * 6, gains)
    )
    inside = (slice(35, 40), slice(26, 30), slice(5, 9))
    for index, factor in ((1, 2.0), (3, 1.0)):
        one, other = (scan.stations[index].images["in"] for scan in (plain, stepped))
        assert other[inside].mean() / one[inside].mean() == pytest.approx(factor, rel=0.01)
        # Air shows Rayleigh noise: mean sigma * sqrt(pi / 2), sigma = 0.01 * 1000.
        assert other[:8].mean() == pytest.approx(10 * np.sqrt(np.pi / 2), rel=0.05)
        assert other[:8].mean() == pytest.approx(one[:8].mean(), rel=0.05)
    faded = acquire(body, settings(**{**PERFECT, "end_signal": 0.6})).stations[3].images["in"].astype(float)
    middle, end = faded[37, 28, 7], faded[37, 28, 0]
    assert middle == pytest.approx(600, abs=1)
    assert 0.6 <= end / middle < 0.75


def test_air_holds_no_water_and_no_fat(body: BodyPhantom) -> None:
    station = acquire(body, settings()).stations[3]
    for name in ("water", "fat"):
        assert (station.images[name][:8] == 0).mean() > 0.99
    assert (station.images["in"][:8] > 0).mean() > 0.9


@pytest.mark.parametrize("place", [(0.0, 0.0, 0.0, 0.0), (18.0, -12.0, 20.0, 3.0)], ids=["straight", "moved"])
def test_labels_lie_on_the_anatomy(body: BodyPhantom, place: tuple[float, float, float, float]) -> None:
    scan = acquire(body, settings(**{**PERFECT, "noise": 0.01, "shift_mm": place[:3], "rotation_deg": place[3]}))
    found = {CAVITY: 0, SHELL: 0}
    for station in scan.stations:
        labels = seen_labels(scan, station)
        water, fat = station.images["water"], station.images["fat"]
        for value, dark, bright in ((CAVITY, water, water), (SHELL, water, fat)):
            region = labels == value
            found[value] += int(region.sum())
            core = ndimage.binary_erosion(region)
            if not core.any():
                continue
            assert np.percentile(dark[core], 95) < 150
            if value == SHELL:
                assert np.percentile(bright[core], 5) > 700
            else:
                around = ndimage.binary_dilation(region, iterations=3) & ~ndimage.binary_dilation(region, iterations=2)
                assert np.percentile(bright[around & (labels == 0)], 5) > 400
    # The ball has a volume of 4/3 pi 50^3 = 524 ml.
    voxel_ml = abs(np.linalg.det(scan.labels_affine)) / 1000
    assert (scan.labels == CAVITY).sum() * voxel_ml == pytest.approx(523.6, rel=0.05)
    centre = scan.labels_affine @ np.append(np.argwhere(scan.labels == CAVITY).mean(axis=0), 1)
    angle = np.deg2rad(place[3])
    # Left and Posterior in the scanner, from its middle; then the scanner's own origin.
    left, front, up = 40 * np.cos(angle) + place[0], 40 * np.sin(angle) + place[1], 100 + place[2]
    assert centre[:3] == pytest.approx([-left, front, up + settings().origin_mm[2]], abs=1.5)


def test_the_body_moves_between_stations_and_the_labels_do_not(body: BodyPhantom) -> None:
    still, moved = (
        acquire(body, settings(**{**PERFECT, "station_shifts_mm": ((0.0, 0.0, 0.0),) * 2 + ((15.0, 0.0, 0.0),) * 4}))
        if shift
        else acquire(body, settings(**PERFECT))
        for shift in (False, True)
    )
    assert np.array_equal(still.labels, moved.labels)
    assert np.array_equal(still.stations[0].images["in"], moved.stations[0].images["in"])
    places = [np.average(np.arange(75), weights=scan.stations[4].images["in"].sum((1, 2))) for scan in (still, moved)]
    assert (places[1] - places[0]) * 6.696 == pytest.approx(15, abs=0.5)


def test_sites_differ_in_pixels_gain_and_noise() -> None:
    drawn = {
        site: [
            draw_dixon_settings(
                np.random.default_rng(seed), session="first", site=site, study_date=DAY, quick=True, swap=True
            )
            for seed in range(20)
        ]
        for site in ("site_a", "site_b")
    }
    for name in ("gain", "noise", "pixel_mm"):
        assert max(getattr(s, name) for s in drawn["site_a"]) < min(getattr(s, name) for s in drawn["site_b"])
    numbers = {n for s in drawn["site_a"] for n in s.swapped_stations}
    assert numbers <= set(range(1, 7))
    assert {len(s.swapped_stations) for s in drawn["site_a"]} == {1, 2}
    assert len({s.acquisition_order for s in drawn["site_a"]}) == 2
