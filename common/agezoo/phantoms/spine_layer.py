"""A picture of attenuation to which soft-edged shapes given in millimetres are added."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

FloatArray = NDArray[np.float64]
Picture = NDArray[np.float32]


class Layer:
    """Attenuation on a grid whose first pixel's upper left corner is the origin.

    Parameters
    ----------
    size_mm
        Height and width.
    pixel_mm
        Edge of a pixel.

    Attributes
    ----------
    values
        Shape (rows, columns); what the shapes added so far.
    """

    def __init__(self, size_mm: tuple[float, float], pixel_mm: float) -> None:
        self.pixel_mm = pixel_mm
        shape = tuple(int(np.ceil(length / pixel_mm)) for length in size_mm)
        self.values: Picture = np.zeros(shape, dtype=np.float32)

    def centres_mm(self) -> tuple[Picture, Picture]:
        """x of the columns, shape (1, columns), and y of the rows, shape (rows, 1)."""
        rows, columns = self.values.shape
        x = (np.arange(columns, dtype=np.float32) + 0.5) * np.float32(self.pixel_mm)
        y = (np.arange(rows, dtype=np.float32) + 0.5) * np.float32(self.pixel_mm)
        return x[None, :], y[:, None]

    def shape(self, outline_mm: ArrayLike, soft_mm: float) -> tuple[tuple[slice, slice], Picture] | None:
        """Soft mask of a closed outline: its window in the grid and values 0..1, or None if it is outside."""
        points = np.asarray(outline_mm, dtype=np.float64) / self.pixel_mm - 0.5
        margin = 3.0 * soft_mm / self.pixel_mm + 2.0
        low = np.maximum(np.floor(points.min(axis=0) - margin).astype(int), 0)
        high = np.minimum(np.ceil(points.max(axis=0) + margin).astype(int) + 1, self.values.shape[::-1])
        if (high <= low).any():
            return None
        width, height = (int(length) for length in high - low)
        canvas = Image.new("L", (width, height))
        ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points - low], fill=255)
        mask = np.asarray(canvas, dtype=np.float32) / np.float32(255)
        if soft_mm > 0:
            mask = ndimage.gaussian_filter(mask, soft_mm / self.pixel_mm, mode="nearest", truncate=3.0)
        return (slice(low[1], high[1]), slice(low[0], high[0])), mask

    def fill(
        self, outline_mm: ArrayLike, amount: float, soft_mm: float, *, rim: float = 0.0, rim_mm: float = 1.6
    ) -> None:
        """Add a shape.

        Parameters
        ----------
        outline_mm
            Closed outline, shape (n, 2): x and y.
        amount
            Attenuation inside.
        soft_mm
            SD of the blur of the edge.
        rim, rim_mm
            Further attenuation along the inside of the edge, as the cortex of a bone has, and its thickness.
        """
        drawn = self.shape(outline_mm, soft_mm)
        if drawn is None:
            return
        window, mask = drawn
        self.values[window] += np.float32(amount) * mask
        if rim:
            inner = ndimage.gaussian_filter(mask, rim_mm / self.pixel_mm, mode="nearest", truncate=3.0)
            self.values[window] += np.float32(2.0 * rim) * np.clip(mask - inner, 0.0, None)

    def stroke(
        self, line_mm: ArrayLike, width_mm: ArrayLike, amount: float, soft_mm: float, *, rim: float = 0.0
    ) -> None:
        """Add a band along a curve; `width_mm` may vary along it."""
        self.fill(band(line_mm, width_mm), amount, soft_mm, rim=rim)

    def on_grid(self, shape: tuple[int, int], pixel_mm: float) -> Picture:
        """The values on a finer or coarser grid with the same origin."""
        rows, columns = shape
        scale = pixel_mm / self.pixel_mm
        picture = Image.fromarray(self.values)
        box = (0.0, 0.0, min(columns * scale, picture.width), min(rows * scale, picture.height))
        return np.asarray(picture.resize((columns, rows), Image.Resampling.BICUBIC, box=box), dtype=np.float32)


def rounded(outline_mm: ArrayLike, *, cuts: int = 3) -> FloatArray:
    """A closed outline with its corners cut off repeatedly (Chaikin), which makes it smooth."""
    points = np.asarray(outline_mm, dtype=np.float64)
    for _ in range(cuts):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1).reshape(-1, 2)
    return points


def smooth_line(points_mm: ArrayLike, *, cuts: int = 3) -> FloatArray:
    """An open line smoothed in the same way; its ends stay."""
    points = np.asarray(points_mm, dtype=np.float64)
    for _ in range(cuts):
        inner = np.stack([0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], axis=1)
        points = np.concatenate([points[:1], inner.reshape(-1, 2), points[-1:]])
    return points


def band(line_mm: ArrayLike, width_mm: ArrayLike) -> FloatArray:
    """Outline of a band along a line."""
    line = np.asarray(line_mm, dtype=np.float64)
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
    half = np.broadcast_to(np.asarray(width_mm, dtype=np.float64) / 2.0, len(line))[:, None]
    return np.concatenate([line + half * normal, (line - half * normal)[::-1]])


def ellipse(centre_mm: ArrayLike, radii_mm: tuple[float, float], turn_deg: float = 0.0) -> FloatArray:
    """Outline of an ellipse."""
    angle = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    turn = np.deg2rad(turn_deg)
    x, y = radii_mm[0] * np.cos(angle), radii_mm[1] * np.sin(angle)
    turned = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1)
    return np.asarray(centre_mm, dtype=np.float64) + turned
