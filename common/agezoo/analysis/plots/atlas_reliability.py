"""How well two atlases of different people agree by the number of people in each."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from agezoo.analysis.plots.canvas import BLUE, GREY, new_axes


def plot_reliability(curve: pd.DataFrame, *, level: float) -> Figure:
    """Mean correlation with the range of 95 % of draws, on a logarithmic axis of people.

    Parameters
    ----------
    curve
        From :class:`agezoo.analysis.atlas_reliability.Reliability`, at least one row.
    level
        Correlation that counts as enough.
    """
    figure, axes = new_axes(
        title="Agreement of two atlases of different people",
        x="People in each of the two atlases (log scale)",
        y="Correlation of the regions' enrichments",
        width_in=6.2,
        height_in=3.8,
    )
    sizes = curve["n_people"].to_numpy()
    axes.fill_between(sizes, curve["low"], curve["high"], color=BLUE, alpha=0.18, label="95 % of draws")
    axes.plot(sizes, curve["correlation"], color=BLUE, marker="o", markersize=4, label="mean")
    axes.axhline(level, color=GREY, linestyle="--", linewidth=1.0, label=f"{level:g}")
    axes.set_xscale("log")
    ticks: list[int] = []
    for size in (int(size) for size in sizes):
        if not ticks or size >= 1.35 * ticks[-1]:
            ticks.append(size)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(top=1.0 + 0.03 * (1.0 - axes.get_ylim()[0]))
    axes.legend(loc="lower right")
    return figure
