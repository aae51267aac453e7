"""Enrichment of each region with its interval, against what shuffled maps give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import BLUE, GREY, INK, ORANGE, new_axes


def plot_enrichment(regions: pd.DataFrame, *, title: str) -> Figure:
    """A row per region, the highest enrichment at the top.

    Parameters
    ----------
    regions
        Rows of one group of :func:`agezoo.analysis.atlas_regions.region_table`.
    title
        Heading.
    """
    shown = regions[regions["enrichment"].notna()].sort_values("enrichment", ascending=False)
    figure, axes = new_axes(
        title=title,
        x="Enrichment: share of the map over share of the body (1: the body's average)",
        y="",
        width_in=7.2,
        height_in=1.4 + 0.27 * max(len(shown), 3),
    )
    y = np.arange(len(shown))[::-1]
    significant = (shown["p_more_adjusted"] < 0.05).to_numpy()
    if shown["null_low"].notna().any():
        axes.barh(
            y, shown["null_high"] - shown["null_low"], left=shown["null_low"], height=0.72, color="#C9CDD2", zorder=1,
            label="95 % of shuffled maps",
        )  # fmt: skip
    axes.axvline(1.0, color=GREY, linewidth=1.0, linestyle="--", zorder=2)
    axes.hlines(y, shown["enrichment_low"], shown["enrichment_high"], color=BLUE, linewidth=1.8, zorder=3)
    parts: tuple[tuple[np.ndarray, dict[str, Any], str], ...] = (
        (significant, {"color": BLUE}, "more than by chance"),
        (~significant, {"facecolor": "white", "edgecolor": BLUE}, "not more than by chance"),
    )
    for rows, style, label in parts:
        if rows.any():
            named = label if shown["p_more_adjusted"].notna().any() else "not tested"
            axes.scatter(shown["enrichment"].to_numpy()[rows], y[rows], s=30, zorder=4, label=named, **style)
    if shown["enrichment_corrected"].notna().any():
        axes.scatter(
            shown["enrichment_corrected"], y, s=26, marker="D", facecolor="none", edgecolor=ORANGE, linewidth=1.3,
            zorder=5, label="without spill-over",
        )  # fmt: skip
    axes.set_yticks(y, [str(name).replace("_", " ") for name in shown["region"]])
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for place, (_, row) in zip(y, shown.iterrows(), strict=True):
        text = f"{row['enrichment']:.2f}"
        if pd.notna(row["enrichment_low"]):
            text += f" ({row['enrichment_low']:.2f} to {row['enrichment_high']:.2f})"
        axes.annotate(
            text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=INK,
            annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(left=0)
    axes.legend(loc="lower right")
    return figure
