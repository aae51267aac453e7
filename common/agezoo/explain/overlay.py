"""The picture of one case: its views, head up, with the saliency over the anatomy."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError
from agezoo.explain.grey_window import as_shown
from agezoo.explain.panel_grid import MARGIN_INCHES, place_panels
from agezoo.explain.view_layout import PROJECTIONS, FieldOfView, ViewLayout, split_projections

__all__ = ["case_overlay_figure", "split_projections", "write_case_overlay"]

# Strongest opacity of the heat map: bone stays visible under the brightest colour.
_MOST_OPAQUE = 0.62
# The phantom banner fits into one line.
_NARROWEST_INCHES = 5.4
_COLOUR_BAR_INCHES = 0.95
_TITLE_LINE_INCHES = 0.24


def case_overlay_figure(
    image: np.ndarray,
    saliency: np.ndarray | None = None,
    *,
    title_lines: Sequence[str] = (),
    banner: str | None = None,
    layout: ViewLayout = PROJECTIONS,
    field_of_view_mm: FieldOfView | None = None,
    signed: bool | None = None,
    saliency_label: str | None = None,
    sign_words: tuple[str, str] = ("younger", "older"),
) -> Figure:
    """The views of an image side by side, with the saliency map in colour over the grey anatomy.

    Parameters
    ----------
    image
        The network's input, of a shape that the layout knows; its grey is chosen by
        :func:`agezoo.explain.grey_window.as_shown`.
    saliency
        Map of the same shape, 0..1 or -1..1; opacity grows with the magnitude. None shows the anatomy alone.
    title_lines
        For example case and predicted age; long lines are wrapped.
    banner
        A warning that must not be missed, for example that the weights come from phantoms.
    layout
        Which views the image holds: :data:`~agezoo.explain.view_layout.PROJECTIONS`,
        :data:`~agezoo.explain.view_layout.LATERAL`, or one of a volume from :mod:`agezoo.explain.volume_layout`.
    field_of_view_mm
        Extent of the image towards left, front and head, in mm, which gives the true proportions. None shows square
        pixels, and says so where that is not how the image is stored. A lateral view does not look at the first.
    signed
        Whether the colours tell older from younger; None looks for negative values.
    saliency_label
        What the colour bar is called; None names it by ``signed``.
    sign_words
        What stands at the lower and upper end of a signed colour bar.

    Returns
    -------
    matplotlib.figure.Figure
        Free of pyplot's global state.

    Raises
    ------
    InputError
        If the image has not the layout's shape, the map's shape differs, or the field of view is not positive.
    """
    shown, window = as_shown(image)
    views = layout.split(shown)
    heats: tuple[np.ndarray | None, ...] = (None,) * len(views)
    if saliency is not None:
        heats = layout.split(saliency)
        if heats[0] is None or heats[0].shape != views[0].shape:
            raise InputError("map and image differ in shape", found=np.shape(saliency), expected=np.shape(image))
        signed = bool(np.min(saliency) < 0) if signed is None else signed
    sizes, to_scale = layout.extents([view.shape for view in views], field_of_view_mm)
    bar_inches = _COLOUR_BAR_INCHES if saliency is not None else 0.0
    panels = place_panels(sizes, columns=layout.columns, tallest_inches=layout.tallest_inches)
    total_width = max(panels.width + 2 * MARGIN_INCHES + bar_inches, _NARROWEST_INCHES)
    # About 12 characters of 10-point text fit into an inch.
    lines = [part for line in title_lines for part in textwrap.wrap(line, int(total_width * 11)) or [""]]
    banner_lines = textwrap.wrap(banner, int(total_width * 11)) if banner else []
    head_inches = _TITLE_LINE_INCHES * (len(lines) + len(banner_lines)) + 0.38
    foot_inches = 0.3
    total_height = head_inches + panels.height + foot_inches

    figure = Figure(figsize=(total_width, total_height), facecolor="white")
    FigureCanvasAgg(figure)
    left = (total_width - panels.width - bar_inches) / 2

    def add_axes(x: float, y: float, width: float, height: float) -> Axes:
        """Axes from inches, counted from the panels' lower left corner."""
        box = ((left + x) / total_width, (foot_inches + y) / total_height, width / total_width, height / total_height)
        return figure.add_axes(box)

    colours = _colours(bool(signed))
    limits = Normalize(-1 if signed else 0, 1)
    for index, (view, heat, (width, height), box) in enumerate(zip(views, heats, sizes, panels.boxes, strict=True)):
        axes = add_axes(*box)
        extent = (0.0, width, 0.0, height)
        axes.imshow(view, cmap="gray", vmin=window[0], vmax=window[1], extent=extent, interpolation="bilinear")
        if heat is not None:
            axes.imshow(heat, cmap=colours, norm=limits, extent=extent, interpolation="bilinear")
        _mark(axes, layout.ends[index], layout.tops[index] if layout.tops else ("", ""))
        if index < len(layout.levels):
            _draw_levels(axes, layout.levels[index], extent)
        if layout.crosshairs:
            _draw_crosshair(axes, *layout.crosshairs[index], extent)
        axes.set_title(layout.names[index], fontsize=9 if layout.columns is None else 7, pad=3)
    if saliency is not None:
        bar_axes = add_axes(panels.width + 0.12, 0.15 * panels.height, 0.14, 0.7 * panels.height)
        # The colours are see-through; grey beneath them shows what they look like over tissue.
        bar_axes.set_facecolor("0.35")
        bar = figure.colorbar(ScalarMappable(limits, colours), cax=bar_axes)
        bar.set_ticks(
            [-1, 0, 1] if signed else [0, 0.5, 1], labels=[sign_words[0], "0", sign_words[1]] if signed else None
        )
        bar.ax.tick_params(labelsize=8)
        bar.set_label(saliency_label or ("saliency (signed)" if signed else "saliency"), fontsize=9)
    _write_head(figure, lines, banner_lines, total_height)
    note = layout.note if to_scale else f"{layout.note}; proportions not to scale"
    figure.text(0.5, 0.07 / total_height, note, ha="center", va="bottom", fontsize=7, color="0.35")
    return figure


def write_case_overlay(
    path: str | PathLike[str],
    image: np.ndarray,
    saliency: np.ndarray | None = None,
    *,
    title_lines: Sequence[str] = (),
    banner: str | None = None,
    layout: ViewLayout = PROJECTIONS,
    field_of_view_mm: FieldOfView | None = None,
    signed: bool | None = None,
    saliency_label: str | None = None,
    sign_words: tuple[str, str] = ("younger", "older"),
    dpi: int = 130,
) -> Path:
    """Write :func:`case_overlay_figure` as a picture file, whole or not at all, and return its path.

    The format follows the suffix (``.png``, ``.jpg``, ``.pdf``, ``.svg``). The other parameters are those of
    :func:`case_overlay_figure`.
    """
    figure = case_overlay_figure(
        image,
        saliency,
        title_lines=title_lines,
        banner=banner,
        layout=layout,
        field_of_view_mm=field_of_view_mm,
        signed=signed,
        saliency_label=saliency_label,
        sign_words=sign_words,
    )
    target = Path(path)
    with written_atomically(target) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return target


def _colours(signed: bool) -> Colormap:
    """Perceptually uniform colours whose opacity grows with the magnitude."""
    steps = np.linspace(-1 if signed else 0, 1, 256)
    colours = matplotlib.colormaps["coolwarm" if signed else "inferno"](np.linspace(0, 1, 256))
    colours[:, 3] = _MOST_OPAQUE * np.clip(1.2 * np.abs(steps), 0, 1)
    return ListedColormap(colours, name="saliency")


def _mark(axes: Axes, ends: tuple[str, str], tops: tuple[str, str]) -> None:
    axes.set_facecolor("black")
    axes.set_xticks([])
    axes.set_yticks([])
    style: dict[str, Any] = {"transform": axes.transAxes, "color": "#ffd75f", "fontsize": 11, "fontweight": "bold"}
    if any(tops):
        # They may stand on bright tissue.
        style["path_effects"] = [withStroke(linewidth=2, foreground="black")]
    axes.text(0.03, 0.5, ends[0], ha="left", va="center", **style)
    axes.text(0.97, 0.5, ends[1], ha="right", va="center", **style)
    axes.text(0.5, 0.97, tops[0], ha="center", va="top", **style)
    axes.text(0.5, 0.03, tops[1], ha="center", va="bottom", **style)


def _draw_crosshair(axes: Axes, from_left: float, from_top: float, extent: tuple[float, float, float, float]) -> None:
    style: dict[str, Any] = {"color": "#7fd4ff", "linewidth": 0.6, "alpha": 0.7, "linestyle": (0, (4, 3))}
    axes.axvline(from_left * extent[1], **style)
    axes.axhline((1 - from_top) * extent[3], **style)


def _draw_levels(axes: Axes, from_top: Sequence[float], extent: tuple[float, float, float, float]) -> None:
    for share in from_top:
        axes.axhline((1 - share) * extent[3], color="#7fd4ff", linewidth=0.6, alpha=0.7, linestyle=(0, (1, 3)))


def _write_head(figure: Figure, lines: list[str], banner_lines: list[str], total_height: float) -> None:
    y = 1 - 0.08 / total_height
    warning: dict[str, Any] = {"color": "white", "fontweight": "bold", "backgroundcolor": "#a40000"}
    plain: dict[str, Any] = {"color": "black"}
    for text, style in [*((text, warning) for text in banner_lines), *((text, plain) for text in lines)]:
        # A case's name is free text: a dollar sign in it must not start mathematics.
        figure.text(0.5, y, text, ha="center", va="top", fontsize=10, parse_math=False, **style)
        y -= _TITLE_LINE_INCHES / total_height
