"""Implants in radiographs: on the column, behind it, as large as they are."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.transforms.perturb.radiograph_column import find_column
from agezoo.transforms.perturb.radiograph_implant import Bar, hip_prosthesis, spinal_screws, with_metal

SPACING_MM = (1.0, 1.0)


def lateral(*, back: int = 1, lean: float = 0.1, noise: float = 0.0) -> np.ndarray:
    """A leaning column of bright bodies; behind it muscle that ends at the skin, before it a thick belly; 400 x 200."""
    y, x = np.mgrid[0:400, 0:200].astype(np.float32)
    behind = (x - (100 + lean * (y - 200))) * back
    image = np.where(behind > 0, np.clip(700 - 9 * behind, 50, None), 900 - 1.5 * np.abs(behind + 40))
    image[(np.abs(behind) < 17) & (y % 36 < 28)] += 400
    image += np.random.default_rng(0).normal(0, noise, image.shape) if noise else 0
    return np.asarray(image, dtype=np.float32)


@pytest.mark.parametrize("back", [-1, 1])
@pytest.mark.parametrize("lean", [-0.2, 0.0, 0.15])
def test_column_and_back_are_found(back, lean):
    column = find_column(lateral(back=back, lean=lean, noise=60), spacing_mm=SPACING_MM)
    assert column.back == back
    for y in (250.0, 340.0):
        assert column.at(y) == pytest.approx(100 + lean * (y - 200), abs=10), "inside the bodies of 34 mm"
    assert (column.height_mm, column.width_mm) == (400.0, 200.0)


def test_column_of_an_image_without_spacing_is_in_assumed_millimetres():
    column = find_column(lateral(), spacing_mm=(np.nan, np.nan))
    assert column.height_mm == pytest.approx(430.0)
    assert column.at(350.0) == pytest.approx(430 / 400 * (100 + 0.1 * (350 * 400 / 430 - 200)), abs=9)


def test_metal_has_its_area_and_is_the_brightest():
    image = lateral()
    result = with_metal(image, [Bar((60.0, 80.0), (60.0, 180.0), 5.0)], spacing_mm=SPACING_MM)
    low, high = np.percentile(image[::3, ::3], (1, 99))
    assert result.max() == pytest.approx(image.max() + 0.1 * (high - low))
    covered = (result - image) / (result.max() - image)
    # A rectangle with a half circle at each end.
    assert covered.sum() == pytest.approx(10 * 100 + np.pi * 25, rel=0.02)
    assert (result >= image).all()


@pytest.mark.parametrize("levels", [1, 4])
def test_screws_cross_the_column_and_rods_lie_behind_it(levels):
    image = lateral(back=1, lean=0.0)
    metal = spinal_screws(image, levels, spacing_mm=SPACING_MM) > image.max()
    rows, columns = np.flatnonzero(metal.any(axis=1)), np.flatnonzero(metal.any(axis=0))
    assert np.ptp(rows) == pytest.approx((levels - 1) * 36 + 30, abs=4)
    # Into the bodies, which reach from 83 to 117, and to the rods behind them.
    assert columns[0] == pytest.approx(87, abs=8)
    assert columns[-1] == pytest.approx(145, abs=8)
    rods = metal[:, 130:].any(axis=1)
    assert rods.sum() == pytest.approx(np.ptp(rows) + 1, abs=2)


def test_screws_have_their_levels():
    image = lateral(lean=0.0)
    metal = spinal_screws(image, 3, spacing_mm=SPACING_MM) > image.max()
    inside = metal[:, 95:105].all(axis=1).astype(int)
    assert (np.diff(inside) == 1).sum() == 3


def test_hip_has_its_head_and_leaves_at_the_foot_end():
    image = lateral(lean=0.0)
    for diameter in (28.0, 54.0):
        metal = hip_prosthesis(image, diameter, spacing_mm=SPACING_MM) > image.max()
        assert metal.sum(axis=1).max() == pytest.approx(diameter, abs=2)
        assert metal[-1].any()
        assert not metal[:250].any()


def test_an_implant_half_outside_the_image_is_cut():
    image = lateral()[:, :60]
    result = with_metal(image, [Bar((55.0, 80.0), (90.0, 80.0), 8.0)], spacing_mm=SPACING_MM)
    assert (result[80, 50:] > image.max()).all()
    outside = with_metal(image, [Bar((155.0, 80.0), (190.0, 80.0), 8.0)], spacing_mm=SPACING_MM)
    np.testing.assert_array_equal(outside, image)
