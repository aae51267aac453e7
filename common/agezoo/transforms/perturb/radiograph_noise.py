"""Noise of the detector, and that of a lower dose, approximated in the picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.perturb.radiograph_scale import grey_range, pixel_mm

FULL_DOSE_QUANTA_PER_MM2 = 45_000.0
"""Detected quanta behind the middle of the grey range: 2.5 uGy, 30000 quanta per mm2 and uGy, DQE 0.6."""

EXPOSURE_RATIO = 50.0
"""Exposure behind black over that behind white."""


def add_noise(
    image: np.ndarray, sd_share: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Add independent Gaussian noise, its SD a share of the grey range; see :func:`noisy` for saturated pixels.

    Raises
    ------
    InputError
        If the share is negative.
    """
    if sd_share < 0:
        raise InputError("noise has no negative strength", source="noise", found=sd_share)
    low, high = grey_range(image)
    return noisy(image, sd_share * (high - low), rng=rng)


def lower_dose(
    image: np.ndarray, fraction: float, *, spacing_mm: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Add the quantum noise that `fraction` of the dose would have added, as far as the picture alone can tell.

    Grey values of radiographs are about logarithmic in exposure. The relative variance of a count is its inverse, so a
    pixel behind which N quanta are detected at the full dose lacks the variance ``(1 / fraction - 1) / N`` in units of
    the exposure's natural logarithm. Assumed, because the picture does not tell: the grey range stands for exposures
    of 50 to 1, and 45000 quanta per square millimetre are detected behind the middle of it (2.5 uGy at the detector, a
    detective quantum efficiency of 0.6). The noise is independent between pixels: the detector's blur is left out.

    Raises
    ------
    InputError
        If `fraction` is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise InputError(
            "a fraction of the dose is needed", source="dose", found=fraction, expected="above 0, at most 1"
        )
    low, high = grey_range(image)
    height, width = pixel_mm(image.shape, spacing_mm)
    span = np.log(EXPOSURE_RATIO)
    middle = np.sqrt((1.0 / fraction - 1.0) / (FULL_DOSE_QUANTA_PER_MM2 * height * width))
    place = np.clip((image - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    # Bright is where few quanta arrive: N falls by the exposure ratio from black to white.
    sd = np.exp(np.float32(span / 2) * (place - np.float32(0.5))) * np.float32(middle * (high - low) / span)
    return noisy(image, sd, rng=rng)


def noisy(image: np.ndarray, sd: np.ndarray | float, *, rng: np.random.Generator) -> np.ndarray:
    """Add independent Gaussian noise to all pixels but those that are saturated.

    A picture is cut at black and white after its noise is in it: what lies beyond stays black or white under any noise,
    and nothing goes beyond. Noise in a saturated background would undo the saturation, and a histogram equalisation
    would spread it over a large part of the grey scale.
    """
    darkest, brightest = image.min(), image.max()
    changed = np.clip(image + sd * rng.standard_normal(image.shape, dtype=np.float32), darkest, brightest)
    is_saturated = (image == darkest) | (image == brightest)
    result: np.ndarray = np.where(is_saturated, image, changed).astype(np.float32, copy=False)
    return result
