"""ROC curves of several scores of one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from agezoo.analysis.auroc import Auroc
from agezoo.analysis.plots.canvas import BLUE, GREEN, GREY, ORANGE, VERMILION, new_axes

_STYLE = {
    "predicted age": (BLUE, "-"),
    "chronological age": (GREY, "--"),
    "corrected gap": (VERMILION, "-"),
    "raw gap": (ORANGE, "-"),
    "planted deviation": (GREEN, ":"),
}
_OTHER = ((GREEN, "-"), (GREEN, ":"))

# More corners than this make the file large and the line no better.
_MAX_CORNERS = 400


@dataclass(frozen=True)
class RocCurve:
    """A score to be drawn: its name, the labels (0 or 1) and values of the same people, and its AUROC."""

    name: str
    truth: ArrayLike
    score: ArrayLike
    auroc: Auroc


def plot_roc(curves: Sequence[RocCurve], *, title: str) -> Figure:
    """Share of people with the label above a threshold, against that of people without, for every threshold."""
    from sklearn.metrics import roc_curve

    figure, axes = new_axes(
        title=title,
        x="1 − specificity (share of people without the label)",
        y="Sensitivity (share of people with the label)",
        width_in=5.4,
        height_in=5.4,
    )
    axes.plot([0, 1], [0, 1], color="#AAAAAA", linewidth=0.8)
    spare = iter(_OTHER)
    for curve in curves:
        false, true, _ = roc_curve(np.asarray(curve.truth), np.asarray(curve.score))
        if len(false) > _MAX_CORNERS:
            kept = np.unique(np.linspace(0, len(false) - 1, _MAX_CORNERS).astype(int))
            false, true = false[kept], true[kept]
        colour, dashes = _STYLE.get(curve.name) or next(spare, (GREEN, ":"))
        interval = "" if curve.auroc.low is None else f" ({curve.auroc.low:.2f} to {curve.auroc.high:.2f})"
        axes.plot(
            false, true, color=colour, linestyle=dashes, linewidth=1.6,
            label=f"{curve.name}: {curve.auroc.value:.2f}{interval}",
        )  # fmt: skip
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    axes.legend(loc="lower right", title="AUROC (95 % interval)", title_fontsize=8.5, alignment="left")
    return figure
