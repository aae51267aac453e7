"""The picture of one registered brain: slices in three planes under the template's outlines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

#: Colour and width of the outlines, in the order in which they are given; told apart on grey and by colour-blind eyes.
_OUTLINES = (("#FFC20A", 1.0), ("#4FC3F7", 0.7))

_INCHES_PER_MM = 0.0085
_GAP_IN = 0.06
_LABEL_IN = 0.17
_LEFT_IN = 0.34
_HEAD_IN = 0.66
_FOOT_IN = 0.22
#: Shown around the template's brain, so that a brain that lies beside it is seen to do so.
_MARGIN_MM = 8.0
#: Slices lie inside this share of the template's extent: further out there is hardly any brain to judge.
_SHOWN_SHARE = (0.12, 0.88)


@dataclass(frozen=True)
class _Plane:
    """How one plane is cut out of an LAS volume and laid on the page, head or front up."""

    name: str
    axis: int
    letter: str
    ends: tuple[str, str]

    @property
    def axes(self) -> tuple[int, int]:
        """The volume's axes that run across and up the page."""
        across, up = (axis for axis in range(3) if axis != self.axis)
        return across, up

    def picture(self, volume: np.ndarray, index: int, window: Sequence[slice]) -> np.ndarray:
        """Rows from the top down; patient's left, or the back, at the viewer's right."""
        cut = np.take(volume, index, axis=self.axis)[tuple(window[axis] for axis in self.axes)].T[::-1]
        return cut[:, ::-1] if self.axis == 0 else cut


_PLANES = (
    _Plane("axial", 2, "z", ("R", "L")),
    _Plane("coronal", 1, "y", ("R", "L")),
    _Plane("sagittal", 0, "x", ("A", "P")),
)


def plot_registration(
    brain: np.ndarray,
    affine: np.ndarray,
    outlines: Mapping[str, np.ndarray],
    *,
    title: str,
    subtitle: str = "",
    alarm: bool = False,
    slices: int = 7,
) -> Figure:
    """Slices of a registered brain with the template's outlines over them, to be judged at a glance.

    Parameters
    ----------
    brain
        Voxels on the template's grid, shape (X, Y, Z), axes towards left, front and head (LAS); 0 outside the brain.
    affine
        4x4, voxel index to RAS+ mm, without rotation; gives the coordinates under the slices.
    outlines
        Name -> mask of the template on the same grid, at most two. The first decides which slices are shown.
    title, subtitle
        For example the case, and its overlap and correlation.
    alarm
        Print the subtitle as a warning.
    slices
        Slices in each plane, evenly spaced over the template's brain.

    Returns
    -------
    matplotlib.figure.Figure
        Free of pyplot's global state. Radiological view: the patient's left is at the viewer's right.

    Raises
    ------
    ValueError
        If there is no outline, there are more than two, or shapes differ.
    """
    if not 1 <= len(outlines) <= len(_OUTLINES) or any(mask.shape != brain.shape for mask in outlines.values()):
        raise ValueError(f"one or two outlines of shape {brain.shape} are needed")
    template = next(iter(outlines.values())).astype(bool)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    window = _window(template, spacing)
    extent_mm = [(part.stop - part.start) * edge for part, edge in zip(window, spacing, strict=True)]
    sizes_in = [[extent_mm[axis] * _INCHES_PER_MM for axis in plane.axes] for plane in _PLANES]
    column_in = max(across for across, _ in sizes_in) + _GAP_IN
    width = _LEFT_IN + slices * column_in
    height = _HEAD_IN + sum(up + _LABEL_IN for _, up in sizes_in) + _FOOT_IN
    figure = Figure(figsize=(width, height), facecolor="black")
    FigureCanvasAgg(figure)
    inside = brain[brain > 0]
    # A few vessels are far brighter than tissue; an empty brain shows as black.
    brightest = float(np.percentile(inside, 99.5)) if inside.size else 1.0
    top_in = height - _HEAD_IN
    for plane, (across_in, up_in) in zip(_PLANES, sizes_in, strict=True):
        bottom_in = top_in - up_in
        extent = (0.0, across_in, 0.0, up_in)
        for column, index in enumerate(_indices(template, plane.axis, slices)):
            left_in = _LEFT_IN + column * column_in + (column_in - across_in) / 2
            axes = figure.add_axes((left_in / width, bottom_in / height, across_in / width, up_in / height))
            axes.set_axis_off()
            cut = plane.picture(brain, index, window)
            axes.imshow(cut, cmap="gray", vmin=0, vmax=brightest, extent=extent, interpolation="bilinear")
            for (colour, line_width), mask in zip(_OUTLINES, outlines.values(), strict=False):
                _outline(axes, plane.picture(mask, index, window), extent, colour, line_width)
            axes.set(xlim=extent[:2], ylim=extent[2:])
            position = affine[plane.axis, plane.axis] * index + affine[plane.axis, 3]
            number = f"{position:+.0f}".replace("-", "\N{MINUS SIGN}") if round(position) else "0"
            label = f"{plane.letter} {number}"
            figure.text(
                (left_in + across_in / 2) / width, (bottom_in - 0.01) / height, label,
                color="0.75", fontsize=7, ha="center", va="top",
            )  # fmt: skip
            if column == 0:
                for x, letter in zip((0.03, 0.97), plane.ends, strict=True):
                    axes.text(
                        x, 0.9, letter, color="#FFD75F", fontsize=8, ha="center", va="center", transform=axes.transAxes
                    )
        figure.text(
            0.08 / width, (bottom_in + up_in / 2) / height, plane.name,
            color="0.75", fontsize=8, rotation=90, ha="left", va="center",
        )  # fmt: skip
        top_in = bottom_in - _LABEL_IN
    head: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(_LEFT_IN / width, 1 - 0.09 / height, title, color="white", fontsize=11, fontweight="bold", **head)
    colour = "#FF8A65" if alarm else "0.85"
    figure.text(_LEFT_IN / width, 1 - 0.35 / height, subtitle, color=colour, fontsize=9, **head)
    _legend(figure, list(outlines))
    return figure


def _window(template: np.ndarray, spacing_mm: np.ndarray) -> tuple[slice, ...]:
    """The part of the volume that is shown, along each axis."""
    parts = []
    for axis in range(3):
        occupied = np.flatnonzero(template.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(_MARGIN_MM / spacing_mm[axis]))
        low, high = (occupied[0], occupied[-1]) if occupied.size else (0, template.shape[axis] - 1)
        parts.append(slice(max(0, int(low) - margin), min(template.shape[axis], int(high) + 1 + margin)))
    return tuple(parts)


def _indices(template: np.ndarray, axis: int, n: int) -> np.ndarray:
    """Slices evenly spaced over the template; in the sagittal plane symmetric about its middle."""
    others = tuple(other for other in range(3) if other != axis)
    occupied = np.flatnonzero(template.any(axis=others))
    if not occupied.size:
        return np.full(n, template.shape[axis] // 2)
    low, high = float(occupied[0]), float(occupied[-1])
    shares = np.linspace(*_SHOWN_SHARE, n)
    return np.rint(low + shares * (high - low)).astype(int)


def _outline(axes: Axes, mask: np.ndarray, extent: Sequence[float], colour: str, width: float) -> None:
    if mask.any() and not mask.all():
        rows, columns = mask.shape
        x = (np.arange(columns) + 0.5) * extent[1] / columns
        y = extent[3] - (np.arange(rows) + 0.5) * extent[3] / rows
        axes.contour(x, y, mask.astype(float), levels=[0.5], colors=[colour], linewidths=width)


def _legend(figure: Figure, names: Sequence[str]) -> None:
    handles = [Line2D([], [], color=_OUTLINES[i][0], linewidth=1.5, label=name) for i, name in enumerate(names)]
    legend = figure.legend(handles=handles, loc="upper right", ncols=len(names), frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_color("0.85")
    figure.text(
        0.995, 0.01, "radiological view: patient's left at the viewer's right; mm in MNI space",
        color="0.6", fontsize=6.5, ha="right", va="bottom",
    )  # fmt: skip
