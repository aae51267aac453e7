"""Vertebrae, discs, posterior elements, spinal canal and sacrum."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.torso_anatomy import SACRAL_TOP_MM, Torso, Vertebra
from agezoo.phantoms.torso_grid import TorsoGrid
from agezoo.phantoms.torso_labels import ENDPLATES_AND_DISCS, TRABECULAR_BONE
from agezoo.phantoms.torso_wall import FAT_HU, Texture

DISC_HU = 82.0
CANAL_HU = 14.0
CORD_HU = 40.0
GAS_HU = -650.0


def draw_spine(grid: TorsoGrid, torso: Torso) -> None:
    """Draw the spine on a grid whose slices are thin enough for endplates (see `TorsoGrid.refined`)."""
    rng = torso.subject.rng("spine")
    texture = Texture(grid, rng.uniform(0, 96, 3), pitch_mm=1.5)
    draw_sacrum(grid, torso)
    # From the head down: a lower body then covers what the disc above it painted too far.
    scatter = rng.random((len(torso.vertebrae), 4))
    for index in reversed(range(len(torso.vertebrae))):
        _draw_body(grid, torso, torso.vertebrae[index], scatter[index], texture)
    _draw_posterior_elements(grid, torso)
    _draw_canal(grid, torso)


def _draw_body(grid: TorsoGrid, torso: Torso, vertebra: Vertebra, scatter: np.ndarray, texture: Texture) -> None:
    signs = torso.signs
    centre_x = float(torso.spine_x_mm(vertebra.centre_z_mm))
    half = vertebra.height_mm / 2
    spur = signs.osteophyte_mm * (0.45 + 1.1 * scatter[0]) * (1.0 if vertebra.name[0] != "C" else 0.5)
    side = max(vertebra.half_width_mm, vertebra.half_depth_mm) + spur + 2.0
    low = np.array([centre_x - side, vertebra.centre_y_mm - side, vertebra.centre_z_mm - half - vertebra.disc_mm - 8.0])
    high = np.array([centre_x + side, vertebra.centre_y_mm + side, vertebra.centre_z_mm + half + 8.0])
    box = grid.box(low, high)
    if box is None:
        return
    px, py, pz = grid.coordinates(box)
    cosine, sine = np.cos(vertebra.tilt_rad), np.sin(vertebra.tilt_rad)
    x = (px - centre_x)[None]
    y, z = (py - vertebra.centre_y_mm)[None], (pz - vertebra.centre_z_mm)[:, None, None]
    back = (cosine * y - sine * z).astype(np.float32)
    up = (sine * y + cosine * z).astype(np.float32)
    waist = 0.87 + 0.13 * np.clip(np.abs(up) / half, 0.0, 1.15) ** 2
    depth_axis = vertebra.half_depth_mm * np.where(back > 0, 0.9, 1.0)
    rho = np.sqrt((np.abs(x) / (vertebra.half_width_mm * waist)) ** 2.4 + (np.abs(back) / (depth_axis * waist)) ** 2.4)
    rho = rho ** (2 / 2.4)
    inside = (1.0 - rho) * (0.5 * (vertebra.half_width_mm + vertebra.half_depth_mm))
    thin = 0.45 if vertebra.name[0] != "L" else 1.0
    concavity = signs.endplate_concavity_mm * (0.75 + 0.5 * scatter[1]) * (0.5 + 0.5 * thin)
    # Old vertebrae lose height in front: a slight wedge.
    wedge = 0.05 * (1.0 - signs.disc_height_factor) * vertebra.height_mm * (0.4 + 1.2 * scatter[2])
    surface = half - concavity * np.clip(1.0 - rho**2, 0.0, 1.0) - wedge * np.clip(-back / vertebra.half_depth_mm, 0, 1)
    axial = surface - np.abs(up)
    step = grid.slice_mm

    def axial_share(depth: np.ndarray) -> np.ndarray:
        return np.clip(depth / step + 0.5, 0.0, 1.0)

    view, labels = grid.hu[box], grid.labels[box]
    # Disc below: from the middle of this body down past the lower endplate's hollow.
    below = -up - half + 0.5 * half
    disc = np.minimum(below, up + half + vertebra.disc_mm + signs.endplate_concavity_mm + 1.5)
    disc_share = axial_share(disc) * grid.share(inside + 1.0)
    view += disc_share * (DISC_HU + 18.0 * np.clip(rho - 0.5, 0.0, 0.5) - view)
    labels[disc_share > 0.5] = ENDPLATES_AND_DISCS
    if vertebra.name in ("L5", "L4", "L3", "L2") and scatter[3] < signs.disc_vacuum_tendency:
        middle = np.abs(up + half + vertebra.disc_mm / 2)
        lens = np.minimum(1.8 * (1.0 - (rho / 0.55) ** 2) - middle, (0.5 - rho) * 12.0)
        view += axial_share(lens) * (GAS_HU - view)
    body = axial_share(axial) * grid.share(inside)
    if spur > 0.4:
        towards_front = np.clip(0.55 - 0.6 * back / vertebra.half_depth_mm, 0.0, 1.0)
        size = np.maximum(
            spur * towards_front * (0.75 + 0.25 * np.sin(3.0 * np.arctan2(back, x) + 6.0 * scatter[3])), 0.0
        )
        ring = size - np.sqrt((inside * 0.9) ** 2 + ((np.abs(up) - half + 1.6) * 2.4) ** 2)
        ring_share = np.clip(ring / grid.pixel_mm + 0.5, 0.0, 1.0) * (size > 0.5)
        view += ring_share * (0.7 * signs.endplate_hu - view)
        labels[(ring_share > 0.5) & (body < 0.5)] = ENDPLATES_AND_DISCS
    view += body * (signs.endplate_hu - view)
    labels[body > 0.5] = ENDPLATES_AND_DISCS
    plate = signs.endplate_thickness_mm * (0.7 + 0.3 * thin)
    within_plates = axial_share(axial - plate) * grid.share(inside)
    view += within_plates * (signs.cortical_hu - view)
    core = axial_share(axial - plate) * grid.share(inside - 1.15)
    grain = np.stack([texture.plane(k, box[1], box[2]) for k in range(box[0].start, box[0].stop)])
    marrow = signs.trabecular_hu + 16.0 * grain - 12.0 * np.clip(1.0 - rho / 0.6, 0.0, 1.0)
    view += core * (marrow - view)
    labels[core > 0.5] = TRABECULAR_BONE


def _local_points(torso: Torso, vertebra: Vertebra, points: np.ndarray) -> np.ndarray:
    """Carry points (x, back, up) of one vertebra to the patient frame."""
    cosine, sine = np.cos(vertebra.tilt_rad), np.sin(vertebra.tilt_rad)
    x = points[:, 0] + float(torso.spine_x_mm(vertebra.centre_z_mm))
    y = vertebra.centre_y_mm + cosine * points[:, 1] + sine * points[:, 2]
    z = vertebra.centre_z_mm - sine * points[:, 1] + cosine * points[:, 2]
    return np.stack([x, y, z], axis=1)


def _line(start: tuple[float, ...], stop: tuple[float, ...], count: int) -> np.ndarray:
    share = np.linspace(0.0, 1.0, count)[:, None]
    return np.array(start)[None] * (1 - share) + np.array(stop)[None] * share


def _draw_posterior_elements(grid: TorsoGrid, torso: Torso) -> None:
    points, radii = [], []

    def add(vertebra: Vertebra, line: np.ndarray, radius: float) -> None:
        points.append(_local_points(torso, vertebra, line))
        radii.append(np.full(len(line), radius))

    for v in torso.vertebrae:
        lumbar, deep, wide, tall = v.name[0] == "L", v.half_depth_mm, v.half_width_mm, v.height_mm
        rear = deep * 0.9
        pedicle_x = min(wide * 0.72, 16.0) if lumbar else wide * 0.78
        lamina = rear + (17.0 if lumbar else 15.0)
        spine_end = lamina + (24.0 if lumbar else 20.0)
        slant = -0.12 * tall if lumbar else -0.75 * tall
        for sign in (-1.0, 1.0):
            add(
                v, _line((sign * pedicle_x, rear - 3, 0.18 * tall), (sign * pedicle_x, lamina - 3, 0.12 * tall), 7), 4.4
            )
            for up in (0.05, -0.18):
                add(v, _line((sign * pedicle_x, lamina - 3, up * tall), (0.0, lamina + 5, (up - 0.15) * tall), 7), 2.9)
            reach = wide + (17.0 if lumbar else 14.0)
            bend = lamina - 4.0 if lumbar else lamina + 6.0
            add(v, _line((sign * pedicle_x, lamina - 4, 0.1 * tall), (sign * reach, bend, 0.12 * tall), 9), 3.2)
            for up in (0.42, -0.5):
                add(v, np.array([[sign * (pedicle_x + 1.0), lamina + 1.0, up * tall]]), 4.8)
        for up in (0.0, -0.16, -0.32) if lumbar else (-0.1, -0.3):
            add(v, _line((0.0, lamina + 4, up * tall), (0.0, spine_end, up * tall + slant), 9), 2.8)
    grid.paint_points(
        np.concatenate(points),
        np.concatenate(radii),
        torso.signs.cortical_hu * 0.8,
        shell_mm=1.3,
        core_hu=0.8 * torso.signs.trabecular_hu + 90.0,
        label=0,
    )


def _draw_canal(grid: TorsoGrid, torso: Torso) -> None:
    bottom = SACRAL_TOP_MM - 25.0
    z = np.arange(bottom, torso.vertebrae[-1].centre_z_mm + 60.0, 2.5)
    _, half_depth = torso.vertebra_size_mm(z)
    y = torso.spine_y_mm(z) + half_depth * 0.9 + 8.0
    path = np.stack([torso.spine_x_mm(z), y, z], axis=1)
    for shift in (-2.5, 2.5):
        grid.paint_points(path + np.array([shift, 0.0, 0.0]), 7.4, FAT_HU + 40.0, label=0)
        grid.paint_points(path + np.array([shift * 0.8, -0.8, 0.0]), 6.2, CANAL_HU)
    grid.paint_points(path[z > torso.z_mm(150.0)] - [0.0, 0.8, 0.0], 4.4, CORD_HU)


def draw_sacrum(grid: TorsoGrid, torso: Torso) -> None:
    """Draw the sacrum and the coccyx below the last disc."""
    signs, size, length = torso.signs, torso.girth, 104.0 * torso.subject.stature
    y0, z0 = float(torso.spine_y_mm(SACRAL_TOP_MM)), SACRAL_TOP_MM
    box = grid.box(np.array([-62.0, y0 - 25.0, z0 - length - 10.0]), np.array([62.0, y0 + 75.0, z0 + 14.0]))
    if box is None:
        return
    px, py, pz = grid.coordinates(box)
    slope = 0.62
    y, z = (py - y0)[None], (pz - z0)[:, None, None]
    along = (np.sin(slope) * y - np.cos(slope) * z).astype(np.float32)
    share = np.clip(along / length, 0.0, 1.0)
    bow = 13.0 * np.sin(np.pi * share)
    behind = (np.cos(slope) * y + np.sin(slope) * z - bow + 2.0).astype(np.float32)
    x = np.abs(px)[None] + np.zeros_like(along)
    wide = size * np.interp(share.ravel(), (0, 0.12, 0.45, 0.75, 1), (44, 54, 46, 30, 9)).reshape(share.shape)
    deep = size * np.interp(share.ravel(), (0, 0.5, 1), (17, 12, 5)).reshape(share.shape)
    behind = behind - 0.16 * x
    rho = (np.abs(x / wide) ** 2.8 + np.abs(behind / deep) ** 2.8) ** (1 / 2.8)
    depth = np.minimum((1.0 - rho) * deep, np.minimum(along, length - along)).astype(np.float32)
    grid.paint(box, depth, 0.72 * signs.cortical_hu, label=0)
    line = np.exp(-((((along / length * 5.0) % 1.0) / 0.07) ** 2)) * (x < 20.0)
    marrow = 0.7 * signs.trabecular_hu + 25.0 + 120.0 * line
    grid.paint(box, depth - 1.7, marrow.astype(np.float32))
    holes = []
    for step in (0.24, 0.45, 0.63):
        for sign in (-1.0, 1.0):
            for back in (-12.0, -6.0, 0.0, 6.0, 12.0):
                a, b = step * length, back + 13.0 * np.sin(np.pi * step)
                offset = [np.sin(slope) * a + np.cos(slope) * b, -np.cos(slope) * a + np.sin(slope) * b]
                holes.append([sign * size * (21.0 - 9.0 * step), y0 + offset[0], z0 + offset[1]])
    grid.paint_points(np.array(holes), 3.6, FAT_HU + 60.0)
