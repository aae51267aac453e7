"""Implants: where they are, how dense, and that their streaks are those of starved rays."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.transforms.perturb.metal import Rod, hip_prosthesis, implanted, spinal_screws
from agezoo.transforms.perturb.streaks import ANGLES, SIZE, back_projection, metal_streaks, projector

SPACING_MM = (3.0, 3.0, 3.0)


def water(radius_mm: float = 140.0, shape: tuple[int, int, int] = (112, 112, 60)) -> np.ndarray:
    x, y = (np.arange(n) - (n - 1) / 2 for n in shape[:2])
    plane = np.where(np.hypot(x[:, None], y[None, :]) * 3.0 < radius_mm, 0, -1000)
    return np.repeat(plane[:, :, None], shape[2], axis=2).astype(np.int16)


def disc(radius: float) -> np.ndarray:
    x = np.arange(SIZE) - (SIZE - 1) / 2
    return (np.hypot(x[:, None], x[None, :]) < radius).astype(float)


def test_projection_of_a_disc_is_its_chords():
    sinogram = (projector(SIZE, ANGLES) @ disc(30.0).ravel()).reshape(ANGLES, -1)
    through_the_middle = sinogram[:, sinogram.shape[1] // 2]
    assert through_the_middle.mean() == pytest.approx(60.0, rel=0.02)
    # Every angle sees the whole disc.
    np.testing.assert_allclose(sinogram.sum(axis=1), disc(30.0).sum(), rtol=1e-5)


def test_back_projection_undoes_projection():
    image = disc(30.0)
    sinogram = (projector(SIZE, ANGLES) @ image.ravel()).reshape(ANGLES, -1)
    result = back_projection(sinogram, SIZE)
    assert result[disc(25.0) > 0].mean() == pytest.approx(1.0, abs=0.02)
    assert abs(result[(disc(50.0) > 0) & (disc(35.0) == 0)].mean()) < 0.02


def test_no_metal_makes_no_streaks():
    plane = water()[:, :, 0].astype(np.float32)
    none = metal_streaks(plane, np.zeros_like(plane), pixel_mm=(3.0, 3.0), rng=np.random.default_rng(0))
    assert np.abs(none).max() == 0.0


def test_it_is_dark_between_two_implants():
    plane, metal = water()[:, :, 0].astype(np.float32), np.zeros((112, 112), dtype=np.float32)
    metal[35:39, 54:58] = metal[73:77, 54:58] = 8000
    streaks = metal_streaks(plane, metal, pixel_mm=(3.0, 3.0), rng=np.random.default_rng(0))
    between, aside = streaks[42:70, 54:58].mean(), streaks[42:70, 85:95].mean()
    assert between < -40
    assert abs(aside) < 0.5 * abs(between)


def test_a_rod_has_its_volume_and_density():
    volume = water()
    rod = Rod((167.0, 167.0, 45.0), (167.0, 167.0, 135.0), 9.0)
    result = implanted(volume, [rod], 8000.0, spacing_mm=SPACING_MM, rng=np.random.default_rng(0))
    assert result.max() == 8000
    metal = result > 5000
    # A cylinder with a half ball at each end.
    assert metal.sum() * 27.0 == pytest.approx(np.pi * 81 * 90 + 4 / 3 * np.pi * 729, rel=0.1)
    heights = np.flatnonzero(metal.any(axis=(0, 1))) * 3.0
    assert heights[0] == pytest.approx(45 - 9, abs=3.1)
    assert heights[-1] == pytest.approx(135 + 9, abs=3.1)
    # Slices without metal stay as they are.
    np.testing.assert_array_equal(result[:, :, :10], volume[:, :, :10])
    assert np.abs(result[:, :, 30].astype(int) - volume[:, :, 30]).max() > 100


def body_with_bones() -> np.ndarray:
    volume = water(shape=(112, 112, 150))
    x, y = np.arange(112)[:, None], np.arange(112)[None, :]
    volume[(x - 60) ** 2 + (y - 25) ** 2 < 36] = 300
    volume[((x - 25) ** 2 + (y - 50) ** 2 < 36), :40] = 500
    return volume


def test_screws_go_into_the_spine():
    result = spinal_screws(body_with_bones(), 3071.0, spacing_mm=SPACING_MM, rng=np.random.default_rng(0))
    metal = np.argwhere(result > 2500)
    assert metal[:, 0].mean() == pytest.approx(60, abs=2)
    assert np.ptp(metal[:, 0]) * 3.0 < 60
    assert 20 - 12 < metal[:, 1].mean() < 32
    # Two levels around a third of the 450 mm that the scan shows.
    assert metal[:, 2].mean() * 3.0 == pytest.approx(0.33 * 450 + 19, abs=6)


def test_the_hip_is_on_the_patients_right_at_the_foot_end():
    result = hip_prosthesis(body_with_bones(), 8000.0, spacing_mm=SPACING_MM, rng=np.random.default_rng(0))
    metal = np.argwhere(result > 6000)
    assert metal[:, 0].max() < 40
    assert metal[:, 2].max() * 3.0 < 0.2 * 450
    head = np.argwhere(result[:, :, 18] > 6000)
    np.testing.assert_allclose(head.mean(axis=0), [25, 50], atol=2.0)


def test_a_scan_without_a_body_is_refused():
    with pytest.raises(InputError, match="no body was found"):
        spinal_screws(
            np.full((20, 20, 20), -1000, np.int16), 3071.0, spacing_mm=SPACING_MM, rng=np.random.default_rng()
        )
