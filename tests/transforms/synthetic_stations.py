"""Bodies of ellipses as Dixon stations: quick, with known fat fractions, for the tests of stitching and swaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agezoo.data.dixon import DixonStation

HEIGHT_MM = 1000.0
"""From the knees (0) to the neck."""


@dataclass(frozen=True)
class Build:
    """Shape of a body.

    Attributes
    ----------
    fat_mm
        Thickness of the fat below the skin.
    visceral
        Fat fraction between the organs.
    girth
        1 for a usual trunk.
    """

    fat_mm: float = 12.0
    visceral: float = 0.5
    girth: float = 1.0


@dataclass(frozen=True)
class Place:
    """One station: height of its lowest face, slices, distance between them, in-plane edge, shift to the left."""

    low_mm: float
    slices: int
    step_mm: float
    edge_mm: float = 6.0
    left_mm: float = 0.0


PLACES = tuple(Place(low, 15, 16.0) for low in (800.0, 640.0, 480.0, 320.0, 160.0, 0.0))


def true_signals(x: np.ndarray, y: np.ndarray, z: np.ndarray, build: Build) -> tuple[np.ndarray, np.ndarray]:
    """Water and fat (0..1) at points in mm: x to the right, y to the front, z from the knees up."""
    water = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
    fat = np.zeros_like(water)
    trunk = z > 420
    wide = np.where(z > 900, 60 + 100 * np.clip((HEIGHT_MM - z) / 100, 0, 1), 150 + 10 * np.sin(z / 90)) * build.girth
    deep = np.where(z > 900, 60 + 40 * np.clip((HEIGHT_MM - z) / 100, 0, 1), 100.0) * build.girth
    legs = [(side * 85.0 * build.girth, (55 + 0.06 * z) * build.girth) for side in (-1, 1)]
    arms = [(side * (205.0 * build.girth + build.fat_mm), np.full_like(z, 32.0)) for side in (-1, 1)]
    parts = [(x, wide + build.fat_mm, deep + build.fat_mm, trunk, 0)]
    parts += [(x - centre, r + build.fat_mm, r + build.fat_mm, z <= 440, 1) for centre, r in legs]
    parts += [(x - centre, r + build.fat_mm / 2, r + build.fat_mm / 2, (z > 350) & (z < 850), 2) for centre, r in arms]
    for u, a, b, there, kind in parts:
        r = np.sqrt((u / a) ** 2 + (y / b) ** 2)
        depth = (1 - r) * np.minimum(a, b)
        inside = there & (r < 1)
        share = np.where(depth < 2, 0.2, np.where(depth < 2 + build.fat_mm / (1 + kind // 2), 0.93, 0.06))
        bone = np.sqrt(u**2 + (y + (0.6 * b if kind == 0 else 0)) ** 2) < np.where(kind == 0, 18, 14 + 25 * (z < 50))
        share = np.where(bone & (depth > 5), 0.45 if kind == 0 else 0.85, share)
        gaps = (kind == 0) & (z < 700) & (r < 0.6) & (np.sin(u / 14) * np.sin(z / 19) > 0)
        share = np.where(gaps & ~bone, build.visceral, share)
        lungs = (kind == 0) & (z > 720) & (np.hypot(np.abs(u) - 70 * build.girth, y) < 45)
        signal = np.where(lungs, 0.05, 0.55 + 0.45 * share)
        water[inside] = (signal * (1 - share))[inside]
        fat[inside] = (signal * share)[inside]
    return water, fat


def station_affine(place: Place, shape: Sequence[int]) -> np.ndarray:
    affine = np.diag([-place.edge_mm, place.edge_mm, place.step_mm, 1.0])
    affine[:3, 3] = (
        place.edge_mm * (shape[0] - 1) / 2 - place.left_mm,
        -place.edge_mm * (shape[1] - 1) / 2,
        place.low_mm + place.step_mm / 2,
    )
    return affine


def make_stations(
    build: Build = Build(),
    places: Sequence[Place] = PLACES,
    *,
    gains: Sequence[float] | None = None,
    swapped: Sequence[int] = (),
    noise_sd: float = 0.02,
    falloff: float = 0.3,
    echoes: bool = False,
    width_mm: float = 500.0,
    depth_mm: float = 380.0,
    seed: int = 0,
) -> list[DixonStation]:
    """Stations as a scanner gives them, head to foot; `swapped` counts from 1 at the head."""
    random = np.random.default_rng(seed)
    stations = []
    for k, place in enumerate(places):
        shape = (round(width_mm / place.edge_mm), round(depth_mm / place.edge_mm), place.slices)
        affine = station_affine(place, shape)
        x, y, z = (
            affine[axis, axis] * np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)]) + affine[axis, 3]
            for axis, n in enumerate(shape)
        )
        water, fat = true_signals(x, y, z, build)
        ends = np.abs(np.linspace(-1, 1, place.slices))
        gain = (1.0 if gains is None else gains[k]) * (1 - falloff * ends**6)
        names = ("in", "opposed") if echoes else ("water", "fat")
        clean = (water + fat, np.abs(water - fat)) if echoes else (water, fat)
        if k + 1 in swapped:
            clean = clean[::-1]
        images = {}
        for name, image in zip(names, clean, strict=True):
            noise = random.normal(0, noise_sd, (2, *shape))
            images[name] = (1000 * gain * np.hypot(image + noise[0], noise[1])).astype(np.float32)
        stations.append(DixonStation(images, affine))
    return stations
