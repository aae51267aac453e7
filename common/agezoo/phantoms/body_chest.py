"""Lungs, airways, diaphragm and gullet of a whole-body phantom."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.body_canvas import BodyCanvas, Tissue
from agezoo.phantoms.body_envelope import Envelope, muscle
from agezoo.phantoms.body_labels import LUNGS, OTHER_SOFT_TISSUE
from agezoo.phantoms.body_shape import BodyShape
from agezoo.phantoms.torso_grid import smooth_path
from agezoo.phantoms.torso_vessels import vessel_tree

AIR = Tissue(0.0, 0.0)
BLOOD = Tissue(0.80, 0.02)

# Height, half width of what lies between the lungs to the left and to the right of the midline, at its front and back.
_BETWEEN = np.array(
    [
        (190, 30, 30),
        (230, 34, 32),
        (280, 30, 30),
        (330, 28, 27),
        (370, 32, 27),
        (400, 28, 26),
        (440, 22, 22),
        (480, 20, 20),
    ],
    float,
)


def diaphragm_mm(canvas: BodyCanvas, shape: BodyShape) -> np.ndarray:
    """Height (mm) of the diaphragm over every column of voxels, float32 of shape (rows, columns)."""
    x = canvas.grid.patient_x / np.float32(shape.girth)
    y = canvas.grid.patient_y / np.float32(shape.girth)
    domes = []
    for side, top in ((-1, 266.0), (1, 252.0)):
        away = ((x - side * 62.0) / 72.0) ** 2 + ((y + 8.0) / 92.0) ** 2
        domes.append(top + shape.breath_mm - 62.0 * away**1.3)
    height = np.maximum(domes[0], domes[1])
    middle = np.maximum(height, 226.0 + shape.breath_mm - 0.004 * x**2 - 0.5 * np.clip(y - 20.0, 0.0, None))
    return np.asarray(shape.z_mm(np.maximum(middle, 120.0)), np.float32)


def draw_chest(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, diaphragm: np.ndarray) -> None:
    """Paint diaphragm, lungs, airways and gullet."""
    box = canvas.box((-200.0, -180.0, float(shape.z_mm(110.0))), (200.0, 140.0, float(shape.z_mm(480.0))))
    if box is None:
        return
    x, y, z = canvas.coordinates(box)
    above = z - diaphragm[box[1], box[2]][None]
    height = z[:, 0, 0] / shape.stretch
    left, right = (np.interp(height, _BETWEEN[:, 0], _BETWEEN[:, column])[:, None, None] for column in (1, 2))
    # Towards the sternum and the spine the lungs come closer together.
    pinch = 1.0 - 0.55 * np.clip(np.abs(y + 6.0) / 75.0, 0.0, 1.0) ** 2
    from_middle = np.where(x > 0, x - left * pinch * shape.girth, -x - right * pinch * shape.girth)
    chest = np.minimum(envelope.cavity[box] - 2.0, from_middle)
    sheet = canvas.share(np.minimum(envelope.cavity[box], 2.0 - np.abs(above + 1.0)).astype(np.float32))
    canvas.mix(box, sheet * (height[:, None, None] < 300.0), muscle(shape), OTHER_SOFT_TISSUE)
    lungs = np.minimum(chest, above - 1.0).astype(np.float32)
    # Blood pools at the back of someone who lies on it.
    rest = np.clip(y / 90.0, -1.0, 1.0)
    share = canvas.share(lungs)
    canvas.mix(box, share, Tissue(shape.lung_water * (1.0 + 0.35 * rest) + 0.0 * z, 0.01), LUNGS)
    rng = shape.subject.rng("lung vessels")
    for side in (1, -1):
        count = 70
        tips = np.stack(
            [side * rng.uniform(48, 112, count), rng.uniform(-62, 66, count), shape.z_mm(rng.uniform(190, 430, count))],
            1,
        )
        tips[:, :2] *= shape.girth
        root = np.array([side * 34.0 * shape.girth, 4.0, float(shape.z_mm(345.0))])
        tree = vessel_tree(rng, root, tips, 0.9, step_mm=max(0.8 * canvas.voxel_mm, 2.0))
        found = canvas.balls(tree[:, :3], np.minimum(tree[:, 3], 7.0))
        if found is not None:
            _within(canvas, found, box, lungs, canvas.voxel_mm)
    z_mm = shape.z_mm(np.array([346.0, 380.0, 430.0, 480.0, 530.0, 620.0]))
    pipe = np.stack([np.array([-2.0, 0, 0, 0, 0, 0]), np.array([4.0, -4, -16, -26, -32, -36]), z_mm], axis=1)
    _airway(canvas, smooth_path(pipe, 4.0), 9.0 * shape.girth)
    for side in (1, -1):
        branch = np.array([pipe[0], pipe[0] + [side * 22, 4, -14], pipe[0] + [side * 44, 6, -30]])
        _airway(canvas, smooth_path(branch, 3.0), 6.0 * shape.girth)
    gullet = np.array([(6.0, 14, 226), (2, 20, 270), (-2, 22, 330), (0, 12, 420), (0, -6, 500), (0, -10, 620)])
    gullet[:, 2] = shape.z_mm(gullet[:, 2])
    canvas.paint(canvas.balls(smooth_path(gullet, 4.0), 6.5), muscle(shape), OTHER_SOFT_TISSUE)


def _within(
    canvas: BodyCanvas,
    found: tuple[tuple[slice, slice, slice], np.ndarray],
    box: tuple[slice, slice, slice],
    lungs: np.ndarray,
    voxel_mm: float,
) -> None:
    """Paint the vessels where there is lung; those thinner than a voxel fill the part of it that their section has."""
    inner, depth = found
    room = np.full(canvas.water.shape, -50.0, np.float32)[inner] if inner != box else lungs
    if inner != box:
        starts = [max(a.start, b.start) for a, b in zip(inner, box, strict=True)]
        stops = [min(a.stop, b.stop) for a, b in zip(inner, box, strict=True)]
        if any(a >= b for a, b in zip(starts, stops, strict=True)):
            return
        target = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(starts, stops, inner, strict=True))
        source = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(starts, stops, box, strict=True))
        room[target] = lungs[source]
    thin = min(1.0, (5.0 / voxel_mm) ** 2)
    canvas.mix(inner, thin * canvas.share(np.minimum(depth, room)), BLOOD)


def _airway(canvas: BodyCanvas, points_mm: np.ndarray, radius_mm: float) -> None:
    found = canvas.balls(points_mm, radius_mm + 1.8)
    canvas.paint(found, Tissue(0.6, 0.05), OTHER_SOFT_TISSUE)
    if found is not None:
        canvas.paint((found[0], found[1] - np.float32(1.8)), AIR)
