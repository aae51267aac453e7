"""Large vessels of a whole-body phantom: the aorta, and arteries and veins that do not age."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.body_ageing import BodySigns
from agezoo.phantoms.body_canvas import TOUCHED, BodyCanvas, Tissue
from agezoo.phantoms.body_labels import AORTA, OTHER_SOFT_TISSUE
from agezoo.phantoms.body_shape import BodyShape
from agezoo.phantoms.body_spine import SpineCourse
from agezoo.phantoms.torso_grid import smooth_path

VEIN = Tissue(0.72, 0.02)
ARTERY = Tissue(0.85, 0.02)
WALL = Tissue(0.45, 0.10)

# Height, place to the left in the chest and belly, and radius as a share of the aorta's.
_DESCENDING = (
    (362, 24, 0.98),
    (330, 25, 0.96),
    (295, 24, 0.94),
    (262, 21, 0.92),
    (230, 16, 0.90),
    (200, 11, 0.88),
    (170, 8, 0.86),
    (140, 7, 0.82),
    (110, 6, 0.80),
    (80, 5, 0.78),
    (52, 5, 0.78),
    (26, 4, 0.76),
)


def draw_vessels(canvas: BodyCanvas, shape: BodyShape) -> None:
    """Paint the caval veins, the pulmonary trunk, the arteries of pelvis and thigh, and the vessels of the neck."""
    course = SpineCourse(shape)
    size = shape.girth

    def tube(knots: list[tuple[float, float, float, float]], tissue: Tissue) -> None:
        path = smooth_path(
            np.array([(x * size, y * size, float(shape.z_mm(z)), r * size) for x, y, z, r in knots]), 4.0
        )
        canvas.paint(canvas.balls(path[:, :3], path[:, 3]), tissue, OTHER_SOFT_TISSUE)

    cava = [(-20.0, float(course.y_mm(shape.z_mm(z))) / size - 24.0, z, 11.0) for z in (14.0, 50, 90, 130, 170)]
    tube([*cava, (-26.0, 2.0, 210.0, 12.0), (-26.0, -8.0, 250.0, 13.0), (-24.0, -14.0, 285.0, 13.0)], VEIN)
    tube([(-24, -14, 320, 10.0), (-26, -16, 360, 10.0), (-24, -18, 400, 9.0), (-6, -26, 424, 7.0)], VEIN)
    tube(
        [(14, -44, 318, 13.0), (14, -34, 340, 13.0), (8, -14, 352, 12.0), (-20, -4, 350, 10.0), (-42, 0, 346, 8.0)],
        VEIN,
    )
    tube([(12, -22, 350, 11.0), (32, -4, 352, 10.0), (44, 4, 346, 8.0)], VEIN)
    for side in (1, -1):
        wide = shape.hip_factor
        start = (4.0, float(course.y_mm(shape.z_mm(18.0))) / size - 26.0, 20.0, 7.5)
        pelvis = [
            (side * 24.0, 6.0, -10.0, 6.5),
            (side * 44.0, 16.0, -45.0, 6.0),
            (side * 64.0 * wide, -14.0, -86.0, 5.5),
        ]
        thigh = [(side * 72.0 * wide, -52.0, -118.0, 5.5), (side * 74.0 * wide, -56.0, -160.0, 5.2)]
        thigh += [
            (side * 70.0, -44.0, -240.0, 4.8),
            (side * 64.0, -20.0, -340.0, 4.5),
            (side * 74.0, 20.0, -430.0, 4.2),
        ]
        thigh += [(side * 86.0, 38.0, -500.0, 4.0), (side * 88.0, 40.0, -620.0, 3.5)]
        tube([start, *pelvis, *thigh], ARTERY)
        vein = [(-14.0, start[1] + 4.0, 14.0, 9.0)]
        vein += [(x - side * 9.0, y + 9.0, z, 1.25 * r) for x, y, z, r in [*pelvis, *thigh]]
        tube(vein, VEIN)
        tube(
            [
                (side * 12, -20, 410, 5.0),
                (side * 22, -16, 450, 4.5),
                (side * 26, -16, 520, 4.2),
                (side * 27, -14, 620, 4),
            ],
            ARTERY,
        )
        tube(
            [
                (side * 22, -28, 425, 7.0),
                (side * 32, -22, 460, 6.5),
                (side * 34, -20, 520, 6),
                (side * 34, -18, 620, 5),
            ],
            VEIN,
        )
        tube(
            [
                (side * 16, -20, 415, 6.0),
                (side * 60, -20, 440, 6.0),
                (side * 110, -6, 428, 5.5),
                (side * 140, 8, 380, 5),
            ],
            VEIN,
        )


def aorta_path(shape: BodyShape, signs: BodySigns) -> np.ndarray:
    """Centre line of the aorta from the root to the bifurcation: x, y, z and outer radius in mm, shape (n, 4)."""
    size = shape.girth
    radius = 0.5 * signs.aorta_diameter_mm * shape.aorta_factor
    knots = [(2.0, -32.0, 306.0, 1.02), (-14.0, -42.0, 330.0, 1.14), (-18.0, -38.0, 356.0, 1.14)]
    knots += [(-11.0, -22.0, 382.0, 1.06), (4.0, -4.0, 394.0, 1.0), (17.0, 14.0, 386.0, 0.98)]
    path = [(x * size, y * size, float(shape.z_mm(z)), r * radius) for x, y, z, r in knots]
    course = SpineCourse(shape)
    bend = shape.subject.rng("aorta").uniform(0.0, 2 * np.pi)
    for nominal, x, share in _DESCENDING:
        z = float(shape.z_mm(nominal))
        half_deep = float(course.size_mm(z)[1])
        r = share * radius
        beside = np.clip((nominal - 200.0) / 110.0, 0.0, 1.0)
        front = float(course.y_mm(z)) - half_deep - r - 3.0
        lateral = float(course.y_mm(z)) - 14.0 - 0.5 * r
        sway = signs.aorta_winding_mm * np.sin(nominal / 34.0 + bend)
        path.append((x * size + sway, front * (1 - beside) + lateral * beside - 0.4 * abs(sway), z, r))
    return smooth_path(np.array(path), 3.0)


def draw_aorta(canvas: BodyCanvas, shape: BodyShape, signs: BodySigns) -> None:
    """Paint the aorta, wall and blood."""
    path = aorta_path(shape, signs)
    found = canvas.balls(path[:, :3], path[:, 3])
    if found is None:
        return
    canvas.paint(found, WALL, AORTA, label_share=TOUCHED)
    blood = Tissue(signs.aorta_blood_signal, 0.01)
    canvas.paint((found[0], found[1] - np.float32(signs.aorta_wall_mm)), blood)
