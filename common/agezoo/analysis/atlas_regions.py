"""The table of an atlas: how much of the maps lies in each region, per group, with intervals, ranks and tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agezoo.analysis.atlas_input import AtlasInput
from agezoo.analysis.atlas_null import compare_with_chance
from agezoo.analysis.atlas_spill import Spill
from agezoo.analysis.bootstrap import FloatArray, resample_counts
from agezoo.analysis.multiple_testing import holm

#: Groups of fewer people get no intervals and no comparison: they cannot show how much people vary.
MIN_PEOPLE = 10


def region_table(
    atlas: AtlasInput, *, spill: Spill | None = None, n_bootstrap: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """One row per group and region.

    Means are over scans, as in the maps; intervals (95 %, percentile bootstrap) draw people with all their scans.

    Parameters
    ----------
    atlas
        What was read from the folder.
    spill
        How the regions blur into each other, see :func:`agezoo.analysis.atlas_spill.spill_over`; None if not known.
    n_bootstrap, seed
        Of the intervals and ranks; 0 resamples give none.

    Returns
    -------
    DataFrame
        ``group``, ``region``, ``n`` (scans), ``n_people``; ``share`` of the map with ``share_low`` and ``share_high``;
        ``volume_share``; ``enrichment`` (share over volume share: 1 is the body's average per voxel) with limits;
        ``recovery`` (share of a region's own brightness that a map of such cells shows in it) and
        ``enrichment_corrected`` (without what neighbours spill over) with limits, empty for regions that are too small
        for the map's cells;
        ``null_low`` and ``null_high`` (enrichment of 95 % of shuffled maps), ``n_shuffles``; ``p_more`` (one-sided),
        ``p_more_adjusted`` (over the group's regions, see :func:`agezoo.analysis.atlas_null.compare_with_chance`),
        ``p_more_holm`` (the same by Holm), ``p_two_sided`` and ``p_two_sided_adjusted``; ``signed_mean`` with limits;
        ``rank_enrichment``, ``rank_corrected`` and ``rank_share`` (1 is the most), each with ``_low``, ``_high`` and
        ``_probability`` (share of resamples with this very rank). Empty where unknown: intervals with fewer than
        ``MIN_PEOPLE`` people.
    """
    draws = _draws(atlas, n_bootstrap, seed)
    volume = atlas.volume_shares
    tables = []
    for group, rows in atlas.groups.items():
        share = atlas.shares[rows].mean(axis=0)
        table = pd.DataFrame({"group": group, "region": atlas.region_names})
        table["n"], table["n_people"] = int(rows.sum()), atlas.n_people(group)
        share_draws, signed_draws = draws[group]
        _put(table, "share", share, share_draws)
        table["volume_share"] = atlas.regions["volume_share"].to_numpy()
        _put(table, "enrichment", share / volume, share_draws / volume)
        nothing = np.full(len(table), np.nan)
        table["recovery"] = nothing if spill is None else spill.recovery
        corrected = nothing if spill is None else spill.without(share[None])[0]
        corrected_draws = np.empty((0, len(table))) if spill is None else spill.without(share_draws)
        _put(table, "enrichment_corrected", corrected, corrected_draws)
        _put_test(table, share, volume, atlas.null.get(group))
        _put(table, "signed_mean", _known_mean(atlas.signed[rows]), signed_draws)
        _put_ranks(table, "rank_enrichment", share / volume, share_draws / volume)
        _put_ranks(table, "rank_corrected", corrected, corrected_draws)
        _put_ranks(table, "rank_share", share, share_draws)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _draws(atlas: AtlasInput, n_bootstrap: int, seed: int) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Group -> mean shares and mean signed values of the resamples, ``(n_bootstrap, R)``; none for small groups."""
    n_regions = len(atlas.regions)
    n_people = int(atlas.person.max()) + 1
    signed_known = np.isfinite(atlas.signed)
    terms = np.concatenate(
        [atlas.shares, np.where(signed_known, atlas.signed, 0.0), signed_known, np.ones((len(atlas.person), 1))], axis=1
    )
    none = np.empty((0, n_regions))
    sums: dict[str, tuple[NDArray[np.intp], FloatArray]] = {}
    for group, rows in atlas.groups.items():
        if n_bootstrap >= 1 and atlas.n_people(group) >= MIN_PEOPLE:
            members, code = np.unique(atlas.person[rows], return_inverse=True)
            columns = [np.bincount(code, weights=term) for term in terms[rows].T]
            sums[group] = (members, np.stack(columns, axis=1))
    parts_of: dict[str, list[FloatArray]] = {group: [] for group in sums}
    if sums:
        rng = np.random.default_rng(seed)
        for counts in resample_counts(np.arange(n_people), n_bootstrap=n_bootstrap, rng=rng):
            for group, (members, by_person) in sums.items():
                parts_of[group].append(counts[:, members] @ by_person)
    found = dict.fromkeys(atlas.groups, (none, none))
    with np.errstate(invalid="ignore", divide="ignore"):
        for group, parts in parts_of.items():
            total = np.concatenate(parts)
            shares, signed, known = (total[:, i * n_regions : (i + 1) * n_regions] for i in range(3))
            found[group] = (shares / total[:, -1:], signed / known)
    return found


def _known_mean(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0))


def _put(table: pd.DataFrame, name: str, value: FloatArray, draws: FloatArray) -> None:
    table[name] = value
    low, high = interval(draws)
    table[f"{name}_low"], table[f"{name}_high"] = low, high


def interval(draws: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Limits of 95 % of the draws in each column; not a number without draws, or if one in twenty is undefined."""
    low, high = (np.full(draws.shape[1], np.nan) for _ in range(2))
    if len(draws):
        usable = np.flatnonzero(np.isfinite(draws).mean(axis=0) >= 0.95)
    if len(draws) and usable.size:
        low[usable], high[usable] = np.nanpercentile(draws[:, usable], [2.5, 97.5], axis=0)
    return low, high


def _put_test(table: pd.DataFrame, share: FloatArray, volume: FloatArray, null: FloatArray | None) -> None:
    names = ("null_low", "null_high", "p_more", "p_more_adjusted", "p_more_holm", "p_two_sided", "p_two_sided_adjusted")
    table["n_shuffles"] = 0 if null is None else len(null)
    for name in names:
        table[name] = np.nan
    if null is None:
        return
    test = compare_with_chance(share, null)
    table["null_low"], table["null_high"] = test.low / volume, test.high / volume
    for name in ("p_more", "p_more_adjusted", "p_two_sided", "p_two_sided_adjusted"):
        # A region without a voxel is no test.
        table[name] = np.where(np.isfinite(volume), getattr(test, name), np.nan)
    table["p_more_holm"] = holm(table["p_more"])


def _put_ranks(table: pd.DataFrame, name: str, value: FloatArray, draws: FloatArray) -> None:
    ranks = _ranks(value[None])[0]
    table[name] = ranks
    drawn = _ranks(draws)
    table[f"{name}_low"], table[f"{name}_high"] = interval(drawn)
    agree = (drawn == ranks).mean(axis=0) if len(drawn) else np.full(len(value), np.nan)
    table[f"{name}_probability"] = np.where(np.isfinite(ranks), agree, np.nan)


def _ranks(values: FloatArray) -> FloatArray:
    """1 for the largest of each row, undefined values last and without a rank."""
    order = np.argsort(-np.where(np.isfinite(values), values, -np.inf), axis=1, kind="stable")
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1.0, values.shape[1] + 1), values.shape), axis=1)
    return np.where(np.isfinite(values), ranks, np.nan)
