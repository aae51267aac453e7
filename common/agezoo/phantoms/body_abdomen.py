"""Liver, spleen, kidneys, pancreas, stomach, bowel and pelvic organs of a whole-body phantom."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.body_canvas import BodyCanvas, Tissue
from agezoo.phantoms.body_envelope import FAT, Envelope, muscle
from agezoo.phantoms.body_labels import BLADDER, BOWEL, KIDNEYS, LIVER, OTHER_SOFT_TISSUE, PANCREAS, SPLEEN
from agezoo.phantoms.body_shape import BodyShape
from agezoo.phantoms.body_spine import SpineCourse
from agezoo.phantoms.torso_grid import Box, smooth_path
from agezoo.phantoms.torso_vessels import vessel_tree

GAS = Tissue(0.0, 0.0)
WALL = Tissue(0.66, 0.05)
FLUID = Tissue(0.95, 0.0)
VESSEL = Tissue(0.88, 0.02)


def draw_abdomen(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, diaphragm: np.ndarray) -> None:
    """Paint the organs of belly and pelvis.

    Parameters
    ----------
    canvas, shape, envelope
        The canvas and the person.
    diaphragm
        Height of the diaphragm, as returned by `body_chest.diaphragm_mm`.
    """
    visit = shape.subject.visit_rng("filling")
    rng = shape.subject.rng("abdomen")
    sizes = dict(zip(("liver", "spleen", "kidneys"), np.exp(0.08 * rng.standard_normal(3).clip(-2, 2)), strict=True))
    _draw_bowel(canvas, shape, envelope, diaphragm, visit)
    _draw_upper(canvas, shape, envelope, diaphragm, visit, sizes)
    _draw_kidneys(canvas, shape, float(sizes["kidneys"]))
    _draw_pelvis(canvas, shape, visit)


def _paint_within(
    canvas: BodyCanvas,
    envelope: Envelope,
    diaphragm: np.ndarray,
    found: tuple[Box, np.ndarray] | None,
    layers: tuple[tuple[float, Tissue], ...],
    label: int,
) -> None:
    """Paint an organ, cut by the wall of the cavity and the diaphragm, in layers from the outside in."""
    found = envelope.keep_inside(found, 3.0)
    if found is None:
        return
    box, depth = found
    below = diaphragm[box[1], box[2]][None] - canvas.coordinates(box)[2] - np.float32(2.0)
    depth = np.minimum(depth, below)
    for inward, tissue in layers:
        canvas.paint((box, depth - np.float32(inward)), tissue, label)


def _draw_upper(
    canvas: BodyCanvas,
    shape: BodyShape,
    envelope: Envelope,
    diaphragm: np.ndarray,
    visit: np.random.Generator,
    sizes: dict[str, float],
) -> None:
    size = shape.girth

    def level(nominal: float) -> float:
        return float(shape.z_mm(nominal)) + 0.7 * shape.breath_mm

    large = float(sizes["spleen"])
    spleen = canvas.ellipsoid(
        (88.0 * size, 34.0 * size, level(200.0)),
        (31.0 * large, 46.0 * large, 54.0 * large),
        tilt_rad=(0.35, 0.25, 0.5),
        dent=0.06,
    )
    _paint_within(canvas, envelope, diaphragm, spleen, ((0.0, Tissue(0.90, 0.01)),), SPLEEN)
    knots = [(52, 18, 228, 27), (66, -6, 203, 31), (64, -34, 172, 27), (36, -50, 142, 20), (4, -50, 134, 15)]
    path = smooth_path(
        np.array([(a * size, b * size, level(c), d * size) for a, b, c, d in [*knots, (-22, -40, 138, 11)]]), 7.0
    )
    found = canvas.balls(path[:, :3], path[:, 3])
    if found is not None:
        # Gas floats in front, for the patient lies on the back.
        surface = canvas.coordinates(found[0])[1] - np.float32(-46.0 * size + 14.0 * visit.standard_normal())
        content = Tissue(0.80 * canvas.share(surface), 0.06 * canvas.share(surface))
        _paint_within(canvas, envelope, diaphragm, found, ((0.0, WALL), (4.5, content)), BOWEL)
    _draw_liver(canvas, shape, envelope, diaphragm, float(sizes["liver"]))
    gall = canvas.ellipsoid((-44.0 * size, -50.0 * size, level(124.0)), (13.0, 27.0, 15.0), tilt_rad=(0.5, 0.0, 0.3))
    _paint_within(canvas, envelope, diaphragm, gall, ((0.0, FLUID),), OTHER_SOFT_TISSUE)
    pancreas = [(-28, -24, 120, 13), (-4, -30, 134, 10), (24, -16, 152, 10), (62, 14, 174, 10)]
    path = smooth_path(np.array([(a * size, b * size, level(c), d) for a, b, c, d in pancreas]), 4.0)
    share = shape.pancreas_fat_fraction
    tissue = Tissue(0.86 * (1.0 - share), 0.92 * share)
    canvas.paint(canvas.balls(path[:, :3], path[:, 3]), tissue, PANCREAS)


def _draw_liver(canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, diaphragm: np.ndarray, large: float) -> None:
    """Under the right dome, along the wall, with an oblique lower and left edge."""
    size = shape.girth
    box = canvas.box((-200.0, -190.0, float(shape.z_mm(60.0))), (150.0, 120.0, float(shape.z_mm(300.0))))
    if box is None:
        return
    x, y, z = canvas.coordinates(box)
    height = (z - 0.7 * shape.breath_mm) / np.float32(shape.stretch)
    below = diaphragm[box[1], box[2]][None] - z - 2.0
    room = np.minimum(envelope.cavity[box] - 4.0, below)
    edge = 100.0 - 120.0 * (large - 1.0) + 0.62 * np.clip(x + 78.0 * size, 0.0, None) + 0.12 * (y + 20.0)
    reach = 66.0 * size * large - 1.1 * np.clip(y + 28.0 * size, 0.0, None) - x
    organ = _soft_min(_soft_min(room, 0.85 * (height - edge), 14.0), np.broadcast_to(0.7 * reach, room.shape), 16.0)
    organ = organ.astype(np.float32)
    fat = shape.subject.liver_fat_fraction
    canvas.paint((box, organ), Tissue(0.84 * (1.0 - fat), 0.92 * fat), LIVER)
    rng = shape.subject.rng("liver vessels")
    tips = np.stack(
        [rng.uniform(-120, 40, 60) * size, rng.uniform(-75, 60, 60) * size, shape.z_mm(rng.uniform(118, 248, 60))], 1
    )
    root = np.array([-22.0 * size, -10.0, float(shape.z_mm(165.0))])
    tree = vessel_tree(rng, root, tips, 1.0, step_mm=max(0.8 * canvas.voxel_mm, 2.0))
    found = canvas.balls(tree[:, :3], np.minimum(tree[:, 3], 6.0))
    if found is None:
        return
    inner, depth = found
    thin = min(1.0, (6.0 / canvas.voxel_mm) ** 2)
    canvas.mix(inner, thin * canvas.share(depth) * (canvas.labels[inner] == LIVER), VESSEL)


def _soft_min(first: np.ndarray, second: np.ndarray, width_mm: float) -> np.ndarray:
    """Smooth minimum: rounds the edge where two surfaces meet."""
    overlap = np.clip(0.5 + 0.5 * (second - first) / width_mm, 0.0, 1.0)
    return np.asarray(second + (first - second) * overlap - width_mm * overlap * (1.0 - overlap))


def _draw_kidneys(canvas: BodyCanvas, shape: BodyShape, large: float) -> None:
    size = shape.girth
    rng = shape.subject.rng("kidneys")
    course = SpineCourse(shape)
    for side, level in ((1, 140.0), (-1, 126.0)):
        z = float(shape.z_mm(level + 5.0 * rng.standard_normal())) + 0.5 * shape.breath_mm
        x, y = side * (64.0 + 2.0 * rng.standard_normal()) * size, float(course.y_mm(z)) + 8.0
        turn = (-0.15, side * -0.22, side * 0.75)
        for scale, tissue in ((1.0, Tissue(0.90, 0.02)), (0.70, Tissue(0.76, 0.03))):
            axes = (22.0 * size * scale * large, 27.0 * size * scale * large, 53.0 * (0.2 + 0.8 * scale) * large)
            canvas.paint(canvas.ellipsoid((x, y, z), axes, tilt_rad=turn, dent=0.04), tissue, KIDNEYS)
        sinus = canvas.ellipsoid((x - side * 11.0, y - 5.0, z), (14.0, 8.0, 22.0), tilt_rad=turn)
        canvas.paint(sinus, FAT)
        canvas.paint(canvas.ellipsoid((x - side * 9.0, y - 3.0, z), (6.0, 5.0, 11.0), tilt_rad=turn), FLUID)


def _draw_bowel(
    canvas: BodyCanvas, shape: BodyShape, envelope: Envelope, diaphragm: np.ndarray, visit: np.random.Generator
) -> None:
    rng = shape.subject.rng("bowel")
    # Visceral fat pushes the loops apart.
    wide = shape.girth * (1.0 + 0.05 * shape.visceral)
    spread = shape.girth * (1.0 + 0.15 * shape.visceral)

    def placed(points: np.ndarray) -> np.ndarray:
        result = points * np.array([wide, 1.0, 1.0])
        result[:, 1] *= np.where(points[:, 1] < 0, spread, shape.girth)
        result[:, 2] = shape.z_mm(points[:, 2])
        return result

    def loop(path: np.ndarray, radius: np.ndarray | float, wall_mm: float, content: Tissue) -> None:
        found = canvas.balls(path, radius)
        _paint_within(canvas, envelope, diaphragm, found, ((0.0, WALL), (wall_mm, content)), BOWEL)

    centres = np.stack(
        [rng.permutation(np.linspace(-46, 46, 11)), rng.uniform(-54, -24, 11), np.linspace(-74, 84, 11)], 1
    )
    for centre in centres:
        path = smooth_path(placed(centre + rng.uniform((-42, -20, -26), (42, 14, 26), (11, 3))), 6.0)
        full = float(visit.uniform(0.45, 0.85))
        loop(path, float(rng.uniform(9.0, 12.5)), 2.8, Tissue(full, 0.05))
        if visit.random() < 0.3:
            canvas.paint(canvas.balls(path[:: max(len(path) // 4, 1)] - [0.0, 3.0, 0.0], 6.0), GAS)
    knots = [(-82, 4, -25, 24), (-92, 2, 30, 22), (-90, -2, 92, 20), (-50, -52, 92, 19), (0, -66, 84, 18)]
    knots += [(56, -56, 112, 18), (90, -4, 152, 17), (94, 14, 90, 15), (92, 12, 20, 14), (72, -4, -40, 13)]
    knots += [(26, -14, -62, 14), (-12, 8, -70, 14), (2, 36, -92, 15), (0, 38, -132, 15), (0, 38, -158, 9)]
    colon = np.array(knots, float)
    path = smooth_path(np.concatenate([placed(colon[:, :3]), colon[:, 3:]], axis=1), 5.0)
    radius = np.clip(path[:, 3] * (1.0 + 0.13 * np.sin(np.arange(len(path)) * 1.05 + rng.uniform(0, 6))), 6.0, 26.0)
    loop(path[:, :3], radius, 2.6, Tissue(0.40, float(visit.uniform(0.1, 0.3))))
    bubbles = visit.random(len(path)) < 0.5
    lifted = path[bubbles, :3] - np.array([0.0, 0.42, 0.0]) * radius[bubbles, None]
    canvas.paint(canvas.balls(lifted, 0.44 * radius[bubbles]), GAS)


def _draw_pelvis(canvas: BodyCanvas, shape: BodyShape, visit: np.random.Generator) -> None:
    size = shape.girth
    z = float(shape.z_mm(-112.0))
    full = float(visit.uniform(0.75, 1.25))
    place = (0.0, -28.0 * size, z + 10.0 * (full - 1.0))
    found = canvas.ellipsoid(place, (35.0 * full, 26.0 * full, 25.0 * full), power=2.3)
    canvas.paint(found, WALL, BLADDER)
    if found is not None:
        canvas.paint((found[0], found[1] - np.float32(3.0)), FLUID)
    if shape.female:
        found = canvas.ellipsoid((3.0, 6.0, z + 18.0), (26.0, 19.0, 30.0), tilt_rad=(0.6, 0.0, 0.0))
    else:
        found = canvas.ellipsoid((0.0, -20.0 * size, z - 36.0), (23.0, 18.0, 16.0))
    canvas.paint(found, Tissue(0.80, 0.02), OTHER_SOFT_TISSUE)
    floor = canvas.ellipsoid((0.0, 10.0 * size, float(shape.z_mm(-160.0))), (46.0 * size, 50.0 * size, 8.0))
    canvas.paint(floor, muscle(shape), OTHER_SOFT_TISSUE)
