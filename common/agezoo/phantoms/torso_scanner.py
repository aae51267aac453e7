"""What a scanner adds to a torso: the couch, blur and noise of a reconstruction kernel, rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agezoo.phantoms.torso_grid import TorsoGrid


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel: blur (share of each neighbour) and texture of its noise."""

    name: str
    blur: float
    noise_peak: float
    noise_factor: float


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("SOFT30", blur=0.24, noise_peak=0.14, noise_factor=0.75),
        Kernel("STANDARD40", blur=0.16, noise_peak=0.22, noise_factor=1.0),
        Kernel("SHARP60", blur=0.06, noise_peak=0.34, noise_factor=1.8),
    )
}
"""Kernels by name; `noise_peak` is the frequency (cycles per pixel) where the noise is strongest."""


def draw_couch(grid: TorsoGrid, *, top_mm: float, half_width_mm: float, curvature_per_mm: float) -> None:
    """Draw a couch below the patient: two thin shells around a foam core, curved up at the sides.

    Parameters
    ----------
    grid
        The canvas; the couch does not follow the patient's shift or roll.
    top_mm
        Scanner y of the couch's upper face in the middle.
    half_width_mm
        Half of the couch's width.
    curvature_per_mm
        Rise of the upper face: ``rise = curvature * x**2``.
    """
    x, y = grid.x_mm[None, :].astype(np.float32), grid.y_mm[:, None].astype(np.float32)
    upper = y - (top_mm - curvature_per_mm * x**2)
    lower = (top_mm + 42.0 - 1.6 * curvature_per_mm * x**2 * 0.5) - y
    edge = half_width_mm - np.abs(x)
    depth = np.minimum(np.minimum(upper, lower), edge)
    mattress = np.minimum(np.minimum(upper + 9.0, -upper), edge + 4.0)
    layer = np.full(depth.shape, -1000.0, np.float32)
    layer += grid.share(mattress) * 55.0
    layer += grid.share(depth) * (-80.0 - layer)
    layer += grid.share(depth - 4.0) * (-930.0 - layer)
    used = layer > -999.0
    rows = np.flatnonzero(used.any(axis=1))
    if len(rows) == 0:
        return
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    np.maximum(grid.hu[:, band], layer[None, band], out=grid.hu[:, band])


def acquire(
    grid: TorsoGrid, *, kernel: Kernel, noise_hu: float, offset_hu: float, rng: np.random.Generator
) -> np.ndarray:
    """Blur the canvas in plane, add noise and round to whole HU.

    Parameters
    ----------
    grid
        The painted canvas; its `hu` is changed in place.
    kernel
        Reconstruction kernel.
    noise_hu
        Noise SD (HU) of the standard kernel in the middle of an average abdomen.
    offset_hu
        Calibration error of the scanner; air stays at -1000.
    rng
        Stream of this scan.

    Returns
    -------
    numpy.ndarray
        int16, shape (slices, rows, columns), HU within -1024 and 3071.
    """
    bank = _noise_bank(grid.hu.shape[1:], kernel, rng)
    slices = len(grid.z_mm)
    # Thick bone and shoulders starve the detector: noise follows the attenuation of the slice.
    water = np.clip(grid.hu + 1000.0, 0.0, 1600.0).mean(axis=(1, 2))
    level = noise_hu * kernel.noise_factor * np.sqrt(np.clip(water / max(float(np.median(water)), 1.0), 0.35, 2.0))
    choice = rng.integers(0, len(bank), slices)
    rolls = rng.integers(0, grid.hu.shape[1], (slices, 2))
    flips = rng.integers(0, 2, (slices, 2))
    result = np.empty(grid.hu.shape, np.int16)
    a, b = kernel.blur, 1.0 - 2.0 * kernel.blur
    for k in range(slices):
        plane = grid.hu[k]
        blurred = b * plane
        blurred[1:-1] += a * (plane[2:] + plane[:-2])
        blurred[[0, -1]] += 2 * a * plane[[0, -1]]
        plane = b * blurred
        plane[:, 1:-1] += a * (blurred[:, 2:] + blurred[:, :-2])
        plane[:, [0, -1]] += 2 * a * blurred[:, [0, -1]]
        noise = bank[choice[k]]
        noise = np.roll(noise[:: 1 - 2 * flips[k, 0], :: 1 - 2 * flips[k, 1]], tuple(rolls[k]), (0, 1))
        plane += level[k] * noise
        plane += offset_hu * np.clip((plane + 1000.0) / 1000.0, 0.0, 1.0)
        np.clip(plane, -1024.0, 3071.0, out=plane)
        result[k] = np.rint(plane)
    return result


def _noise_bank(shape: tuple[int, int], kernel: Kernel, rng: np.random.Generator, count: int = 20) -> np.ndarray:
    """Periodic noise planes of unit SD with a band-pass spectrum, as filtered back-projection leaves it."""
    white = rng.standard_normal((count, *shape), dtype=np.float32)
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    frequency = np.hypot(rows, columns) / kernel.noise_peak
    response = (frequency * np.exp(0.5 - 0.5 * frequency**2) + 0.08).astype(np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * response, s=shape).astype(np.float32)
    return noise / noise.std()
