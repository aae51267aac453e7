"""What all figures share: size, colours that colour-blind readers can tell apart, and writing to a file."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, VERMILION, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#6E6E6E"
INK = "#222222"

#: Colour, marker and name of each sex; colour and marker differ, so that a grey print can be read too.
SEX_STYLE = {"F": (VERMILION, "o", "female"), "M": (BLUE, "^", "male"), None: (GREY, "s", "sex not known")}

_SETTINGS: Any = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 8.5,
    "legend.framealpha": 0.9,
    "svg.hashsalt": "agezoo",
}


def new_axes(*, title: str, x: str, y: str, width_in: float = 6.0, height_in: float = 5.0) -> tuple[Figure, Axes]:
    """Empty axes with title and axis labels; the labels name their units."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(title, loc="left")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return figure, axes


def marker_area(n: int) -> float:
    """Area of a scatter marker in points squared that keeps n of them apart."""
    return 26.0 if n <= 150 else 14.0 if n <= 600 else 8.0


def marker_alpha(n: int) -> float:
    """Opacity of a scatter marker that lets n of them show their density."""
    return 0.8 if n <= 150 else 0.55 if n <= 600 else 0.4


def rendered(figure: Figure, suffix: str) -> bytes:
    """The figure as PNG (160 dots per inch) or SVG file content, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with mpl.rc_context(_SETTINGS):
        if suffix == "png":
            figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
        else:
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
