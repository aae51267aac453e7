"""Behind and below the bodies: pedicles, joints, spinous processes, sacrum and iliac wings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agezoo.phantoms.spine_anatomy import Column, Pose, Vertebra
from agezoo.phantoms.spine_labels import LABELS
from agezoo.phantoms.spine_layer import Layer, rounded, smooth_line

FloatArray = NDArray[np.float64]
_SOFT_MM = 0.7
# An iliac wing seen from the side, from the middle of L5: its crest from front to back, and the rest of its outline.
_CREST_MM = ((-86, 92), (-78, 54), (-56, 22), (-24, 2), (10, -3), (42, 12), (62, 40))
_BELOW_CREST_MM = ((64, 58), (46, 80), (24, 104), (-10, 150), (-60, 160), (-80, 120))


def draw_posterior_elements(layer: Layer, labels: NDArray[np.uint8], column: Column, strength: float) -> None:
    """Add the arches of all vertebrae and label them on the layer's grid.

    Parameters
    ----------
    layer
        Any grid.
    labels
        Mask on the layer's grid, changed in place.
    column
        The vertebrae.
    strength
        Factor of the attenuation: the bone's density.
    """
    for vertebra in column.vertebrae:
        for outline, amount, rim in _arch(vertebra):
            layer.fill(outline, amount * strength, _SOFT_MM, rim=rim * strength, rim_mm=1.4)
            drawn = layer.shape(outline, 0.0)
            if drawn is not None:
                labels[drawn[0]][drawn[1] > 0.5] = LABELS["posterior_elements"]


def _arch(vertebra: Vertebra) -> list[tuple[FloatArray, float, float]]:
    """Outlines of one vertebra's arch with their attenuation and that of their cortex."""
    height, depth = sum(vertebra.height_mm) / 2.0, vertebra.depth_mm
    rear = depth / 2.0
    lumbar = vertebra.level.startswith("L")
    scale = height / (27.0 if lumbar else 21.0)
    if lumbar:
        pedicle = [(rear - 2, 0.44), (rear + 9, 0.40), (rear + 12, 0.10), (rear + 8, 0.02), (rear - 2, 0.08)]
        upper_joint = [(rear + 8, 0.30), (rear + 9, 0.72), (rear + 14, 0.80), (rear + 18, 0.42), (rear + 16, 0.05)]
        lower_joint = [(rear + 11, 0.25), (rear + 19, 0.10), (rear + 23, -0.62), (rear + 17, -0.78), (rear + 12, -0.28)]
        process = [
            (rear + 17, 0.02),
            (rear + 30, 0.06),
            (rear + 46, -0.02),
            (rear + 52, -0.22),
            (rear + 49, -0.62),
            (rear + 40, -0.70),
            (rear + 30, -0.50),
            (rear + 17, -0.42),
        ]
        parts = [(pedicle, 0.42, 0.20), (upper_joint, 0.34, 0.20), (lower_joint, 0.34, 0.22), (process, 0.30, 0.20)]
    else:
        pedicle = [(rear - 2, 0.46), (rear + 8, 0.46), (rear + 10, 0.12), (rear + 6, 0.02), (rear - 2, 0.10)]
        upper_joint = [(rear + 6, 0.28), (rear + 8, 0.78), (rear + 11, 0.80), (rear + 13, 0.20)]
        lower_joint = [(rear + 8, 0.25), (rear + 14, 0.10), (rear + 15, -0.70), (rear + 10, -0.72)]
        process = [
            (rear + 13, 0.12),
            (rear + 25, -0.30),
            (rear + 39, -1.02),
            (rear + 38, -1.26),
            (rear + 30, -1.10),
            (rear + 14, -0.45),
        ]
        parts = [(pedicle, 0.26, 0.11), (upper_joint, 0.20, 0.09), (lower_joint, 0.20, 0.09), (process, 0.11, 0.10)]
    arch = []
    for points, amount, rim in parts:
        local = [(rear + (back - rear) * scale, up * height) for back, up in points]
        arch.append((vertebra.place(rounded(local, cuts=3)), amount, rim))
    return arch


def draw_sacrum(layer: Layer, column: Column, strength: float) -> None:
    """Add the sacrum below L5: a curved wedge with remains of its first discs and a crest behind."""
    half = column.sacrum_depth_mm / 2.0
    body = [
        (-half, 0.0),
        (half, 0.0),
        (half + 3, -20),
        (half + 6, -45),
        (half + 14, -70),
        (half + 30, -98),
        (half + 20, -104),
        (half - 2, -82),
        (half - 16, -55),
        (-half + 6, -28),
        (-half + 2, -12),
    ]
    layer.fill(column.sacrum_place(rounded(body, cuts=2)), 0.30 * strength, 1.0, rim=0.16 * strength)
    crest = [(half + 2, -6), (half + 24, -10), (half + 30, -26), (half + 30, -50), (half + 34, -78), (half + 16, -72)]
    layer.fill(column.sacrum_place(rounded(crest, cuts=3)), 0.14 * strength, 1.0, rim=0.08 * strength)
    plate = column.sacrum_place([(-half, -0.6), (0.0, -1.6), (half, -0.6)])
    layer.stroke(smooth_line(plate), 1.6, 0.32 * strength, 0.5)
    for down, front, back in ((-30.0, 8.0, 2.0), (-54.0, 22.0, 4.0)):
        remnant = column.sacrum_place([(-half + front, down + 2), (half - 4 + back, down)])
        layer.stroke(remnant, 2.2, -0.10 * strength, 0.7)


def draw_iliac_wings(layer: Layer, column: Column, pose: Pose, strength: float) -> None:
    """Add both iliac wings, faint, with their bright crests; the two sides are apart by the pose's turn."""
    level = column["L5"].centre_mm
    for side in (-0.5, 0.5):
        place = level + np.array([side * pose.turn_mm, side * pose.turn_mm * 0.7])
        crest = place + np.array(_CREST_MM)
        wing = smooth_line(np.concatenate([crest, place + np.array(_BELOW_CREST_MM)]))
        layer.fill(wing, 0.08 * strength, 1.5, rim=0.04 * strength, rim_mm=3.0)
        layer.stroke(smooth_line(crest), 3.4, 0.10 * strength, 1.0)
