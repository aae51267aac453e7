"""How well two atlases of different people agree, and how that grows with the number of people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from agezoo.analysis.atlas_input import AtlasInput
from agezoo.analysis.atlas_regions import MIN_PEOPLE
from agezoo.analysis.bootstrap import FloatArray

#: Two atlases with at least this correlation count as the same for the number of people that is enough.
ENOUGH = 0.95

#: A correlation over fewer regions says nothing.
MIN_REGIONS = 3

_SMALLEST = 5


@dataclass(frozen=True, eq=False)
class Reliability:
    """Agreement of the profile of regions between people that have nobody in common.

    Attributes
    ----------
    split_half
        Mean correlation of the two halves of all people; None with fewer than ``MIN_PEOPLE`` people or
        ``MIN_REGIONS`` regions.
    spearman_brown
        What it is for an atlas of all people against another of as many: ``2 r / (1 + r)``.
    curve
        ``n_people`` in each of two atlases, mean ``correlation``, ``low`` and ``high`` (2.5 % and 97.5 % of draws).
    enough_people
        Smallest size on the curve from which 97.5 % of the pairs have ``ENOUGH`` or more; None where none has.
    """

    split_half: float | None
    spearman_brown: float | None
    curve: pd.DataFrame
    enough_people: int | None


def reliability(atlas: AtlasInput, *, n_splits: int = 200, seed: int = 0) -> Reliability:
    """Correlate the enrichments of the regions between random groups of people.

    Enrichment and not share, because shares follow the volumes of the regions and so agree in any two maps.

    Parameters
    ----------
    atlas
        What was read from the folder.
    n_splits, seed
        Random pairs of groups.
    """
    by_person, scans = _sums_by_person(atlas)
    n, usable = len(scans), np.isfinite(atlas.volume_shares)
    empty = pd.DataFrame(columns=["n_people", "correlation", "low", "high"], dtype="float64")
    if n < MIN_PEOPLE or usable.sum() < MIN_REGIONS or n_splits < 1:
        return Reliability(None, None, empty, None)
    profiles, volume = by_person[:, usable], atlas.volume_shares[usable]
    sizes = _sizes(n // 2)
    rng = np.random.default_rng(seed)
    found = np.full((n_splits, len(sizes)), np.nan)
    for number in range(n_splits):
        order = rng.permutation(n)
        # The two groups are interleaved, so that each size takes the first people of both.
        parts = []
        for chosen in (order[0 : 2 * sizes[-1] : 2], order[1 : 2 * sizes[-1] : 2]):
            ends = np.array(sizes) - 1
            totals = np.cumsum(profiles[chosen], axis=0)[ends] / np.cumsum(scans[chosen])[ends, None]
            parts.append(totals / volume)
        found[number] = [_correlation(one, other) for one, other in zip(*parts, strict=True)]
    if not np.isfinite(found).all():
        return Reliability(None, None, empty, None)
    low, high = np.percentile(found, [2.5, 97.5], axis=0)
    curve = pd.DataFrame({"n_people": sizes, "correlation": found.mean(axis=0), "low": low, "high": high})
    half = float(found[:, -1].mean())
    below = np.flatnonzero(low < ENOUGH)
    first = int(below[-1]) + 1 if below.size else 0
    return Reliability(half, 2 * half / (1 + half), curve, int(sizes[first]) if first < len(sizes) else None)


def _sums_by_person(atlas: AtlasInput) -> tuple[FloatArray, FloatArray]:
    parts = [np.bincount(atlas.person, weights=share) for share in atlas.shares.T]
    return np.stack(parts, axis=1), np.bincount(atlas.person).astype(np.float64)


def _sizes(half: int) -> list[int]:
    """About twelve sizes up to half of the people, evenly spaced on a log scale."""
    return [int(size) for size in np.unique(np.geomspace(min(_SMALLEST, half), half, 12).round())]


def _correlation(one: FloatArray, other: FloatArray) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 0 else float("nan")
