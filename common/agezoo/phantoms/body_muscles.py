"""Muscles of a whole-body phantom that have a label of their own, and the fat between muscles."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.body_ageing import BodySigns
from agezoo.phantoms.body_canvas import TOUCHED, BodyCanvas, Tissue
from agezoo.phantoms.body_envelope import FAT, MUSCLE, Envelope, muscle
from agezoo.phantoms.body_labels import BACK_MUSCLES, GLUTEAL_MUSCLES, OTHER_SOFT_TISSUE, PSOAS, THIGH_MUSCLES
from agezoo.phantoms.body_shape import BodyShape
from agezoo.phantoms.body_spine import SpineCourse

# Height, sideways place, half width and half depth of the back muscles' compartment; its back lies on the fascia.
_BACK = np.array(
    [
        (-75, 22, 14, 8),
        (-40, 27, 25, 17),
        (20, 33, 33, 22),
        (90, 34, 35, 23),
        (160, 32, 33, 21),
        (230, 29, 29, 17),
        (310, 26, 25, 14),
        (390, 24, 22, 14),
        (440, 23, 22, 16),
        (500, 20, 19, 18),
        (600, 20, 18, 18),
    ],
    float,
)
# Height, sideways place, place in front of (-) the spine's centres, half width and half depth of the psoas.
_PSOAS = np.array(
    [
        (-165, 104, -8, 5, 6),
        (-140, 96, -22, 12, 12),
        (-110, 84, -44, 16, 14),
        (-70, 72, -44, 20, 17),
        (-20, 60, -24, 22, 20),
        (30, 49, -6, 21, 22),
        (80, 40, 2, 16, 19),
        (115, 34, 6, 10, 14),
        (135, 31, 8, 5, 8),
    ],
    float,
)


def draw_limb_muscles(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope) -> None:
    """Label the muscles of thigh and seat, and paint the fat between muscles of thigh, seat, chest and belly."""
    z = shape.nominal_z(canvas.z_mm)
    _seat(canvas, shape, envelope, z)
    for side in (1, -1):
        found = canvas.column(shape.thigh(side), power=2.2)
        if found is not None:
            _thigh(canvas, shape, envelope, side)
    _wall(canvas, envelope, z)
    for side in (1, -1):
        canvas.paint(canvas.column(shape.arm(side), power=2.2), muscle(shape), OTHER_SOFT_TISSUE)


def _seat(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, nominal: np.ndarray) -> None:
    rows = np.flatnonzero((nominal > -205.0) & (nominal < 25.0))
    if not len(rows):
        return
    box = (slice(int(rows[0]), int(rows[-1]) + 1), *canvas.everything[1:])
    x, y, z = canvas.coordinates(box)
    size = shape.girth
    height = z / np.float32(shape.stretch)
    side = np.abs(x)
    # Gluteus maximus lies behind a plane that slopes outward; medius and minimus on the outside of the wing.
    behind = y - (66.0 - 0.34 * side / size + 0.10 * (height + 100.0)) * size
    lateral = side - (104.0 + 0.16 * np.clip(height + 100, -60.0, 200.0)) * size
    outside = np.minimum(np.minimum(lateral, y + 26.0 * size), np.minimum(height + 135.0, 14.0 - height))
    maximus = np.minimum(behind, np.minimum(height + 198.0, 5.0 - height - 0.4 * (y - 60.0)))
    maximus = np.minimum(maximus, side - 14.0)
    muscles = np.minimum(np.maximum(maximus, outside), np.minimum(envelope.fascia[box], -envelope.cavity[box] - 6.0))
    canvas.labels[box][muscles >= 0] = GLUTEAL_MUSCLES
    both = np.minimum(envelope.fascia[box] - 2.0, -envelope.cavity[box] - 6.0)
    seat = np.minimum(both, np.minimum(height + 198.0, 10.0 - height))
    _sheet(canvas, box, behind, 4.5, np.minimum(seat, side - 14.0))
    _sheet(canvas, box, lateral, 3.0, np.minimum(seat, np.minimum(-behind, height + 135.0)))
    # Strands of fat run through the maximus.
    strands = canvas.streaks(box, shape.subject.rng("seat"), pitch_mm=(16.0, 9.0, 34.0))
    canvas.mix(box, canvas.share(np.minimum(maximus, both)) * np.clip(0.25 * strands - 0.03, 0.0, 0.4), FAT)


def _thigh(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, side: int) -> None:
    found = canvas.column(shape.thigh(side), power=2.2)
    if found is None:
        return
    box, depth = found
    x, y, z = canvas.coordinates(box)
    height = z / np.float32(shape.stretch)
    knots = shape.thigh(side)
    centre_x = np.interp(z, knots[:, 0], knots[:, 1]).astype(np.float32)
    centre_y = np.interp(z, knots[:, 0], knots[:, 2]).astype(np.float32)
    below = -188.0 - height - 0.15 * (y - centre_y)
    labels = canvas.labels[box]
    labels[(depth > 0) & (below > 0) & (labels == OTHER_SOFT_TISSUE)] = THIGH_MUSCLES
    outward, back = side * (x - centre_x), y - centre_y
    size = shape.limb
    inner = np.minimum(depth - 1.0, below + 20.0)
    # Walls between quadriceps, adductors and hamstrings leave the femur in three directions; they thicken to the knee.
    thick = 2.0 + 1.6 * np.clip((-250.0 - height) / 250.0, 0.0, 1.2)
    bends = shape.subject.rng("thigh").uniform(0.0, 6.0, 3)
    for start, bend in zip((0.35, 2.45, -1.75), bends, strict=True):
        angle = start + 0.28 * np.sin(height / 95.0 + bend)
        forward = outward * np.cos(angle) + back * np.sin(angle)
        off = -outward * np.sin(angle) + back * np.cos(angle) + 4.0 * np.sin(forward / (19.0 * size) + angle)
        _sheet(canvas, box, off, thick, np.minimum(inner, forward - 16.0 * size))
    # The layer between rectus and vasti, and the triangle of fat above the knee's hollow.
    arc = np.hypot(outward + 9.0 * np.sin(height / 110.0), back) - (43.0 + 0.02 * (height + 330.0)) * size
    _sheet(canvas, box, arc, 1.8, np.minimum(inner, -back - 16.0 * size))
    hollow = np.clip((-415.0 - height) * 0.22, -5.0, 23.0) * size - np.hypot(outward, back - 36.0 * size)
    canvas.paint((box, np.minimum(hollow, depth).astype(np.float32)), FAT)


def _wall(canvas: BodyCanvas, envelope: Envelope, nominal: np.ndarray) -> None:
    """Thin layers of fat in the wall of chest and belly, at fixed shares of its thickness."""
    rows = np.flatnonzero((nominal > -60.0) & (nominal < 430.0))
    if not len(rows):
        return
    for part in np.array_split(rows, max(len(rows) // 40, 1)):
        box = (slice(int(part[0]), int(part[-1]) + 1), *canvas.everything[1:])
        fascia, cavity = envelope.fascia[box], envelope.cavity[box]
        thickness = fascia - cavity
        wall = np.minimum(np.minimum(fascia - 1.0, -cavity - 1.0), 42.0 - thickness)
        for place in (0.36, 0.68):
            _sheet(canvas, box, fascia - place * thickness, 1.1, wall)


def _sheet(
    canvas: BodyCanvas,
    box: tuple[slice, slice, slice],
    surface_mm: np.ndarray,
    thickness_mm: float | np.ndarray,
    within_mm: np.ndarray,
) -> None:
    """Paint a sheet of fat around the zero of a signed distance; thinner than a voxel, it fills a part of it."""
    half = np.float32(0.5) * np.asarray(thickness_mm, np.float32)
    share = (canvas.share(surface_mm + half) - canvas.share(surface_mm - half)) * canvas.share(within_mm)
    canvas.mix(box, 0.9 * share, FAT)


def draw_back_muscles(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, signs: BodySigns) -> None:
    """Paint the muscles along the spine; what they lose in size within their compartment, fat takes."""
    _, fascia, _ = shape.contours_mm(shape.z_mm(_BACK[:, 0]))
    rng = shape.subject.rng("back muscles")
    amount = signs.back_muscle_fat_fraction
    for side in (1, -1):
        knots = np.zeros((len(_BACK), 5))
        knots[:, 0] = shape.z_mm(_BACK[:, 0])
        knots[:, 1] = side * _BACK[:, 1] * shape.girth
        knots[:, 3:] = _BACK[:, 2:] * shape.girth
        # Columns 180 of the contour point to the back.
        knots[:, 2] = np.minimum(fascia[:, 180] + 3.0, fascia[:, 200]) - 4.0 - knots[:, 4]
        found = canvas.column(knots, power=2.5)
        if found is None:
            continue
        box, depth = found
        depth = np.minimum(depth, np.minimum(envelope.fascia[box] - 2.0, -envelope.cavity[box] - 7.0))
        canvas.paint((box, depth), FAT, BACK_MUSCLES, label_share=TOUCHED)
        shrunk = knots.copy()
        shrunk[:, 3:] *= signs.back_muscle_size
        shrunk[:, 2] -= 0.4 * (knots[:, 4] - shrunk[:, 4])
        found = canvas.column(shrunk, power=2.5)
        if found is None:
            continue
        box, inner = found
        inner = np.minimum(inner, np.minimum(envelope.fascia[box] - 2.5, -envelope.cavity[box] - 7.5))
        canvas.paint((box, inner), _streaked(canvas, box, amount, rng))


def _streaked(
    canvas: BodyCanvas, box: tuple[slice, slice, slice], fat_fraction: float, rng: np.random.Generator
) -> Tissue:
    """Muscle with strands of fat along it; their mean share is the fat fraction."""
    strands = canvas.streaks(box, rng, pitch_mm=(15.0, 13.0, 75.0))
    share = np.clip(fat_fraction * (1.0 + 0.8 * strands), 0.0, 1.0)
    return Tissue(MUSCLE.water * (1.0 - share), MUSCLE.fat + (FAT.fat - MUSCLE.fat) * share)


def draw_psoas(canvas: BodyCanvas, shape: BodyShape) -> None:
    """Paint the psoas muscles, from the first lumbar vertebra to the femur."""
    course = SpineCourse(shape)
    z = shape.z_mm(_PSOAS[:, 0])
    y = (
        np.interp(_PSOAS[:, 0], (-70, -20), (0, 1)) * course.y_mm(z)
        + np.interp(_PSOAS[:, 0], (-70, -20), (1, 0)) * 22.0
    )
    for side in (1, -1):
        knots = np.stack([z, side * _PSOAS[:, 1], y + _PSOAS[:, 2], _PSOAS[:, 3], _PSOAS[:, 4]], axis=1)
        knots[:, 1:] *= shape.girth
        knots[:, 3:] *= 1.0 + 0.05 * shape.subject.muscularity
        knots[:, 1] *= shape.hip_factor
        canvas.paint(canvas.column(knots), muscle(shape), PSOAS)
