"""Scan a whole-body phantom: stations, contrasts, coil, noise, breath, and now and then fat taken for water."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from agezoo.phantoms.body_volume import FIELD_OF_VIEW_MM, BodyPhantom, draw_body
from agezoo.phantoms.dixon_settings import DixonSettings
from agezoo.phantoms.dixon_stations import MATRIX, StationGrid, coarseness, station_grids

CONTRASTS = ("in", "opposed", "fat", "water")
"""In the order in which the scanner stores them."""

_DRAWN_DISTANCE_MM = 3.0


@dataclass(frozen=True, eq=False)
class PhantomStation:
    """One station as the scanner stores it.

    Attributes
    ----------
    number
        1 = the station at the head.
    images
        Contrast (see `CONTRASTS`) to uint16 (X, Y, Z), axes to Left, Anterior, Superior.
    affine
        Voxel to patient, RAS+ mm, shape (4, 4).
    """

    number: int
    images: dict[str, np.ndarray]
    affine: np.ndarray


@dataclass(frozen=True, eq=False)
class PhantomDixon:
    """A whole examination.

    Attributes
    ----------
    stations
        From head to foot.
    labels
        uint8 (X, Y, Z), axes to Left, Anterior, Superior: where the organs lie when the patient holds still.
    labels_affine
        Voxel of `labels` to patient, RAS+ mm, shape (4, 4).
    """

    stations: tuple[PhantomStation, ...]
    labels: np.ndarray
    labels_affine: np.ndarray


def drawn_spacing_mm(*, quick: bool) -> tuple[float, float, float]:
    """Voxel size (Left, Anterior, Superior) at which a body is drawn before it is scanned."""
    pixel = FIELD_OF_VIEW_MM[0] / MATRIX[0] * coarseness(quick)
    return (pixel, pixel, _DRAWN_DISTANCE_MM)


def scan_body(subject: object, settings: DixonSettings) -> PhantomDixon:
    """Draw a body and scan it.

    Parameters
    ----------
    subject
        A `BodySubject`.
    settings
        The examination.
    """
    body = draw_body(subject, drawn_spacing_mm(quick=settings.quick))  # type: ignore[arg-type]
    return acquire(body, settings)


def acquire(body: BodyPhantom, settings: DixonSettings) -> PhantomDixon:
    """Scan a body that is drawn already.

    Parameters
    ----------
    body
        Ideal signals; the middle of its volume is put in the scanner's middle, then shifted and rolled as the settings
        say. Beyond its volume its outermost voxels go on.
    settings
        The examination.

    Notes
    -----
    Two echoes are simulated, with water and fat in phase and opposed; they carry complex noise, and from the two follow
    water and fat, as on the scanner. So the in-phase image is the sum of water and fat up to noise, and every image
    has Rician noise; where the in-phase image shows air, water and fat are 0. A swapped station holds fat as water and
    water as fat.
    """
    rng = np.random.default_rng(settings.seed)
    stations = tuple(
        _station(body, grid, settings, rng) for grid in station_grids(settings.pixel_mm, quick=settings.quick)
    )
    grid = _label_grid(quick=settings.quick)
    labels = _seen(body, body.labels, grid, settings, (0.0, 0.0, 0.0), order=0)
    return PhantomDixon(stations, labels, _affine(grid, settings))


def _station(body: BodyPhantom, grid: StationGrid, settings: DixonSettings, rng: np.random.Generator) -> PhantomStation:
    movement = settings.station_shifts_mm[grid.number - 1]
    water, fat = (_seen(body, signal, grid, settings, movement, order=1) for signal in (body.water, body.fat))
    shading = _shading(grid, settings)
    opposed = shading * (water - fat) * np.exp(1j * _phase_rad(grid, settings)).astype(np.complex64)
    in_phase = (shading * (water + fat)).astype(np.complex64)
    for echo in (in_phase, opposed):
        for part in (echo.real, echo.imag):
            part += settings.gain * settings.noise * rng.standard_normal(grid.shape, dtype=np.float32)
    signals = {
        "in": np.abs(in_phase),
        "opposed": np.abs(opposed),
        "fat": np.abs(in_phase - opposed) / 2,
        "water": np.abs(in_phase + opposed) / 2,
    }
    air = signals["in"] < settings.suppression * settings.noise * settings.gain
    signals["fat"][air] = signals["water"][air] = 0.0
    if grid.number in settings.swapped_stations:
        signals["fat"], signals["water"] = signals["water"], signals["fat"]
    images = {name: np.rint(np.minimum(signals[name], 65535)).astype(np.uint16) for name in CONTRASTS}
    return PhantomStation(grid.number, images, _affine(grid, settings))


def _seen(
    body: BodyPhantom,
    volume: np.ndarray,
    grid: StationGrid,
    settings: DixonSettings,
    movement_mm: tuple[float, float, float],
    *,
    order: int,
) -> np.ndarray:
    """Sample the patient, as he lies, on a grid; signals (order 1) are averaged over the voxels first."""
    drawn_mm = np.linalg.norm(body.affine[:3, :3], axis=0)
    angle = np.deg2rad(settings.rotation_deg)
    roll = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    to_body = roll.T / drawn_mm[:, None]
    place = np.add(settings.shift_mm, movement_mm)
    matrix = to_body * np.asarray(grid.spacing_mm)
    offset = to_body @ (np.asarray(grid.first_mm) - place) + (np.asarray(volume.shape) - 1) / 2
    # Only the slab that the station sees is smoothed: a whole body at full resolution is sampled six times.
    ends = offset[2] + matrix[2, 2] * np.array([-2.0, grid.shape[2] + 1.0])
    low = int(np.clip(np.floor(ends[0]), 0, volume.shape[2] - 1))
    high = int(np.clip(np.ceil(ends[1]) + 1, low + 1, volume.shape[2]))
    slab = volume[:, :, low:high]
    offset[2] -= low
    if order:
        for axis in range(3):
            # The box of a voxel has a variance of its width squared over 12.
            variance = (grid.spacing_mm[axis] ** 2 - drawn_mm[axis] ** 2) / 12
            if variance > 0.02 * drawn_mm[axis] ** 2:
                slab = ndimage.gaussian_filter1d(slab, np.sqrt(variance) / drawn_mm[axis], axis, mode="nearest")
    return ndimage.affine_transform(slab, matrix, offset, output_shape=grid.shape, order=order, mode="nearest")


def _shading(grid: StationGrid, settings: DixonSettings) -> np.ndarray:
    """Stored value of an ideal signal of 1 in every voxel of a station."""
    left, front, up, edge = settings.coil
    x, y, z = _relative_places(grid)
    shade = 1 + left * x + front * y + up * z + edge * (x**2 + y**2)
    # The excited slab is flat in the middle and loses signal over its outer fifths.
    outer = np.clip((np.abs(z) - 0.6) / 0.4, 0.0, 1.0)
    profile = 1 - (1 - settings.end_signal) * outer**2 * (3 - 2 * outer)
    return (settings.gain * settings.station_gains[grid.number - 1] * shade * profile).astype(np.float32)


def _phase_rad(grid: StationGrid, settings: DixonSettings) -> np.ndarray:
    x, y, z = _relative_places(grid)
    return (settings.residual_phase_rad * (0.5 * (x**2 + y**2) * np.sign(x) + 0.5 * z**3)).astype(np.float32)


def _relative_places(grid: StationGrid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places along the axes, -1 to 1 across the field of view in plane and across the station."""
    halves = (FIELD_OF_VIEW_MM[0] / 2, FIELD_OF_VIEW_MM[1] / 2, grid.spacing_mm[2] * grid.shape[2] / 2)
    x, y, z = (grid.axis_mm(axis) for axis in range(3))
    z = z - (z[0] + z[-1]) / 2
    return (x / halves[0])[:, None, None], (y / halves[1])[None, :, None], (z / halves[2])[None, None, :]


def _label_grid(*, quick: bool) -> StationGrid:
    factor = coarseness(quick)
    extents = FIELD_OF_VIEW_MM
    steps = (extents[0] / MATRIX[0] * factor, extents[0] / MATRIX[0] * factor, _DRAWN_DISTANCE_MM * factor)
    columns, rows, slices = (round(extent / step) for extent, step in zip(extents, steps, strict=True))
    shape = (columns, rows, slices)
    first = (-(columns - 1) / 2 * steps[0], -(rows - 1) / 2 * steps[1], -(slices - 1) / 2 * steps[2])
    return StationGrid(0, shape, steps, first)


def _affine(grid: StationGrid, settings: DixonSettings) -> np.ndarray:
    """Voxel to patient, RAS+ mm."""
    left, back, up = settings.origin_mm
    affine = np.diag([-grid.spacing_mm[0], grid.spacing_mm[1], grid.spacing_mm[2], 1.0])
    affine[:3, 3] = (-(grid.first_mm[0] + left), grid.first_mm[1] - back, grid.first_mm[2] + up)
    return affine
