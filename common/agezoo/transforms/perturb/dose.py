"""Lower dose, approximated in the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.slabs import map_slices

FULL_DOSE_NOISE_HU = 12.0
FULL_DOSE_SLICE_MM = 5.0
WATER_PER_MM = 0.0193
"""Attenuation of water at 70 keV."""

REFERENCE_PATH_MM = 300.0
"""Diameter of the water cylinder in which the full dose gives the stated noise."""

PEAK_CYCLES_PER_MM = 0.2
"""Where the noise power of a soft-tissue kernel is strongest."""

_LEAST, _MOST = 0.4, 4.0


def lower_dose(
    volume_hu: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Add the noise that `fraction` of the dose would have added, as far as the image alone can tell.

    The variance of quantum noise is inverse to the dose, so the noise that is missing has variance
    ``sd^2 (1 / fraction - 1)``. Three approximations, because there are no raw data: the original's ``sd`` is assumed
    to be 12 HU in 5 mm slices in a 300 mm water cylinder, and inverse to the root of the slice spacing; the local
    variance follows the attenuation along the two rays through a voxel that run from side to side and from back to
    front, to the power 1/2, because exposure control takes away about half of the difference; the texture is white
    noise filtered by a ramp with a Gaussian roll-off, independent between slices.

    Parameters
    ----------
    volume_hu
        3D array (left, anterior, superior) in HU.
    fraction
        Dose as a fraction of the original one, above 0 and at most 1.
    spacing_mm
        Distances of voxel centres.
    rng
        Source of the noise.

    Raises
    ------
    InputError
        If `fraction` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise InputError(
            "a fraction of the dose is needed", source="dose", found=fraction, expected="above 0, at most 1"
        )
    dx, dy, dz = (float(s) for s in spacing_mm)
    thickness = np.sqrt(FULL_DOSE_SLICE_MM / dz)
    sd_hu = FULL_DOSE_NOISE_HU * thickness * np.sqrt(1.0 / fraction - 1.0)
    response = noise_response(volume_hu.shape[:2], (dx, dy))

    def noisier(plane: np.ndarray, _: int) -> np.ndarray:
        white = rng.standard_normal(plane.shape, dtype=np.float32)
        texture = np.fft.irfft2(np.fft.rfft2(white) * response, s=plane.shape)
        noisy: np.ndarray = plane + sd_hu * noise_factor(plane, (dx, dy)) * texture
        return noisy

    return map_slices(volume_hu, noisier)


def noise_factor(plane_hu: np.ndarray, pixel_mm: tuple[float, float]) -> np.ndarray:
    """Noise SD of every pixel relative to the middle of a 300 mm water cylinder, within 0.4 and 4."""
    water = np.clip(plane_hu / 1000.0 + 1.0, 0.0, None)
    across = water.sum(axis=0, keepdims=True) * pixel_mm[0]
    through = water.sum(axis=1, keepdims=True) * pixel_mm[1]
    excess = [np.exp(WATER_PER_MM * np.minimum(path - REFERENCE_PATH_MM, 400.0)) for path in (across, through)]
    factor: np.ndarray = np.clip(((excess[0] + excess[1]) / 2.0) ** 0.25, _LEAST, _MOST)
    return factor


def noise_response(shape: Sequence[int], pixel_mm: tuple[float, float]) -> np.ndarray:
    """Factors for ``rfft2`` of unit white noise that give unit noise with the texture of filtered back-projection."""
    u = np.fft.fftfreq(shape[0], d=pixel_mm[0])[:, None]
    v = np.fft.fftfreq(shape[1], d=pixel_mm[1])[None, :]
    frequency = np.hypot(u, v) / PEAK_CYCLES_PER_MM
    full = frequency * np.exp(-0.5 * frequency**2)
    response: np.ndarray = full[:, : shape[1] // 2 + 1] / np.sqrt(np.mean(full**2))
    return response.astype(np.float32)
