"""Noise of a receiver coil, as it shows in magnitude images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from monai.transforms import RandRicianNoise

from agezoo.errors import InputError
from agezoo.transforms.perturb.brain_regions import brain_alone, kept_apart, typical_brightness


def add_rician_noise(
    image: np.ndarray, sd_share: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Add independent complex noise, its SD a share of the median brightness, and take the magnitude.

    In the air around a head this is Rayleigh noise; around a brain alone nothing is added.

    Raises
    ------
    InputError
        If the share is negative.
    """
    if sd_share < 0:
        raise InputError("noise has no negative strength", source="noise", found=sd_share)
    mask = brain_alone(image, spacing_mm)
    noise = RandRicianNoise(prob=1.0, std=sd_share * typical_brightness(image, mask), sample_std=False)
    noise.set_random_state(seed=int(rng.integers(2**31)))
    return kept_apart(np.asarray(noise(image[None]))[0], mask)
