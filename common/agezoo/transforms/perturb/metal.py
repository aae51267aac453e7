"""Implants: spinal screws and a hip prosthesis, with the streaks that they cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.implant_place import body_frame, right_hip_centre_mm, spine_centre_mm
from agezoo.transforms.perturb.slabs import as_type
from agezoo.transforms.perturb.streaks import metal_streaks

LUMBAR_SHARE = 0.33
"""Height of the lower screws as a share of the scan's extent: the lumbar spine of a thorax-abdomen CT."""

LEVEL_MM = 38.0
HIP_SHARE = 0.12
_STREAK_STEP_MM = 6.0


@dataclass(frozen=True)
class Rod:
    """A capsule of metal: everything within `radius_mm` of the line between two points (left, anterior, superior)."""

    start_mm: tuple[float, float, float]
    end_mm: tuple[float, float, float]
    radius_mm: float


def spinal_screws(
    volume_hu: np.ndarray, implant_hu: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Put four pedicle screws and two rods of `implant_hu` into the lower spine, with streaks.

    The spine is the bone near the midline in the dorsal half at a third of the scan's height.
    """
    frame, coarse, step = body_frame(volume_hu, spacing_mm)
    low = LUMBAR_SHARE * frame.height_mm
    x, y = spine_centre_mm(frame, coarse, step, height_mm=low + LEVEL_MM / 2)
    rods = []
    for side in (-1, 1):
        for z in (low, low + LEVEL_MM):
            rods.append(Rod((x + side * 11.0, y + 18.0, z), (x + side * 19.0, y - 30.0, z), 3.25))
        rods.append(Rod((x + side * 19.0, y - 30.0, low - 8.0), (x + side * 19.0, y - 30.0, low + LEVEL_MM + 8.0), 3.0))
    return implanted(volume_hu, rods, implant_hu, spacing_mm=spacing_mm, rng=rng)


def hip_prosthesis(
    volume_hu: np.ndarray, implant_hu: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Put the head, neck and stem of a right hip prosthesis of `implant_hu` at the foot end, with streaks."""
    frame, coarse, step = body_frame(volume_hu, spacing_mm)
    z = HIP_SHARE * frame.height_mm
    x, y = right_hip_centre_mm(frame, coarse, step, height_mm=z)
    head, bend = (x, y, z), (x - 32.0, y, z - 22.0)
    rods = [Rod(head, head, 16.0), Rod(head, bend, 7.0), Rod(bend, (x - 26.0, y, z - 150.0), 7.5)]
    return implanted(volume_hu, rods, implant_hu, spacing_mm=spacing_mm, rng=rng)


def implanted(
    volume_hu: np.ndarray,
    rods: Sequence[Rod],
    implant_hu: float,
    *,
    spacing_mm: Sequence[float],
    rng: np.random.Generator,
) -> np.ndarray:
    """A copy of the volume with metal in it.

    Voxels at the surface of the metal get its share of their volume. Streaks are simulated every 6 mm along the body
    and added to all slices around that have metal; see :func:`agezoo.transforms.perturb.streaks.metal_streaks`.

    Parameters
    ----------
    volume_hu
        3D array in HU.
    rods
        The implant, in mm from the centre of the first voxel.
    implant_hu
        Value of the metal, at least 1000 HU.
    spacing_mm
        Distances of voxel centres.
    rng
        Source of the photon noise in the streaks.

    Raises
    ------
    InputError
        If the metal would be softer than bone, or lies outside the volume.
    """
    if implant_hu < 1000:
        raise InputError(
            "metal is denser than that", source="metal", found=f"{implant_hu:g} HU", expected="at least 1000 HU"
        )
    dx, dy, dz = (float(s) for s in spacing_mm)
    result = np.array(volume_hu, order="K", copy=True)
    streaks, made_at, found = np.zeros(volume_hu.shape[:2], dtype=np.float32), -np.inf, False
    for index, share in _metal_slices(rods, volume_hu.shape, (dx, dy, dz)):
        found = True
        plane = volume_hu[:, :, index].astype(np.float32)
        if index * dz - made_at >= _STREAK_STEP_MM:
            added = share * np.maximum(implant_hu - plane, 0.0)
            streaks, made_at = metal_streaks(plane, added, pixel_mm=(dx, dy), rng=rng), index * dz
        # The scanner sees no less than nothing: streaks do not go below air.
        around = np.maximum(plane + streaks, np.minimum(plane, -1024.0))
        result[:, :, index] = as_type(share * implant_hu + (1.0 - share) * around, volume_hu.dtype)
    if not found:
        raise InputError("the implant lies outside the volume", source="metal")
    return result


def _metal_slices(
    rods: Sequence[Rod], shape: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> Iterator[tuple[int, np.ndarray]]:
    """Index and share of metal (0..1, float32) of every slice that has some."""
    x = (np.arange(shape[0]) * spacing_mm[0])[:, None]
    y = (np.arange(shape[1]) * spacing_mm[1])[None, :]
    edge = min(spacing_mm[:2])
    for index in range(shape[2]):
        z = index * spacing_mm[2]
        near = [rod for rod in rods if _reaches(rod, z)]
        if not near:
            continue
        share = np.zeros(shape[:2], dtype=np.float32)
        for rod in near:
            depth = rod.radius_mm - _distance_mm(rod, x, y, z)
            np.maximum(share, np.clip(0.5 + depth / edge, 0.0, 1.0), out=share)
        if share.any():
            yield index, share


def _reaches(rod: Rod, z: float) -> bool:
    low, high = sorted((rod.start_mm[2], rod.end_mm[2]))
    return low - rod.radius_mm <= z <= high + rod.radius_mm


def _distance_mm(rod: Rod, x: np.ndarray, y: np.ndarray, z: float) -> np.ndarray:
    """Distance of the points (x, y, z) of a plane from the line of a rod."""
    start, along = np.array(rod.start_mm), np.array(rod.end_mm) - np.array(rod.start_mm)
    length = float(along @ along)
    px, py, pz = x - start[0], y - start[1], z - start[2]
    t = np.clip((px * along[0] + py * along[1] + pz * along[2]) / length, 0.0, 1.0) if length else 0.0
    squared: np.ndarray = (px - t * along[0]) ** 2 + (py - t * along[1]) ** 2 + (pz - t * along[2]) ** 2
    return np.sqrt(squared)
