"""The voxel grid that a phantom is painted on, and the painting primitives.

Painting follows one rule: a shape is a signed depth in mm (positive inside), turned into the share of the voxel
that it covers, and the voxel moves towards the tissue's HU by that share. Edges therefore have partial volume.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline

from agezoo.phantoms.torso_anatomy import CONTOUR_ANGLES

AIR_HU = -1000.0

Box = tuple[slice, slice, slice]


@dataclass
class TorsoGrid:
    """Axial voxel grid in scanner coordinates with the pose of the patient on the couch.

    Attributes
    ----------
    x_mm, y_mm, z_mm
        Voxel centres along columns, rows and slices in scanner coordinates (patient left, back, head when unrotated),
        each ascending and evenly spaced.
    shift_mm
        Where the patient's origin lies in the scanner's x and y.
    rotation_rad
        Roll of the patient about the long axis.
    """

    x_mm: np.ndarray
    y_mm: np.ndarray
    z_mm: np.ndarray
    shift_mm: tuple[float, float] = (0.0, 0.0)
    rotation_rad: float = 0.0
    hu: np.ndarray = field(init=False)
    labels: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(self.z_mm), len(self.y_mm), len(self.x_mm))
        self.hu = np.full(shape, AIR_HU, np.float32)
        self.labels = np.zeros(shape, np.uint8)
        self.pixel_mm = float(self.x_mm[1] - self.x_mm[0])
        self.slice_mm = float(self.z_mm[1] - self.z_mm[0])
        x = (self.x_mm - self.shift_mm[0])[None, :]
        y = (self.y_mm - self.shift_mm[1])[:, None]
        cosine, sine = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        self.patient_x = (cosine * x + sine * y).astype(np.float32)
        self.patient_y = (-sine * x + cosine * y).astype(np.float32)
        self.radius = np.hypot(self.patient_x, self.patient_y)
        turns = np.arctan2(self.patient_y, self.patient_x) / (2 * np.pi)
        self.direction = (np.rint(turns * CONTOUR_ANGLES).astype(np.int32) % CONTOUR_ANGLES).astype(np.int16)

    @property
    def spacing_mm(self) -> np.ndarray:
        """Spacing along slices, rows and columns."""
        return np.array([self.slice_mm, self.pixel_mm, self.pixel_mm], np.float32)

    def to_voxels(self, points_mm: np.ndarray) -> np.ndarray:
        """Carry patient points (n, 3; x, y, z) to fractional slice, row, column indices."""
        cosine, sine = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        x = cosine * points_mm[:, 0] - sine * points_mm[:, 1] + self.shift_mm[0]
        y = sine * points_mm[:, 0] + cosine * points_mm[:, 1] + self.shift_mm[1]
        return np.stack(
            [
                (points_mm[:, 2] - self.z_mm[0]) / self.slice_mm,
                (y - self.y_mm[0]) / self.pixel_mm,
                (x - self.x_mm[0]) / self.pixel_mm,
            ],
            axis=1,
        ).astype(np.float32)

    def share(self, depth_mm: np.ndarray) -> np.ndarray:
        """Share of a voxel that a shape covers whose surface is `depth_mm` away (positive inside)."""
        return np.clip(depth_mm * np.float32(1.0 / self.pixel_mm) + np.float32(0.5), 0.0, 1.0)

    def refined(self, box: Box, factor: int) -> TorsoGrid:
        """Copy a box with `factor` (odd) times as many slices, so that thin structures keep their partial volume.

        Paint on the copy and hand it to `merge`.
        """
        steps = (np.arange(factor) - factor // 2) * (self.slice_mm / factor)
        fine = TorsoGrid(
            x_mm=self.x_mm[box[2]],
            y_mm=self.y_mm[box[1]],
            z_mm=(self.z_mm[box[0]][:, None] + steps[None]).ravel(),
            shift_mm=self.shift_mm,
            rotation_rad=self.rotation_rad,
        )
        fine.hu = np.repeat(self.hu[box], factor, axis=0)
        fine.labels = np.repeat(self.labels[box], factor, axis=0)
        return fine

    def merge(self, fine: TorsoGrid, box: Box, factor: int) -> None:
        """Average a refined copy back into its box; a voxel takes the label at the middle of its thickness."""
        shape = (-1, factor, *fine.hu.shape[1:])
        self.hu[box] = fine.hu.reshape(shape).mean(axis=1)
        self.labels[box] = fine.labels.reshape(shape)[:, factor // 2]

    def box(self, low_mm: np.ndarray, high_mm: np.ndarray) -> Box | None:
        """Smallest index box that holds a patient-frame box, or None when it lies outside of the grid."""
        corners = np.array([[x, y, low_mm[2]] for x in (low_mm[0], high_mm[0]) for y in (low_mm[1], high_mm[1])])
        top = corners.copy()
        top[:, 2] = high_mm[2]
        voxels = self.to_voxels(np.concatenate([corners, top]))
        start = np.maximum(np.floor(voxels.min(axis=0)).astype(int), 0)
        stop = np.minimum(np.ceil(voxels.max(axis=0)).astype(int) + 1, self.hu.shape)
        if np.any(stop <= start):
            return None
        return slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])

    def coordinates(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Patient coordinates x (rows, columns), y (rows, columns) and z (slices) of an index box."""
        rows, columns = box[1], box[2]
        return self.patient_x[rows, columns], self.patient_y[rows, columns], self.z_mm[box[0]].astype(np.float32)

    def paint(self, box: Box, depth_mm: np.ndarray, hu: float | np.ndarray, label: int | None = None) -> None:
        """Paint a tissue where `depth_mm` is positive, with partial volume at the edge.

        Parameters
        ----------
        box
            Index box, as returned by `box`.
        depth_mm
            Signed depth, shape of the box.
        hu
            The tissue's value, a number or an array of the shape of the box.
        label
            Label for voxels that are covered by at least half.
        """
        share = self.share(depth_mm)
        view = self.hu[box]
        view += share * (hu - view)
        if label is not None:
            self.labels[box][share >= 0.5] = label

    def paint_points(
        self,
        points_mm: np.ndarray,
        radii_mm: np.ndarray | float,
        hu: float,
        *,
        shell_mm: float = 0.0,
        core_hu: float = 0.0,
        label: int | None = None,
        core_label: int | None = None,
    ) -> None:
        """Paint the union of balls: tubes, chains and loops.

        Parameters
        ----------
        points_mm
            Ball centres in the patient frame, shape (n, 3).
        radii_mm
            One radius, or one for each ball.
        hu
            Value of the balls, or of their outer shell when `shell_mm` is positive.
        shell_mm, core_hu
            Thickness of the shell and value of what is inside of it.
        label, core_label
            Labels of the balls and of their core (0 clears a label).
        """
        found = self.depth_of_points(points_mm, radii_mm)
        if found is None:
            return
        box, depth = found
        touched = depth > -0.5 * self.pixel_mm
        inside = depth[touched]
        share = self.share(inside)
        values = self.hu[box][touched]
        values += share * (hu - values)
        marks = self.labels[box][touched]
        if label is not None:
            marks[share >= 0.5] = label
        if shell_mm > 0:
            core = self.share(inside - shell_mm)
            values += core * (core_hu - values)
            if core_label is not None:
                marks[core >= 0.5] = core_label
        self.hu[box][touched] = values
        self.labels[box][touched] = marks

    def depth_of_points(
        self, points_mm: np.ndarray, radii_mm: np.ndarray | float, *, slab_mm: float = 0.0
    ) -> tuple[Box, np.ndarray] | None:
        """Signed depth (mm) inside the union of balls on the smallest box around them; None when off the grid.

        Parameters
        ----------
        points_mm, radii_mm
            Ball centres in the patient frame, shape (n, 3), and their radii.
        slab_mm
            Balls are drawn out along z by this much: tubes thinner than a slice then show in every slice they cross.

        Returns
        -------
        box, depth
            Away from the balls the depth is a large negative number.
        """
        points = np.asarray(points_mm, np.float32)
        radii = np.broadcast_to(np.asarray(radii_mm, np.float32), (len(points),))
        reach = float(radii.max()) + self.pixel_mm + 0.5 * slab_mm
        box = self.box(points.min(axis=0) - reach, points.max(axis=0) + reach)
        if box is None:
            return None
        spacing = self.spacing_mm
        grown = np.array([0.5 * slab_mm, 0.0, 0.0], np.float32)
        sizes = np.ceil(radii / self.pixel_mm).astype(int)
        halves = {int(n): np.ceil(((n + 0.5) * self.pixel_mm + grown) / spacing).astype(int) for n in np.unique(sizes)}
        # A margin as wide as the widest stencil: then no stencil leaves the array and none needs a check.
        margin = np.max(np.array(list(halves.values())), axis=0) + 1
        inner = np.array([s.stop - s.start for s in box])
        depth = np.full(inner + 2 * margin, -1e3, np.float32)
        voxels = self.to_voxels(points) - np.array([s.start for s in box], np.float32) + margin
        nearest = np.rint(voxels).astype(int)
        # Balls of like size share one stencil, so a thin tube does not pay for the thick end of a tree.
        for size, half in halves.items():
            fits = np.all((nearest >= half) & (nearest + half < depth.shape), axis=1)
            chosen = np.flatnonzero((sizes == size) & fits)
            _raise_depth(depth, nearest[chosen], voxels[chosen], radii[chosen], half, spacing, 0.5 * slab_mm)
        crop = tuple(slice(m, m + n) for m, n in zip(margin, inner, strict=True))
        return box, depth[crop]

    def depth_of_ellipsoid(
        self,
        centre_mm: tuple[float, float, float],
        half_axes_mm: tuple[float, float, float],
        *,
        tilt_rad: tuple[float, float, float] = (0.0, 0.0, 0.0),
        dent: float = 0.0,
        power: float = 2.0,
    ) -> tuple[Box, np.ndarray] | None:
        """Approximate signed depth (mm) of an ellipsoid on its box; None when off the grid.

        Parameters
        ----------
        centre_mm, half_axes_mm
            Centre and half axes in the patient frame.
        tilt_rad
            Rotations about x, y and z.
        dent
            Strength of a smooth irregularity of the surface, as a share of the radius.
        power
            Exponent of a superellipsoid; 2 is the ellipsoid.
        """
        centre, axes = np.array(centre_mm, np.float32), np.array(half_axes_mm, np.float32)
        reach = float(axes.max()) * (1.05 + dent) + self.pixel_mm
        bound = np.full(3, reach) if any(tilt_rad) else axes * (1.05 + dent) + self.pixel_mm
        box = self.box(centre - bound, centre + bound)
        if box is None:
            return None
        x, y, z = self.coordinates(box)
        local = np.broadcast_arrays((x - centre[0])[None], (y - centre[1])[None], (z - centre[2])[:, None, None])
        if any(tilt_rad):
            local = np.einsum("ab,bkji->akji", _rotation(tilt_rad), np.stack(local)).astype(np.float32)
        scaled = [np.abs(part / axis) for part, axis in zip(local, axes, strict=True)]
        if power == 2.0:
            rho = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
        else:
            rho = (scaled[0] ** power + scaled[1] ** power + scaled[2] ** power) ** (1.0 / power)
        if dent:
            rho = rho + dent * np.sin(local[0] / axes[0] * 2.7 + 0.7) * np.cos(local[2] / axes[2] * 2.2 + 0.4)
        return box, ((1.0 - rho) * float(np.sort(axes)[:2].mean())).astype(np.float32)


def _raise_depth(
    depth: np.ndarray,
    nearest: np.ndarray,
    voxels: np.ndarray,
    radii: np.ndarray,
    half: np.ndarray,
    spacing: np.ndarray,
    half_slab_mm: float,
) -> None:
    """Raise `depth` to the depth inside of each ball, within `half` voxels of the ball's nearest voxel."""
    steps = [np.arange(-h, h + 1, dtype=np.float32) for h in half]
    cells = int(np.prod(2 * half + 1))
    shape = depth.shape
    part = max(200_000 // cells, 1)
    for start in range(0, len(nearest), part):
        index, offset = nearest[start : start + part], (voxels - nearest)[start : start + part]
        along = np.abs(steps[0][None] - offset[:, :1]) * spacing[0]
        along = np.clip(along - half_slab_mm, 0.0, None) ** 2
        down = ((steps[1][None] - offset[:, 1:2]) * spacing[1]) ** 2
        across = ((steps[2][None] - offset[:, 2:3]) * spacing[2]) ** 2
        value = along[:, :, None, None] + down[:, None, :, None] + across[:, None, None, :]
        np.sqrt(value, out=value)
        np.subtract(radii[start : start + part, None, None, None], value, out=value)
        if cells > 300:
            low, high = index - half, index + half + 1
            for (k0, j0, i0), (k1, j1, i1), ball in zip(low.tolist(), high.tolist(), value, strict=True):
                view = depth[k0:k1, j0:j1, i0:i1]
                np.maximum(view, ball, out=view)
        else:
            base = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
            k, j, i = np.meshgrid(*(step.astype(int) for step in steps), indexing="ij")
            linear = base[:, None] + ((k * shape[1] + j) * shape[2] + i).reshape(1, -1)
            near = value.reshape(linear.shape) > -spacing[2]
            np.maximum.at(depth.reshape(-1), linear[near], value.reshape(linear.shape)[near])


def _rotation(tilt_rad: tuple[float, float, float]) -> np.ndarray:
    (cx, cy, cz), (sx, sy, sz) = np.cos(tilt_rad), np.sin(tilt_rad)
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).astype(np.float32)


def smooth_path(knots_mm: np.ndarray, step_mm: float) -> np.ndarray:
    """Points about `step_mm` apart on a smooth curve through knots of shape (n, d)."""
    knots = np.asarray(knots_mm, float)
    length = np.concatenate([[0.0], np.cumsum(np.maximum(np.linalg.norm(np.diff(knots[:, :3], axis=0), axis=1), 1e-3))])
    count = max(int(np.ceil(length[-1] / step_mm)) + 1, 2)
    return CubicSpline(length, knots)(np.linspace(0.0, length[-1], count))
