"""What the network sees of one scan under each perturbation."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_COLUMNS = 4
_CELL_INCHES = (3.0, 3.15)


@dataclass(frozen=True)
class PerturbedView:
    """One perturbed scan as the network sees it.

    Attributes
    ----------
    title
        Perturbation and grade.
    coronal, sagittal
        The two views of the network's input in 0..1, the first row at the head.
    extent_mm
        Extent of the scan towards left, front and head.
    predicted_age_years
        What was predicted from it.
    """

    title: str
    coronal: np.ndarray
    sagittal: np.ndarray
    extent_mm: tuple[float, float, float]
    predicted_age_years: float


def plot_perturbed_views(views: Sequence[PerturbedView]) -> Figure:
    """Coronal and sagittal projection of every view, in true proportions, with the predicted age.

    Grey runs from 0 to 1 as the network gets it, the same for all, so that a perturbation which darkens everything
    else (metal, in a recipe that scales by the image's maximum) is seen to do so. The first view is the scan as it is;
    the others show the difference to its age.
    """
    rows = -(-len(views) // _COLUMNS)
    width, height = _CELL_INCHES
    figure = Figure(figsize=(_COLUMNS * width, rows * height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    baseline = views[0].predicted_age_years
    for index, (axes, view) in enumerate(zip(cells, views, strict=False)):
        left, front, head = view.extent_mm
        gap = 0.04 * left
        grey = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0, "interpolation": "bilinear"}
        axes.imshow(view.coronal, extent=(0, left, 0, head), **grey)
        axes.imshow(view.sagittal, extent=(left + gap, left + gap + front, 0, head), **grey)
        axes.set_xlim(0, left + gap + front)
        axes.set_ylim(0, head)
        axes.set_aspect("equal", anchor="N")
        age = f"{view.predicted_age_years:.1f} years"
        if index:
            age += f" ({view.predicted_age_years - baseline:+.1f})"
        axes.set_title("\n".join([*textwrap.wrap(view.title, 46), age.replace("-", "−")]), fontsize=8)
    return figure
