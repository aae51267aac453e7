"""Heart of a whole-body phantom: ventricles, atria and the fat around them."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.body_ageing import BodySigns
from agezoo.phantoms.body_canvas import TOUCHED, BodyCanvas, Tissue
from agezoo.phantoms.body_envelope import FAT, Envelope
from agezoo.phantoms.body_labels import HEART
from agezoo.phantoms.body_shape import BodyShape


def draw_heart(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, signs: BodySigns) -> None:
    """Paint the heart; its long axis points to the left, the front and the feet."""
    size = shape.heart_size
    centre = np.array([20.0 * shape.girth, -30.0 * shape.girth, float(shape.z_mm(284.0)) + 0.4 * shape.breath_mm])
    box = canvas.box(centre - 115.0, centre + 115.0)
    if box is None:
        return
    apex = np.array([0.70, -0.52, -0.49])
    apex /= np.linalg.norm(apex)
    # The right ventricle lies to the right and in front of the left one.
    right = np.array([-0.55, -0.80, 0.05])
    right -= apex * (right @ apex)
    right /= np.linalg.norm(right)
    up = np.cross(apex, right)
    x, y, z = canvas.coordinates(box)
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    u, v, w = (((axis[0] * dx + axis[1] * dy + axis[2] * dz) / size).astype(np.float32) for axis in (apex, right, up))

    def oval(place: tuple[float, float, float], axes: tuple[float, float, float]) -> np.ndarray:
        rho = np.sqrt(sum(((p - q) / a) ** 2 for p, q, a in zip((u, v, w), place, axes, strict=True)))
        return np.asarray((1.0 - rho) * min(axes) * size, np.float32)

    wall, atrium = signs.heart_wall_mm, signs.atrium_factor
    ventricles = oval((8.0, 0.0, 0.0), (54.0, 40.0, 38.0))
    left = oval((6.0, -12.0, 0.0), (48.0, 28.0, 30.0))
    left_atrium = (-36.0, -12.0, 6.0), (22.0 * atrium, 27.0 * atrium, 27.0 * atrium)
    right_atrium = (-26.0, 24.0, -8.0), (21.0 * atrium, 22.0 * atrium, 27.0 * atrium)
    atria = np.maximum(oval(*left_atrium), oval(*right_atrium))
    whole = np.maximum(ventricles, atria)
    inside = envelope.cavity[box] - np.float32(3.0)
    canvas.paint(
        (box, np.minimum(whole + np.float32(signs.pericardial_fat_mm), inside)), FAT, HEART, label_share=TOUCHED
    )
    share = signs.myocardium_fat_fraction
    blood = Tissue(signs.heart_blood_signal, 0.01)
    muscle = Tissue(0.84 * (1.0 - share), 0.92 * share)
    canvas.paint((box, np.minimum(ventricles, inside)), muscle, HEART, label_share=TOUCHED)
    canvas.paint((box, np.minimum(atria, inside)), muscle, HEART, label_share=TOUCHED)
    canvas.paint((box, np.minimum(atria - np.float32(2.0), inside)), blood)
    chamber = np.minimum(oval((8.0, 18.0, 0.0), (42.0, 17.0, 28.0)), -left)
    canvas.paint((box, np.minimum(chamber, ventricles - np.float32(4.0))), blood)
    canvas.paint((box, np.minimum(left - np.float32(wall), ventricles - np.float32(wall))), blood)
