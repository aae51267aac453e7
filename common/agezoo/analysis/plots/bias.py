"""Gap against age, raw and corrected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import BLUE, GREEN, GREY, INK, ORANGE, VERMILION, marker_alpha, marker_area, new_axes

_GROUP_STYLE = ((BLUE, "o"), (VERMILION, "^"), (GREEN, "s"), (ORANGE, "D"), (GREY, "v"))

_BEHIND: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}


def plot_gap_against_age(frame: pd.DataFrame, *, what: str, limit_years: float) -> Figure:
    """Gap against true age with a line per group.

    Parameters
    ----------
    frame
        Columns ``age_years``, ``gap`` (predicted - true age, years) and ``group`` (text; one value where nothing is
        told apart). Complete.
    what
        ``"Raw"`` or ``"Corrected"``, for title and axis.
    limit_years
        Half height of the picture, so that two can be compared by eye; points beyond lie on its edge and are counted.
    """
    figure, axes = new_axes(
        title=f"{what} gap against age: n = {len(frame)}",
        x="True age (years)",
        y=f"{'Predicted' if what == 'Raw' else what} − true age (years)",
    )
    axes.axhline(0.0, color=INK, linewidth=1.1, linestyle="--")
    names = sorted(frame["group"].unique())
    for place, name in enumerate(names):
        colour, marker = _GROUP_STYLE[place % len(_GROUP_STYLE)]
        part = frame[frame["group"] == name]
        _draw_group(axes, part, colour, marker, name if len(names) > 1 else "", limit_years, len(frame))
    beyond = int((frame["gap"].abs() > limit_years).sum())
    if beyond:
        words = f"{beyond} beyond, drawn on the edge"
        axes.text(0.99, 0.02, words, transform=axes.transAxes, ha="right", fontsize=8.5, bbox=_BEHIND)
    axes.set_ylim(-limit_years * 1.06, limit_years * 1.06)
    figure.legend(loc="outside lower center", frameon=False)
    return figure


def _draw_group(
    axes: Axes, part: pd.DataFrame, colour: str, marker: str, name: str, limit_years: float, n_all: int
) -> None:
    age, gap = part["age_years"].to_numpy(dtype=float), part["gap"].to_numpy(dtype=float)
    axes.scatter(
        age,
        np.clip(gap, -limit_years, limit_years),
        s=marker_area(n_all),
        alpha=marker_alpha(n_all),
        color=colour,
        marker=marker,
        linewidths=0,
        rasterized=n_all > 5000,
    )
    prefix = f"{name}, " if name else ""
    if np.ptp(age) > 0:
        slope, intercept = np.polyfit(age, gap, 1)
        ends = np.array([age.min(), age.max()])
        # White below the colour, so that the line stands out from points of the same colour.
        axes.plot(ends, slope * ends + intercept, color="white", linewidth=4.0)
        label = f"{prefix}n = {len(part)}: slope {slope:+.2f} years per year".replace("-", "\N{MINUS SIGN}")
        axes.plot(ends, slope * ends + intercept, color=colour, linewidth=2.0, marker=marker, markersize=5, label=label)
