"""Vertebral bodies in the projection: trabecular bone, walls, endplates with their depressions, osteophytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agezoo.phantoms.spine_ageing import LEVELS, SpineSigns
from agezoo.phantoms.spine_anatomy import Column, Vertebra
from agezoo.phantoms.spine_labels import LABELS
from agezoo.phantoms.spine_layer import Layer, Picture, rounded

FloatArray = NDArray[np.float64]
Labels = NDArray[np.uint8]

# Attenuation beyond that of soft tissue: per mm of young trabecular bone, and of the cortex where the beam grazes it.
TRABECULAR_PER_MM = 0.0110
_ENDPLATE = 0.33
_RIM = 0.20
_WALL = 0.20
_OSTEOPHYTE = 0.34
_WAIST = 0.055


def draw_bodies(layer: Layer, labels: Labels, column: Column, signs: SpineSigns, obliquity: float, seed: int) -> None:
    """Add all bodies, osteophytes and discs; label them.

    Parameters
    ----------
    layer
        The stored image's grid.
    labels
        Mask of the same shape, changed in place.
    column, signs
        What to draw.
    obliquity
        Tilt of the endplates towards the beam; it sets their rims apart.
    seed
        Of the trabecular texture, which belongs to the person.
    """
    texture = _trabeculae(layer.pixel_mm, signs.trabecular_density, seed)
    _label_discs(layer, labels, column)
    for index, vertebra in enumerate(column.vertebrae):
        _draw_osteophytes(layer, labels, vertebra, signs, index)
    for index, vertebra in enumerate(column.vertebrae):
        _draw_body(layer, labels, vertebra, signs, obliquity, texture, index)


def _draw_body(
    layer: Layer,
    labels: Labels,
    vertebra: Vertebra,
    signs: SpineSigns,
    obliquity: float,
    texture: Picture,
    index: int,
) -> None:
    pixel = layer.pixel_mm
    reach = np.hypot(vertebra.depth_mm, max(vertebra.height_mm)) / 2.0 + 4.0
    low = np.maximum(np.floor((vertebra.centre_mm - reach) / pixel).astype(int), 0)
    high = np.minimum(np.ceil((vertebra.centre_mm + reach) / pixel).astype(int), layer.values.shape[::-1])
    if (high <= low).any():
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    x, y = layer.centres_mm()
    dx = x[:, window[1]] - np.float32(vertebra.centre_mm[0])
    dy = y[window[0]] - np.float32(vertebra.centre_mm[1])
    lean = np.deg2rad(vertebra.lean_deg)
    cos, sin = np.float32(np.cos(lean)), np.float32(np.sin(lean))
    back, up = dx * cos - dy * sin, -dx * sin - dy * cos
    half = np.float32(vertebra.depth_mm / 2.0)
    front_mm, back_mm = vertebra.height_mm
    s = back / half
    inside_s = np.clip(1.0 - s**2, 0.0, None)
    half_height = np.float32((front_mm + back_mm) / 4.0) + np.float32((back_mm - front_mm) / 4.0) * s
    # Corners are a little rounded off.
    rim = half_height - np.float32(0.9) * np.abs(s) ** 12
    shape = np.sqrt(inside_s) ** 1.4
    upper_floor = rim - np.float32(vertebra.concavity_mm[0]) * shape
    lower_floor = rim - np.float32(vertebra.concavity_mm[1]) * shape
    relative = np.clip(up / np.maximum(half_height, 1.0), -1.0, 1.0)
    waist = np.float32(_WAIST * vertebra.depth_mm) * (1.0 - relative**2)
    # The front wall is hollow, the back wall nearly straight.
    to_front = (back + half) - waist
    to_back = (half - back) - np.float32(0.5) * waist
    soft = np.float32(max(0.35, 0.6 * pixel))
    wall = _step(to_front, soft) * _step(to_back, soft)
    bone = np.minimum(_share(up, upper_floor, rim, soft), _share(-up, lower_floor, rim, soft)) * wall
    chord = np.float32(vertebra.width_mm) * np.sqrt(np.clip(1.0 - 0.72 * s**2, 0.05, None))
    density = np.float32(TRABECULAR_PER_MM * signs.trabecular_density)
    weave = _tile(texture, back, up, pixel, index)
    picture = density * chord * bone * (1.0 + weave)
    cortical = np.float32(signs.cortical_density * (vertebra.width_mm / 45.0) ** 0.5)
    # Where the trabeculae go, the rims stand out more: the cortex thins less than the interior.
    # Oblique beams separate the two sides of the rim.
    apart = np.float32(0.5 + 1.3 * obliquity)
    for level, floor in ((up, upper_floor), (-up, lower_floor)):
        plate = np.float32(_ENDPLATE) * _line(level - floor + np.float32(0.4), 0.62)
        ring = np.float32(_RIM) * (0.6 * _line(level - rim + 0.4, 0.6) + 0.4 * _line(level - rim + 0.4 + apart, 0.7))
        picture = picture + cortical * (plate + ring) * wall
    height_mask = np.minimum(_step(rim - up, soft), _step(rim + up, soft))
    picture = picture + (
        cortical * np.float32(_WALL) * (_line(to_front - 0.5, 0.7) + 0.8 * _line(to_back - 0.5, 0.65)) * height_mask
    )
    layer.values[window] += picture.astype(np.float32)
    body = (to_front > 0) & (to_back > 0) & (np.abs(up) <= rim)
    part = labels[window]
    part[body] = LABELS["vertebral_bodies"]


def _step(distance: NDArray[np.floating], soft: np.float32) -> Picture:
    """0 outside, 1 inside, with a soft edge."""
    return np.clip(distance / (2.0 * soft) + 0.5, 0.0, 1.0).astype(np.float32, copy=False)


def _line(distance: NDArray[np.floating], sd_mm: float) -> Picture:
    return np.exp(-0.5 * (distance / np.float32(sd_mm)) ** 2).astype(np.float32, copy=False)


def _share(
    level: NDArray[np.floating], floor: NDArray[np.floating], rim: NDArray[np.floating], soft: np.float32
) -> Picture:
    """Share of the beam's path inside bone: between floor and rim of a bowl only its sides are left."""
    depth = np.maximum(rim - floor, 0.05)
    share = 1.0 - np.sqrt(np.clip((level - floor) / depth, 0.0, 1.0))
    return np.minimum(share, _step(rim - level, soft)).astype(np.float32, copy=False)


def _trabeculae(pixel_mm: float, density: float, seed: int) -> Picture:
    """Relative variation of trabecular bone; vertical struts stand out when bone is lost. Shape (rows, columns)."""
    rng = np.random.default_rng([seed, 13])
    size = int(np.ceil(64.0 / pixel_mm))
    noise = rng.standard_normal((size, size), dtype=np.float32)
    fine = ndimage.gaussian_filter(noise, 0.55 / pixel_mm, mode="wrap")
    struts = ndimage.gaussian_filter(np.roll(noise, 7, axis=1), (3.2 / pixel_mm, 0.45 / pixel_mm), mode="wrap")
    lost = float(np.clip(1.0 - density, 0.0, 0.8))
    woven: Picture = 0.10 * fine / fine.std() + (0.04 + 0.16 * lost) * struts / struts.std()
    return woven


def _tile(
    texture: Picture, back: NDArray[np.floating], up: NDArray[np.floating], pixel_mm: float, index: int
) -> Picture:
    """The texture in the body's own axes; each body shows another part of it."""
    rows = (np.round(up / pixel_mm).astype(np.int32) + 37 * index) % texture.shape[0]
    columns = (np.round(back / pixel_mm).astype(np.int32) + 53 * index) % texture.shape[1]
    return texture[rows, columns]


def _draw_osteophytes(layer: Layer, labels: Labels, vertebra: Vertebra, signs: SpineSigns, index: int) -> None:
    """Beaks at the corners that reach forward or backward and bend towards the disc."""
    upper_front, upper_back, lower_back, lower_front = vertebra.corners()
    axes = vertebra.place([(1.0, 0.0), (0.0, 1.0)]) - vertebra.centre_mm
    backward, headward = axes
    for corner, length, out, up in (
        (upper_front, signs.osteophyte_mm[index, 0], -backward, headward),
        (lower_front, signs.osteophyte_mm[index, 1], -backward, -headward),
        (upper_back, signs.osteophyte_mm[index, 2], backward, headward),
        (lower_back, signs.osteophyte_mm[index, 3], backward, -headward),
    ):
        if length < 1.0:
            continue
        beak = np.array(
            [
                corner - 2.5 * out + 0.2 * up,
                corner + 0.5 * length * out + 0.12 * length * up,
                corner + 1.05 * length * out + 0.30 * length * up,
                corner + 0.80 * length * out - 0.25 * length * up,
                corner + 0.25 * length * out - 0.65 * length * up,
                corner - 0.4 * out - 1.15 * length * up,
                corner - 2.5 * out - 0.9 * length * up,
            ]
        )
        beak = rounded(beak, cuts=2)
        amount = _OSTEOPHYTE * min(length / 6.0, 1.0) * (0.75 + 0.25 * (LEVELS[index][0] == "L"))
        layer.fill(beak, 0.85 * amount, 0.55, rim=0.3 * amount, rim_mm=1.2)
        drawn = layer.shape(beak, 0.0)
        if drawn is not None:
            labels[drawn[0]][drawn[1] > 0.5] = LABELS["osteophytes"]


def _label_discs(layer: Layer, labels: Labels, column: Column) -> None:
    """Discs absorb as soft tissue does, so they are seen by their absence and need only a label."""
    lower_plates = [vertebra.corners()[[3, 2]] for vertebra in column.vertebrae]
    upper_plates = [vertebra.corners()[[0, 1]] for vertebra in column.vertebrae[1:]]
    half = column.sacrum_depth_mm / 2.0
    upper_plates.append(column.sacrum_place([(-half, 0.0), (half, 0.0)]))
    for above, below in zip(lower_plates, upper_plates, strict=True):
        drawn = layer.shape(np.concatenate([above, below[::-1]]), 0.0)
        if drawn is not None:
            part = labels[drawn[0]]
            part[(drawn[1] > 0.5) & (part == 0)] = LABELS["discs"]
