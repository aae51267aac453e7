"""What the network sees of one scan or radiograph under each perturbation."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Panel = tuple[np.ndarray, float, float]
"""A picture, its width and its height in a common unit."""


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

    def panels(self) -> list[Panel]:
        """Both views in true proportions."""
        left, front, head = self.extent_mm
        return [(self.coronal, left, head), (self.sagittal, front, head)]


@dataclass(frozen=True)
class PerturbedImage:
    """One perturbed radiograph as the network sees it.

    Attributes
    ----------
    title
        Perturbation and grade.
    image
        The network's canvas (rows, columns) in 0..1, the first row at the head.
    predicted_age_years
        What was predicted from it.
    """

    title: str
    image: np.ndarray
    predicted_age_years: float

    def panels(self) -> list[Panel]:
        """The canvas, whose pixels are square."""
        rows, columns = self.image.shape
        return [(self.image, float(columns), float(rows))]


@dataclass(frozen=True)
class PerturbedSlices:
    """One perturbed brain as the network sees it, in three slices.

    Attributes
    ----------
    title
        Perturbation and grade.
    slices
        Coronal, sagittal and axial slice in 0..1, the first row at the head or in front.
    predicted_age_years
        What was predicted from it.
    """

    title: str
    slices: tuple[np.ndarray, ...]
    predicted_age_years: float

    def panels(self) -> list[Panel]:
        """The slices, whose voxels are cubes."""
        return [(plane, float(plane.shape[1]), float(plane.shape[0])) for plane in self.slices]


@dataclass(frozen=True)
class _Arrangement:
    """Columns of the figure, width and height of a view in inches, letters in a line of its title."""

    columns: int
    width_in: float
    height_in: float
    letters: int


_ARRANGEMENTS: dict[type, _Arrangement] = {
    PerturbedView: _Arrangement(4, 3.0, 3.15, 46),
    PerturbedImage: _Arrangement(8, 1.6, 3.5, 25),
    PerturbedSlices: _Arrangement(3, 4.2, 1.95, 64),
}


def plot_perturbed_views(views: Sequence[PerturbedView | PerturbedImage | PerturbedSlices]) -> Figure:
    """Every view in true proportions, with the predicted age: projections of a volume, a canvas, slices of a brain.

    Grey runs from 0 to 1 as the network gets it, the same for all, so that a perturbation which darkens everything
    else (metal, in a recipe that scales by the image's maximum) is seen to do so. The first view is the scan as it is;
    the others show the difference to its age.
    """
    shape = _ARRANGEMENTS[type(views[0])]
    columns = shape.columns
    rows = -(-len(views) // columns)
    figure = Figure(figsize=(columns * shape.width_in, rows * shape.height_in), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    baseline = views[0].predicted_age_years
    for index, (axes, view) in enumerate(zip(cells, views, strict=False)):
        panels = view.panels()
        gap = 0.04 * panels[0][1]
        start = 0.0
        tallest = max(up for _, _, up in panels)
        for picture, across, up in panels:
            below = (tallest - up) / 2
            extent = (start, start + across, below, below + up)
            axes.imshow(picture, extent=extent, cmap="gray", vmin=0.0, vmax=1.0, interpolation="bilinear")
            start += across + gap
        axes.set_xlim(0, start - gap)
        axes.set_ylim(0, tallest)
        axes.set_aspect("equal", anchor="N")
        age = f"{view.predicted_age_years:.1f} years"
        if index:
            # Adding zero takes the sign from a difference that rounds to nothing.
            age += f" ({round(view.predicted_age_years - baseline, 1) + 0.0:+.1f})"
        axes.set_title("\n".join([*textwrap.wrap(view.title, shape.letters), age.replace("-", "−")]), fontsize=8)
    return figure
