"""Bones of a whole-body phantom except the spine: ribs, sternum, shoulders, arms, pelvis and legs.

Compact bone is dark; the marrow of every bone here is fatty to a degree that differs between people, not with age.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.phantoms.body_canvas import BodyCanvas, Tissue
from agezoo.phantoms.body_envelope import Envelope
from agezoo.phantoms.body_labels import SKELETON
from agezoo.phantoms.body_shape import BodyShape
from agezoo.phantoms.torso_anatomy import CONTOUR_ANGLES
from agezoo.phantoms.torso_grid import smooth_path

COMPACT = Tissue(0.06, 0.06)
CARTILAGE = Tissue(0.7, 0.05)


def draw_skeleton(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope) -> None:
    """Paint the bones."""
    marrow = Tissue(0.85 * (1.0 - shape.marrow_fat_fraction), 0.92 * shape.marrow_fat_fraction)
    # The long bones of adults hold yellow marrow.
    yellow = Tissue(0.10, 0.82)
    _draw_ribs(canvas, shape, envelope, marrow)
    _draw_sternum(canvas, shape, marrow)
    for side in (1, -1):
        _draw_shoulder(canvas, shape, side, marrow)
        _draw_arm(canvas, shape, side, yellow)
        _draw_pelvis(canvas, shape, side, marrow)
        _draw_leg(canvas, shape, side, marrow, yellow)
    joint = np.stack([np.zeros(9), np.linspace(-66, -56, 9) * shape.girth, shape.z_mm(np.linspace(-126, -150, 9))], 1)
    canvas.paint(canvas.balls(joint, 3.0), CARTILAGE, SKELETON)


def _bone(
    canvas: BodyCanvas, points_mm: np.ndarray, radii_mm: np.ndarray | float, marrow: Tissue, shell_mm: float
) -> None:
    found = canvas.balls(points_mm, radii_mm)
    if found is None:
        return
    canvas.paint(found, COMPACT, SKELETON)
    canvas.paint((found[0], found[1] - np.float32(shell_mm)), marrow)


def _shaft(canvas: BodyCanvas, knots_mm: np.ndarray, marrow: Tissue, shell_mm: float, power: float = 2.0) -> None:
    found = canvas.column(knots_mm, power=power)
    if found is None:
        return
    canvas.paint(found, COMPACT, SKELETON)
    canvas.paint((found[0], found[1] - np.float32(shell_mm)), marrow)


def _draw_ribs(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, marrow: Tissue) -> None:
    """Twelve pairs in the wall of the chest, which fall from the spine to the front."""
    box = canvas.box((-230.0, -180.0, float(shape.z_mm(90.0))), (230.0, 150.0, float(shape.z_mm(470.0))))
    if box is None:
        return
    x, y, z = canvas.coordinates(box)
    back = y / np.float32(shape.girth)
    height = z / np.float32(shape.stretch) - 0.62 * (back - 70.0)
    # Twelve levels from 215 to 452 mm where they leave the spine.
    first, pitch = 215.0, 21.5
    level = height - first
    number = np.clip(np.rint(level / pitch), 0, 11)
    off = np.abs(level - pitch * number)
    # The lowest ribs end at the flank, the others in cartilage at the front.
    reach = back + 118.0 * np.minimum((number + 0.6) / 3.0, 1.0)
    outside = -envelope.cavity[box]
    rib = np.minimum(np.minimum(5.6 - off * 0.86, 4.6 - np.abs(outside - 6.5)), reach * 0.5)
    near = np.minimum(rib, np.abs(x) - 11.0).astype(np.float32)
    canvas.paint((box, near), COMPACT, SKELETON)
    canvas.paint((box, near - np.float32(1.3)), marrow)


def _draw_sternum(canvas: BodyCanvas, shape: BodyShape, marrow: Tissue) -> None:
    nominal = np.array([256.0, 262, 280, 300, 370, 385, 405, 420, 426])
    front = shape.contours_mm(shape.z_mm(nominal))[2][:, CONTOUR_ANGLES * 3 // 4]
    half = np.array([2.0, 5, 10, 15, 13, 16, 25, 22, 8]) * shape.girth
    knots = np.stack([shape.z_mm(nominal), np.zeros(9), -front - 6.5, half, np.full(9, 5.8)], axis=1)
    _shaft(canvas, knots, marrow, 1.3, power=3.0)


def _draw_shoulder(canvas: BodyCanvas, shape: BodyShape, side: int, marrow: Tissue) -> None:
    size = shape.girth
    joint = shape.shoulder_mm(side)
    clavicle = np.array([(20.0, -44, 428), (60, -50, 440), (104, -26, 452), (136, -2, 458)])
    points = np.stack([side * clavicle[:, 0] * size, clavicle[:, 1] * size, shape.z_mm(clavicle[:, 2])], axis=1)
    points[-1, 0] = joint[0] - side * 14.0
    _bone(canvas, smooth_path(points, 3.0), 5.8, marrow, 1.8)
    # The blade follows the rib cage at a distance; it narrows towards its lower angle.
    nominal = np.arange(292.0, 444.0, 3.5)
    heights = shape.z_mm(nominal)
    _, fascia, cavity = shape.contours_mm(heights)
    plate = []
    for share, height, outer, inner in zip((nominal - 292.0) / 152.0, heights, fascia, cavity, strict=True):
        span = np.linspace(0.66 - 0.16 * share, 0.80 + 0.40 * share, 12 + int(24 * share))
        angle = np.pi / 2 - span * side
        place = np.rint(angle / (2 * np.pi) * CONTOUR_ANGLES).astype(int) % CONTOUR_ANGLES
        radius = np.clip(inner[place] + 18.0, 0.6 * outer[place], np.maximum(outer[place] - 9.0, 20.0))
        plate.append(np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(len(angle), height)], axis=1))
    _bone(canvas, np.concatenate(plate), 2.6, marrow, 1.4)
    ridge = np.array(
        [plate[-14][0] * [1.02, 1.08, 1.0], (joint + plate[-6][-1]) / 2 + [0, 16, 6], joint + np.array([0, 4, 24])]
    )
    _bone(canvas, smooth_path(ridge, 3.0), 5.0, marrow, 1.6)
    socket = joint[None] + np.array([[-side * 27.0 * size, 4.0, -4.0]])
    _bone(canvas, socket, 14.0 * size, marrow, 1.8)


def _draw_arm(canvas: BodyCanvas, shape: BodyShape, side: int, marrow: Tissue) -> None:
    size = shape.limb
    arm = shape.arm(side)

    def along(nominal: Sequence[float], dx: Sequence[float], dy: Sequence[float]) -> np.ndarray:
        z = shape.z_mm(np.array(nominal, float))
        x, y = (np.interp(z, arm[:, 0], arm[:, column]) for column in (1, 2))
        return np.stack([z, x + side * np.array(dx) * size, y + np.array(dy) * size], axis=1)

    joint = shape.shoulder_mm(side)
    _bone(canvas, joint[None], 23.5 * size, marrow, 1.5)
    course = along((118, 140, 200, 300, 380, 415), (0, 0, 0, -2, -6, -8), (0,) * 6)
    course = np.concatenate([course, [[joint[2], joint[0], joint[1]]]])
    radii = np.array([(20, 9), (16, 9), (11, 10), (11.5, 11), (13, 13), (18, 18), (20, 20)]) * size
    _shaft(canvas, np.concatenate([course, radii], axis=1), marrow, 4.0)
    for dx, radius in ((-11.0, 8.0), (12.0, 7.0)):
        course = along((-124, -100, -20, 60, 104, 124), (0.6 * dx, dx * 0.7, dx, dx, 0.7 * dx, 0.5 * dx), (2.0,) * 6)
        radii = np.array([10.0, 8, 0.9 * radius, radius, 10, 9])[:, None] * np.ones((1, 2)) * size
        _shaft(canvas, np.concatenate([course, radii], axis=1), marrow, 3.0)
    for finger in np.linspace(-25.0, 25.0, 4):
        course = along(
            (-290 + 0.5 * abs(finger), -225, -190, -150), (finger, finger, 0.8 * finger, 0.4 * finger), (0.0,) * 4
        )
        radii = np.array([3.0, 4.5, 4.5, 7.0])[:, None] * np.ones((1, 2)) * size
        _shaft(canvas, np.concatenate([course, radii], axis=1), marrow, 2.0)


def _draw_pelvis(canvas: BodyCanvas, shape: BodyShape, side: int, marrow: Tissue) -> None:
    size = shape.girth * (1.05 if shape.female else 1.0)

    def place(points: Sequence[tuple[float, float, float]], step_mm: float) -> np.ndarray:
        return smooth_path(np.array([(side * x * size, y * size, float(shape.z_mm(z))) for x, y, z in points]), step_mm)

    # The wing is a sheet between the iliac crest and its lower border, from the sacroiliac joint forward.
    top = place([(47, 70, -30), (72, 58, 2), (100, 36, 16), (122, 4, 12), (127, -26, -8), (118, -46, -36)], 3.2)
    low = place([(47, 60, -74), (62, 48, -82), (80, 28, -92), (90, 8, -98), (95, -12, -96), (98, -26, -88)], 2.0)
    share, column = np.linspace(0.0, 1.0, len(top)), np.linspace(0.0, 1.0, len(low))
    low = np.stack([np.interp(share, column, low[:, axis]) for axis in range(3)], axis=1)
    sheet, thickness = [], []
    for rise in np.linspace(0.0, 1.0, 34):
        hollow = np.stack([-0.12 * (top - low)[:, 0], np.zeros(len(top)), np.zeros(len(top))], axis=1)
        sheet.append(low + rise * (top - low) + 4.0 * rise * (1.0 - rise) * hollow)
        rim = np.maximum(np.abs(2 * share - 1.0) ** 4, max(rise * 8.0 - 7.0, 0.0))
        thickness.append(4.6 + 3.6 * rim + 4.5 * (1.0 - rise) ** 3 * np.exp(-(((share - 0.7) / 0.3) ** 2)))
    _bone(canvas, np.concatenate(sheet), np.concatenate(thickness), marrow, 1.5)
    pillar = place([(86, 30, -62), (90, 12, -84), (86, 18, -112), (70, 36, -140), (58, 46, -172)], 3.0)
    _bone(canvas, pillar, np.linspace(16.0, 14.0, len(pillar)), marrow, 2.0)
    _bone(canvas, place([(82, -14, -96), (58, -42, -112), (30, -58, -124), (12, -60, -134)], 3.0), 9.0, marrow, 1.8)
    _bone(canvas, place([(54, 40, -176), (40, 8, -170), (24, -34, -158), (12, -56, -146)], 3.0), 7.5, marrow, 1.8)


def _draw_leg(canvas: BodyCanvas, shape: BodyShape, side: int, marrow: Tissue, yellow: Tissue) -> None:
    size = shape.girth
    hip = shape.hip_mm(side)
    for reach, tissue in ((32.0, COMPACT), (30.0, marrow), (26.5, CARTILAGE)):
        found = canvas.ellipsoid((float(hip[0]), float(hip[1]), float(hip[2])), (reach * size,) * 3)
        if found is not None:
            x, _, z = canvas.coordinates(found[0])
            cup = np.minimum(found[1], (hip[0] - x) * side + 0.7 * (z - hip[2]) + 6.0)
            canvas.paint((found[0], cup.astype(np.float32)), tissue, SKELETON)
    thigh = shape.thigh(side)

    def along(nominal: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        z = shape.z_mm(nominal)
        x, y = (np.interp(z, thigh[:, 0], thigh[:, column]) for column in (1, 2))
        return np.stack([z, x + side * dx * size, y + dy * size], axis=1)

    def whole(rows: Sequence[tuple[float, float, float, float, float]]) -> np.ndarray:
        knots = np.array(rows, float)
        return np.concatenate([along(knots[:, 0], knots[:, 1], knots[:, 2]), knots[:, 3:] * size], axis=1)

    trochanter = hip[None] + np.array([(37.0, 12, -20), (40, 14, -32), (36, 12, -52)]) * [
        side * size,
        size,
        shape.stretch,
    ]
    _bone(canvas, smooth_path(trochanter, 3.0), 14.0 * size, marrow, 1.8)
    neck = hip[None] + np.array([(0.0, 0, 0), (20, 6, -14), (36, 10, -32)]) * [side * size, size, shape.stretch]
    _bone(canvas, smooth_path(neck, 3.0), 16.0 * size, marrow, 2.0)
    _bone(canvas, hip[None], 24.5 * size, marrow, 1.5)
    shaft: list[tuple[float, float, float, float, float]] = [
        (-536, 0, 2, 40, 26),
        (-520, 0, 2, 41, 25),
        (-500, 0, 0, 35, 21),
        (-470, 1, -4, 22, 17),
        (-430, 3, -5, 15, 15),
    ]
    shaft += [(-350, 10, -5, 14, 14), (-260, 22, -3, 14.5, 14.5), (-190, 33, 4, 16, 16), (-165, 35, 7, 17, 17)]
    _shaft(canvas, whole(shaft), yellow, 4.0)
    # The groove between the condyles, then the joint and the shin bone.
    joint = whole([(-548, 0, 2, 38, 25), (-534, 0, 2, 38, 25)])
    canvas.paint(canvas.column(joint, power=2.5), CARTILAGE, SKELETON)
    _shaft(
        canvas,
        whole([(-640, -4, 4, 22, 22), (-590, -2, 6, 28, 24), (-565, 0, 4, 39, 25), (-544, 0, 4, 39, 25)]),
        yellow,
        3.0,
    )
    cap = (float(thigh[2, 1]), float(-40.0 * size), float(shape.z_mm(-522.0)))
    found = canvas.ellipsoid(cap, (20.0 * size, 10.0 * size, 21.0 * size))
    if found is not None:
        canvas.paint(found, COMPACT, SKELETON)
        canvas.paint((found[0], found[1] - np.float32(2.0)), marrow)
