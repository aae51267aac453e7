"""Bland-Altman plot of paired ages."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from agezoo.analysis.agreement import bland_altman
from agezoo.analysis.plots.canvas import BLUE, GREY, INK, VERMILION, marker_alpha, marker_area, new_axes


def plot_bland_altman(
    first: ArrayLike,
    second: ArrayLike,
    *,
    title: str,
    first_name: str = "first",
    second_name: str = "second",
    ddof: int = 0,
) -> Figure:
    """Difference of two ages against their mean, with the mean difference and the limits of agreement.

    Parameters
    ----------
    first, second
        Complete pairs in years, shape ``(n,)``; the difference is first - second.
    title
        What is compared; n is added.
    first_name, second_name
        For the axis labels.
    ddof
        As in :func:`agezoo.analysis.agreement.bland_altman`.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    difference, middle = one - two, (one + two) / 2
    figures = bland_altman(one, two, ddof=ddof)
    figure, axes = new_axes(
        title=f"{title}: n = {one.size}",
        x=f"Mean of {first_name} and {second_name} age (years)",
        y=f"{first_name.capitalize()} − {second_name} age (years)",
    )
    axes.axhline(0.0, color="#AAAAAA", linewidth=0.8)
    axes.scatter(
        middle, difference, s=marker_area(one.size), c=BLUE, alpha=marker_alpha(one.size), linewidths=0, zorder=2
    )
    lines = (
        ("mean difference", "mean_difference_years", INK, "-", GREY),
        ("upper limit (+1.96 SD)", "upper_limit_years", VERMILION, "--", VERMILION),
        ("lower limit (−1.96 SD)", "lower_limit_years", VERMILION, "--", VERMILION),
    )
    for label, name, colour, style, shade in lines:
        low, high = figures[f"{name}_ci95"]
        axes.axhspan(low, high, color=shade, alpha=0.14, linewidth=0)
        axes.axhline(figures[name], color=colour, linewidth=1.3, linestyle=style)
        axes.annotate(
            f"{label}\n" + f"{figures[name]:+.2f}".replace("-", "−"),
            (1.01, figures[name]),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=INK,
            annotation_clip=False,
        )
    # Room for the labels when the mean and the limits lie close together in units of the axis.
    reach = 1.08 * max(np.abs(difference).max(), *np.abs(figures["upper_limit_years_ci95"]),
                       *np.abs(figures["lower_limit_years_ci95"]))  # fmt: skip
    if reach > 0:
        axes.set_ylim(-reach, reach)
    return figure
