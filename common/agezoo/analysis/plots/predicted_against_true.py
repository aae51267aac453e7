"""Scatter of predicted against true age."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import GREY, INK, SEX_STYLE, marker_alpha, marker_area, new_axes

# More error bars than this hide the points.
_MAX_ERROR_BARS = 80


def plot_predicted_against_true(frame: pd.DataFrame) -> Figure:
    """Predicted against true age with the identity line, coloured by sex where known.

    Parameters
    ----------
    frame
        ``EvaluationRows.frame``. With up to 80 rows, bars of one total SD are drawn where it is known.
    """
    n = len(frame)
    age, predicted = frame["age_years"].to_numpy(), frame["predicted_age_years"].to_numpy()
    figure, axes = new_axes(
        title=f"Predicted against true age: n = {n}, MAE {np.abs(predicted - age).mean():.2f} years",
        x="True age (years)",
        y="Predicted age (years)",
    )
    # The axes end beyond the longest bar, so that none is cut off.
    bar = frame["sd_years"].fillna(0.0).to_numpy() * (n <= _MAX_ERROR_BARS)
    low, high = min(age.min(), (predicted - bar).min()), max(age.max(), (predicted + bar).max())
    margin = 0.04 * (high - low)
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color=INK, linewidth=1.1, linestyle="--", label="prediction = true age", zorder=3)
    any_sex = frame["sex"].notna().any()
    for sex, (colour, marker, name) in SEX_STYLE.items():
        part = frame[frame["sex"].isna()] if sex is None else frame[frame["sex"] == sex]
        if part.empty:
            continue
        if n <= _MAX_ERROR_BARS and part["sd_years"].notna().any():
            axes.errorbar(
                part["age_years"],
                part["predicted_age_years"],
                yerr=part["sd_years"].fillna(0.0),
                fmt="none",
                ecolor=colour,
                elinewidth=0.8,
                alpha=0.45,
                zorder=2,
            )
        axes.scatter(
            part["age_years"],
            part["predicted_age_years"],
            s=marker_area(n),
            c=colour if any_sex else SEX_STYLE["M"][0],
            marker=marker if any_sex else "o",
            alpha=marker_alpha(n),
            linewidths=0,
            label=f"{name} (n = {len(part)})" if any_sex else None,
            zorder=2.5,
        )
    slope, intercept = np.polyfit(age, predicted, 1)
    axes.plot(
        [age.min(), age.max()],
        [slope * age.min() + intercept, slope * age.max() + intercept],
        color=GREY,
        linewidth=1.6,
        label=f"least-squares line (slope {slope:.2f})",
        zorder=3,
    )
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    axes.set_aspect("equal")
    axes.legend(loc="upper left")
    return figure
