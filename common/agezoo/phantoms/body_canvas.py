"""What a whole-body phantom is painted on: water, fat and labels on one grid, and shapes that follow the long axis.

Painting follows the rule of `torso_grid`: a shape is a signed depth in mm (positive inside), turned into the share of
the voxel that it covers, and the voxel's water and fat move towards the tissue's by that share.

Frame: x to the patient's left, y to the back, z to the head, in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from agezoo.phantoms.torso_grid import Box, TorsoGrid

TOUCHED = 0.05
"""Share from which a voxel belongs to a region that ages: every voxel that shows the region's age at all."""

Signal = float | np.ndarray


class Tissue(NamedTuple):
    """Ideal signals (0 to 1) of a tissue; an array has the shape of the box that it is painted on."""

    water: Signal
    fat: Signal


class BodyCanvas:
    """Axial voxel grid with the signals of water and fat and the labels.

    Parameters
    ----------
    x_mm, y_mm, z_mm
        Voxel centres along the patient's left, back and head, each ascending and evenly spaced.
    """

    def __init__(self, x_mm: np.ndarray, y_mm: np.ndarray, z_mm: np.ndarray) -> None:
        self.grid = TorsoGrid(x_mm=x_mm, y_mm=y_mm, z_mm=z_mm)
        self.z_mm = np.asarray(z_mm, np.float32)
        shape = (len(z_mm), len(y_mm), len(x_mm))
        self.water = np.zeros(shape, np.float32)
        self.fat = np.zeros(shape, np.float32)
        self.labels = self.grid.labels
        self.voxel_mm = self.grid.pixel_mm

    @property
    def everything(self) -> Box:
        """The box that holds the whole grid."""
        z, y, x = self.water.shape
        return slice(0, z), slice(0, y), slice(0, x)

    def share(self, depth_mm: np.ndarray) -> np.ndarray:
        """Share of a voxel that a shape covers whose surface is `depth_mm` away (positive inside)."""
        return self.grid.share(depth_mm)

    def paint(
        self,
        found: tuple[Box, np.ndarray] | None,
        tissue: Tissue,
        label: int | None = None,
        *,
        label_share: float = 0.5,
    ) -> None:
        """Paint a tissue where the depth is positive, with partial volume at the edge.

        Parameters
        ----------
        found
            Index box and signed depth on it, as the shapes give them; None paints nothing.
        tissue
            Signals.
        label, label_share
            Label for voxels that are covered by at least this share.
        """
        if found is None:
            return
        box, depth = found
        self.mix(box, self.share(depth), tissue, label, label_share=label_share)

    def mix(
        self, box: Box, share: np.ndarray, tissue: Tissue, label: int | None = None, *, label_share: float = 0.5
    ) -> None:
        """Move the signals of a box towards a tissue's by a share (0 to 1) of each voxel."""
        for volume, signal in ((self.water, tissue.water), (self.fat, tissue.fat)):
            view = volume[box]
            view += share * (signal - view)
        if label is not None:
            self.labels[box][share >= label_share] = label

    def coordinates(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates x, y and z (mm) of an index box, in shapes that broadcast to the box."""
        x, y, z = self.grid.coordinates(box)
        return x[None], y[None], z[:, None, None]

    def box(self, low_mm: Sequence[float] | np.ndarray, high_mm: Sequence[float] | np.ndarray) -> Box | None:
        """Index box between two corners (x, y, z), or None when it lies outside of the grid."""
        return self.grid.box(np.asarray(low_mm, float), np.asarray(high_mm, float))

    def streaks(self, box: Box, rng: np.random.Generator, *, pitch_mm: Sequence[float]) -> np.ndarray:
        """Smooth irregular texture of mean 0, about -1 to 1, float32 of the shape of the box.

        Parameters
        ----------
        box
            Index box.
        rng
            Decides the texture.
        pitch_mm
            Size of its features along x, y and z; features smaller than a voxel fade out.
        """
        x, y, z = self.coordinates(box)
        texture = np.zeros(tuple(s.stop - s.start for s in box), np.float32)
        steps = (self.voxel_mm, self.voxel_mm, self.grid.slice_mm)
        for _ in range(9):
            direction = rng.standard_normal(3)
            direction *= rng.uniform(0.8, 2.0) * np.pi / np.linalg.norm(direction) / np.asarray(pitch_mm)
            # The mean of a wave over a voxel: the sinc of its phase across the voxel.
            fade = float(np.prod(np.sinc(direction * steps / (2 * np.pi))))
            phase = x * direction[0] + y * direction[1] + (z * direction[2] + rng.uniform(0.0, 2 * np.pi))
            texture += np.float32(0.4 * fade) * np.sin(phase.astype(np.float32))
        return texture

    def ellipsoid(
        self,
        centre_mm: tuple[float, float, float],
        half_axes_mm: tuple[float, float, float],
        *,
        tilt_rad: tuple[float, float, float] = (0.0, 0.0, 0.0),
        dent: float = 0.0,
        power: float = 2.0,
    ) -> tuple[Box, np.ndarray] | None:
        """Box and depth of an ellipsoid; see `TorsoGrid.depth_of_ellipsoid`."""
        return self.grid.depth_of_ellipsoid(centre_mm, half_axes_mm, tilt_rad=tilt_rad, dent=dent, power=power)

    def balls(self, points_mm: np.ndarray, radii_mm: np.ndarray | float) -> tuple[Box, np.ndarray] | None:
        """Box and depth of a union of balls: tubes, chains and sheets; see `TorsoGrid.depth_of_points`."""
        return self.grid.depth_of_points(points_mm, radii_mm)

    def column(
        self, knots_mm: np.ndarray, *, power: float = 2.0, turn_rad: float = 0.0
    ) -> tuple[Box, np.ndarray] | None:
        """Box and depth of a shape that is an ellipse in every axial slice: limbs, long muscles, lungs.

        Parameters
        ----------
        knots_mm
            Rows of height z (ascending), centre x, centre y, half width and half depth, shape (n, 5). Between the knots
            they follow a monotone spline; beyond the first and the last one there is nothing.
        power
            Exponent of the superellipse; 2 is the ellipse.
        turn_rad
            Rotation of the ellipses about z, from x towards y.
        """
        knots = np.asarray(knots_mm, float)
        reach = float(knots[:, 3:].max()) + self.voxel_mm
        low = [knots[:, 1].min() - reach, knots[:, 2].min() - reach, knots[0, 0]]
        high = [knots[:, 1].max() + reach, knots[:, 2].max() + reach, knots[-1, 0]]
        box = self.box(low, high)
        if box is None:
            return None
        x, y, z = self.coordinates(box)
        inside = np.clip(z[:, 0, 0], knots[0, 0], knots[-1, 0])
        course = PchipInterpolator(knots[:, 0], knots[:, 1:])(inside).astype(np.float32)[:, :, None, None]
        dx, dy = x - course[:, 0], y - course[:, 1]
        if turn_rad:
            cosine, sine = np.float32(np.cos(turn_rad)), np.float32(np.sin(turn_rad))
            dx, dy = cosine * dx + sine * dy, cosine * dy - sine * dx
        wide, deep = np.maximum(course[:, 2], 0.1), np.maximum(course[:, 3], 0.1)
        if power == 2.0:
            rho = np.hypot(dx / wide, dy / deep)
        else:
            rho = (np.abs(dx / wide) ** power + np.abs(dy / deep) ** power) ** np.float32(1.0 / power)
        depth = (1.0 - rho) * np.minimum(wide, deep)
        # The flat ends have partial volume too.
        ends = np.minimum(z - knots[0, 0], knots[-1, 0] - z) * (self.voxel_mm / self.grid.slice_mm)
        return box, np.minimum(depth, ends).astype(np.float32)
