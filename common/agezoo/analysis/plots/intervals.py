"""Estimates with intervals, one row each, for ratios and for years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from agezoo.analysis.plots.canvas import BLUE, GREY, INK, new_axes

# Longer names would leave no room for the bars.
_MAX_NAME = 38


@dataclass(frozen=True)
class IntervalRow:
    """One estimate: its name, value, 95 % interval, and a remark for the right margin."""

    name: str
    value: float
    low: float
    high: float
    remark: str = ""


def plot_intervals(
    rows: Sequence[IntervalRow], *, title: str, x: str, none_at: float | None = None, log: bool = False
) -> Figure:
    """A point and a bar per row, the first at the top.

    Parameters
    ----------
    rows
        What to draw.
    title, x
        Heading and axis label with unit.
    none_at
        Where a dashed line stands for "no association".
    log
        Logarithmic axis, for ratios.
    """
    figure, axes = new_axes(title=title, x=x, y="", width_in=7.2, height_in=1.3 + 0.36 * max(len(rows), 2))
    y = np.arange(len(rows))[::-1]
    if none_at is not None:
        axes.axvline(none_at, color=GREY, linewidth=1.0, linestyle="--", zorder=1)
    value, low, high = (np.array([getattr(row, name) for row in rows]) for name in ("value", "low", "high"))
    axes.hlines(y, low, high, color=BLUE, linewidth=1.8, zorder=2)
    axes.scatter(value, y, s=34, color=BLUE, zorder=3)
    axes.set_yticks(y, [_short(row.name) for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(visible=False, axis="y")
    form = "{:.2f} ({:.2f} to {:.2f})" if log else "{:+.2f} ({:+.2f} to {:+.2f})"
    for row, height in zip(rows, y, strict=True):
        text = form.format(row.value, row.low, row.high).replace("-", "−")
        axes.annotate(
            text + (f"\n{row.remark}" if row.remark else ""),
            (1.02, height),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=INK,
            annotation_clip=False,
        )
    if log:
        axes.set_xscale("log")
        reach = 1.05 * max(np.abs(np.log(np.concatenate([low, high]))).max(), np.log(1.25))
        axes.set_xlim(np.exp(-reach), np.exp(reach))
        # On a wide axis the ticks beside 1 would touch its label.
        near = (0.8, 1.25) if reach < np.log(3) else ()
        ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, *near) if np.exp(-reach) <= t <= np.exp(reach)]
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
