"""One picture that shows several saliency methods on the same case beside the regions that carry age."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import ndimage

from agezoo.data.atomic import written_atomically
from agezoo.explain.grey_window import as_shown
from agezoo.explain.view_layout import PROJECTIONS, FieldOfView, ViewLayout

_WIDTH_INCHES = 13.0
# Side of a square panel; others have its area.
_PANEL_INCHES = 2.6
_HEAD_INCHES = 0.75
_REGION_COLOURS = ("#ff6b6b", "#4dd0e1", "#ffd54f", "#81c784", "#f06292", "#b39ddb", "#ffffff")


def write_method_gallery(
    path: str | PathLike[str],
    image: np.ndarray,
    regions: Mapping[str, np.ndarray],
    maps: Mapping[str, np.ndarray],
    *,
    title: str,
    layout: ViewLayout = PROJECTIONS,
    field_of_view_mm: FieldOfView | None = None,
    dpi: int = 110,
) -> Path:
    """Write the anatomy with every region's outline, then each map over it with the outline of all regions.

    Parameters
    ----------
    path
        Picture to write; the format follows the suffix.
    image
        The network's input, of a shape that the layout knows; its views are shown side by side, head up.
    regions
        Boolean masks by name, shape of the image.
    maps
        Saliency by method, shape of the image, not negative. Colours end at the 99.7th percentile of what is above 0,
        because a pixel-wise map shown up to its largest value is a few bright dots on nothing.
    title
        Heading.
    layout
        Which views the image holds.
    field_of_view_mm
        Extent of the image towards left, front and head, for voxels that are no cubes; None shows square pixels.

    Returns
    -------
    Path
        Where it lies.
    """
    if field_of_view_mm is not None:
        layout = _to_scale(layout, np.shape(image), field_of_view_mm)
    shown, (black, white) = as_shown(np.asarray(image, dtype=float))
    black = min(black, 0.0)
    picture = _side_by_side(layout, shown, black)
    panel_width = _PANEL_INCHES * math.sqrt(picture.shape[1] / picture.shape[0])
    columns = max(1, round(_WIDTH_INCHES / panel_width))
    # Few methods in narrow panels still need room for heading and legend.
    columns = min(columns, max(len(maps) + 1, math.ceil(9 / panel_width)))
    rows = math.ceil((len(maps) + 1) / columns)
    height = rows * (_PANEL_INCHES**2 / panel_width + 0.25) + _HEAD_INCHES
    figure = Figure(figsize=(columns * panel_width, height), facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=0.005, right=0.995, bottom=0.005, top=1 - (_HEAD_INCHES + 0.2) / height, wspace=0.03, hspace=0.1
    )
    panels = grid.ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes in panels[: len(maps) + 1]:
        axes.imshow(picture, cmap="gray", vmin=black, vmax=white, aspect="auto")
    panels[0].set_title("regions that carry age", fontsize=9, pad=3)
    colours = dict(zip(regions, _REGION_COLOURS * len(regions), strict=False))
    for name, region in regions.items():
        _outline(panels[0], layout, region, colours[name])
    everything = np.any(list(regions.values()), axis=0)
    for axes, (name, saliency) in zip(panels[1:], maps.items(), strict=False):
        heat = _side_by_side(layout, _brightened(saliency))
        axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.75 * np.clip(1.5 * heat, 0, 1), aspect="auto")
        _outline(axes, layout, everything, "#7fd4ff")
        axes.set_title(name, fontsize=9, pad=3)
    figure.text(0.5, 1 - 0.08 / height, title, ha="center", va="top", fontsize=10, parse_math=False)
    figure.legend(
        handles=[Line2D([], [], color=colours[name], label=name.replace("_", " ")) for name in regions],
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - 0.28 / height),
        ncols=max(1, len(regions)),
        fontsize=8,
        frameon=True,
        facecolor="0.35",
        labelcolor="white",
    )
    target = Path(path)
    with written_atomically(target) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return target


def _to_scale(layout: ViewLayout, image_shape: tuple[int, ...], field_of_view_mm: FieldOfView) -> ViewLayout:
    """The same views in square pixels, the smallest that any view has."""
    shapes = [view.shape for view in layout.split(np.zeros(image_shape))]
    sizes = layout.extents_mm(field_of_view_mm)
    pixel_mm = min(min(w / n, h / m) for (m, n), (w, h) in zip(shapes, sizes, strict=True))
    factors = [(h / pixel_mm / m, w / pixel_mm / n) for (m, n), (w, h) in zip(shapes, sizes, strict=True)]

    def split(values: np.ndarray) -> tuple[np.ndarray, ...]:
        views = zip(layout.split(values), factors, strict=True)
        return tuple(ndimage.zoom(view, factor, order=1, mode="nearest", grid_mode=True) for view, factor in views)

    return replace(layout, split=split)


def _brightened(saliency: np.ndarray) -> np.ndarray:
    above = saliency[saliency > 0]
    return np.clip(saliency / np.percentile(above, 99.7), 0, 1) if above.size else saliency


def _side_by_side(layout: ViewLayout, plane: np.ndarray, outside: float = 0.0) -> np.ndarray:
    """The views in one array, lower ones in the middle of the tallest one's height."""
    views = layout.split(np.asarray(plane, dtype=float))
    tallest = max(view.shape[0] for view in views)
    padded = []
    for view in views:
        above = (tallest - view.shape[0]) // 2
        amounts = ((above, tallest - view.shape[0] - above), (0, 0))
        padded.append(np.pad(view, amounts, constant_values=outside))
    return np.hstack(padded)


def _outline(axes: Axes, layout: ViewLayout, region: np.ndarray, colour: str) -> None:
    # Views are outlined apart, so that no line runs along their common border.
    views = layout.split(np.asarray(region, dtype=float))
    tallest = max(view.shape[0] for view in views)
    left = 0
    for view in views:
        columns = np.arange(left, left + view.shape[1])
        rows = np.arange(view.shape[0]) + (tallest - view.shape[0]) // 2
        if view.any():
            axes.contour(columns, rows, view, levels=[0.5], colors=[colour], linewidths=0.7)
        left += view.shape[1]
