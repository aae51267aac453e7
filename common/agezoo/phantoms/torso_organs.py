"""Heart, liver, spleen, kidneys, stomach, bowel and pelvic organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agezoo.phantoms.torso_anatomy import Torso
from agezoo.phantoms.torso_grid import Box, TorsoGrid, smooth_path
from agezoo.phantoms.torso_vessels import vessel_tree
from agezoo.phantoms.torso_wall import FAT_HU, Texture

GAS_HU = -960.0


@dataclass(frozen=True)
class Enhancement:
    """Attenuation (HU) of blood and organs in one contrast phase."""

    artery: float
    vein: float
    myocardium: float
    liver: float
    spleen: float
    kidney: float
    pancreas: float
    bowel_wall: float


def draw_organs(grid: TorsoGrid, torso: Torso, *, diaphragm: np.ndarray, phase: Enhancement, filling_seed: int) -> None:
    """Draw the organs of chest, abdomen and pelvis.

    Parameters
    ----------
    grid, torso
        The canvas and the person.
    diaphragm
        Height of the diaphragm, as returned by `torso_wall.diaphragm_mm`.
    phase
        Contrast phase.
    filling_seed
        Changes what differs between two visits: gas, stool and urine.
    """
    _, _, cavity = torso.contours_mm(grid.z_mm)
    visit = np.random.default_rng([*torso.subject.seed, filling_seed])
    before = grid.hu.copy()
    _draw_bowel(grid, torso, phase, visit)
    _keep_inside(grid, before, cavity)
    _draw_upper_abdomen(grid, torso, cavity, diaphragm, phase, visit)
    _draw_kidneys(grid, torso, phase)
    _draw_heart(grid, torso, phase)
    _draw_pelvic_organs(grid, torso, visit)


def _cavity_depth(grid: TorsoGrid, cavity: np.ndarray, box: Box) -> np.ndarray:
    direction = grid.direction[box[1], box[2]]
    return np.stack([cavity[k][direction] for k in range(box[0].start, box[0].stop)]) - grid.radius[box[1], box[2]]


def _keep_inside(grid: TorsoGrid, before: np.ndarray, cavity: np.ndarray) -> None:
    """Undo what was painted within 2 mm of the wall of the cavity or outside of it."""
    for k, plane in enumerate(grid.hu):
        inside = grid.share(cavity[k][grid.direction] - 2.0 - grid.radius)
        plane -= (1.0 - inside) * (plane - before[k])


def _soft_min(first: np.ndarray, second: np.ndarray, width_mm: float) -> np.ndarray:
    """Smooth minimum: rounds the edge where two surfaces meet."""
    overlap = np.clip(0.5 + 0.5 * (second - first) / width_mm, 0.0, 1.0)
    return second + (first - second) * overlap - width_mm * overlap * (1.0 - overlap)


def _draw_upper_abdomen(
    grid: TorsoGrid,
    torso: Torso,
    cavity: np.ndarray,
    diaphragm: np.ndarray,
    phase: Enhancement,
    visit: np.random.Generator,
) -> None:
    size = torso.girth
    rng = torso.subject.rng("upper abdomen")
    low, high = float(torso.z_mm(78.0)), float(torso.z_mm(285.0))
    box = grid.box(np.array([-170.0, -150.0, low]), np.array([170.0, 120.0, high]))
    if box is None:
        return
    x, y, z = grid.coordinates(box)
    height = torso.nominal_z(z)[:, None, None].astype(np.float32)
    below = diaphragm[box[1], box[2]][None] - z[:, None, None] - 2.0
    room = np.minimum(_cavity_depth(grid, cavity, box) - 4.0, below)

    # Spleen.
    centre = (88.0 * size, 34.0 * size, float(torso.z_mm(208.0)))
    found = grid.depth_of_ellipsoid(centre, (33.0, 50.0, 56.0), tilt_rad=(0.35, 0.25, 0.5), dent=0.06)
    if found is not None:
        inner, depth = found
        organ = np.minimum(depth, _inside(room, box, inner))
        grid.paint(inner, organ, phase.spleen, label=0)
    # Stomach with a level between gas (in front, the patient lies on the back) and fluid.
    level = -40.0 * size + 14.0 * visit.standard_normal()
    knots = [(52, 22, 232, 30), (66, -6, 205, 34), (64, -34, 172, 29), (36, -50, 140, 21), (4, -50, 132, 16)]
    knots += [(-22, -40, 138, 12)]
    path = smooth_path(np.array([(a * size, b * size, float(torso.z_mm(c)), d) for a, b, c, d in knots]), 7.0)
    found = grid.depth_of_points(path[:, :3], path[:, 3])
    if found is not None:
        inner, depth = found
        organ = np.minimum(depth, _inside(room, box, inner))
        grid.paint(inner, organ, phase.bowel_wall, label=0)
        depth_y = grid.patient_y[inner[1], inner[2]]
        content = np.where(depth_y < level, GAS_HU, 22.0).astype(np.float32)
        grid.paint(inner, organ - 4.0, np.broadcast_to(content, organ.shape))
    # Liver: under the right dome, along the wall, with an oblique lower and left edge.
    edge = 96.0 + 12.0 * rng.standard_normal() + 0.62 * np.clip(x + 78.0 * size, 0.0, None) + 0.12 * (y + 20.0)
    lower = height - edge[None]
    reach = (68.0 + 8.0 * rng.standard_normal()) * size - 1.1 * np.clip(y + 28.0 * size, 0.0, None) - x
    organ = _soft_min(_soft_min(room, lower, 14.0), np.broadcast_to(reach[None], lower.shape), 16.0)
    grid.paint(box, organ.astype(np.float32), phase.liver, label=0)
    texture = Texture(grid, rng.uniform(0, 96, 3), pitch_mm=4.0)
    tips = np.stack(
        [rng.uniform(-125, 40, 90) * size, rng.uniform(-75, 60, 90) * size, torso.z_mm(rng.uniform(115, 250, 90))],
        axis=1,
    )
    root = np.array([-22.0 * size, -10.0, float(torso.z_mm(160.0))])
    tree = vessel_tree(rng, root, tips, 1.0, step_mm=0.8 * grid.pixel_mm)
    found = grid.depth_of_points(tree[:, :3], np.minimum(tree[:, 3], 6.0))
    if found is not None:
        inner, depth = found
        grid.paint(
            inner, np.minimum(depth, _inside(organ, box, inner) - 3.0), phase.liver + 0.6 * (phase.vein - phase.liver)
        )
    for k in range(box[0].start, box[0].stop):
        plane = grid.hu[k, box[1], box[2]]
        plane += 3.0 * texture.plane(k, box[1], box[2]) * (organ[k - box[0].start] > 0)
    gall = (-42.0 * size, -52.0 * size, float(torso.z_mm(118.0)))
    found = grid.depth_of_ellipsoid(gall, (14.0, 30.0, 16.0), tilt_rad=(0.5, 0.0, 0.3))
    if found is not None:
        grid.paint(found[0], found[1], 9.0, label=0)
    pancreas = [(-28, -24, 118, 12), (-4, -30, 132, 9), (24, -16, 150, 8.5), (62, 14, 172, 9)]
    path = smooth_path(np.array([(a * size, b * size, float(torso.z_mm(c)), d) for a, b, c, d in pancreas]), 4.0)
    grid.paint_points(path[:, :3], path[:, 3], phase.pancreas, label=0)


def _inside(values: np.ndarray, outer: Box, inner: Box) -> np.ndarray:
    """View `values` of one index box on another; what lies outside of the first is far outside of the organ."""
    result = np.full(tuple(s.stop - s.start for s in inner), -50.0, np.float32)
    starts = [max(a.start, b.start) for a, b in zip(outer, inner, strict=True)]
    stops = [min(a.stop, b.stop) for a, b in zip(outer, inner, strict=True)]
    if any(stop <= start for start, stop in zip(starts, stops, strict=True)):
        return result
    target = tuple(slice(a - b.start, c - b.start) for a, c, b in zip(starts, stops, inner, strict=True))
    source = tuple(slice(a - b.start, c - b.start) for a, c, b in zip(starts, stops, outer, strict=True))
    result[target] = values[source]
    return result


def _draw_kidneys(grid: TorsoGrid, torso: Torso, phase: Enhancement) -> None:
    size = torso.girth
    rng = torso.subject.rng("kidneys")
    for side, level in ((1, 146.0), (-1, 132.0)):
        z = float(torso.z_mm(level + 5.0 * rng.standard_normal()))
        spine_y = float(torso.spine_y_mm(z))
        x = side * (60.0 + 2.0 * rng.standard_normal()) * size
        y = spine_y + 13.0
        turn = (-0.15, side * -0.22, side * 0.75)
        for scale, hu in ((1.0, phase.kidney), (0.72, 0.82 * phase.kidney + 4.0)):
            axes = (23.0 * size * scale, 28.0 * size * scale, 54.0 * torso.subject.stature * (0.2 + 0.8 * scale))
            found = grid.depth_of_ellipsoid((x, y, z), axes, tilt_rad=turn, dent=0.04)
            if found is not None:
                grid.paint(found[0], found[1], hu, label=0)
        sinus = (x - side * 11.0, y - 5.0, z)
        found = grid.depth_of_ellipsoid(sinus, (15.0, 9.0, 24.0), tilt_rad=turn, dent=0.15)
        if found is not None:
            grid.paint(found[0], found[1], FAT_HU + 25.0)
        found = grid.depth_of_ellipsoid((x - side * 9.0, y - 3.0, z), (6.0, 5.0, 12.0), tilt_rad=turn)
        if found is not None:
            grid.paint(found[0], found[1], 12.0 + 0.5 * (phase.kidney - 32.0))
        hilum = smooth_path(
            np.array([(x - side * 14, y - 6, z), (x - side * 32, y - 22, z + 4), (side * 10.0, spine_y - 24, z + 10)]),
            3.0,
        )
        grid.paint_points(hilum, 3.6, phase.vein, label=0)


def _draw_heart(grid: TorsoGrid, torso: Torso, phase: Enhancement) -> None:
    size = torso.girth
    box = grid.box(
        np.array([-80.0, -120.0, float(torso.z_mm(228.0))]), np.array([110.0, 70.0, float(torso.z_mm(340.0))])
    )
    if box is None:
        return
    x, y, z = grid.coordinates(box)
    height = torso.nominal_z(z)
    view = grid.hu[box]
    for k, nominal in enumerate(height):
        level = 1.0 - ((nominal - 284.0) / 54.0) ** 2
        if level <= 0.03:
            continue
        scale = np.sqrt(level)
        cx, cy, turn = 20.0 + 0.28 * (284.0 - nominal), -30.0, 0.6
        along = (x - cx) * np.cos(turn) - (y - cy) * np.sin(turn)
        across = (x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
        plane = view[k]
        a, b = 66.0 * size * scale, 47.0 * size * scale
        not_lung = plane > -400.0

        def fill(
            centre: tuple[float, float],
            axes: tuple[float, float],
            hu: float,
            along: np.ndarray = along,
            across: np.ndarray = across,
            plane: np.ndarray = plane,
            not_lung: np.ndarray = not_lung,
        ) -> None:
            if min(axes) < 4.0:
                return
            rho = np.sqrt(((along - centre[0]) / axes[0]) ** 2 + ((across - centre[1]) / axes[1]) ** 2)
            plane += grid.share((1.0 - rho) * min(axes)) * not_lung * (hu - plane)

        fill((0.0, 0.0), (a - 2.5, b - 2.5), FAT_HU + 15.0)
        fill((2.0, 1.0), (a - 7.0, b - 7.0), phase.myocardium)
        base = np.clip((nominal - 270.0) / 40.0, 0.0, 1.0)
        fill((18.0 * scale, 10.0 * scale), (0.42 * a, 0.34 * b), phase.artery)
        fill((-8.0 * scale, -20.0 * scale), (0.55 * a, 0.30 * b), phase.vein)
        fill((-30.0 * scale, 2.0), (0.34 * a, 0.42 * b), phase.vein)
        fill((-6.0, 26.0 * scale), (0.42 * a * base, 0.30 * b * base), phase.artery)


def _draw_bowel(grid: TorsoGrid, torso: Torso, phase: Enhancement, visit: np.random.Generator) -> None:
    size = torso.girth
    rng = torso.subject.rng("bowel")
    wide = size * (1.0 + 0.05 * torso.visceral_fat)
    spread = 1.0 + 0.13 * torso.visceral_fat
    # Small bowel: loops that wander inside of the mesentery's box.
    centres = np.stack(
        [rng.permutation(np.linspace(-46, 46, 10)), rng.uniform(-50, -22, 10), np.linspace(-72, 78, 10)], 1
    )
    for centre in centres:
        corner = centre + rng.uniform((-42, -20, -26), (42, 14, 26), (11, 3))
        corner[:, :2] *= (wide, spread)
        corner[:, 2] = torso.z_mm(corner[:, 2])
        path = smooth_path(corner, 6.0)
        radius = rng.uniform(9.0, 12.5)
        grid.paint_points(path, radius, phase.bowel_wall, shell_mm=2.6, core_hu=rng.uniform(14.0, 34.0), label=0)
        if visit.random() < 0.3:
            gas = path[:: max(len(path) // 4, 1)] - [0.0, 3.0, 0.0]
            grid.paint_points(gas, radius - 4.5, GAS_HU)
    # Colon: up the right flank, across, down the left flank, to the rectum.
    knots = [(-82, 4, -25, 24), (-92, 2, 30, 22), (-90, -2, 92, 20), (-50, -52, 88, 19), (0, -66, 78, 18)]
    knots += [(56, -56, 108, 18), (90, -4, 150, 17), (94, 14, 90, 15), (92, 12, 20, 14), (72, -4, -40, 13)]
    knots += [(26, -14, -62, 14), (-12, 8, -70, 14), (2, 40, -92, 15), (0, 42, -132, 15), (0, 38, -158, 9)]
    placed = np.array([(a * wide, b * (spread if b < 0 else size), float(torso.z_mm(c)), d) for a, b, c, d in knots])
    path = smooth_path(placed, 5.0)
    bulge = 1.0 + 0.13 * np.sin(np.arange(len(path)) * 1.05 + rng.uniform(0, 6))
    radius = np.clip(path[:, 3] * bulge, 6.0, 26.0)
    grid.paint_points(path[:, :3], radius, phase.bowel_wall, shell_mm=2.4, core_hu=18.0, label=0)
    stool = path[:, :3] + visit.normal(0.0, 2.0, (len(path), 3))
    grid.paint_points(stool[::2], 0.6 * radius[::2], -45.0)
    bubbles = visit.random(len(path)) < 0.55
    grid.paint_points(
        path[bubbles, :3] - np.array([0.0, 0.42, 0.0]) * radius[bubbles, None], 0.44 * radius[bubbles], GAS_HU
    )


def _draw_pelvic_organs(grid: TorsoGrid, torso: Torso, visit: np.random.Generator) -> None:
    size = torso.girth
    z = float(torso.z_mm(-112.0))
    full = float(visit.uniform(0.8, 1.25))
    bladder = (0.0, -30.0 * size, z + 10.0 * (full - 1.0))
    found = grid.depth_of_ellipsoid(bladder, (36.0 * full, 27.0 * full, 26.0 * full), power=2.3)
    if found is not None:
        grid.paint(found[0], found[1], 35.0, label=0)
        grid.paint(found[0], found[1] - 3.0, 6.0)
    if torso.female:
        found = grid.depth_of_ellipsoid((4.0, 6.0, z + 18.0), (26.0, 20.0, 30.0), tilt_rad=(0.6, 0.0, 0.0))
    else:
        found = grid.depth_of_ellipsoid((0.0, -24.0, z - 36.0), (23.0, 18.0, 17.0))
    if found is not None:
        grid.paint(found[0], found[1], 52.0, label=0)
