"""Spine of a whole-body phantom: vertebral bodies, discs, arches and processes, canal and sacrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from agezoo.phantoms.body_ageing import BodySigns
from agezoo.phantoms.body_canvas import TOUCHED, BodyCanvas, Tissue
from agezoo.phantoms.body_labels import SPINE
from agezoo.phantoms.body_shape import BodyShape

SACRAL_TOP_MM = -20.0

# Caudal to cranial, L5 to C3: height of the body and of the disc below it (mm) of the nominal adult.
_BODY_HEIGHTS = (27, 27, 27, 26.5, 26, 25, 24, 23, 22, 21, 20.5, 20, 19.5, 19, 18.5, 18, 17.5, 14, 13, 13, 13, 13)
_DISC_HEIGHTS = (10, 11, 10.5, 9.5, 8.5, 7, 6, 5.5, 5, 4.5, 4.2, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5, 5)

# Height, place towards the back, half width and half depth of the vertebral bodies of a young nominal adult.
_COURSE = np.array(
    [
        (-60, 50, 26, 17),
        (-20, 32, 25.5, 17),
        (3, 21, 25, 17),
        (79, 8, 23, 17),
        (150, 14, 21, 16),
        (213, 25, 19, 15.8),
        (295, 33, 15.8, 15),
        (365, 32, 14.2, 13),
        (437, 20, 15, 10),
        (480, 8, 14, 9),
        (530, -4, 13, 8.6),
        (620, -6, 13, 8.6),
    ],
    float,
)
_BONE = Tissue(0.12, 0.10)
_FLUID = Tissue(0.97, 0.0)
_CORD = Tissue(0.72, 0.05)


@dataclass(frozen=True)
class SpineCourse:
    """Where the spine of a person runs.

    Parameters
    ----------
    shape
        The person's geometry.
    kyphosis_mm
        How far the round back has moved the chest's vertebrae backward; 0 gives the course that the other organs
        follow, so that none of them depends on the spine's age.
    """

    shape: BodyShape
    kyphosis_mm: float = 0.0

    def y_mm(self, z_mm: float | np.ndarray) -> np.ndarray:
        """Place of the vertebral centres towards the back at heights of this person."""
        z = self.shape.nominal_z(z_mm)
        depth = CubicSpline(_COURSE[:, 0], _COURSE[:, 1])(z) + self.shape.lordosis_mm * np.exp(-(((z - 79) / 60) ** 2))
        round_back = 0.62 * np.exp(-(((z - 320) / 75) ** 2)) - 0.3 * np.exp(-(((z - 500) / 50) ** 2))
        return np.asarray(depth + self.kyphosis_mm * round_back)

    def x_mm(self, z_mm: float | np.ndarray) -> np.ndarray:
        """Sideways course: a mild scoliosis."""
        return np.asarray(self.shape.scoliosis_mm * np.sin((self.shape.nominal_z(z_mm) - 40.0) / 85.0))

    def size_mm(self, z_mm: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half width and half depth of the vertebral bodies."""
        z = self.shape.nominal_z(z_mm)
        wide, deep = (np.interp(z, _COURSE[:, 0], _COURSE[:, column]) * self.shape.girth for column in (2, 3))
        return np.asarray(wide), np.asarray(deep)


def draw_spine(canvas: BodyCanvas, shape: BodyShape, signs: BodySigns) -> None:
    """Paint the spine from the coccyx to the neck."""
    course = SpineCourse(shape, signs.kyphosis_mm)
    marrow = Tissue(0.88 * (1.0 - signs.marrow_fat_fraction), 0.92 * signs.marrow_fat_fraction)
    # Worn discs are dark; water that they lost is not replaced.
    disc = Tissue(signs.disc_signal, 0.05)
    _draw_sacrum(canvas, shape, marrow)
    z = np.arange(-34.0, 600.0, 6.0) * shape.stretch
    wide, deep = course.size_mm(z)
    knots = np.stack([z, course.x_mm(z), course.y_mm(z), wide, deep], axis=1)
    reach = np.array([46.0, 0.0]) * shape.girth
    box = canvas.box(
        (knots[:, 1].min() - reach[0], knots[:, 2].min() - 30.0, z[0]),
        (knots[:, 1].max() + reach[0], knots[:, 2].max() + 75.0 * shape.girth, z[-1]),
    )
    if box is None:
        return
    x, y, height = canvas.coordinates(box)
    course_x, course_y, half_wide, half_deep = (
        np.interp(height, z, knots[:, column]).astype(np.float32) for column in (1, 2, 3, 4)
    )
    across, behind = np.abs(x - course_x), y - course_y
    slope = np.gradient(knots[:, 2], z)
    level = height + behind * np.interp(height, z, slope).astype(np.float32)
    in_disc, from_middle = _levels(level, shape, signs)
    size = shape.girth
    canal = half_deep + 9.0 * size
    # Arches and processes: a ring around the canal, a ledge to each side and a ridge at the back of every body.
    bony = np.clip(from_middle, -20.0, 4.0)
    ring = 15.0 * size - np.hypot(across, (behind - canal) * 1.15)
    ledge = np.minimum(np.minimum(half_wide * 1.15 + 12.0 * size - across, 5.0 - np.abs(behind - canal + 1.0)), bony)
    spinous = np.minimum(np.minimum(4.2 - across, np.minimum(behind - canal, canal + 30.0 * size - behind)), bony + 2.0)
    arch = np.maximum(np.maximum(np.minimum(ring, bony + 5.0), ledge), spinous).astype(np.float32)
    canvas.paint((box, arch), _BONE, SPINE, label_share=TOUCHED)
    canvas.paint((box, arch - np.float32(1.6)), marrow)
    hollow = 9.0 * size - np.hypot(across, (behind - canal) * 1.15)
    canvas.paint((box, hollow.astype(np.float32)), _FLUID, SPINE, label_share=TOUCHED)
    in_cord = (height > 110.0 * shape.stretch) * 20.0 - 20.0
    cord = np.minimum(5.0 * size - np.hypot(across, behind - canal), in_cord)
    canvas.paint((box, cord.astype(np.float32)), _CORD)
    # Bodies have a waist, discs bulge a little.
    waist = 2.2 * np.clip(from_middle / 9.0, 0.0, 1.0)
    rho = (np.abs(across / half_wide) ** 2.6 + np.abs(behind / half_deep) ** 2.6) ** np.float32(1 / 2.6)
    column = ((1.0 - rho) * half_deep - waist).astype(np.float32)
    column = np.minimum(column, height - z[0])
    canvas.paint((box, column), _BONE, SPINE, label_share=TOUCHED)
    body = canvas.share(column - np.float32(1.2)) * canvas.share(-in_disc - np.float32(0.8))
    canvas.mix(box, body, marrow)
    canvas.mix(box, canvas.share(column - np.float32(0.6)) * canvas.share(in_disc), disc)


def _levels(level_mm: np.ndarray, shape: BodyShape, signs: BodySigns) -> tuple[np.ndarray, np.ndarray]:
    """Depth (mm) inside the nearest disc and inside the nearest vertebra, counted along the spine."""
    bodies = np.array(_BODY_HEIGHTS) * shape.stretch * signs.vertebra_height_factor
    # Discs lose twice as much of their height as the bodies.
    discs = np.array(_DISC_HEIGHTS) * shape.stretch * (2.0 * signs.vertebra_height_factor - 1.0)
    start = SACRAL_TOP_MM * shape.stretch
    edges = start + np.concatenate([[0.0], np.cumsum(np.stack([discs, bodies], axis=1).ravel())])
    middles = (edges[1:] + edges[:-1]) / 2
    halves = (edges[1:] - edges[:-1]) / 2
    # The signed depth in discs is piecewise linear along the spine: +half in their middles, -half in the bodies'.
    sign = np.where(np.arange(len(middles)) % 2 == 0, 1.0, -1.0)
    knots = np.concatenate([[edges[0] - 30.0], middles, edges[-1:] + 30.0])
    values = np.concatenate([[-30.0], sign * halves, [-30.0]])
    # Knots at the edges keep the zero crossings where the edges are.
    order = np.argsort(np.concatenate([knots, edges]))
    depth = np.interp(
        level_mm, np.concatenate([knots, edges])[order], np.concatenate([values, np.zeros(len(edges))])[order]
    )
    return depth.astype(np.float32), (-depth).astype(np.float32)


def _draw_sacrum(canvas: BodyCanvas, shape: BodyShape, marrow: Tissue) -> None:
    size = shape.girth * (1.03 if shape.female else 1.0)
    knots = np.array(
        [
            (-140, 0, 56, 4, 3),
            (-128, 0, 64, 9, 5),
            (-112, 0, 73, 18, 8),
            (-90, 0, 74, 32, 12),
            (-60, 0, 62, 44, 17),
            (-38, 0, 49, 52, 20),
            (-22, 0, 40, 54, 18),
            (-14, 0, 38, 50, 8),
        ],
        float,
    )
    placed = knots * np.array([shape.stretch, size, shape.girth, size, shape.girth])
    found = canvas.column(placed, power=2.4)
    if found is None:
        return
    box, depth = found
    canvas.paint((box, depth), _BONE, SPINE, label_share=TOUCHED)
    canvas.paint((box, depth - np.float32(1.8)), marrow)
