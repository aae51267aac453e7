"""Plots of how far ages move when scans are perturbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from agezoo.analysis.plots.canvas import BLUE, GREY, INK, VERMILION, new_axes

_BOX = "#D6E6F2"
_FEWEST_IN_A_BOX = 5
_SPANNED = ("lower_limit_years", "mean_difference_years", "upper_limit_years")


def plot_differences(
    rows: pd.DataFrame, grades: Sequence[Mapping[str, Any]], *, title: str, unit: str, noun: str = "scan"
) -> Figure:
    """Box of the differences of one perturbation per grade, with their mean and limits of agreement.

    Parameters
    ----------
    rows
        Rows of the perturbation: ``grade`` and ``difference_years``.
    grades
        Its figures, see :func:`agezoo.analysis.robustness.robustness_figures`.
    title, unit
        Name of the perturbation and unit of its grades; no unit for what can only be done or not done.
    noun
        What one image is called.
    """
    place = np.arange(len(grades))
    values = [rows.loc[rows["grade"] == g["grade"], "difference_years"].dropna().to_numpy() for g in grades]
    figure, axes = new_axes(
        title=title,
        x=f"Strength{f' ({unit})' if unit else ''} and number of {noun}s",
        y="Perturbed − unperturbed age (years)",
        width_in=5.4,
        height_in=4.0,
    )
    axes.axhline(0.0, color=INK, linewidth=1.1, linestyle="--", zorder=1)
    boxed = [i for i in place if len(values[i]) >= _FEWEST_IN_A_BOX]
    if boxed:
        axes.boxplot(
            [values[i] for i in boxed],
            positions=boxed,
            widths=0.42,
            patch_artist=True,
            showfliers=False,
            boxprops={"facecolor": _BOX, "edgecolor": BLUE},
            medianprops={"color": BLUE, "linewidth": 1.4},
            whiskerprops={"color": BLUE},
            capprops={"color": BLUE},
            manage_ticks=False,
        )
    for i, differences in zip(place, values, strict=True):
        # Spread sideways in a fixed pattern, so that equal differences stay visible.
        aside = 0.16 * np.sin(2.4 * np.arange(len(differences)))
        axes.plot(i + aside, differences, ".", color=BLUE, markersize=4, alpha=0.6, zorder=3)
    for i, figures in zip(place, grades, strict=True):
        _bar(axes, figures, along=i + 0.33, vertical=True)
    figure.legend(handles=_handles(box=True), loc="outside lower center", ncols=2, frameon=False)
    strengths = [f"{g['grade']:g}".replace("-", "−") if unit else "done" for g in grades]
    axes.set_xticks(place, [f"{strength}\nn = {g['n']}" for strength, g in zip(strengths, grades, strict=True)])
    axes.set_xlim(-0.6, len(grades) - 0.4)
    axes.grid(visible=False, axis="x")
    return figure


def plot_agreement_overview(
    figures: Mapping[str, Sequence[Mapping[str, Any]]],
    titles: Mapping[str, str],
    *,
    repeat_limits_years: tuple[float, float] | None = None,
    noun: str = "scan",
) -> Figure:
    """Mean difference and limits of agreement of every perturbation and grade, one line each.

    Parameters
    ----------
    figures
        Perturbation -> its grades' figures.
    titles
        Perturbation -> heading.
    repeat_limits_years
        Limits of agreement of repeat scans of the same people, drawn as a band for comparison.
    noun
        What one image is called.
    """
    figure, axes, rows = _lines(figures, titles, x="Perturbed − unperturbed age (years)", title="Agreement")
    if repeat_limits_years is not None:
        axes.axvspan(*repeat_limits_years, color=GREY, alpha=0.16, linewidth=0, zorder=0)
    axes.axvline(0.0, color=INK, linewidth=1.1, linestyle="--", zorder=1)
    ends = [g[key] for _, g in rows for key in _SPANNED if g[key] is not None]
    reach = _reach(ends)
    for place, grade in rows:
        _bar(axes, grade, along=place, vertical=False)
        span = [grade[key] for key in _SPANNED if grade[key] is not None]
        _arrows(axes, span, place, reach)
    axes.set_xlim(-1.06 * reach, 1.06 * reach)
    handles = _handles(box=False)
    if repeat_limits_years is not None:
        handles.append(Patch(color=GREY, alpha=0.16, label=f"limits of repeat {noun}s"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def plot_error_overview(
    figures: Mapping[str, Sequence[Mapping[str, Any]]],
    titles: Mapping[str, str],
    *,
    baseline_mae_years: float,
    noun: str = "scan",
) -> Figure:
    """MAE of every perturbation and grade beside that of the same scans (or what `noun` says) as they are."""
    figure, axes, rows = _lines(figures, titles, x="Mean absolute error (years)", title="Error against the true age")
    axes.axvline(baseline_mae_years, color=INK, linewidth=1.1, linestyle="--", zorder=1)
    reach = _reach([grade["mae_years"] for _, grade in rows if grade["mae_years"] is not None])
    for place, grade in rows:
        if grade["mae_years"] is not None:
            _arrows(axes, [grade["mae_years"]], place, reach)
            axes.plot([grade["baseline_mae_years"], grade["mae_years"]], [place, place], color=GREY, linewidth=1.2)
            axes.plot(grade["baseline_mae_years"], place, "|", color=INK, markersize=7)
            axes.plot(grade["mae_years"], place, "D", color=VERMILION, markersize=4.5)
    axes.set_xlim(0.0, 1.06 * reach)
    figure.legend(
        handles=[
            Line2D([], [], marker="D", linestyle="", color=VERMILION, markersize=4.5, label="perturbed"),
            Line2D([], [], marker="|", linestyle="", color=INK, markersize=7, label=f"the same {noun}s as they are"),
        ],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    return figure


def _lines(
    figures: Mapping[str, Sequence[Mapping[str, Any]]], titles: Mapping[str, str], *, x: str, title: str
) -> tuple[Figure, Axes, list[tuple[float, Mapping[str, Any]]]]:
    """Axes with one labelled line per grade, the perturbations apart and shaded in turn."""
    height = 1.5 + 0.17 * sum(map(len, figures.values())) + 0.11 * len(figures)
    figure, axes = new_axes(title=title, x=x, y="", width_in=7.0, height_in=max(height, 2.5))
    rows: list[tuple[float, Mapping[str, Any]]] = []
    labels: list[str] = []
    top = 0.0
    for number, (name, grades) in enumerate(figures.items()):
        if number % 2 == 0:
            axes.axhspan(top - 0.5, top + len(grades) - 0.3, color="#F3F3F3", linewidth=0, zorder=-1)
        for index, grade in enumerate(grades):
            rows.append((top, grade))
            strength = f"{grade['grade']:g} {grade['unit']}".replace("-", "−") if grade["unit"] else ""
            title = titles.get(name, name)
            labels.append((f"{title}:  {strength}" if strength else title) if index == 0 else strength)
            top += 1.0
        top += 0.6
    axes.set_yticks([place for place, _ in rows], labels, fontsize=8)
    axes.set_ylim(top - 0.7, -0.9)
    axes.grid(visible=False, axis="y")
    return figure, axes, rows


def _reach(values: Sequence[float]) -> float:
    """End of an axis: the farthest value, unless a few lie so far out that they would press all others together."""
    sizes = np.abs(np.asarray(values, dtype=float))
    if not sizes.size:
        return 1.0
    return float(max(min(sizes.max(), max(4.0 * np.quantile(sizes, 0.75), 10.0)), 1.0))


def _arrows(axes: Axes, values: Sequence[float], place: float, reach: float) -> None:
    """Arrow heads at the edge of the plot for what lies beyond it."""
    for value in values:
        if abs(value) > reach:
            axes.plot(np.sign(value) * 1.03 * reach, place, ">" if value > 0 else "<", color=VERMILION, markersize=6)


def _bar(axes: Axes, figures: Mapping[str, Any], *, along: float, vertical: bool) -> None:
    mean = figures["mean_difference_years"]
    if mean is None:
        return
    if figures["lower_limit_years"] is not None:
        limits = [figures["lower_limit_years"], figures["upper_limit_years"]]
        places = ([along, along], limits) if vertical else (limits, [along, along])
        axes.plot(*places, color=VERMILION, linewidth=1.6, marker="_" if vertical else "|", markersize=6, zorder=4)
    axes.plot(*((along, mean) if vertical else (mean, along)), "D", color=VERMILION, markersize=4.5, zorder=5)


def _handles(*, box: bool) -> list[Any]:
    handles: list[Any] = [
        Line2D([], [], marker="D", color=VERMILION, markersize=4.5, label="mean and limits of agreement (±1.96 SD)")
    ]
    if box:
        handles.insert(0, Patch(facecolor=_BOX, edgecolor=BLUE, label="quartiles, median"))
    return handles
