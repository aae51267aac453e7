"""Where the body is in an MR volume: signal above the noise, and the whole of it with lungs and bowel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from agezoo.errors import InputError

# Between air (0) and the middle of tissue (1): above the noise, below fading coils' tissue.
_LEVEL = 0.15
_NOISE_SDS = 4.0
# Parts smaller than this share of the largest are ghosts; a hand beside the trunk is larger.
_SMALLEST_PART = 0.002
_SAMPLES = 200_000


def smoothed(signal: np.ndarray) -> np.ndarray:
    """Mean over 3 x 3 voxels across the body, which brings noise to a third; float32."""
    result = ndimage.uniform_filter1d(signal, 3, axis=0, output=np.float32, mode="nearest")
    ndimage.uniform_filter1d(result, 3, axis=1, output=result, mode="nearest")
    return result


def signal_threshold(signal: np.ndarray, level: float | None = None) -> float:
    """Lowest value of tissue in a smoothed volume of signal (water and fat together).

    Otsu's threshold parts air from tissue; the result lies 15 % of the way from the middle of the one to the middle of
    the other, or four SDs of the noise above the first where that is more.

    Parameters
    ----------
    signal
        Result of :func:`smoothed`.
    level
        Another share of the way; 0 where fat is tissue too but hardly gives signal (an image of water alone).

    Raises
    ------
    InputError
        If the volume is of one value, or holds values that are not finite.
    """
    from skimage.filters import threshold_otsu

    sample = signal.reshape(-1)[:: max(1, signal.size // _SAMPLES)]
    if not np.isfinite(sample).all() or not sample.size or sample.min() == sample.max():
        raise InputError(
            "the volume shows no body",
            found="values that are not finite" if not np.isfinite(sample).all() else "one value everywhere",
            expected="MR signal of a body in air",
        )
    # A few bright vessels or wrapped edges must not stretch the histogram.
    parted = threshold_otsu(np.minimum(sample, np.percentile(sample, 99.5)))
    air, tissue = sample[sample <= parted], sample[sample > parted]
    middle, spread = float(np.median(air)), 1.4826 * float(np.median(np.abs(air - np.median(air))))
    share = _LEVEL if level is None else level
    return max(middle + share * (float(np.median(tissue)) - middle), middle + _NOISE_SDS * spread)


def body_region(mean: np.ndarray, threshold: float) -> np.ndarray:
    """The body with everything inside: where signal is, and what it encloses in the slices.

    Air inside the body (lungs, windpipe, bowel) belongs to it. Parts much smaller than the largest are left out; limbs
    that the field of view cuts off from the trunk stay.

    Parameters
    ----------
    mean
        Smoothed signal (X, Y, Z), Z along the body.
    threshold
        Lowest signal of tissue.

    Returns
    -------
    numpy.ndarray
        bool (X, Y, Z).
    """
    tissue = mean > threshold
    labels, n = ndimage.label(tissue)
    sizes = np.bincount(labels.reshape(-1), minlength=n + 1)
    sizes[0] = 0
    keep = sizes >= max(1.0, _SMALLEST_PART * sizes.max())
    region = keep[labels]
    del labels
    return filled_across(region)


def filled_across(region: np.ndarray) -> np.ndarray:
    """A region (X, Y, Z) with what it encloses in each slice across Z.

    In three dimensions the lungs are no cavity, because the windpipe leads out of the field of view.
    """
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[:, 1, 1] = structure[1, :, 1] = True
    labels, n = ndimage.label(~region, structure=structure)
    outside = np.zeros(n + 1, dtype=bool)
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[np.unique(border)] = True
    outside[0] = False
    return np.asarray(~outside[labels])
