"""Stated SD against the error that was made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from agezoo.analysis.plots.canvas import BLUE, INK, VERMILION, marker_alpha, marker_area, new_axes

# Fewer rows than this per bin make a root mean square too unsteady to show.
_MIN_PER_BIN = 10


def plot_sd_against_error(frame: pd.DataFrame, metrics: dict[str, Any]) -> Figure:
    """Absolute error against stated SD, with the RMS error in equally filled bins of the SD.

    Parameters
    ----------
    frame
        ``EvaluationRows.frame``; rows without an SD are left out.
    metrics
        From :func:`agezoo.analysis.metrics.evaluate_rows` of the same rows.
    """
    known = frame[frame["sd_years"].notna()]
    sd, error = known["sd_years"].to_numpy(), known["error_years"].abs().to_numpy()
    n = len(known)
    rank = metrics["spearman_sd_abs_error"]
    figure, axes = new_axes(
        title=f"SD against error: n = {n}, MAE {error.mean():.2f} years"
        + (f", rank correlation {rank:.2f}" if rank is not None else ""),
        x=f"Stated SD, {metrics['sd_kind']} (years)",
        y="Absolute error (years)",
    )
    axes.scatter(
        sd, error, s=marker_area(n), c=BLUE, alpha=marker_alpha(n), linewidths=0, label="one scan each", zorder=2
    )
    n_bins = min(10, n // _MIN_PER_BIN)
    if n_bins >= 3:
        bins = np.array_split(np.argsort(sd, kind="stable"), n_bins)
        axes.plot(
            [np.sqrt((sd[part] ** 2).mean()) for part in bins],
            [np.sqrt((error[part] ** 2).mean()) for part in bins],
            "D-",
            color=VERMILION,
            markersize=5,
            linewidth=1.4,
            label=f"RMS error in {n_bins} equally filled bins",
            zorder=4,
        )
    span = max(float(np.ptp(sd)), 0.02 * float(sd.max()))
    low, high = max(0.0, sd.min() - 0.06 * span), sd.max() + 0.06 * span
    axes.plot([low, high], [low, high], color=INK, linewidth=1.1, linestyle="--", label="RMS error = SD", zorder=3)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.05 * max(error.max(), high))
    axes.legend(loc="best")
    return figure
