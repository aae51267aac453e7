"""Error per decade of age."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from agezoo.analysis.plots.canvas import BLUE, INK, VERMILION, new_axes

_BOX = "#D6E6F2"


def plot_error_by_age(frame: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Box of the errors per decade of true age, with the mean and its 95 % bootstrap interval.

    Parameters
    ----------
    frame
        ``EvaluationRows.frame``.
    metrics
        From :func:`agezoo.analysis.metrics.evaluate_rows` of the same rows.
    """
    groups = metrics["by_decade"]
    errors = [frame.loc[frame["decade"] == int(name.split("-")[0]), "error_years"].to_numpy() for name in groups]
    place = np.arange(len(groups))
    figure, axes = new_axes(
        title=f"Error by age: n = {metrics['n']}, MAE {metrics['mae_years']:.2f} years",
        x="True age (years) and number of scans",
        y="Predicted − true age (years)",
    )
    axes.axhline(0.0, color=INK, linewidth=1.1, linestyle="--", zorder=1)
    # A box of fewer than five values is a picture of nothing; the points themselves are shown then.
    boxed = [i for i in place if len(errors[i]) >= 5]
    if boxed:
        axes.boxplot(
            [errors[i] for i in boxed],
            positions=boxed,
            widths=0.55,
            patch_artist=True,
            boxprops={"facecolor": _BOX, "edgecolor": BLUE},
            medianprops={"color": BLUE, "linewidth": 1.4},
            whiskerprops={"color": BLUE},
            capprops={"color": BLUE},
            flierprops={
                "marker": ".",
                "markersize": 5,
                "markerfacecolor": BLUE,
                "markeredgecolor": "none",
                "alpha": 0.5,
            },
            manage_ticks=False,
        )
    few = [i for i in place if len(errors[i]) < 5]
    for i in few:
        axes.plot(np.full(len(errors[i]), i), errors[i], ".", color=BLUE, markersize=6)
    for i, group in zip(place, groups.values(), strict=True):
        interval = group["ci95"]["bias_years"]
        mean = group["bias_years"]
        if interval:
            # A percentile interval need not hold the mean exactly in tiny groups; bars have no negative length.
            bars = np.maximum([[mean - interval[0]], [interval[1] - mean]], 0.0)
            axes.errorbar(i, mean, yerr=bars, fmt="D", color=VERMILION, markersize=4.5, capsize=3, zorder=4)
        elif i in boxed:
            axes.plot(i, mean, "D", color=VERMILION, markersize=4.5, zorder=4)
    figure.legend(
        handles=[
            Patch(facecolor=_BOX, edgecolor=BLUE, label="quartiles, median; whiskers 1.5 × box"),
            Line2D([], [], marker="D", color=VERMILION, markersize=4.5, label="mean with 95 % interval"),
        ],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    axes.set_xticks(place, [f"{name.replace('-', '–')}\nn = {group['n']}" for name, group in groups.items()])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.grid(visible=False, axis="x")
    return figure
