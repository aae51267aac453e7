"""How a brain phantom's anatomy moves: volume change of chosen regions, and smooth warps of its own.

A region's growth is prescribed as a rate of volume change, positive where volume is gained and negative where it is
lost, with no change in sum. The gradient of a potential whose Laplacian is that rate moves tissue accordingly; its
flow, followed for a time in proportion to the wanted change, is smooth and can be inverted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from agezoo.phantoms.brain_anatomy import (
    CEREBRUM,
    DEEP_GREY,
    DISTANCE_SCALE,
    HIPPOCAMPUS_LEFT,
    HIPPOCAMPUS_RIGHT,
    VENTRICLE,
    brain_anatomy,
)
from agezoo.phantoms.brain_splines import smooth_noise

Floats = NDArray[np.float32]

STEP_MM = 3
"""Spacing of the grid that fields live on."""

_SQUARINGS = 4
# The coarse grid and the flow's fading beyond a region lose part of a change; these make up for it (measured).
_VENTRICLE_GAIN = 1.5
_HIPPOCAMPUS_GAIN = 1.75
_SKULL_MM = 3.0
# Distance of the knots, and SD of their coefficients (three times that of the warp).
_WARP_MM = ((42.0, np.float32(6.6)), (16.0, np.float32(3.3)))
_FADING_MM = 12.0


@dataclass(frozen=True)
class RegionChange:
    """Relative volume changes; 0 leaves the template's volume.

    Attributes
    ----------
    ventricle_left, ventricle_right, third_ventricle
        Gain of volume as a share of the template's; 1 doubles it.
    brain_loss
        Share of the cerebrum's volume that the fluid around it and in its fissures takes.
    hippocampus_left, hippocampus_right
        Share of volume lost, below 1.
    """

    ventricle_left: float = 0.0
    ventricle_right: float = 0.0
    third_ventricle: float = 0.0
    brain_loss: float = 0.0
    hippocampus_left: float = 0.0
    hippocampus_right: float = 0.0


@dataclass(frozen=True)
class Displacement:
    """Where each point of a person's brain lies in the template, as an offset in mm on a coarse grid.

    Attributes
    ----------
    offset_mm
        (3, X, Y, Z).
    origin_mm
        Position of the first grid point.
    """

    offset_mm: Floats
    origin_mm: tuple[float, float, float]

    def template_points(self, points_mm: Floats) -> Floats:
        """Template positions (3, ...) of positions (3, ...) in the person's brain, both in mm."""
        origin = np.asarray(self.origin_mm, np.float32).reshape(3, *[1] * (points_mm.ndim - 1))
        grid = (points_mm - origin) / np.float32(STEP_MM)
        moved = np.empty_like(points_mm)
        for axis in range(3):
            offset = ndimage.map_coordinates(
                self.offset_mm[axis], grid, output=np.float32, order=1, mode="nearest", prefilter=False
            )
            np.add(points_mm[axis], offset, out=moved[axis])
        return moved


def displacement(change: RegionChange, rng: np.random.Generator, *, warp: float = 1.0) -> Displacement:
    """Draw one person's displacement.

    Parameters
    ----------
    change
        Volume changes of the regions.
    rng
        Draws the person's own smooth warps.
    warp
        Size of these warps; 1 is the usual one, 0 none.
    """
    fields = _unit_fields()
    flow = np.zeros_like(fields.ventricle_left)
    for amount, field in (
        (_VENTRICLE_GAIN * change.ventricle_left, fields.ventricle_left),
        (_VENTRICLE_GAIN * change.ventricle_right, fields.ventricle_right),
        (_VENTRICLE_GAIN * change.third_ventricle, fields.third_ventricle),
        (change.brain_loss, fields.brain_loss),
        (-_HIPPOCAMPUS_GAIN * np.log1p(-change.hippocampus_left), fields.hippocampus_left),
        (-_HIPPOCAMPUS_GAIN * np.log1p(-change.hippocampus_right), fields.hippocampus_right),
    ):
        # The person's point is asked for its place in the template, so the flow runs backwards.
        flow -= np.float32(amount) * field
    flow += np.float32(warp) * _own_warp(rng, fields.shape)
    return Displacement(_followed(flow), fields.origin_mm)


@dataclass(frozen=True)
class _UnitFields:
    """Velocities in mm for a change of one unit, each (3, X, Y, Z)."""

    ventricle_left: Floats
    ventricle_right: Floats
    third_ventricle: Floats
    brain_loss: Floats
    hippocampus_left: Floats
    hippocampus_right: Floats
    inside: Floats
    origin_mm: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        x, y, z = self.inside.shape
        return x, y, z


@lru_cache(maxsize=1)
def _unit_fields() -> _UnitFields:
    anatomy = brain_anatomy()
    region = anatomy.region
    grey, white = (part.astype(np.float32) / 255 for part in (anatomy.grey, anatomy.white))
    distance_mm = (anatomy.distance.astype(np.float32) - 128) / np.float32(DISTANCE_SCALE)
    skull = distance_mm < _SKULL_MM
    fluid = np.clip(skull - grey - white, 0.0, 1.0)
    left = (np.arange(region.shape[0]) + anatomy.origin_mm[0] < 0)[:, None, None]
    across_mm = np.abs(np.arange(region.shape[0]) + anatomy.origin_mm[0])[:, None, None]
    ventricle = (region == VENTRICLE) * fluid
    third = ventricle * (across_mm < 4.5)
    lateral = ventricle - third
    hippocampus = {
        side: (region == value) * grey for side, value in (("left", HIPPOCAMPUS_LEFT), ("right", HIPPOCAMPUS_RIGHT))
    }
    cerebrum = np.isin(region, (CEREBRUM, DEEP_GREY, HIPPOCAMPUS_LEFT, HIPPOCAMPUS_RIGHT))
    inside = np.clip(1.0 - (distance_mm - _SKULL_MM) / _FADING_MM, 0.0, 1.0).astype(np.float32)
    coarse_inside, coarse_fluid, coarse_white = _coarse(inside), _coarse(fluid), _coarse(white)
    around = _blurred((region == VENTRICLE).astype(np.float32), 9.0) * _coarse(white * cerebrum)
    wings = {"left": _coarse(lateral * left), "right": _coarse(lateral * ~left)}
    side_of = {
        "left": _coarse(np.broadcast_to(left, region.shape)),
        "right": _coarse(np.broadcast_to(~left, region.shape)),
    }
    tissue = _coarse((grey + white) * (region == CEREBRUM))
    fissures = _coarse(fluid * (region == CEREBRUM))
    near = {
        side: coarse_fluid * _blurred(part, 4.0) + 0.3 * coarse_white * _blurred(part, 6.0)
        for side, part in hippocampus.items()
    }

    def unit(gain: Floats, loss: Floats) -> Floats:
        balanced = gain - loss * np.float32(gain.sum(dtype=np.float64) / loss.sum(dtype=np.float64))
        return _gradient_flow(balanced) * coarse_inside

    return _UnitFields(
        ventricle_left=unit(wings["left"], around * (side_of["left"] + 0.15)),
        ventricle_right=unit(wings["right"], around * (side_of["right"] + 0.15)),
        third_ventricle=unit(_coarse(third), around),
        brain_loss=-unit(tissue, fissures),
        hippocampus_left=-unit(_coarse(hippocampus["left"]), near["left"]),
        hippocampus_right=-unit(_coarse(hippocampus["right"]), near["right"]),
        inside=coarse_inside,
        origin_mm=anatomy.origin_mm,
    )


def _coarse(volume: NDArray[Any]) -> Floats:
    """The volume on the coarse grid: means over the cubes around its points."""
    counts = [-(-size // STEP_MM) for size in volume.shape]
    # The first point is the first voxel; the cube around it reaches one voxel further.
    margins = [(1, count * STEP_MM - size - 1) for count, size in zip(counts, volume.shape, strict=True)]
    crop = tuple(slice(None, min(0, after) or None) for _, after in margins)
    padded = np.pad(volume[crop].astype(np.float32), [(before, max(0, after)) for before, after in margins], "edge")
    cubes = padded.reshape(counts[0], STEP_MM, counts[1], STEP_MM, counts[2], STEP_MM)
    means: Floats = cubes.mean((1, 3, 5), dtype=np.float32)
    return means


def _blurred(volume: Floats, sd_mm: float) -> Floats:
    """The volume on the coarse grid, blurred."""
    out: Floats = ndimage.gaussian_filter(_coarse(volume), sd_mm / STEP_MM, mode="nearest")
    return out


def _gradient_flow(rate: Floats) -> Floats:
    """Velocities in mm (3, X, Y, Z) whose divergence is the rate."""
    padded = [fft.next_fast_len(size + 16, real=True) for size in rate.shape]
    spectrum = fft.rfftn(rate.astype(np.float64), padded)
    waves = [
        2j * np.pi * (fft.rfftfreq(size) if axis == 2 else fft.fftfreq(size)) / STEP_MM
        for axis, size in enumerate(padded)
    ]
    kx, ky, kz = np.meshgrid(*waves, indexing="ij", sparse=True)
    squared = kx**2 + ky**2 + kz**2
    squared[0, 0, 0] = 1.0
    spectrum = spectrum / squared
    spectrum[0, 0, 0] = 0.0
    crop = tuple(slice(0, size) for size in rate.shape)
    return np.stack([fft.irfftn(k * spectrum, padded)[crop] for k in (kx, ky, kz)]).astype(np.float32)


def _own_warp(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """A person's own shape (mm): broad differences of some millimetres, finer ones of the folds."""
    grid_mm = (STEP_MM,) * 3
    return np.stack(
        [sum(sd_mm * smooth_noise(rng, shape, grid_mm, knots_mm) for knots_mm, sd_mm in _WARP_MM) for _ in range(3)]
    )


def _followed(flow: Floats) -> Floats:
    """Displacement after following a steady flow for one unit of time, by doubling."""
    offset = flow / np.float32(2**_SQUARINGS)
    at = np.stack(np.meshgrid(*[np.arange(size, dtype=np.float32) for size in flow.shape[1:]], indexing="ij"))
    for _ in range(_SQUARINGS):
        there = at + offset / np.float32(STEP_MM)
        offset = offset + np.stack(
            [ndimage.map_coordinates(part, there, order=1, mode="nearest", output=np.float32) for part in offset]
        )
    return offset
