"""Pelvis, femora, sternum, clavicles, shoulder blades and humeral heads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agezoo.phantoms.torso_anatomy import CONTOUR_ANGLES, Torso
from agezoo.phantoms.torso_grid import TorsoGrid, smooth_path

# The compact bone of the shafts hardly changes with age; as the brightest tissue it keeps the scale of an image that is
# divided by its own maximum comparable between people.
SHAFT_HU = 1150.0


def draw_girdles(grid: TorsoGrid, torso: Torso) -> None:
    """Draw the bones of the pelvis and of the shoulders, and the sternum."""
    _draw_pelvis(grid, torso)
    _draw_shoulders(grid, torso)
    _draw_sternum(grid, torso)


def _bone(grid: TorsoGrid, torso: Torso, points: np.ndarray, radii: np.ndarray | float, shell_mm: float) -> None:
    signs = torso.signs
    grid.paint_points(
        points, radii, 0.9 * signs.cortical_hu, shell_mm=shell_mm, core_hu=0.65 * signs.trabecular_hu + 30.0, label=0
    )


def _draw_pelvis(grid: TorsoGrid, torso: Torso) -> None:
    size = torso.girth * (1.04 if torso.female else 1.0)
    signs = torso.signs

    def place(points: Sequence[tuple[float, float, float]], side: int, step: float = 4.0) -> np.ndarray:
        knots = np.array([(side * x * size, y * size, float(torso.z_mm(z))) for x, y, z in points])
        return smooth_path(knots, step)

    for side in (1, -1):
        # The wing is a sheet between the iliac crest and its lower border, from the sacroiliac joint forward.
        crest = [(47, 74, -30), (72, 62, 2), (104, 38, 19), (129, 4, 17), (135, -28, -6), (124, -50, -36)]
        border = [(47, 62, -74), (62, 50, -82), (80, 28, -92), (90, 8, -98), (95, -12, -96), (98, -26, -88)]
        top, bottom = place(crest, side, 3.2), place(border, side, 2.0)
        share = np.linspace(0.0, 1.0, len(top))
        column = np.linspace(0.0, 1.0, len(bottom))
        bottom = np.stack([np.interp(share, column, bottom[:, axis]) for axis in range(3)], axis=1)
        sheet, thickness = [], []
        for rise in np.linspace(0.0, 1.0, 34):
            hollow = np.stack([-0.12 * (top - bottom)[:, 0], np.zeros(len(top)), np.zeros(len(top))], axis=1)
            sheet.append(bottom + rise * (top - bottom) + 4.0 * rise * (1.0 - rise) * hollow)
            rim = np.maximum(np.abs(2 * share - 1.0) ** 4, max(rise * 8.0 - 7.0, 0.0))
            thickness.append(3.6 + 3.0 * rim + 4.5 * (1.0 - rise) ** 3 * np.exp(-(((share - 0.7) / 0.3) ** 2)))
        _bone(grid, torso, np.concatenate(sheet), np.concatenate(thickness), 1.8)
        pillar = place([(86, 30, -62), (88, 10, -84), (84, 14, -112), (70, 34, -140), (58, 44, -176)], side, 3.0)
        _bone(grid, torso, pillar, np.linspace(15.0, 13.0, len(pillar)), 2.4)
        superior = place([(80, -18, -96), (58, -48, -112), (30, -64, -124), (12, -66, -134)], side, 3.0)
        inferior = place([(54, 40, -180), (40, 8, -172), (24, -36, -158), (12, -60, -146)], side, 3.0)
        _bone(grid, torso, superior, 8.0, 2.0)
        _bone(grid, torso, inferior, 6.8, 2.0)
        head = np.array([side * 88.0 * size, -6.0 * size, float(torso.z_mm(-114.0))])
        # Acetabular roof around the joint space, then the head with its dense core.
        for reach, hu in ((31.0, 0.85 * signs.cortical_hu), (25.6, 45.0)):
            found = grid.depth_of_ellipsoid(tuple(head), (reach * size,) * 3)
            if found is not None:
                box, depth = found
                x, _, z = grid.coordinates(box)
                inward = (-(x - head[0]) * side)[None] + 0.7 * (z - head[2])[:, None, None] + 6.0
                grid.paint(box, np.minimum(depth, inward).astype(np.float32), hu, label=0)
        neck = place([(88, -6, -114), (108, 0, -128), (124, 6, -142)], side, 3.0)
        _bone(grid, torso, neck, np.linspace(16.0, 13.0, len(neck)), 2.0)
        greater = place([(124, 8, -132), (131, 12, -140), (128, 6, -158)], side, 3.0)
        _bone(grid, torso, greater, np.array([12.0, *np.full(len(greater) - 1, 15.0)]), 2.0)
        shaft = place([(124, 4, -160), (116, 0, -195), (112, -4, -260)], side, 4.0)
        grid.paint_points(shaft, 14.0, SHAFT_HU, shell_mm=5.0, core_hu=-10.0, label=0)
        grid.paint_points(
            head[None], 23.5 * size, signs.cortical_hu * 0.85, shell_mm=1.6, core_hu=signs.trabecular_hu + 80.0
        )
    joint = np.stack([np.zeros(9), np.linspace(-70, -58, 9) * size, torso.z_mm(np.linspace(-126, -152, 9))], axis=1)
    grid.paint_points(joint, 2.6, 90.0)


def _draw_shoulders(grid: TorsoGrid, torso: Torso) -> None:
    size = torso.girth
    signs = torso.signs
    for side in (1, -1):
        clavicle = np.array([(20, -58, 428), (58, -62, 441), (98, -36, 456), (132, -14, 470)], float)
        points = np.stack([side * clavicle[:, 0] * size, clavicle[:, 1] * size, torso.z_mm(clavicle[:, 2])], axis=1)
        _bone(grid, torso, smooth_path(points, 3.0), 6.0, 2.2)
        head = np.array([[side * 146.0 * size, 6.0, float(torso.z_mm(474.0))]])
        _bone(grid, torso, head, 23.0 * size, 2.0)
        humerus = np.array([(146, 6, 474), (154, -4, 505), (160, -10, 560)], float)
        points = np.stack([side * humerus[:, 0] * size, humerus[:, 1], torso.z_mm(humerus[:, 2])], axis=1)
        grid.paint_points(smooth_path(points, 4.0), 12.0, SHAFT_HU, shell_mm=4.0, core_hu=20.0)
        # The blade follows the rib cage at a distance; it narrows towards its lower angle.
        nominal = np.arange(305.0, 462.0, 3.5)
        heights = torso.z_mm(nominal)
        _, fascia, cavity = torso.contours_mm(heights)
        plate = []
        for share, height, outer, inner in zip((nominal - 305.0) / 157.0, heights, fascia, cavity, strict=True):
            span = np.linspace(0.60 - 0.20 * share, 0.72 + 0.42 * share, 12 + int(24 * share))
            angle = np.pi / 2 - span * side
            column = np.rint(angle / (2 * np.pi) * CONTOUR_ANGLES).astype(int) % CONTOUR_ANGLES
            radius = np.minimum(np.maximum(inner[column] + 17.0, 0.62 * outer[column]), outer[column] - 6.0)
            plate.append(
                np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(len(angle), height)], axis=1)
            )
        blade = np.concatenate(plate)
        grid.paint_points(blade, 2.3, 0.55 * signs.cortical_hu, label=0)
        ridge = smooth_path(
            np.array([plate[-14][0], plate[-9][len(plate[-9]) // 2], plate[-3][-1]]) * [1.02, 1.09, 1.0], 3.0
        )
        _bone(grid, torso, ridge, 4.6, 1.8)
        socket = np.array([[side * 122.0 * size, 14.0, float(torso.z_mm(462.0))]])
        _bone(grid, torso, socket, 13.0 * size, 2.0)


def _draw_sternum(grid: TorsoGrid, torso: Torso) -> None:
    signs = torso.signs
    heights = np.arange(262.0, 424.0, 3.0)
    levels = torso.z_mm(heights)
    fronts = -torso.contours_mm(levels)[2][:, CONTOUR_ANGLES * 3 // 4] - 5.0
    halves = np.interp(heights, (262, 280, 300, 370, 385, 405, 424), (3, 9, 14, 11, 15, 24, 20))
    points = [
        (x, front, level)
        for front, level, half in zip(fronts, levels, halves, strict=True)
        for x in np.arange(-half, half + 0.1, 3.5)
    ]
    grid.paint_points(
        np.array(points), 5.6, 0.7 * signs.cortical_hu, shell_mm=1.5, core_hu=0.6 * signs.trabecular_hu + 20.0, label=0
    )
