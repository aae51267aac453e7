"""How figures of many regions compare with what chance gives for all of them together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agezoo.analysis.bootstrap import FloatArray

# Two sums of the same numbers in another order may differ by this much and are equal.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class ChanceTest:
    """p values per region, each of shape ``(R,)``.

    Attributes
    ----------
    p_more
        One-sided: as much as observed, or more, by chance.
    p_two_sided
        Twice the smaller of both one-sided p values, at most 1.
    p_more_adjusted, p_two_sided_adjusted
        Corrected over the regions with the largest deviation of any region (Westfall and Young's single step).
    low, high
        Between these lie 95 % of what chance gives.
    """

    p_more: FloatArray
    p_two_sided: FloatArray
    p_more_adjusted: FloatArray
    p_two_sided_adjusted: FloatArray
    low: FloatArray
    high: FloatArray


def compare_with_chance(observed: FloatArray, null: FloatArray) -> ChanceTest:
    """Monte Carlo p values, ``(1 + count) / (K + 1)``, so that none is 0.

    The correction over regions compares each region's deviation (in SDs of that region over the observed and the K
    random figures, which are exchangeable under the null hypothesis) with the largest of any region in each of the K.
    It keeps the chance of any false finding below the level, as Holm's correction does, and reaches ``1 / (K + 1)``
    whatever the number of regions, where Holm's would reach ``R / (K + 1)``.

    Parameters
    ----------
    observed
        Shape ``(R,)``.
    null
        The same figures K times under chance, regions together, shape ``(K, R)``, K at least 1.

    References
    ----------
    Westfall PH, Young SS. Resampling-based multiple testing. Wiley 1993.
    Phipson B, Smyth GK. Stat Appl Genet Mol Biol 2010;9:39 (why 1 is added).
    """
    slack = _ROUNDING * np.maximum(np.abs(observed), np.abs(null).max(axis=0))
    more = _p(null >= observed - slack)
    less = _p(null <= observed + slack)
    together = np.concatenate([observed[None], null])
    spread = together.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(spread > slack, (together - together.mean(axis=0)) / spread, 0.0)
    largest, farthest = z[1:].max(axis=1, keepdims=True), np.abs(z[1:]).max(axis=1, keepdims=True)
    low, high = np.percentile(null, [2.5, 97.5], axis=0)
    return ChanceTest(
        more,
        np.minimum(2 * np.minimum(more, less), 1.0),
        _p(largest >= z[0] - _ROUNDING),
        _p(farthest >= np.abs(z[0]) - _ROUNDING),
        low,
        high,
    )


def _p(as_extreme: np.ndarray) -> FloatArray:
    return np.asarray((1.0 + as_extreme.sum(axis=0)) / (len(as_extreme) + 1.0))
