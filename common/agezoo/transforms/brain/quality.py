"""How well a brain lies on the template, and when that is not good enough."""

from __future__ import annotations

import numpy as np

from agezoo.errors import InputError
from agezoo.transforms.brain.input_check import WANTED
from agezoo.transforms.brain.input_state import dice
from agezoo.transforms.brain.template import Template

# Below the first pair the case fails, below the second it is noted.
MIN_OVERLAP, MIN_CORRELATION = 0.85, 0.40
DOUBTFUL_OVERLAP, DOUBTFUL_CORRELATION = 0.92, 0.55


def overlap(mask: np.ndarray, brain: Template) -> float:
    """Dice of a brain's mask with that of the template."""
    return dice(mask, brain.mask)


def correlation(voxels: np.ndarray, brain: Template) -> float:
    """Pearson correlation with the template inside the template's mask; 0 for a constant."""
    values = voxels[brain.mask].astype(float)
    if values.std() == 0:
        return 0.0
    return float(np.corrcoef(values, brain.t1[brain.mask])[0, 1])


def good_enough(overlap: float, correlation: float) -> bool:
    """True unless the registration has failed."""
    return overlap >= MIN_OVERLAP and correlation >= MIN_CORRELATION


def check_quality(overlap: float, correlation: float, *, source: str = "") -> tuple[str, ...]:
    """Refuse a failed registration; the result holds a note if it is doubtful.

    Raises
    ------
    InputError
        If overlap or correlation is below its limit.
    """
    found = f"overlap {overlap:.2f} (Dice with the template's brain), correlation with the template {correlation:.2f}"
    if not good_enough(overlap, correlation):
        raise InputError(
            "the brain could not be registered to MNI152",
            source=source or None,
            found=found,
            expected=f"overlap of at least {MIN_OVERLAP:g} and correlation of at least {MIN_CORRELATION:g}, "
            f"from {WANTED}",
            remedy="look at the scan: another weighting than T1, a part of the brain outside the field of view, "
            "strong motion and large lesions all do this",
        )
    if overlap < DOUBTFUL_OVERLAP or correlation < DOUBTFUL_CORRELATION:
        return (f"doubtful registration to MNI152: {found}; look at the picture",)
    return ()
