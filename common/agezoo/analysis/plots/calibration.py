"""Calibration plot: how often the stated intervals hold the true age."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import BLUE, INK, new_axes
from agezoo.analysis.uncertainty import LEVELS_PERCENT


def plot_calibration(metrics: dict[str, Any]) -> Figure:
    """Observed against stated coverage of central intervals.

    Parameters
    ----------
    metrics
        From :func:`agezoo.analysis.metrics.evaluate_rows`, of a table with SDs.
    """
    curve = metrics["calibration_curve"]
    levels = [int(name) for name in curve if name != "ci95"]
    observed = [100 * curve[str(level)] for level in levels]
    figure, axes = new_axes(
        title=f"Calibration: n = {metrics['n_with_sd']}, MAE {metrics['mae_years']:.2f} years",
        x="Stated coverage of the interval (%)",
        y="True ages inside the interval (%)",
    )
    axes.plot([0, 100], [0, 100], color=INK, linewidth=1.1, linestyle="--", label="exact")
    bounds = [curve["ci95"][str(level)] for level in levels]
    if all(bounds):
        low, high = 100 * np.array(bounds).T
        axes.fill_between(levels, low, high, color=BLUE, alpha=0.18, linewidth=0, label="95 % bootstrap interval")
    axes.plot(levels, observed, color=BLUE, linewidth=1.6, label="observed")
    for level in LEVELS_PERCENT:
        share = 100 * metrics[f"coverage_{level}"]
        axes.plot(level, share, "o", color=BLUE, markersize=5)
        below = share <= level
        axes.annotate(
            f"{share:.0f}",
            (level, share),
            xytext=(3, -13) if below else (-3, 7),
            textcoords="offset points",
            ha="left" if below else "right",
            fontsize=8.5,
        )
    axes.set_xlim(0, 101)
    axes.set_ylim(0, 101)
    axes.set_xticks([0, 25, 50, 68, 90, 100])
    axes.set_yticks([0, 25, 50, 68, 90, 100])
    axes.set_aspect("equal")
    axes.legend(loc="upper left")
    axes.text(0.98, 0.04, "below the dashed line: SDs too small", transform=axes.transAxes, ha="right", fontsize=8.5)
    return figure
