"""How the enrichment of regions differs between two groups, or with age."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import BLUE, GREY, VERMILION, new_axes

_STYLES = ((BLUE, "o"), (VERMILION, "D"))


def plot_comparison(
    models: Sequence[tuple[str, pd.DataFrame]], order: Sequence[str], *, title: str, x: str, level: float = 0.05
) -> Figure:
    """Differences with their 95 % intervals; filled where the corrected p value is below the level.

    Parameters
    ----------
    models
        One or two: name and rows of :func:`agezoo.analysis.atlas_groups.group_comparisons`.
    order
        Regions from the top down.
    title, x
        Heading and axis label, which says what lies at the right.
    level
        Of significance.
    """
    names = [name for name in order if any(name in set(rows["region"]) for _, rows in models)]
    figure, axes = new_axes(title=title, x=x, y="", width_in=6.6, height_in=1.4 + 0.27 * max(len(names), 3))
    axes.axvline(0.0, color=GREY, linewidth=1.0, linestyle="--", zorder=1)
    places = {name: float(len(names) - 1 - i) for i, name in enumerate(names)}
    for number, ((label, rows), (colour, marker)) in enumerate(zip(models, _STYLES, strict=False)):
        rows = rows[rows["enrichment_difference"].notna()]
        shift = (0.17 - 0.34 * number) if len(models) > 1 else 0.0
        y = np.array([places[name] for name in rows["region"]]) + shift
        axes.hlines(
            y, rows["enrichment_difference_low"], rows["enrichment_difference_high"], color=colour, linewidth=1.5,
            zorder=2,
        )  # fmt: skip
        clear = (rows["p_adjusted"] < level).to_numpy()
        value = rows["enrichment_difference"].to_numpy()
        axes.scatter(value[clear], y[clear], s=30, color=colour, marker=marker, zorder=3)
        axes.scatter(value[~clear], y[~clear], s=30, facecolor="white", edgecolor=colour, marker=marker, zorder=3)
        if len(models) > 1:
            axes.scatter([], [], s=30, color=colour, marker=marker, label=label)
    axes.set_yticks(list(places.values()), [name.replace("_", " ") for name in names])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    if len(models) > 1:
        # Inside it would lie on the rows.
        axes.legend(loc="upper right", bbox_to_anchor=(1.0, -0.75 / figure.get_figheight()), ncols=2, frameon=False)
    return figure
