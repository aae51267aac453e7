"""The finding of an atlas in plain words."""

from __future__ import annotations

import pandas as pd

from agezoo.analysis.atlas_input import ALL, AtlasInput
from agezoo.analysis.atlas_planted import PlantedCheck
from agezoo.analysis.atlas_regions import MIN_PEOPLE
from agezoo.analysis.counting import people

#: Regions named beside the first.
_OTHERS = 3

LEVEL = 0.05


def in_words(region: str) -> str:
    """Name of a region as it is printed."""
    return region.replace("_", " ")


def atlas_headline(atlas: AtlasInput, regions: pd.DataFrame, check: PlantedCheck | None = None) -> str:
    """Where the network looked most: regions above shuffled maps by their enrichment, and the largest share.

    Regions too small for the cells of the maps are left to the table: their brightness is that of their neighbours.

    Parameters
    ----------
    atlas
        What was read from the folder.
    regions
        From :func:`agezoo.analysis.atlas_regions.region_table`.
    check
        For phantoms: from :func:`agezoo.analysis.atlas_planted.check_planted`.
    """
    everyone = regions[(regions["group"] == ALL) & regions["enrichment"].notna()].sort_values("rank_enrichment")
    resolved = everyone["enrichment_corrected"].notna()
    tested = everyone["p_more_adjusted"].notna().any()
    first = everyone[(everyone["p_more_adjusted"] < LEVEL) & (everyone["enrichment"] > 1)] if tested else everyone
    first = first[resolved[first.index]] if resolved.any() else first
    if not len(first):
        words = "No region stands out from shuffled maps."
    else:
        top = first.iloc[0]
        words = f"The network looked most at: {in_words(top['region'])}, {times(top)} the average of the body"
        others = [f"{in_words(row['region'])} {times(row)}" for _, row in first.iloc[1 : 1 + _OTHERS].iterrows()]
        words += f"; then {', '.join(others)}." if others else "."
        if not tested:
            words += " There are no shuffled maps, so nothing is tested against chance."
    most = everyone.sort_values("rank_share").iloc[0]
    words += (
        f" The largest part of the maps, {100 * most['share']:.0f} %, lies in {in_words(most['region'])} "
        f"({100 * most['volume_share']:.0f} % of the body)."
    )
    n_people, n = atlas.n_people(ALL), len(atlas.cases)
    words += f" {people(n_people)}, {n} scan{'s' if n != 1 else ''}"
    words += "." if n_people >= MIN_PEOPLE else f"; fewer than {MIN_PEOPLE} people give no intervals."
    if check is not None and len(check.table):
        ranks = ", ".join(
            f"{in_words(row['region'])} {row['rank_enrichment']:.0f}" for _, row in check.table.iterrows()
        )
        words += f" Phantom: ranks of the regions with planted ageing among {check.n_regions}: {ranks}"
        words += f" (AUROC {check.auroc:.2f})." if check.auroc is not None else "."
        if check.first_corrected is not None:
            ranks = ", ".join(
                f"{in_words(row['region'])} {row['rank_corrected']:.0f}"
                if pd.notna(row["rank_corrected"])
                else f"{in_words(row['region'])} too small"
                for _, row in check.table.iterrows()
            )
            words += f" Without spill-over, among {check.n_corrected}: {ranks}"
            words += f" (AUROC {check.auroc_corrected:.2f})." if check.auroc_corrected is not None else "."
    return words


def times(row: pd.Series) -> str:
    """``3.1 times (2.9 to 3.3)``; without interval where there is none."""
    text = f"{row['enrichment']:.1f} times"
    if pd.notna(row["enrichment_low"]):
        text += f" ({row['enrichment_low']:.1f} to {row['enrichment_high']:.1f})"
    return text
