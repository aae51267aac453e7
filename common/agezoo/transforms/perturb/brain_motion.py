"""The head moves while the scan is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import fft

from agezoo.errors import InputError
from agezoo.transforms.perturb.brain_regions import brain_alone, kept_apart

# Lines of k-space between two movements to the same side: few make ghosts far away, many make them near.
_PERIOD_LINES = (6.0, 14.0)


def move_during_scan(
    image: np.ndarray, amplitude_mm: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Move the head to and fro while the lines of k-space are taken one after another from back to front.

    Every line (phase encoding along the front-back axis, as is usual in sagittal 3D T1) is that of the head displaced
    by a sinusoid of this amplitude, in a direction of the sagittal plane and with a period of 6 to 14 lines drawn by
    chance; the middle line is taken at the head's place, so that the image as a whole does not move. Turning is left
    out.

    Raises
    ------
    InputError
        If the amplitude is negative.
    """
    if amplitude_mm < 0:
        raise InputError("an amplitude is not negative", source="motion", found=amplitude_mm)
    angle, phase = rng.uniform(0.0, 2.0 * np.pi, size=2)
    period = rng.uniform(*_PERIOD_LINES)
    # In cycles per millimetre; lines are taken in the order of their frequency.
    front, head = (fft.fftfreq(image.shape[axis], d=float(spacing_mm[axis])) for axis in (1, 2))
    line = np.rint(front * image.shape[1] * float(spacing_mm[1]))
    moved_mm = amplitude_mm * (np.sin(2 * np.pi * line / period + phase) - np.sin(phase))
    turns = moved_mm[:, None] * (front[:, None] * np.cos(angle) + head[None, :] * np.sin(angle))
    waves = np.exp(-2j * np.pi * turns).astype(np.complex64)
    moved = np.empty(image.shape, np.float32)
    for index, plane in enumerate(image):
        moved[index] = np.abs(fft.ifft2(fft.fft2(plane.astype(np.float32)) * waves))
    return kept_apart(moved, brain_alone(image, spacing_mm))
