"""Where the views of a picture lie on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MARGIN_INCHES = 0.35
"""Between views that stand alone in a row, and around the panels."""

_WIDEST_INCHES = 9.5
# Between the small views of a montage; above each stands its name.
_TIGHT_INCHES = (0.08, 0.2)


@dataclass(frozen=True)
class PanelGrid:
    """Panels of one picture, all in one scale.

    Attributes
    ----------
    width, height
        Of all panels together, in inches.
    boxes
        Left, lower, width and height of each panel in inches, from the lower left corner of all.
    """

    width: float
    height: float
    boxes: tuple[tuple[float, float, float, float], ...]


def place_panels(
    sizes: Sequence[tuple[float, float]], *, columns: int | None = None, tallest_inches: float
) -> PanelGrid:
    """Place panels in rows from the left, each in the middle of its row's height.

    Parameters
    ----------
    sizes
        Width and height of each panel in one unit of length, which is the same for all.
    columns
        Panels in a row, close together; None puts all into one row.
    tallest_inches
        Limit of the rows' height together.
    """
    in_a_row = len(sizes) if columns is None else columns
    gap_x, gap_y = (MARGIN_INCHES, 0.0) if columns is None else _TIGHT_INCHES
    rows = [list(sizes[start : start + in_a_row]) for start in range(0, len(sizes), in_a_row)]
    widths = [sum(width for width, _ in row) for row in rows]
    heights = [max(height for _, height in row) for row in rows]
    scale = min(tallest_inches / sum(heights), _WIDEST_INCHES / max(widths))
    total_width = max(w * scale + (len(row) - 1) * gap_x for w, row in zip(widths, rows, strict=True))
    total_height = sum(heights) * scale + (len(rows) - 1) * gap_y
    boxes = []
    top = total_height
    for row, row_height in zip(rows, heights, strict=True):
        # A last row that is not full begins under the others.
        left = 0.0
        for width, height in row:
            lower = top - (row_height + height) / 2 * scale
            boxes.append((left, lower, width * scale, height * scale))
            left += width * scale + gap_x
        top -= row_height * scale + gap_y
    return PanelGrid(total_width, total_height, tuple(boxes))
