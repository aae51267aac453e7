"""Time-dependent AUC of several scores over the horizons."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import BLUE, GREEN, GREY, ORANGE, VERMILION, new_axes

_SINGLE = ((GREY, "s"), (GREY, "v"), (GREY, "P"))
_MODELS = ((BLUE, "o"), (VERMILION, "D"), (GREEN, "^"), (ORANGE, "p"), ("#CC79A7", "X"))


def plot_time_dependent_auc(
    table: pd.DataFrame, *, singles: Sequence[str], pairs: Sequence[tuple[str, str]], title: str
) -> Figure:
    """AUC with 95 % intervals at each horizon, scores side by side.

    Parameters
    ----------
    table
        Columns ``score``, ``horizon_years``, ``auc``, ``auc_low``, ``auc_high``; scores named nowhere are not drawn.
    singles
        Scores drawn in grey.
    pairs
        Scores of a model without (open) and with the gap (filled), in the model's colour.
    title
        Which end point.
    """
    horizons = list(table["horizon_years"].unique())
    figure, axes = new_axes(title=title, x="Horizon (years)", y="Time-dependent AUC", width_in=7.6, height_in=4.4)
    styles = [(score, *_SINGLE[k % len(_SINGLE)], True) for k, score in enumerate(singles)]
    for k, (without, with_) in enumerate(pairs):
        colour, marker = _MODELS[k % len(_MODELS)]
        styles += [(without, colour, marker, False), (with_, colour, marker, True)]
    present = set(table["score"])
    styles = [style for style in styles if style[0] in present]
    for k, (score, colour, marker, filled) in enumerate(styles):
        part = table[table["score"] == score].set_index("horizon_years").reindex(horizons)
        shift = 0.76 * ((k + 0.5) / len(styles) - 0.5)
        x = [i + shift for i in range(len(horizons))]
        axes.vlines(x, part["auc_low"], part["auc_high"], color=colour, linewidth=1.3)
        face = colour if filled else "white"
        axes.plot(
            x,
            part["auc"],
            marker=marker,
            color=colour,
            markerfacecolor=face,
            linestyle="none",
            markersize=5.5,
            label=score,
        )
    axes.axhline(0.5, color="#888888", linewidth=1.0, linestyle="--", zorder=1)
    axes.set_xticks(range(len(horizons)), [f"{horizon:.3g}" for horizon in horizons])
    axes.set_xlim(-0.5, len(horizons) - 0.5)
    axes.grid(visible=False, axis="x")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure
