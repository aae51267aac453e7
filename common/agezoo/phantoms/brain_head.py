"""The head around the phantom's brain: skull, scalp, face, eyes, air and neck, drawn around the template's brain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agezoo.phantoms.brain_anatomy import DISTANCE_SCALE, brain_anatomy

Floats = NDArray[np.float32]

STEP_MM = 1.5
"""Spacing of the grid that the head is drawn on."""

BRIGHTNESS_SCALE = 170.0
"""Stored value per brightness of white matter."""

_LOW_MM = (-102.0, -140.0, -186.0)
_HIGH_MM = (102.0, 126.0, 116.0)
_FLUID, _BONE, _MARROW, _FAT, _SKIN, _MUSCLE, _CORD = 0.18, 0.06, 0.62, 1.15, 0.62, 0.47, 0.85


@dataclass(frozen=True)
class HeadShell:
    """Everything but the brain, in MNI space.

    Attributes
    ----------
    brightness
        Bytes; see :data:`BRIGHTNESS_SCALE`. Inside the skull it is that of fluid.
    origin_mm
        RAS+ position of the first voxel.
    """

    brightness: NDArray[np.uint8]
    origin_mm: tuple[float, float, float]

    def pull(self, points_mm: Floats) -> Floats:
        """Brightness at MNI positions (3, ...) in mm, as a share of white matter's; air outside the head."""
        origin = np.asarray(self.origin_mm, np.float32).reshape(3, *[1] * (points_mm.ndim - 1))
        index = (points_mm - origin) / np.float32(STEP_MM)
        found: Floats = ndimage.map_coordinates(
            self.brightness, index, output=np.float32, order=1, mode="nearest", prefilter=False
        )
        found /= np.float32(BRIGHTNESS_SCALE)
        return found


@lru_cache(maxsize=1)
def head_shell() -> HeadShell:
    """Draw the head once per process."""
    axes = [np.arange(a, b + 0.1, STEP_MM, dtype=np.float32) for a, b in zip(_LOW_MM, _HIGH_MM, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    across = np.abs(x)
    hull_mm = _outside_hull_mm(axes)
    texture = _texture(hull_mm.shape)
    depth_mm = _skin_depth_mm(hull_mm, across, y, z)
    head = np.full(hull_mm.shape, _MUSCLE, np.float32) * (1.0 + 0.12 * texture)
    _paint(head, np.clip(texture - 0.7, 0.0, 1.0) * (z < -45), _FAT)
    _paint(head, _share(5.5 + 1.5 * texture - depth_mm, 2.0), _FAT * (1.0 + 0.06 * texture))
    _paint_face(head, across, y, z)
    _paint_neck(head, x, y, z)
    _paint_skull(head, hull_mm, y, z, texture)
    _paint(head, _share(2.0 - depth_mm, 1.0), _SKIN)
    _paint_airways(head, across, x, y, z, texture)
    _paint(head, _share(-depth_mm, 0.8), 0.0)
    return HeadShell(np.clip(np.rint(head * BRIGHTNESS_SCALE), 0, 255).astype(np.uint8), _LOW_MM)


def _paint(head: Floats, share: Floats, brightness: Floats | float) -> None:
    """Move voxels towards a brightness by the share that a shape covers of them."""
    head += share * (brightness - head)


def _share(inside_mm: NDArray[Any], soft_mm: float = 1.2) -> Floats:
    """Share of a voxel that a shape covers, from the signed depth inside it."""
    covered: Floats = np.clip(0.5 + inside_mm / np.float32(2.0 * soft_mm), 0.0, 1.0).astype(np.float32, copy=False)
    return covered


def _ellipsoid_mm(
    x: Floats, y: Floats, z: Floats, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Floats:
    """Depth inside an ellipsoid, about right near its surface."""
    scaled = np.sqrt(
        sum(((axis - at) / radius) ** 2 for axis, at, radius in zip((x, y, z), centre, radii, strict=True))
    )
    depth: Floats = ((1.0 - scaled) * min(radii)).astype(np.float32)
    return depth


def _rod_mm(
    x: Floats, y: Floats, z: Floats, start: tuple[float, float, float], end: tuple[float, float, float], radius: float
) -> Floats:
    """Depth inside a rod with round ends."""
    along = np.asarray(end, np.float32) - np.asarray(start, np.float32)
    from_start = [axis - np.float32(at) for axis, at in zip((x, y, z), start, strict=True)]
    share = sum(part * step for part, step in zip(from_start, along, strict=True)) / float((along**2).sum())
    share = np.clip(share, 0.0, 1.0)
    away = np.sqrt(sum((part - share * step) ** 2 for part, step in zip(from_start, along, strict=True)))
    depth: Floats = np.float32(radius) - away
    return depth


def _texture(shape: tuple[int, ...]) -> Floats:
    """Fixed noise with a coarse and a fine part, about -2 to 2."""
    rng = np.random.default_rng(152)
    coarse = ndimage.zoom(rng.standard_normal([size // 8 + 2 for size in shape]).astype(np.float32), 8, order=1)
    fine = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), 1.0) * np.float32(4.7)
    mixed: Floats = 0.8 * coarse[tuple(slice(size) for size in shape)] + 0.5 * fine
    return mixed


def _outside_hull_mm(axes: list[Floats]) -> Floats:
    """Distance outside the brain's smooth hull, negative inside."""
    anatomy = brain_anatomy()
    brain = anatomy.distance < 128 + DISTANCE_SCALE * 1.0
    index = [np.rint(axis - low).astype(np.intp) for axis, low in zip(axes, anatomy.origin_mm, strict=True)]
    valid = [(i >= 0) & (i < size) for i, size in zip(index, brain.shape, strict=True)]
    sampled = np.zeros([len(axis) for axis in axes], bool)
    chosen = [i[ok] for i, ok in zip(index, valid, strict=True)]
    sampled[np.ix_(*[np.flatnonzero(ok) for ok in valid])] = brain[np.ix_(*chosen)]
    ball = round(9.0 / STEP_MM)
    # Closing by distance: the hull bridges the fissures but follows the base of the skull.
    grown = ndimage.distance_transform_edt(~sampled) < ball
    filled = ndimage.distance_transform_edt(grown) > ball
    smooth = ndimage.gaussian_filter((filled | sampled).astype(np.float32), 2.0) > 0.5
    outside = ndimage.distance_transform_edt(~smooth) - ndimage.distance_transform_edt(smooth)
    hull: Floats = ndimage.gaussian_filter((STEP_MM * outside).astype(np.float32), 0.8)
    return hull


def _skin_depth_mm(hull_mm: Floats, across: Floats, y: Floats, z: Floats) -> Floats:
    """Depth below the skin: the smooth union of the skull's cover, face, nose, jaw, ears and neck."""
    # Below the eyes the brain's hull no longer shapes the outside.
    cover = 14.5 - hull_mm - np.clip((-40.0 - z) * 0.5, 0.0, 30.0) * (y < 60)
    temples = _ellipsoid_mm(across, y, z, (58.0, 22.0, -22.0), (20.0, 42.0, 44.0))
    brow = _ellipsoid_mm(across, y, z, (0.0, 58.0, -22.0), (58.0, 32.0, 30.0))
    face = _ellipsoid_mm(across, y, z, (0.0, 40.0, -66.0), (64.0, 54.0, 70.0))
    chin = _ellipsoid_mm(across, y, z, (0.0, 66.0, -118.0), (30.0, 26.0, 22.0))
    lips = _ellipsoid_mm(across, y, z, (0.0, 84.0, -88.0), (26.0, 18.0, 18.0))
    nose = _rod_mm(across, y, z, (0.0, 90.0, -28.0), (0.0, 108.0, -58.0), 9.0)
    wings = _ellipsoid_mm(across, y, z, (9.0, 98.0, -62.0), (10.0, 13.0, 8.0))
    ear = _ellipsoid_mm(across, y, z, (80.0, -26.0, -34.0), (6.0, 15.0, 29.0))
    neck = _rod_mm(across * 0.95, y, z, (0.0, -30.0, -60.0), (0.0, -36.0, -260.0), 57.0)
    shoulders = _ellipsoid_mm(across, y, z, (0.0, -40.0, -260.0), (190.0, 80.0, 92.0))
    softness = 5.0
    parts = (cover, temples, brow, face, chin, lips, nose, wings, ear, neck, shoulders)
    largest = np.maximum.reduce([np.broadcast_to(part, hull_mm.shape) for part in parts])
    total = sum(np.exp((part - largest) / softness) for part in parts)
    depth: Floats = (largest + softness * np.log(total) - 1.0).astype(np.float32)
    return depth


def _paint_face(head: Floats, across: Floats, y: Floats, z: Floats) -> None:
    _paint(head, _share(_rod_mm(across, y, z, (58.0, 40.0, -50.0), (66.0, 5.0, -42.0), 5.0)), _MARROW)
    _paint(head, _share(_ellipsoid_mm(across, y, z, (46.0, 42.0, -78.0), (12.0, 20.0, 18.0)), 4.0), _FAT)
    for start, end in (
        ((53.0, 4.0, -46.0), (50.0, 2.0, -92.0)),
        ((50.0, 2.0, -92.0), (28.0, 62.0, -112.0)),
        ((28.0, 62.0, -112.0), (0.0, 78.0, -116.0)),
    ):
        bone = _rod_mm(across, y, z, start, end, 8.0)
        _paint(head, _share(bone), _BONE)
        _paint(head, _share(bone - 3.0), _MARROW)
    palate = _ellipsoid_mm(across, y, z, (0.0, 52.0, -76.0), (26.0, 34.0, 3.5))
    _paint(head, _share(palate), 0.15)
    _paint(head, _share(_ellipsoid_mm(across, y, z, (0.0, 46.0, -97.0), (23.0, 34.0, 17.0)), 2.0), 0.58)
    teeth = 4.0 - np.abs(_ellipsoid_mm(across, y, z, (0.0, 52.0, -92.0), (27.0, 34.0, 60.0)))
    _paint(head, _share(teeth) * _share(9.0 - np.abs(z + 91.0)) * (y > 48), 0.05)
    _paint(head, _share(_ellipsoid_mm(across, y, z, (31.0, 56.0, -37.0), (17.0, 27.0, 17.0)), 1.5), _FAT)
    for to in ((22.0, 26.0, -34.0), (38.0, 34.0, -30.0), (28.0, 32.0, -46.0)):
        _paint(head, _share(_rod_mm(across, y, z, (31.0, 58.0, -37.0), to, 2.6)), _MUSCLE)
    eye = _ellipsoid_mm(across, y, z, (32.0, 68.0, -37.0), (12.0, 12.0, 12.0))
    _paint(head, _share(eye + 1.2), 0.45)
    _paint(head, _share(eye), _FLUID)
    _paint(head, _share(_ellipsoid_mm(across, y, z, (32.0, 77.0, -37.0), (4.5, 2.3, 4.5)), 0.8), 0.5)


def _paint_airways(head: Floats, across: Floats, x: Floats, y: Floats, z: Floats, texture: Floats) -> None:
    for centre, radii in (
        ((29.0, 56.0, -63.0), (12.0, 15.0, 15.0)),
        ((9.0, 56.0, -60.0), (8.0, 34.0, 15.0)),
        ((8.0, 24.0, -36.0), (9.0, 11.0, 8.0)),
        ((10.0, 50.0, -40.0), (7.0, 18.0, 8.0)),
        ((0.0, 6.0, -78.0), (11.0, 8.0, 24.0)),
        ((0.0, 2.0, -120.0), (8.0, 6.0, 30.0)),
    ):
        _paint(head, _share(_ellipsoid_mm(across, y, z, centre, radii)), 0.02)
    _paint(head, _share(1.2 - np.abs(x + 1.5)) * _share(_ellipsoid_mm(across, y, z, (0, 60, -60), (14, 32, 16))), 0.5)
    turbinate = _rod_mm(across, y, z, (9.0, 78.0, -66.0), (9.0, 36.0, -66.0), 3.4)
    _paint(head, _share(turbinate), 0.55)
    windpipe = _rod_mm(across, y, z, (0.0, 4.0, -140.0), (0.0, 0.0, -260.0), 8.0)
    _paint(head, _share(windpipe), 0.02)
    mastoid = _ellipsoid_mm(across, y, z, (54.0, -28.0, -44.0), (11.0, 14.0, 17.0))
    _paint(head, _share(mastoid, 3.0) * np.clip(0.75 + 0.4 * texture, 0.0, 1.0), 0.06)
    canal = _rod_mm(across, y, z, (56.0, -18.0, -34.0), (76.0, -20.0, -33.0), 2.6)
    _paint(head, _share(canal), 0.02)


def _paint_neck(head: Floats, x: Floats, y: Floats, z: Floats) -> None:
    """Spine, cord and vessels below the brain."""
    back = -48.0 - 0.06 * (-66.0 - z)
    column = 12.0 - np.sqrt((x / 1.15) ** 2 + (y - (back + 25.0)) ** 2)
    level = ((-74.0 - z) % 17.0) - 8.5
    disc = _share(np.abs(level) - 6.4, 0.8)
    below = _share(-70.0 - z, 2.0)
    _paint(head, _share(column) * below, _MARROW * (1.0 - 0.5 * disc))
    _paint(head, _share(1.0 - np.abs(column), 0.8) * below, _BONE)
    _paint(head, _share(_ellipsoid_mm(x, y, z, (0.0, -24.0, -72.0), (8.0, 7.0, 14.0))), _MARROW)
    # Spinous processes, one per vertebra.
    spine = np.minimum(6.0 - np.abs(x), 13.0 - np.abs(y - (back - 20.0)))
    _paint(head, _share(spine) * _share(4.5 - np.abs(level)) * _share(-80.0 - z, 2.0), _MARROW)
    canal = np.sqrt((x / 1.2) ** 2 + (y - back) ** 2)
    _paint(head, _share(11.0 - canal, 1.0) * _share(-62.0 - z, 3.0), _BONE)
    _paint(head, _share(9.5 - canal) * _share(-60.0 - z, 3.0), _FLUID)
    _paint(head, _share(5.2 - canal) * _share(-60.0 - z, 3.0), _CORD)
    across = np.abs(x)
    for at, radius in (((27.0, -8.0), 4.5), ((31.0, -14.0), 5.5)):
        vessel = radius - np.sqrt((across - at[0]) ** 2 + (y - at[1]) ** 2)
        _paint(head, _share(vessel) * _share(-62.0 - z, 3.0), 0.25)


def _paint_skull(head: Floats, hull_mm: Floats, y: Floats, z: Floats, texture: Floats) -> None:
    """Fluid, dura, inner table, diploe and outer table outwards from the brain; below, the bone of the base."""
    vault = _share(z + 42.0 - 0.25 * (y < -40) * (-40.0 - y), 8.0)
    thick = 1.0 + 0.12 * texture
    outer = 9.0 * vault + 6.0 * (1.0 - vault)
    foramen = 1.0 - _share(-58.0 - z, 2.0) * _share(16.0 - np.abs(y + 48.0), 3.0) * _share(3.0 - hull_mm * 0.2, 9.0)
    _paint(head, _share(outer * thick - hull_mm, 0.8) * foramen, _BONE)
    marrow = np.minimum(hull_mm - 4.6, 7.4 * thick - hull_mm)
    _paint(head, _share(marrow, 0.9) * vault, _MARROW)
    _paint(head, _share(3.2 - hull_mm, 0.5), 0.34)
    _paint(head, _share(2.6 - hull_mm, 0.5), _FLUID)
