"""Maps of a population over the template's anatomy, side by side in one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from agezoo.analysis.plots.atlas_planes import BodySlice, SliceChoice

Extent = tuple[float, float, float, float]

_TALL_IN = 4.3
_GAP_IN = 0.05
_BLOCK_GAP_IN = 0.3
_TITLE_IN = 0.32
_HEAD_IN = 0.34
_FOOT_IN = 0.28
_SIDE_IN = 0.12
_BAR_IN = 0.95
_WIDEST_IN = 13.0
_IN_A_ROW = 4
_OUTLINE, _MARKED = "#9FDCFF", "#FFE14D"
# Anatomy stays visible under the brightest colour, and leaves room for colours brighter than itself.
_MOST_OPAQUE = 0.8
_ANATOMY_GREY = 0.7


@dataclass(frozen=True, eq=False)
class MapBlock:
    """Slices of one map.

    Attributes
    ----------
    title
        Above the slices.
    cuts
        The map's slices, see :meth:`agezoo.analysis.plots.atlas_planes.SliceChoice.cuts`.
    scale
        Which of the figure's scales it is drawn in.
    marked
        Slices of a mask that is outlined, for example where a difference is significant.
    """

    title: str
    cuts: Sequence[np.ndarray]
    scale: int = 0
    marked: Sequence[np.ndarray] | None = None


@dataclass(frozen=True)
class MapScale:
    """A colour scale: its largest value (of either sign, if signed), what it shows, and the words at its ends."""

    largest: float
    label: str
    signed: bool = False
    ends: tuple[str, str] | None = None


def plot_maps(
    blocks: Sequence[MapBlock],
    choice: SliceChoice,
    anatomy: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    spacing_mm: Sequence[float],
    *,
    scales: Sequence[MapScale],
    title: str,
) -> Figure:
    """Blocks of coronal, sagittal and axial slices; outlines of regions in light blue, marked voxels in yellow.

    Parameters
    ----------
    blocks
        What to draw; up to four in a row.
    choice
        The slices.
    anatomy, labels
        Slices of the template's water image and label map.
    spacing_mm
        Edges of a voxel.
    scales
        At most two; blocks with equal scale have equal colours.
    title
        Heading.

    Returns
    -------
    matplotlib.figure.Figure
        Free of pyplot's global state. Radiological view: the patient's left is at the viewer's right.
    """
    boxes, block_in = _boxes(choice, anatomy, spacing_mm)
    columns = len(blocks) if len(blocks) <= _IN_A_ROW else -(-len(blocks) // 2)
    rows = -(-len(blocks) // columns)
    scale_in = min(1.0, (_WIDEST_IN - _BAR_IN) / (columns * (block_in + _BLOCK_GAP_IN)))
    width = max(2 * _SIDE_IN + columns * (block_in + _BLOCK_GAP_IN) * scale_in + _BAR_IN, 4.5)
    row_in = _TALL_IN * scale_in + _TITLE_IN
    height = _HEAD_IN + rows * row_in + _FOOT_IN
    figure = Figure(figsize=(width, height), facecolor="black")
    FigureCanvasAgg(figure)
    brightest = max(float(np.percentile(np.concatenate([cut.ravel() for cut in anatomy]), 99.5)), 1e-6)
    white = brightest / _ANATOMY_GREY
    norms = [Normalize(-scale.largest if scale.signed else 0, scale.largest) for scale in scales]
    colours = [_colours(scale.signed) for scale in scales]
    # One pair of axes in inches for all slices: a pair for each would take most of the time.
    page = figure.add_axes((0, 0, 1, 1))
    page.set_axis_off()
    outlines = [_outlines(part) for part in labels]
    for number, block in enumerate(blocks):
        left_in = _SIDE_IN + (number % columns) * (block_in + _BLOCK_GAP_IN) * scale_in
        bottom_in = height - _HEAD_IN - (number // columns + 1) * row_in
        page.text(
            left_in, bottom_in + _TALL_IN * scale_in + 0.06, block.title,
            color="white", fontsize=9.5, ha="left", va="bottom", parse_math=False,
        )  # fmt: skip
        for place, (part, box) in enumerate(zip(choice.slices, boxes, strict=True)):
            x, y, across, up = (value * scale_in for value in box)
            extent = (left_in + x, left_in + x + across, bottom_in + y, bottom_in + y + up)
            style: dict[str, Any] = {"extent": extent, "interpolation": "bilinear", "aspect": "auto"}
            page.imshow(anatomy[place], cmap="gray", vmin=0, vmax=white, **style)
            page.imshow(block.cuts[place], cmap=colours[block.scale], norm=norms[block.scale], **style)
            shape = anatomy[place].shape
            _draw(page, outlines[place], shape, extent, _OUTLINE, 0.5 * scale_in)
            if block.marked is not None:
                _draw(page, _contours(block.marked[place]), shape, extent, _MARKED, 0.7 + 0.3 * scale_in)
            _letters(page, part, extent)
    page.set(xlim=(0, width), ylim=(0, height))
    for number, scale in enumerate(scales):
        _bar(figure, scale, norms[number], colours[number], number, len(scales), width, height)
    head: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(_SIDE_IN / width, 1 - 0.1 / height, title, color="white", fontsize=11, fontweight="bold", **head)
    note = "radiological view: patient's left at the viewer's right; light blue: outlines of regions"
    if any(block.marked is not None for block in blocks):
        note += "; yellow: q < 0.05"
    figure.text(_SIDE_IN / width, 0.07 / height, note, color="0.7", fontsize=7, ha="left", va="bottom")
    return figure


def _boxes(
    choice: SliceChoice, anatomy: Sequence[np.ndarray], spacing_mm: Sequence[float]
) -> tuple[list[tuple[float, float, float, float]], float]:
    """Left, lower, width and height in inches of each slice in a block, and the block's width."""
    sizes = [
        (cut.shape[1] * spacing_mm[part.axes[0]], cut.shape[0] * spacing_mm[part.axes[1]])
        for part, cut in zip(choice.slices, anatomy, strict=True)
    ]
    n_tall = len(choice.tall)
    per_mm = _TALL_IN / max(up for _, up in sizes[:n_tall])
    boxes, x = [], 0.0
    for across, up in sizes[:n_tall]:
        boxes.append((x, _TALL_IN - up * per_mm, across * per_mm, up * per_mm))
        x += across * per_mm + _GAP_IN
    if not choice.stack:
        return boxes, x - _GAP_IN
    stacked_mm = sum(up for _, up in sizes[n_tall:])
    # Axial slices keep the scale of the others unless together they would be taller.
    stack_per_mm = min(per_mm, (_TALL_IN - _GAP_IN * (len(choice.stack) - 1)) / stacked_mm)
    widest, top = 0.0, _TALL_IN
    for across, up in sizes[n_tall:]:
        top -= up * stack_per_mm
        boxes.append((x, top, across * stack_per_mm, up * stack_per_mm))
        widest, top = max(widest, across * stack_per_mm), top - _GAP_IN
    return boxes, x + widest


def _colours(signed: bool) -> Colormap:
    """Colours whose opacity grows with the magnitude."""
    steps = np.linspace(-1 if signed else 0, 1, 256)
    colours = matplotlib.colormaps["coolwarm" if signed else "inferno"](np.linspace(0, 1, 256))
    colours[:, 3] = _MOST_OPAQUE * np.clip(1.5 * np.abs(steps), 0, 1)
    return ListedColormap(colours, name="map")


def _outlines(labels: np.ndarray) -> list[np.ndarray]:
    """Closed lines around every region of a slice, in rows and columns."""
    return [line for label in np.unique(labels[labels > 0]) for line in _contours(labels == label)]


def _contours(mask: np.ndarray) -> list[np.ndarray]:
    from skimage.measure import find_contours

    # A border keeps the line closed where the mask reaches the edge of the slice.
    return [line - 1 for line in find_contours(np.pad(mask.astype(np.float64), 1), 0.5)]


def _draw(
    page: Axes, lines: list[np.ndarray], shape: tuple[int, ...], extent: Extent, colour: str, width: float
) -> None:
    left, right, bottom, top = extent
    rows, columns = shape
    segments = [
        np.stack(
            [left + (line[:, 1] + 0.5) * (right - left) / columns, top - (line[:, 0] + 0.5) * (top - bottom) / rows],
            axis=1,
        )
        for line in lines
    ]
    page.add_collection(LineCollection(segments, colors=colour, linewidths=width), autolim=False)


def _letters(page: Axes, part: BodySlice, extent: Extent) -> None:
    left, right, _, top = extent
    for x, letter, side in zip((left + 0.03, right - 0.03), part.ends, ("left", "right"), strict=True):
        page.text(
            x, top - 0.03, letter, color="#FFD75F", fontsize=7.5, ha=side, va="top",
            path_effects=[withStroke(linewidth=1.5, foreground="black")],
        )  # fmt: skip


def _bar(
    figure: Figure,
    scale: MapScale,
    norm: Normalize,
    colours: Colormap,
    number: int,
    n: int,
    width: float,
    height: float,
) -> None:
    room = (height - _HEAD_IN - _FOOT_IN - 0.2) / n
    bottom = _FOOT_IN + 0.1 + (n - 1 - number) * room + 0.12 * room
    axes = figure.add_axes(((width - _BAR_IN + 0.12) / width, bottom / height, 0.13 / width, 0.76 * room / height))
    # The colours are see-through; grey beneath them shows what they look like over tissue.
    axes.set_facecolor("0.35")
    bar = figure.colorbar(ScalarMappable(norm, colours), cax=axes)
    bar.ax.tick_params(labelsize=7, color="0.7", labelcolor="0.9")
    bar.ax.yaxis.get_offset_text().set(color="0.9", fontsize=7)
    bar.outline.set_edgecolor("0.5")
    if scale.ends is not None:
        bar.set_ticks([-scale.largest, 0, scale.largest], labels=[scale.ends[0], "0", scale.ends[1]])
    bar.set_label(scale.label, fontsize=7.5, color="0.9")
