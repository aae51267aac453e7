"""Aorta with its plaques, iliac arteries, caval veins, pulmonary vessels and airways."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.torso_anatomy import Torso
from agezoo.phantoms.torso_grid import TorsoGrid, smooth_path
from agezoo.phantoms.torso_labels import AORTIC_WALL

WALL_MM = 1.7


def aorta_path(torso: Torso) -> np.ndarray:
    """Centre line of the aorta from root to bifurcation: x, y, z and lumen radius in mm, shape (n, 4)."""
    signs, size = torso.signs, torso.girth
    width = signs.aorta_width_factor * (0.93 if torso.female else 1.0)
    knots = [(8.0, -36.0, 300.0, 15.0), (-5.0, -45.0, 326.0, 16.0), (-15.0, -42.0, 354.0, 16.0)]
    knots += [(-11.0, -28.0, 382.0, 15.0), (2.0, -8.0, 396.0, 14.0), (14.0, 10.0, 390.0, 13.2)]
    path = [(x * size, y * size, float(torso.z_mm(z)), r * width) for x, y, z, r in knots]
    bend = torso.subject.rng("aorta").uniform(0.0, 2 * np.pi)
    for nominal, x, radius in (
        (362, 23, 12.6),
        (330, 23, 12.2),
        (295, 21, 12.0),
        (262, 18, 11.8),
        (230, 14, 11.4),
        (200, 10, 11.0),
        (170, 8, 10.4),
        (140, 7, 9.6),
        (110, 6, 9.0),
        (80, 6, 8.6),
        (52, 5, 8.4),
        (26, 4, 8.4),
    ):
        z = float(torso.z_mm(nominal))
        half_width, half_depth = torso.vertebra_size_mm(z)
        r = radius * width
        # Beside the thoracic bodies, in front of the lumbar ones.
        beside = np.clip((nominal - 190.0) / 110.0, 0.0, 1.0)
        front = float(torso.spine_y_mm(z)) - float(half_depth) - r - 2.5
        lateral = float(torso.spine_y_mm(z)) - 9.0
        sway = signs.aorta_tortuosity_mm * np.sin(nominal / 34.0 + bend)
        sideways = x * size + (float(half_width) + r + 2.0 - x * size) * beside * 0.75 + float(torso.spine_x_mm(z))
        path.append((sideways + sway, front * (1 - beside) + lateral * beside - 0.3 * abs(sway), z, r))
    return smooth_path(np.array(path), 3.0)


def iliac_path(torso: Torso, side: int) -> np.ndarray:
    """Centre line of the iliac and femoral artery of one side (+1 left), shape (n, 4) as in `aorta_path`."""
    start = aorta_path(torso)[-1]
    size = torso.girth
    knots = [(start[0] + side * 3.0, start[1], start[2] - 1.0, 5.6)]
    for x, y, nominal, radius in (
        (22, 2, -8, 5.4),
        (44, 16, -45, 5.0),
        (62, -14, -86, 4.6),
        (74, -54, -118, 4.5),
        (70, -60, -155, 4.2),
        (64, -56, -215, 4.0),
    ):
        knots.append((side * x * size, y * size, float(torso.z_mm(nominal)), radius * torso.signs.aorta_width_factor))
    return smooth_path(np.array(knots), 3.0)


def draw_arteries(grid: TorsoGrid, torso: Torso, *, blood_hu: float) -> None:
    """Draw aorta and iliac arteries with wall and plaques on a grid with thin slices (see `TorsoGrid.refined`)."""
    rng = torso.subject.rng("plaques")
    aorta, left, right = aorta_path(torso), iliac_path(torso, 1), iliac_path(torso, -1)
    wall_hu = 46.0 + 0.15 * (blood_hu - 42.0)
    for path in (right, left, aorta):
        grid.paint_points(
            path[:, :3],
            path[:, 3] + WALL_MM,
            wall_hu,
            shell_mm=WALL_MM,
            core_hu=blood_hu,
            label=AORTIC_WALL,
            core_label=0,
        )
    count = len(torso.signs.plaque_radius_mm)
    vessel = rng.choice(3, count, p=(0.72, 0.14, 0.14))
    # Plaques crowd at the arch and above the bifurcation.
    place = np.where(rng.random(count) < 0.72, 1.0 - 0.42 * rng.random(count) ** 1.3, 0.1 + 0.9 * rng.random(count))
    angle, run = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1.0, 1.0, (count, 2))
    density = rng.uniform(450.0, 900.0, count)
    for j in np.flatnonzero(torso.signs.plaque_radius_mm > 0):
        path = (aorta, left, right)[vessel[j]]
        share = place[j] if vessel[j] == 0 else 0.45 * (1.0 - place[j]) ** 0.7 + 0.1 * abs(run[j, 0])
        index = int(np.clip(share * (len(path) - 1), 1, len(path) - 2))
        tangent = path[index + 1, :3] - path[index - 1, :3]
        tangent = tangent / np.linalg.norm(tangent)
        first = np.cross(tangent, [0.3, 0.9, 0.2])
        first /= np.linalg.norm(first)
        second = np.cross(tangent, first)
        size = float(torso.signs.plaque_radius_mm[j])
        spread = np.linspace(-1.0, 1.0, 5)[:, None]
        arc = angle[j] + spread[:, 0] * run[j, 0] * size * 0.18
        ring = np.cos(arc)[:, None] * first + np.sin(arc)[:, None] * second
        points = path[index, :3] + ring * (path[index, 3] + 0.6) + tangent * (spread * run[j, 1] * size * 1.3)
        grid.paint_points(points, 0.62 * size + 0.35, density[j], label=AORTIC_WALL)


def draw_veins_and_airways(grid: TorsoGrid, torso: Torso, *, vein_hu: float) -> None:
    """Draw the caval veins, the pulmonary arteries, the trachea and the main bronchi."""
    size = torso.girth
    nominal = np.arange(-5.0, 255.0, 12.0)
    z = torso.z_mm(nominal)
    _, half_depth = torso.vertebra_size_mm(z)
    x = np.interp(nominal, (-5, 60, 150, 250), (-16, -19, -22, -26)) * size
    y = torso.spine_y_mm(z) - half_depth - np.interp(nominal, (-5, 60, 180, 250), (8, 10, 16, 40))
    cava = smooth_path(np.stack([x, y, z], axis=1), 3.0)
    for shift in (-4.0, 4.0):
        grid.paint_points(cava + np.array([shift, 0.0, 0.0]), 8.0, vein_hu, label=0)
    upper = np.array([(-20, -30, 320), (-22, -34, 360), (-20, -36, 395), (-24, -34, 425)], float)
    upper[:, :2] *= size
    upper[:, 2] = torso.z_mm(upper[:, 2])
    grid.paint_points(smooth_path(upper, 3.0), 8.0, vein_hu, label=0)
    for knots, radius in (
        ([(16, -56, 312), (22, -42, 338), (16, -16, 352)], 12.5),
        ([(16, -16, 352), (30, -4, 352), (42, 6, 344)], 10.0),
        ([(16, -18, 350), (-8, -14, 346), (-40, 2, 340)], 10.5),
    ):
        trunk = np.array(knots, float)
        trunk[:, :2] *= size
        trunk[:, 2] = torso.z_mm(trunk[:, 2])
        grid.paint_points(smooth_path(trunk, 3.0), radius, vein_hu, label=0)
    carina = np.array([2.0, -2.0 * size, float(torso.z_mm(362.0))])
    top = np.array([0.0, -26.0 * size, float(torso.z_mm(530.0))])
    trachea = smooth_path(np.array([carina, 0.5 * (carina + top) + [0, 6.0, 0], top]), 3.0)
    airways = [(trachea, 8.6)]
    for side, drop in ((1, 30.0), (-1, 24.0)):
        hilum = np.array([side * 40.0 * size, 8.0, float(torso.z_mm(362.0 - drop))])
        lower = np.array([side * 58.0 * size, 24.0, float(torso.z_mm(300.0))])
        airways.append((smooth_path(np.array([carina, 0.5 * (carina + hilum) - [0, 0, 2.0], hilum]), 2.0), 5.8))
        airways.append((smooth_path(np.array([hilum, 0.5 * (hilum + lower) + [side * 2.0, 0, 0], lower]), 2.0), 3.4))
    for path, radius in airways:
        grid.paint_points(path, radius + 1.4, 30.0)
    for path, radius in airways:
        grid.paint_points(path, radius, -985.0)


def vessel_tree(
    rng: np.random.Generator, root_mm: np.ndarray, tips_mm: np.ndarray, tip_radius_mm: float, *, step_mm: float
) -> np.ndarray:
    """Grow a branching tree from a root to tips; returns points x, y, z, radius of shape (n, 4).

    Tips join, nearest to the root first, the closest part of the tree that lies nearer to the root; radii follow
    from the number of tips that a branch feeds (Murray's law). Points are `step_mm` or a radius apart.
    """
    order = np.argsort(np.linalg.norm(tips_mm - root_mm, axis=1))
    nodes = np.concatenate([root_mm[None], tips_mm[order]])
    away = np.linalg.norm(nodes - root_mm, axis=1)
    parent = np.zeros(len(nodes), int)
    fed = np.ones(len(nodes))
    for index in range(1, len(nodes)):
        distance = np.linalg.norm(nodes[:index] - nodes[index], axis=1)
        parent[index] = int(np.argmin(distance + 0.35 * away[:index]))
    for index in range(len(nodes) - 1, 0, -1):
        fed[parent[index]] += fed[index]
    points = []
    for index in range(1, len(nodes)):
        start, stop = nodes[parent[index]], nodes[index]
        radius = tip_radius_mm * fed[index] ** (1 / 2.6)
        length = float(np.linalg.norm(stop - start))
        share = np.linspace(0.0, 1.0, max(int(length / max(radius, step_mm)) + 1, 2))[:, None]
        sag = rng.normal(0.0, 0.06 * length, 3) * np.sin(np.pi * share)
        line = start * (1 - share) + stop * share + sag
        points.append(np.concatenate([line, np.full((len(line), 1), radius)], axis=1))
    return np.concatenate(points)


def draw_lung_vessels(grid: TorsoGrid, torso: Torso, *, blood_hu: float) -> None:
    """Draw pulmonary vessels where there is lung."""
    rng = torso.subject.rng("lung vessels")
    for side in (1, -1):
        nominal = rng.uniform(165.0, 455.0, 400)
        z = torso.z_mm(nominal)
        levels = torso.z_mm(np.linspace(165.0, 455.0, 59))
        _, _, cavity = torso.contours_mm(levels)
        nearest = np.rint(np.interp(z, levels, np.arange(59))).astype(int)
        angle = rng.uniform(-0.46, 0.46, len(z)) * np.pi
        column = np.rint(np.where(side > 0, angle, np.pi - angle) / (2 * np.pi) * cavity.shape[1]).astype(int)
        radius = cavity[nearest, column % cavity.shape[1]] * np.sqrt(rng.uniform(0.12, 0.92, len(z)))
        tips = np.stack([side * radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
        root = np.array([side * 34.0 * torso.girth, 4.0, float(torso.z_mm(340.0))])
        tree = vessel_tree(rng, root, tips, 0.72, step_mm=0.8 * grid.pixel_mm)
        # A thin vessel fills only part of a thick slice; the slab spreads it, the lower value below keeps its mass.
        found = grid.depth_of_points(tree[:, :3], np.minimum(tree[:, 3], 6.5), slab_mm=0.7 * grid.slice_mm)
        if found is None:
            continue
        box, depth = found
        lung = grid.hu[box]
        touched = (depth > -0.5 * grid.pixel_mm) & (lung < -500.0)
        values = lung[touched]
        lung[touched] = values + grid.share(depth[touched]) * (-80.0 + 0.7 * blood_hu - values)
