"""Forest plot of hazard ratios over end points and models."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from agezoo.analysis.plots.canvas import BLUE, INK, VERMILION, new_axes

_STYLES = {"raw": (BLUE, "o", "raw gap"), "corrected": (VERMILION, "D", "corrected gap")}
# Characters of a model's name in one line beside the axes.
_NAME_WIDTH = 30

_STOPS = (0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)


def plot_forest(ratios: pd.DataFrame) -> Figure:
    """Hazard ratios per SD with their 95 % intervals on a log axis, the figures at the right.

    Parameters
    ----------
    ratios
        Columns ``end_point``, ``model``, ``gap`` (``"raw"`` or ``"corrected"``), ``hr``, ``hr_low``, ``hr_high``;
        rows without a hazard ratio are left out.
    """
    shown = ratios[ratios["hr"].notna()]
    lines: list[tuple[float, str, bool]] = []
    spots: dict[tuple[str, str], float] = {}
    height = 0.0
    for end_point, part in shown.groupby("end_point", sort=False):
        lines.append((height, str(end_point).replace("_", " "), True))
        height -= 1
        for model in part["model"].unique():
            lines.append((height, model, False))
            spots[str(end_point), model] = height
            height -= 1
        height -= 0.35
    figure, axes = new_axes(
        title="",
        x="Hazard ratio per SD of the gap (95 % interval, log scale)",
        y="",
        width_in=7.2,
        height_in=1.5 + 0.32 * -height,
    )
    axes.set_xscale("log")
    axes.axvline(1.0, color="#888888", linewidth=1.0, zorder=1)
    both = shown["gap"].nunique() > 1
    labelled: set[str] = set()
    for _, row in shown.iterrows():
        colour, marker, name = _STYLES[row["gap"]]
        shift = (0.19 if row["gap"] == "raw" else -0.19) if both else 0.0
        y = spots[row["end_point"], row["model"]] + shift
        axes.plot([row["hr_low"], row["hr_high"]], [y, y], color=colour, linewidth=1.5, solid_capstyle="butt")
        axes.plot(
            row["hr"], y, marker=marker, color=colour, markersize=5, linestyle="none",
            label=None if row["gap"] in labelled else name,
        )  # fmt: skip
        labelled.add(row["gap"])
        axes.annotate(
            f"{row['hr']:.2f} ({row['hr_low']:.2f}–{row['hr_high']:.2f})",
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7.5 if both else 8.5,
            color=colour,
            annotation_clip=False,
        )
    axes.set_yticks([y for y, _, _ in lines], [fill(text, _NAME_WIDTH) for _, text, _ in lines])
    for label, (_, _, heading) in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if heading else "normal")
        label.set_color(INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(height + 0.7, 0.7)
    _range(axes, shown)
    # Above the axes: inside it would lie on lines.
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderaxespad=0.2)
    return figure


def _range(axes: Axes, shown: pd.DataFrame) -> None:
    # An interval of a few events can span decades; the axis then ends where it still separates the others.
    low = float(np.clip(min(shown["hr_low"].min(), 0.95), 0.08, None))
    high = float(np.clip(max(shown["hr_high"].max(), 1.05), None, 25.0))
    reach = 1.05
    axes.set_xlim(low / reach, high * reach)
    inside: list[float] = []
    # From 1 outwards, leaving out what would stand closer than a label is wide.
    for stop in sorted(_STOPS, key=lambda stop: abs(np.log(stop))):
        apart = min((abs(np.log(stop / other)) for other in inside), default=np.inf)
        if low / reach <= stop <= high * reach and apart > np.log(reach**2 * high / low) / 14:
            inside.append(stop)
    axes.xaxis.set_major_locator(FixedLocator(inside))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{stop:g}" for stop in inside])
