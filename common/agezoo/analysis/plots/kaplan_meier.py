"""Curves of being without the event, or of having had it, by third of the gap, with the people at risk below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from agezoo.analysis.kaplan_meier import Curve, number_at_risk
from agezoo.analysis.plots.canvas import BLUE, GREY, INK, VERMILION, new_axes

# Colour and line differ, so that a grey print can be read too.
_STYLES = ((BLUE, "-"), (GREY, (0, (5, 2))), (VERMILION, (0, (4, 1, 1, 1))))

# A curve is drawn while so many are at risk in its group; what comes after rests on a handful.
_MIN_AT_RISK = 10


@dataclass(frozen=True)
class CurveOfGroup:
    """A curve, the name of its group, and the follow-up in years of the group's people."""

    label: str
    curve: Curve
    time: np.ndarray


def plot_curves(groups: Sequence[CurveOfGroup], *, title: str, y: str, remark: str) -> Figure:
    """Step curves with 95 % bands and a table of the people at risk under the axis.

    Parameters
    ----------
    groups
        At most three, lowest gap first; curves hold probabilities.
    title
        What is shown.
    y
        Name of the vertical axis; percent are added.
    remark
        Written into the plot, e.g. the log-rank test.
    """
    figure, axes = new_axes(title=title, x="Follow-up (years)", y=f"{y} (%)", width_in=6.8, height_in=5.2)
    end = max(drawn_until(group) for group in groups)
    lowest, highest = 1.0, 0.0
    for group, (colour, line) in zip(groups, _STYLES, strict=False):
        values = _draw(axes, group, colour, line)
        lowest, highest = min(lowest, values.min()), max(highest, values.max(), _reach(group))
    rising = groups[0].curve.value[0] == 0
    if rising:
        axes.set_ylim(0, min(1.0, max(0.02, 1.15 * highest)))
    else:
        axes.set_ylim(max(0.0, lowest - 0.35 * (1 - lowest)) if lowest < 0.99 else 0.98, 1.002)
    axes.set_xlim(0, end)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))
    ticks = [tick for tick in MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(0, end) if 0 <= tick <= end]
    axes.set_xticks(ticks)
    axes.legend(loc="upper left" if rising else "lower left", title=remark, title_fontsize=8.5, alignment="left")
    _at_risk_table(axes, groups, ticks)
    return figure


def drawn_until(group: CurveOfGroup) -> float:
    """Years until which a curve is drawn: while 10 people of its group are at risk."""
    ordered = np.sort(group.time)
    return float(ordered[-_MIN_AT_RISK] if len(ordered) >= _MIN_AT_RISK else ordered[-1])


def _reach(group: CurveOfGroup) -> float:
    """Upper limit of the band while it is no wider than the curve is high."""
    shown = group.curve.times_years <= drawn_until(group)
    high, value = group.curve.high[shown], group.curve.value[shown]
    steady = np.isfinite(high) & (high < 2 * value)
    return float(high[steady].max()) if steady.any() else 0.0


def _draw(axes: Axes, group: CurveOfGroup, colour: str, line: object) -> np.ndarray:
    until = drawn_until(group)
    curve = group.curve
    shown = curve.times_years <= until
    times = np.append(curve.times_years[shown], until)
    value, low, high = (np.append(part[shown], part[shown][-1]) for part in (curve.value, curve.low, curve.high))
    axes.plot(times, value, drawstyle="steps-post", color=colour, linestyle=line, linewidth=1.6, label=group.label)
    axes.fill_between(times, low, high, step="post", color=colour, alpha=0.13, linewidth=0)
    return np.asarray(value)


def _at_risk_table(axes: Axes, groups: Sequence[CurveOfGroup], ticks: Sequence[float]) -> None:
    # Offsets in points below the axis: clear of the tick labels and the axis label at every size of the figure.
    top, step = -48, 13
    place: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "fontsize": 8.5}
    axes.annotate("At risk", (0, 0), (-24, top + step), ha="right", va="center", color=INK, **place)
    for row, (group, (colour, _)) in enumerate(zip(groups, _STYLES, strict=False)):
        height = top - step * row
        name = group.label.split(" (")[0].split(":")[0].removesuffix(" third")
        axes.annotate(name, (0, 0), (-24, height), ha="right", va="center", color=colour, **place)
        for tick, count in zip(ticks, number_at_risk(group.time, ticks), strict=True):
            axes.annotate(
                f"{count}",
                (tick, 0),
                (0, height),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=8.5,
                color=INK,
                annotation_clip=False,
            )
