"""Whether the atlas of a phantom cohort finds the regions in which ageing was planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from agezoo.analysis.atlas_input import ALL
from agezoo.analysis.auroc import auroc

_COLUMNS = (
    "region", "planted_weight", "enrichment", "rank_enrichment", "enrichment_corrected", "rank_corrected", "share",
    "rank_share",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PlantedCheck:
    """The atlas against the truth of the phantom; everything of the group ``all``.

    Attributes
    ----------
    table
        ``region``, ``planted_weight``, ``enrichment``, ``rank_enrichment``, ``enrichment_corrected``,
        ``rank_corrected``, ``share``, ``rank_share``; planted regions alone, the heaviest first.
    n_regions
        Regions of the atlas.
    first
        How many of the k planted regions are among the first k by enrichment.
    auroc
        Chance that a planted region has a higher enrichment than another one; None where all or none are planted.
    n_corrected, first_corrected, auroc_corrected
        The same by the enrichment without spill-over, among the regions that have one; None if no region has.
    share, volume_share
        Share of the maps' mass, and of the body, in planted regions together.
    weight_enrichment, weight_share
        Spearman's correlation of the planted weight with either over the planted regions; None with fewer than three,
        or if one is the same in all.
    absent
        Planted regions that the atlas does not have.
    """

    table: pd.DataFrame
    n_regions: int
    first: int
    auroc: float | None
    n_corrected: int
    first_corrected: int | None
    auroc_corrected: float | None
    share: float
    volume_share: float
    weight_enrichment: float | None
    weight_share: float | None
    absent: tuple[str, ...]


def check_planted(regions: pd.DataFrame, planted: Mapping[str, float]) -> PlantedCheck:
    """Compare the region table with planted weights.

    Parameters
    ----------
    regions
        From :func:`agezoo.analysis.atlas_regions.region_table`.
    planted
        Region -> weight of the ageing planted there; 0 is not planted.
    """
    everyone = regions[(regions["group"] == ALL) & regions["enrichment"].notna()]
    weight = everyone["region"].astype(object).map(lambda name: float(planted.get(name, 0.0))).astype("float64")
    table = everyone.assign(planted_weight=weight)[weight > 0][[*_COLUMNS, "volume_share"]]
    table = table.sort_values("planted_weight", ascending=False, kind="stable").reset_index(drop=True)
    n = len(table)
    resolved = everyone["enrichment_corrected"].notna()
    return PlantedCheck(
        table[list(_COLUMNS)],
        len(everyone),
        int((table["rank_enrichment"] <= n).sum()),
        _area(weight > 0, everyone["enrichment"]),
        int(resolved.sum()),
        int((table["rank_corrected"] <= n).sum()) if resolved.any() else None,
        _area((weight > 0)[resolved], everyone.loc[resolved, "enrichment_corrected"]),
        float(table["share"].sum()),
        float(table["volume_share"].sum()),
        _follows(table, "enrichment"),
        _follows(table, "share"),
        tuple(name for name, value in planted.items() if value > 0 and name not in set(table["region"])),
    )


def _area(planted: pd.Series, value: pd.Series) -> float | None:
    return auroc(planted, value).value if 0 < planted.sum() < len(planted) else None


def _follows(table: pd.DataFrame, name: str) -> float | None:
    if len(table) < 3 or table["planted_weight"].nunique() < 2 or table[name].nunique() < 2:
        return None
    return float(np.asarray(spearmanr(table["planted_weight"], table[name]))[0])
