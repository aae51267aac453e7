"""From attenuation to a displayed picture: beam, scatter, noise, detector, and the console's processing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from agezoo.phantoms.spine_layer import Layer, Picture
from agezoo.phantoms.spine_projection import Projection

_SCATTER_GRID_MM = 6.0
_LETTERS: dict[str, list[tuple[tuple[int, int], ...]]] = {
    "L": [((0, 0), (0, 13)), ((0, 13), (7, 13))],
    "R": [((0, 0), (0, 13)), ((0, 0), (6, 1), (7, 4), (6, 6), (0, 7)), ((3, 7), (8, 13))],
}


@dataclass(frozen=True)
class Exposure:
    """How a radiograph is taken and processed.

    Attributes
    ----------
    quanta
        Detected quanta per square millimetre without an object.
    scatter_share
        Scattered over primary signal behind the trunk (after the grid).
    blur_mm
        SD of the detector's and the focal spot's blur.
    latitude
        Share of the large-scale contrast that the console removes.
    sharpening
        Weight of the details that it adds.
    black, white
        Quantiles of the picture that become black and white.
    collimation_mm
        Unexposed borders: top, bottom, left, right.
    shutter
        The console shows the unexposed borders black instead of white.
    marker
        The lead letter in the field, ``"L"`` or ``"R"``, with its place as shares of the height and the width (up
        and left end), or None.
    """

    quanta: float
    scatter_share: float
    blur_mm: float
    latitude: float
    sharpening: float
    black: float
    white: float
    collimation_mm: tuple[float, float, float, float]
    shutter: bool
    marker: tuple[str, float, float] | None


@dataclass(frozen=True)
class DxaScan:
    """How a DXA vertebral fracture assessment image is taken; the values are shares of black to white.

    Attributes
    ----------
    noise
        SD of the noise.
    blur_mm
        SD of the blur.
    tissue_left
        Share of the soft tissue's attenuation that the two energies do not cancel.
    contrast
        White per unit of the bone's attenuation.
    base
        Brightness without bone.
    """

    noise: float
    blur_mm: float
    tissue_left: float
    contrast: float
    base: float


def radiograph_display(projection: Projection, exposure: Exposure, pixel_mm: float, seed: int) -> Picture:
    """The picture as shown, 0 (black) to 1 (white), bone bright, shape (rows, columns).

    Parameters
    ----------
    projection
        What the beams meet.
    exposure
        Technique and processing.
    pixel_mm
        Edge of a pixel.
    seed
        Of the noise.
    """
    rng = np.random.default_rng([seed, 17])
    primary = np.exp(-(projection.bone + projection.tissue))
    if exposure.blur_mm > 0:
        primary = ndimage.gaussian_filter(primary, exposure.blur_mm / pixel_mm, mode="nearest")
    # Scatter spreads over centimetres, so a coarse grid holds it.
    scatter = _large_scale(primary, pixel_mm, sd_mm=26.0)
    open_field = _exposed(primary.shape, exposure.collimation_mm, pixel_mm)
    signal = (primary + np.float32(exposure.scatter_share) * scatter) * open_field
    if exposure.marker is not None:
        # Lead on the detector's cover stops scatter as well.
        signal *= 1.0 - np.float32(0.985) * _lead_letter(signal.shape, exposure.marker, pixel_mm)
    per_pixel = np.float32(exposure.quanta * pixel_mm**2)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    signal = np.maximum(signal + np.sqrt(signal / per_pixel) * noise, np.float32(0.5) / per_pixel)
    density: Picture = -np.log(signal)
    # Borders without quanta must not throw shadows on the field beside them.
    within_field = open_field > 0.5
    behind = within_field & (projection.tissue > 0.5)
    middle = np.float32(np.median(density[behind][::29]))
    coarse = _large_scale(
        np.where(within_field, np.maximum(density, np.float32(0.35) * middle), np.float32(0.0)), pixel_mm, sd_mm=16.0
    )
    covered = _large_scale(within_field.astype(np.float32), pixel_mm, sd_mm=16.0)
    picture = density - np.float32(exposure.latitude) * (coarse / np.maximum(covered, np.float32(0.1)))
    if exposure.sharpening:
        picture += np.float32(exposure.sharpening) * (
            density - ndimage.gaussian_filter(density, 2.5 / pixel_mm, mode="nearest", truncate=2.5)
        )
    within = picture[behind][::17]
    low, high = np.quantile(within, [exposure.black, exposure.white])
    shown = np.clip((picture - low) / (high - low), 0.0, 1.0)
    # What no quanta reached is as bright as the densest bone, unless the console covers it.
    return np.where(within_field, shown, np.float32(0.0 if exposure.shutter else 0.97)).astype(np.float32)


def dxa_display(projection: Projection, scan: DxaScan, pixel_mm: float, seed: int) -> Picture:
    """The dual-energy picture as shown, 0 to 1, bone bright; soft tissue is nearly subtracted.

    Parameters
    ----------
    projection, pixel_mm, seed
        As for `radiograph_display`.
    scan
        Technique.
    """
    rng = np.random.default_rng([seed, 18])
    tissue = projection.tissue - np.float32(np.median(projection.tissue))
    seen = projection.bone + np.float32(scan.tissue_left) * tissue
    seen = ndimage.gaussian_filter(seen, scan.blur_mm / pixel_mm, mode="nearest")
    grain = rng.standard_normal(seen.shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(grain, (0.45, 0.7), mode="nearest")
    # The fan beam moves along the body, so each line has an offset of its own.
    lines = rng.standard_normal((seen.shape[0], 1), dtype=np.float32)
    noise = grain / grain.std() + np.float32(0.25) * lines
    # Thick parts let fewer quanta through.
    noise *= np.exp(np.float32(0.18) * tissue)
    shown = scan.base + scan.contrast * seen + scan.noise * noise
    return np.clip(shown, 0.0, 1.0).astype(np.float32)


def _large_scale(picture: Picture, pixel_mm: float, *, sd_mm: float) -> Picture:
    """The picture blurred over centimetres."""
    rows, columns = picture.shape
    small = (max(round(columns * pixel_mm / _SCATTER_GRID_MM), 4), max(round(rows * pixel_mm / _SCATTER_GRID_MM), 4))
    coarse = np.asarray(Image.fromarray(picture).resize(small, Image.Resampling.BOX))
    coarse = ndimage.gaussian_filter(coarse, sd_mm / _SCATTER_GRID_MM, mode="nearest")
    return np.asarray(Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC))


def _lead_letter(shape: tuple[int, ...], marker: tuple[str, float, float], pixel_mm: float) -> Picture:
    """1 where the side's letter is, 13 mm high, with soft edges."""
    letter, down, right = marker
    layer = Layer((shape[0] * pixel_mm, shape[1] * pixel_mm), pixel_mm)
    layer.values = np.zeros(shape[:2], dtype=np.float32)
    corner = np.array([right * shape[1], down * shape[0]]) * pixel_mm
    for line in _LETTERS[letter]:
        layer.stroke(corner + np.array(line, dtype=np.float64), 2.2, 1.0, 0.3)
    return np.minimum(layer.values, np.float32(1.0))


def _exposed(shape: tuple[int, int], collimation_mm: tuple[float, float, float, float], pixel_mm: float) -> Picture:
    top, bottom, left, right = (round(length / pixel_mm) for length in collimation_mm)
    field = np.full(shape, np.float32(0.004))
    field[top : shape[0] - bottom, left : shape[1] - right] = 1.0
    if any(collimation_mm):
        field = ndimage.gaussian_filter(field, 0.8 / pixel_mm, mode="nearest")
    return field
