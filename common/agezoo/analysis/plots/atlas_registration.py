"""How well the scans lie on the template."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agezoo.analysis.plots.canvas import BLUE, INK, VERMILION, new_axes


def plot_quality(values: pd.Series, flagged: pd.Series, *, title: str, x: str) -> Figure:
    """Histogram of one measure; flagged scans in another colour.

    Parameters
    ----------
    values
        One per scan, at least one known.
    flagged
        Whether the scan is to be looked at, same index.
    title, x
        Heading and axis label.
    """
    figure, axes = new_axes(title=title, x=x, y="scans", width_in=6.0, height_in=3.2)
    known = values.notna()
    edges = np.histogram_bin_edges(
        values[known].to_numpy(dtype=np.float64), bins=min(40, max(8, int(known.sum()) // 5))
    )
    parts = [("as most", BLUE, values[known & ~flagged]), ("to look at", VERMILION, values[known & flagged])]
    parts = [part for part in parts if len(part[2])]
    axes.hist(
        [part.to_numpy(dtype=np.float64) for _, _, part in parts],
        bins=edges.tolist(),
        stacked=True,
        color=[colour for _, colour, _ in parts],
        label=[f"{name} ({len(part)})" for name, _, part in parts],
    )
    median = float(values.median())
    axes.axvline(median, color=INK, linestyle="--", linewidth=1, label=f"median {median:.3f}")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left")
    return figure
