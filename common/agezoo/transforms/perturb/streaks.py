"""Streaks that dense metal leaves in a slice, from a coarse parallel-beam simulation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage, sparse

WATER_PER_MM = 0.0193
"""Attenuation of water at 70 keV."""

SCATTER = np.exp(-9.0)
"""Share of the unattenuated signal that reaches a detector behind metal by scatter and offset."""

PHOTONS = 2e5
"""Photons per ray without a patient, for the noise of starved rays."""

SIZE = 112
ANGLES = 120
_MOST_HU = 1500.0
_LONGEST_PATH = 60.0


def metal_streaks(
    plane_hu: np.ndarray,
    metal_hu: np.ndarray,
    *,
    pixel_mm: tuple[float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Difference that metal makes to the HU of the rest of a slice, as a scanner without correction would show it.

    Both the patient and the metal are projected onto a parallel-beam detector with one energy. Behind metal the
    detector sees little but scatter and few photons, so that the logarithm of its signal is too small and noisy. The
    filtered back-projection of this error alone is the streaks; where there is no metal, there is no error. Beam
    hardening is left out.

    Parameters
    ----------
    plane_hu
        Axial slice (X, Y) in HU without the metal.
    metal_hu
        What the metal adds to it, 0 elsewhere.
    pixel_mm
        Distances of pixel centres.
    rng
        Source of the photon noise.

    Returns
    -------
    numpy.ndarray
        float32 array (X, Y) in HU, within 1500 HU, of any sign.
    """
    pitch = max(n * s for n, s in zip(plane_hu.shape, pixel_mm, strict=True)) / SIZE
    water = _to_square(np.clip(plane_hu / 1000.0 + 1.0, 0.0, None), pixel_mm, pitch)
    metal = _to_square(metal_hu / 1000.0, pixel_mm, pitch)
    project = projector(SIZE, ANGLES)
    body = (project @ water.ravel()) * (WATER_PER_MM * pitch)
    whole = body + np.clip((project @ metal.ravel()) * (WATER_PER_MM * pitch), 0.0, None)
    body, whole = np.minimum(body, _LONGEST_PATH), np.minimum(whole, _LONGEST_PATH)
    error = (_seen(whole) - whole) - (_seen(body) - body)
    variance = np.clip(1.0 / _signal(whole) - 1.0 / _signal(body), 0.0, None) / PHOTONS
    error = error + np.sqrt(variance) * rng.standard_normal(error.shape)
    streaks = back_projection(error.reshape(ANGLES, -1), SIZE) * (1000.0 / (WATER_PER_MM * pitch))
    fine = _from_square(streaks, plane_hu.shape, pixel_mm, pitch)
    return np.clip(fine, -_MOST_HU, _MOST_HU).astype(np.float32)


@lru_cache(maxsize=2)
def projector(size: int, n_angles: int) -> sparse.csr_array:
    """Parallel-beam projection of a square image: (n_angles * n_detectors, size * size), in units of one pixel.

    Every pixel's centre is projected and shared between its two nearest detectors, which are one pixel apart.
    """
    n_detectors = _n_detectors(size)
    centre = (size - 1) / 2
    x, y = (c.ravel() for c in np.meshgrid(np.arange(size) - centre, np.arange(size) - centre, indexing="ij"))
    angles = np.arange(n_angles) * (np.pi / n_angles)
    position = np.cos(angles)[:, None] * x + np.sin(angles)[:, None] * y + (n_detectors - 1) / 2
    low = np.floor(position).astype(np.int64)
    share = (position - low).ravel()
    row = (np.arange(n_angles)[:, None] * n_detectors + low).ravel()
    column = np.tile(np.arange(size * size), n_angles)
    return sparse.csr_array(
        (np.concatenate([1 - share, share]).astype(np.float32), (np.r_[row, row + 1], np.r_[column, column])),
        shape=(n_angles * n_detectors, size * size),
    )


def back_projection(sinogram: np.ndarray, size: int) -> np.ndarray:
    """Filtered back-projection of (angles, detectors) to an image (size, size), the inverse of :func:`projector`."""
    n_angles, n_detectors = sinogram.shape
    padded = 2 * n_detectors
    # The ramp filter as sampled in space, which has the right mean (Kak and Slaney 1988, chapter 3).
    kernel = np.zeros(padded)
    odd = np.arange(1, n_detectors, 2)
    kernel[0] = 0.25
    kernel[odd] = kernel[-odd] = -1.0 / (np.pi * odd) ** 2
    filtered = np.fft.irfft(np.fft.rfft(sinogram, padded, axis=1) * np.fft.rfft(kernel), padded, axis=1)
    spread = projector(size, n_angles).T @ filtered[:, :n_detectors].ravel()
    image: np.ndarray = spread.reshape(size, size) * (np.pi / n_angles)
    return image


def _n_detectors(size: int) -> int:
    return int(np.ceil(size * np.sqrt(2.0))) + 2


def _signal(path: np.ndarray) -> np.ndarray:
    signal: np.ndarray = np.exp(-path) + SCATTER
    return signal


def _seen(path: np.ndarray) -> np.ndarray:
    seen: np.ndarray = -np.log(_signal(path))
    return seen


def _to_square(plane: np.ndarray, pixel_mm: tuple[float, float], pitch: float) -> np.ndarray:
    """The plane on a square grid of SIZE pixels of `pitch` mm with the same centre, averaged where that is coarser."""
    step = np.array([pitch / s for s in pixel_mm])
    smooth = ndimage.uniform_filter(plane, size=np.maximum(np.rint(step).astype(int), 1).tolist(), mode="nearest")
    first = (np.array(plane.shape) - 1) / 2 - step * (SIZE - 1) / 2
    square: np.ndarray = ndimage.affine_transform(
        smooth, step, offset=first, output_shape=(SIZE, SIZE), order=1, mode="constant", cval=0.0
    )
    return square


def _from_square(square: np.ndarray, shape: tuple[int, ...], pixel_mm: tuple[float, float], pitch: float) -> np.ndarray:
    step = np.array([s / pitch for s in pixel_mm])
    first = (SIZE - 1) / 2 - step * (np.array(shape) - 1) / 2
    plane: np.ndarray = ndimage.affine_transform(
        square, step, offset=first, output_shape=tuple(shape), order=1, mode="nearest"
    )
    return plane
