"""Stations put together: places, brightness, seams, gaps, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from synthetic_stations import PLACES, Build, Place, make_stations, true_signals

from agezoo.data.dixon import DixonStation
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError
from agezoo.transforms.body.stitched import BodyVolume, matching_factors, read_body, stitch
from dixon_files import SECRET, DixonLayout, scan_datasets, write_zip

FLAT = {"noise_sd": 0.0, "falloff": 0.0}
FACTS = ScanFacts()


def truth_of(body: BodyVolume) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat (0..1) at the voxels of the stitched grid."""
    axes = [body.affine[k, k] * np.arange(n) + body.affine[k, 3] for k, n in enumerate(body.water.shape)]
    x, y, z = (axis.reshape([-1 if k == a else 1 for a in range(3)]) for k, axis in enumerate(axes))
    return true_signals(x, y, z, Build())


def test_six_stations_give_the_body_that_was_cut():
    body = stitch(make_stations(**FLAT), FACTS, mask_air=False)
    assert body.n_stations == 6
    assert body.water.shape == (83, 63, 65)  # 1040 mm in slices of 16
    water, fat = truth_of(body)
    np.testing.assert_allclose(body.water, 1000 * water, atol=1)
    np.testing.assert_allclose(body.fat, 1000 * fat, atol=1)
    assert body.facts.notes == ()


def test_steps_of_brightness_are_matched_and_large_ones_told():
    gains = (1.0, 1.5, 0.7, 1.0, 1.3, 0.9)
    body = stitch(make_stations(gains=gains, noise_sd=0.01, falloff=0.0), FACTS)
    # The fourth station keeps its brightness, so all others come to it.
    np.testing.assert_allclose(np.multiply(body.factors, gains), 1.0, rtol=0.02)
    (note,) = body.facts.notes
    assert note == "brightness matched between the stations: station 2 x 0.67, station 3 x 1.43, station 5 x 0.77"
    water, fat = truth_of(body)
    inside = water + fat > 0.5
    ratio = (body.water + body.fat)[inside] / (1000 * (water + fat)[inside])
    assert np.abs(np.median(ratio) - 1) < 0.02
    per_slice = [np.median((body.water + body.fat)[..., z][inside[..., z]]) for z in range(body.water.shape[2])]
    clean = [np.median((water + fat)[..., z][inside[..., z]]) for z in range(body.water.shape[2])]
    np.testing.assert_allclose(per_slice, 1000 * np.array(clean), rtol=0.04)


def test_matching_leaves_the_fat_fraction_alone():
    plain, stepped = (
        stitch(make_stations(gains=gains, **FLAT), FACTS) for gains in (None, (1.4, 0.8, 1.0, 1.2, 0.7, 1.1))
    )
    held = plain.water + plain.fat > 300
    fractions = [body.fat[held] / (body.water + body.fat)[held] for body in (plain, stepped)]
    np.testing.assert_allclose(*fractions, atol=2e-3)


def test_no_seam_where_a_station_ends():
    """Where coils fade at both ends, brightness changes from slice to slice as the fading itself does, never by a jump.

    A hard cut between stations that fade to 70 % would step by some 10 % and more.
    """
    gains = (1.0, 1.3, 0.8, 1.0, 1.2, 0.9)
    body = stitch(make_stations(gains=gains, noise_sd=0.0, falloff=0.3), FACTS)
    water, fat = truth_of(body)
    inside = (water + fat > 0.5).all(axis=2, keepdims=True) & np.ones(water.shape, bool)
    level = [
        np.median((body.water + body.fat)[..., z][inside[..., z]] / (1000 * (water + fat)[..., z][inside[..., z]]))
        for z in range(2, water.shape[2] - 2)
    ]
    assert np.abs(np.diff(np.log(level))).max() < 0.06
    assert max(level) / min(level) < 1.2


def test_fading_of_the_ends_can_be_levelled_without_touching_the_fat_fraction():
    # Of 15 slices the outer ones fade, within the 80 mm of the overlaps.
    plain, levelled = (
        stitch(make_stations(falloff=0.8), FACTS, mask_air=False, level_overlaps=level) for level in (False, True)
    )
    water, fat = truth_of(plain)
    inside = (water + fat > 0.5) & (plain.water + plain.fat > 0)
    spread = [
        np.ptp(
            [
                np.median(((body.water + body.fat) / (1000 * (water + fat) + 1e-6))[..., z][inside[..., z]])
                for z in range(5, water.shape[2] - 5)
            ]
        )
        for body in (plain, levelled)
    ]
    assert spread[0] > 0.1
    assert spread[1] < 0.5 * spread[0]
    held = plain.water + plain.fat > 300
    shares = [body.fat[held] / (body.water + body.fat)[held] for body in (plain, levelled)]
    np.testing.assert_allclose(*shares, atol=1e-5)
    # Where one station alone is, nothing changes.
    gains = (levelled.water + levelled.fat).sum(axis=(0, 1)) / (plain.water + plain.fat).sum(axis=(0, 1))
    assert gains[[0, 1, 2, -3, -2, -1]] == pytest.approx(1, abs=1e-3)
    assert gains.min() > 0.999
    assert gains.max() < 2


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1, 0), (3, 0, 5, 1, 4, 2)])
def test_order_does_not_matter(order):
    stations = make_stations()
    one, other = stitch(stations, FACTS), stitch([stations[k] for k in order], FACTS)
    np.testing.assert_array_equal(one.water, other.water)
    np.testing.assert_array_equal(one.affine, other.affine)


def test_a_known_point_keeps_its_place_in_mm():
    """A bright marker in the overlap of two stations on unlike grids."""
    places = (Place(480.0, 20, 12.0, 5.0, 3.0), Place(300.0, 25, 8.0, 6.0, -4.0), Place(140.0, 14, 14.0, 6.0))
    marker_mm = np.array([30.0, 20.0, 488.0])
    stations = []
    for station in make_stations(places=places, **FLAT):
        images = {name: image.copy() for name, image in station.images.items()}
        points = [station.affine[k, k] * np.arange(n) + station.affine[k, 3] for k, n in enumerate(station.shape)]
        far = sum(
            ((axis - m) / 12.0).reshape([-1 if a == k else 1 for a in range(3)]) ** 2
            for k, (axis, m) in enumerate(zip(points, marker_mm, strict=True))
        )
        images["water"] += (5000 * np.exp(-far / 2)).astype(np.float32)
        stations.append(DixonStation(images, station.affine))
    body, plain = stitch(stations, FACTS), stitch(make_stations(places=places, **FLAT), FACTS)
    np.testing.assert_allclose(np.diag(body.affine)[:3], [-5, 5, 8])
    extra = np.clip(body.water - plain.water, 0, None)
    extra[extra < 500] = 0
    centre = body.affine[:3] @ np.append([np.average(np.indices(extra.shape)[k], weights=extra) for k in range(3)], 1)
    np.testing.assert_allclose(centre, marker_mm, atol=1.0)


def test_stations_of_unlike_grids_meet():
    places = [replace(place, edge_mm=edge) for place, edge in zip(PLACES, (6.0, 5.0, 6.0, 7.0, 6.0, 5.0), strict=True)]
    body = stitch(make_stations(places=places, noise_sd=0.0, falloff=0.0), FACTS)
    water, fat = truth_of(body)
    held = (water + fat > 0.5) & (body.water + body.fat > 0)
    assert np.corrcoef((body.water / 1000)[held], water[held])[0, 1] > 0.88
    assert np.median(np.abs(body.water / 1000 - water)[held]) < 0.02


def test_a_missing_station_is_told_with_the_place_of_the_hole():
    stations = make_stations()
    with pytest.raises(InputError, match=r"gap along the body.*found: 80 mm between stations 2 and 3.*not exported"):
        stitch([*stations[:2], *stations[3:]], FACTS)


def test_stations_that_only_touch_are_matched_at_the_seam():
    places = [Place(low, 10, 16.0) for low in (320.0, 160.0, 0.0)]
    body = stitch(make_stations(places=places, gains=(1.3, 1.0, 1.0), **FLAT), FACTS)
    assert any("touch without an overlap" in note for note in body.facts.notes)
    assert body.factors[0] * 1.3 / body.factors[1] == pytest.approx(1, rel=0.05)


def test_a_station_of_another_person_is_refused():
    stations = make_stations(Build(girth=0.6))
    stations[2] = make_stations(Build(girth=1.2, fat_mm=30.0))[2]
    with pytest.raises(InputError, match=r"do not fit together.*agree by 0.*of one person"):
        stitch(stations, FACTS)


def test_movement_between_stations_is_told():
    stations = make_stations()
    moved = stations[2].affine.copy()
    moved[0, 3] += 30.0
    body = stitch([*stations[:2], replace(stations[2], affine=moved), *stations[3:]], FACTS)
    told = [note for note in body.facts.notes if "may have moved" in note]
    assert len(told) == 2
    assert told[0].startswith("stations 2 and 3 (counted from the head)")


def test_air_is_zero_and_lungs_stay():
    body = stitch(make_stations(), FACTS)
    water, fat = truth_of(body)
    air = water + fat == 0
    assert (body.water[air] == 0).mean() > 0.94
    assert body.body is not None
    lungs = (water + fat > 0) & (water + fat < 0.06)
    # At the neck these lungs are wider than the body.
    lungs[:, :, round(880 / 16) :] = False
    assert body.body[lungs].mean() > 0.97
    kept = stitch(make_stations(), FACTS, mask_air=False)
    assert (kept.water[air] > 0).mean() > 0.95


def test_echoes_alone_give_a_whole_body_and_a_note():
    body = stitch(make_stations(echoes=True), FACTS)
    water, fat = truth_of(body)
    assert any("computed from in-phase and opposed-phase" in note for note in body.facts.notes)
    assert body.swapped == ()
    clear = (water + fat > 0.4) & (np.abs(water - fat) > 0.6 * (water + fat))
    assert ((body.water > body.fat) == (water > fat))[clear].mean() > 0.97


def test_factors_are_chained_from_the_central_station():
    assert matching_factors([2.0, 0.5, float("nan")]) == pytest.approx((1.0, 2.0, 1.0, 1.0))
    assert matching_factors([]) == (1.0,)


def nifti_body(folder: Path, names: tuple[str, ...]) -> BodyVolume:
    """Write a stitched body as NIfTI and give it."""
    body = stitch(make_stations(**FLAT), FACTS, mask_air=False)
    for name in names:
        nib.save(nib.Nifti1Image(getattr(body, name), body.affine), folder / f"{name}.nii.gz")
    return body


def test_nifti_water_and_fat_are_one_station(tmp_path):
    body = nifti_body(tmp_path, ("water", "fat"))
    read = read_body(tmp_path, mask_air=False)
    assert (read.n_stations, read.swapped) == (1, ())
    np.testing.assert_allclose(read.affine, body.affine, atol=1e-3)
    np.testing.assert_allclose(read.water, body.water, atol=1e-3)
    np.testing.assert_allclose(read.fat, body.fat, atol=1e-3)


def test_nifti_with_water_and_fat_exchanged_is_mended(tmp_path):
    body = nifti_body(tmp_path, ("water", "fat"))
    (tmp_path / "water.nii.gz").rename(tmp_path / "x.nii.gz")
    (tmp_path / "fat.nii.gz").rename(tmp_path / "water.nii.gz")
    (tmp_path / "x.nii.gz").rename(tmp_path / "fat.nii.gz")
    read = read_body(tmp_path, mask_air=False)
    assert read.swapped == (1,)
    np.testing.assert_allclose(read.water, body.water, atol=1e-3)


def test_a_water_volume_alone(tmp_path):
    body = nifti_body(tmp_path, ("water",))
    read = read_body(tmp_path / "water.nii.gz")
    assert read.fat is None
    held = body.water > 300
    np.testing.assert_allclose(read.water[held], body.water[held], atol=1e-3)


def test_errors_name_the_source_and_no_person(tmp_path):
    layout = DixonLayout(stations=2, shape=(40, 30, 8))
    blank = write_zip(
        tmp_path / "visit.zip", scan_datasets(layout, change=lambda ds, *_: setattr(ds, "PixelData", bytes(2400)) or ds)
    )
    with pytest.raises(InputError, match=r"visit\.zip.*shows no body.*one value everywhere") as caught:
        read_body(blank)
    assert SECRET not in str(caught.value)
