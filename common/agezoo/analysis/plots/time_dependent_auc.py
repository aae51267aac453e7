"""Time-dependent AUC of several scores over the horizons."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, new_axes

_COLOURS = (GREY, BLUE, ORANGE, GREEN, VERMILION, INK, "#CC79A7", "#56B4E9", "#8C6D31", "#7F7F7F")
_MARKERS = "s^vDoPX<>*"


def plot_time_dependent_auc(table: pd.DataFrame, *, title: str) -> Figure:
    """AUC with 95 % intervals at each horizon, scores side by side.

    Parameters
    ----------
    table
        Columns ``score``, ``horizon_years``, ``auc``, ``auc_low``, ``auc_high``.
    title
        Which end point.
    """
    horizons = list(table["horizon_years"].unique())
    figure, axes = new_axes(title=title, x="Horizon (years)", y="Time-dependent AUC", width_in=7.2, height_in=4.4)
    scores = list(table["score"].unique())
    for k, score in enumerate(scores):
        part = table[table["score"] == score].set_index("horizon_years").loc[horizons]
        shift = 0.7 * ((k + 0.5) / len(scores) - 0.5)
        x = [i + shift for i in range(len(horizons))]
        colour = _COLOURS[k % len(_COLOURS)]
        axes.vlines(x, part["auc_low"], part["auc_high"], color=colour, linewidth=1.3)
        axes.plot(
            x,
            part["auc"],
            marker=_MARKERS[k % len(_MARKERS)],
            color=colour,
            linestyle="none",
            markersize=5,
            label=score,
        )
    axes.axhline(0.5, color="#888888", linewidth=1.0, linestyle="--", zorder=1)
    axes.set_xticks(range(len(horizons)), [f"{horizon:.3g}" for horizon in horizons])
    axes.set_xlim(-0.5, len(horizons) - 0.5)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure
