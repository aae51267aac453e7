"""Skin, fat, muscle wall, rib cage, lungs and paraspinal muscles: what fills the trunk slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import ndimage

from agezoo.phantoms.torso_anatomy import CONTOUR_ANGLES, Torso
from agezoo.phantoms.torso_grid import TorsoGrid
from agezoo.phantoms.torso_labels import COSTAL_CARTILAGE, PARASPINAL_MUSCLE

FAT_HU = -104.0
SKIN_HU = 25.0
LUNG_HU = -865.0
RIB_OFFSET_MM = 4.5

# Drop (mm) of each rib from its head to the end of its bone, angle from the back where the bone ends, and where the
# cartilage ends (pi is the midline in front), rib 1 to 12.
_RIB_DROP = (30, 48, 62, 74, 84, 92, 98, 102, 104, 96, 66, 40)
_RIB_END = (2.35, 2.45, 2.5, 2.5, 2.45, 2.4, 2.3, 2.15, 2.0, 1.9, 1.45, 1.0)
_CARTILAGE_END = (2.8, 2.9, 3.0, 3.0, 3.0, 3.0, 2.95, 2.7, 2.5, 2.35, 1.45, 1.0)
_CARTILAGE_RISE = (0, 2, 6, 14, 26, 40, 52, 44, 36, 26, 0, 0)


@lru_cache(maxsize=4)
def texture_bank(grain: float) -> np.ndarray:
    """Periodic smooth noise of unit SD on a cube of 96 voxels, the same in every process; `grain` is its scale."""
    noise = np.random.default_rng(20230411).standard_normal((96, 96, 96), dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, grain, mode="wrap")
    return (smooth / smooth.std()).astype(np.float32)


class Texture:
    """Smooth noise that is fixed to the patient, so a repeat scan shows the same tissue."""

    def __init__(self, grid: TorsoGrid, offset: np.ndarray, pitch_mm: float = 2.5, grain: float = 1.6) -> None:
        self._bank = texture_bank(grain)
        size = self._bank.shape[0]
        self._columns = np.floor(grid.patient_x / pitch_mm + offset[0]).astype(np.int64) % size
        self._rows = np.floor(grid.patient_y / pitch_mm + offset[1]).astype(np.int64) % size
        self._flat = self._rows * size + self._columns
        self._slices = np.floor(grid.z_mm / pitch_mm + offset[2]).astype(np.int64) % size

    def plane(self, index: int, rows: slice, columns: slice) -> np.ndarray:
        """Return the texture of one slice."""
        return self._bank[self._slices[index]].reshape(-1)[self._flat[rows, columns]]


def diaphragm_mm(grid: TorsoGrid, torso: Torso, breath_mm: float) -> np.ndarray:
    """Height (mm) of the diaphragm over each pixel, shape (rows, columns)."""
    _, _, cavity = torso.contours_mm(torso.z_mm(np.array([215.0])))
    rho = np.clip(grid.radius / cavity[0][grid.direction], 0.0, 1.15)
    side = 0.5 + 0.5 * np.tanh(grid.patient_x / 28.0)
    dome = 258.0 - 14.0 * side
    back = np.clip(grid.patient_y / 60.0 + 0.35, 0.0, 1.0)
    fall = (55.0 + 55.0 * back) * rho**3.6
    saddle = 12.0 * np.exp(-((grid.patient_x / 26.0) ** 2))
    offset = 60.0
    hump = 8.0 * np.exp(-(((np.abs(grid.patient_x) - offset) / 45.0) ** 2) - ((grid.patient_y + 5.0) / 60.0) ** 2)
    return torso.z_mm((dome - fall - saddle + hump).ravel() + breath_mm).reshape(grid.radius.shape).astype(np.float32)


def draw_wall_and_lungs(grid: TorsoGrid, torso: Torso, *, diaphragm: np.ndarray, blood_hu: float) -> None:
    """Fill the trunk: skin, subcutaneous fat, muscle, rib cage, cavity fat, lungs and mediastinal tissue.

    Parameters
    ----------
    grid, torso
        The canvas and the person.
    diaphragm
        Height of the diaphragm, as returned by `diaphragm_mm`.
    blood_hu
        Value of blood; small vessels lift the mediastinal tissue with it.
    """
    rng = torso.subject.rng("tissue texture")
    texture = Texture(grid, rng.uniform(0, 96, 3))
    coarse = Texture(grid, rng.uniform(0, 96, 3), pitch_mm=2.5, grain=4.5)
    skin, fascia, cavity = torso.contours_mm(grid.z_mm)
    rib_gap, rib_kind = _rib_table(grid, torso)
    spine_x, spine_y = torso.spine_x_mm(grid.z_mm), torso.spine_y_mm(grid.z_mm)
    half_width, half_depth = torso.vertebra_size_mm(grid.z_mm)
    heights = torso.nominal_z(grid.z_mm)
    signs = torso.signs
    for k, nominal in enumerate(heights):
        reach = float(skin[k].max()) + 2 * grid.pixel_mm
        box = grid.box(np.array([-reach, -reach, grid.z_mm[k]]), np.array([reach, reach, grid.z_mm[k]]))
        if box is None:
            continue
        rows, columns = box[1], box[2]
        x, y = grid.patient_x[rows, columns], grid.patient_y[rows, columns]
        radius, direction = grid.radius[rows, columns], grid.direction[rows, columns]
        plane, labels = grid.hu[k, rows, columns], grid.labels[k, rows, columns]
        fine, broad = texture.plane(k, rows, columns), coarse.plane(k, rows, columns)
        mid_x = np.abs(x - spine_x[k])
        share = grid.share

        skin_depth = skin[k][direction] - radius
        fascia_depth = fascia[k][direction] - radius
        cavity_depth = cavity[k][direction] - radius
        body = share(skin_depth)
        fat = FAT_HU + 4.0 * fine
        tissue = fat + (body - share(skin_depth - 1.8)) * (SKIN_HU - FAT_HU)
        muscle = signs.muscle_hu + 2.0 + 5.0 * fine
        # Fat planes between the muscle layers, and fat pockets in the arm pits and the seat.
        wall_share = np.clip(-cavity_depth / np.maximum(fascia_depth - cavity_depth, 1.0), 0.0, 1.0)
        planes = np.exp(-(((wall_share - 0.36 - 0.03 * broad) / 0.05) ** 2))
        planes += np.exp(-(((wall_share - 0.68 + 0.03 * broad) / 0.04) ** 2))
        if -110.0 < nominal < 240.0:
            # The rectus muscles: fat lines in the middle and at their lateral edges.
            front = (y < -30.0) & (np.abs(x) < 90.0)
            planes += front * (np.exp(-((x / 2.2) ** 2)) + np.exp(-(((np.abs(x) - 66.0) / 3.0) ** 2)))
        thick = np.clip((fascia_depth - cavity_depth - 26.0) / 20.0, 0.0, 1.0)
        pockets = np.clip((broad - 0.55) * 2.5, 0.0, 1.0) * thick
        loss = signs.muscle_fat_fraction
        muscle -= (muscle - FAT_HU) * np.clip(0.45 * planes + pockets + loss * np.clip(fine + 0.2, 0.0, 1.0), 0.0, 1.0)
        tissue += share(fascia_depth) * (muscle - tissue)
        _draw_back_muscles(
            tissue, labels, share, mid_x, y, nominal, spine_y[k], half_depth[k], torso, fascia_depth, muscle, fat, fine
        )
        in_cavity = share(cavity_depth)
        filling = fat + (10.0 * broad if nominal < 230 else 0.0)
        tissue += in_cavity * (filling - tissue)
        _draw_psoas(tissue, labels, share, mid_x, y, nominal, spine_y[k], half_width[k], torso, fine)
        if -20.0 < nominal < 475.0:
            gap, kind = rib_gap[k][direction], rib_kind[k][direction]
            _draw_ribs(tissue, labels, cavity_depth, gap, kind, fine, torso, share)
        if 130.0 < nominal < 468.0:
            lung = share(cavity_depth - 1.0)
            above = np.clip((grid.z_mm[k] - diaphragm[rows, columns]) / grid.slice_mm + 0.5, 0.0, 1.0)
            centre = _mediastinum_depth(x, y, mid_x, nominal, spine_y[k], half_width[k], half_depth[k], torso)
            lung *= above * (1.0 - share(centre))
            air = LUNG_HU + 18.0 * fine + 14.0 * broad + 0.12 * (y - 20.0)
            soft = FAT_HU + 30.0 + 0.10 * (blood_hu - FAT_HU) + 25.0 * broad
            inside = in_cavity * share(centre) * float(nominal > 255.0)
            tissue += inside * (soft - tissue)
            tissue += lung * (air - tissue)
            labels[lung > 0.5] = 0
        plane += body * (tissue - plane)


def _mediastinum_depth(
    x: np.ndarray,
    y: np.ndarray,
    mid_x: np.ndarray,
    nominal: float,
    spine_y: float,
    half_width: float,
    half_depth: float,
    torso: Torso,
) -> np.ndarray:
    size = torso.girth
    middle = float(np.interp(nominal, (240, 300, 340, 370, 400, 430, 465), (26, 28, 33, 38, 38, 34, 30))) * size
    front = float(np.interp(nominal, (240, 320, 380, 420, 465), (-60, -72, -58, -40, -20))) * size
    narrow = 0.12 + 0.88 * np.sin(0.5 * np.pi * np.clip((y - front) / 46.0, 0.0, 1.0)) ** 0.8
    narrow *= 1.0 - 0.30 * np.clip((y + 2.0) / 40.0, 0.0, 1.0) ** 2
    lean = 6.0 + 4.0 * np.clip((300.0 - nominal) / 60.0, 0.0, 1.0)
    between = middle * narrow - np.abs(x - lean)
    around_spine = half_width + 5.0 - np.sqrt(mid_x**2 + ((y - spine_y) * (half_width / half_depth)) ** 2)
    behind = np.where(y > spine_y + 6.0, half_width + 9.0 - mid_x, -50.0)
    between = np.where(y < spine_y, between, -50.0)
    depth = np.maximum(np.maximum(between, around_spine), behind)
    # The heart and its fat.
    centre_z, half_height = 284.0, 54.0
    level = 1.0 - ((nominal - centre_z) / half_height) ** 2
    if level > 0.02:
        scale = np.sqrt(level)
        cx, cy = 20.0 + 0.28 * (centre_z - nominal), -30.0
        turn = 0.6
        along = (x - cx) * np.cos(turn) - (y - cy) * np.sin(turn)
        across = (x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
        rho = np.sqrt((along / (66.0 * size * scale)) ** 2 + (across / (47.0 * size * scale)) ** 2)
        depth = np.maximum(depth, (1.0 - rho) * 50.0 * scale)
    return depth


def _draw_back_muscles(
    tissue: np.ndarray,
    labels: np.ndarray,
    share: Callable[[np.ndarray], np.ndarray],
    mid_x: np.ndarray,
    y: np.ndarray,
    nominal: float,
    spine_y: float,
    half_depth: float,
    torso: Torso,
    fascia_depth: np.ndarray,
    muscle: np.ndarray,
    fat: np.ndarray,
    fine: np.ndarray,
) -> None:
    if nominal < -75.0:
        return
    signs, size = torso.signs, torso.girth
    wide = float(np.interp(nominal, (-75, -30, 30, 115, 200, 300, 400, 480), (14, 28, 37, 36, 31, 26, 23, 22))) * size
    deep = float(np.interp(nominal, (-75, -30, 30, 115, 200, 300, 400, 480), (7, 15, 21, 21, 16, 12, 11, 12))) * size
    off = float(np.interp(nominal, (-75, 30, 115, 200, 300, 480), (20, 37, 37, 32, 28, 24))) * size
    shrink = np.sqrt(signs.muscle_area_factor)
    front = spine_y + half_depth + 14.0
    # The compartment keeps its size and fills with fat as the muscle shrinks.
    room = (1.0 - np.sqrt(((mid_x - off) / (wide * 1.1)) ** 2 + ((y - front - deep) / (deep * 1.15)) ** 2)) * deep
    compartment = share(np.minimum(room, fascia_depth))
    tissue += compartment * (fat - tissue)
    centre_y = front + deep * (1.0 - 0.15 * (1.0 - shrink))
    bundle = 1.0 - np.sqrt(
        ((mid_x - off * (0.5 + 0.5 * shrink)) / (wide * shrink)) ** 2 + ((y - centre_y) / (deep * shrink)) ** 2
    )
    depth = np.minimum(bundle * deep, fascia_depth - 1.0)
    streaks = (
        np.clip(0.9 * (fine + 1.6 * (signs.muscle_fat_fraction - 0.2) * 3.0), 0.0, 1.0)
        * signs.muscle_fat_fraction
        * 1.6
    )
    lean = signs.muscle_hu + 4.0 * fine
    value = lean - (lean - FAT_HU) * np.clip(streaks, 0.0, 0.85)
    inside = share(depth)
    tissue += inside * (value - tissue)
    labels[room > 0.0] = PARASPINAL_MUSCLE


def _draw_psoas(
    tissue: np.ndarray,
    labels: np.ndarray,
    share: Callable[[np.ndarray], np.ndarray],
    mid_x: np.ndarray,
    y: np.ndarray,
    nominal: float,
    spine_y: float,
    half_width: float,
    torso: Torso,
    fine: np.ndarray,
) -> None:
    if not -205.0 < nominal < 165.0:
        return
    signs, size = torso.signs, torso.girth
    heights = (-205, -170, -120, -70, -20, 30, 79, 115, 165)
    radius = (
        float(np.interp(nominal, heights, (12, 17, 20, 23, 23, 21, 16, 11, 3))) * size * signs.muscle_area_factor**0.5
    )
    beside = half_width + 0.75 * radius
    off = float(np.interp(nominal, heights, (74, 80, 82, 68, 50, 0, 0, 0, 0))) * size
    off = max(off, beside) if nominal > -20 else off
    level = float(np.interp(nominal, (-205, -170, -120, -70, -20), (-2, -22, -44, -26, 4)))
    centre_y = level if nominal < -20.0 else float(np.interp(nominal, (-20, 30), (4, spine_y + 1)))
    shape = np.sqrt(((mid_x - off) / radius) ** 2 + ((y - centre_y) / (1.12 * radius)) ** 2)
    depth = (1.0 - shape) * radius
    value = signs.muscle_hu + 4.0 * fine
    value -= (value - FAT_HU) * 0.7 * signs.muscle_fat_fraction * np.clip(fine + 0.3, 0.0, 1.0)
    tissue += share(depth) * (value - tissue)
    if nominal > -30.0:
        labels[depth > 0.0] = PARASPINAL_MUSCLE
    if 20.0 < nominal < 165.0:
        # The quadratus lumborum between the last rib and the iliac crest.
        flat = 1.0 - np.sqrt(((mid_x - 62.0 * size) / (20.0 * size)) ** 2 + ((y - spine_y - 34.0) / (8.0 * size)) ** 2)
        tissue += share(flat * 10.0) * (value - tissue)


def _draw_ribs(
    tissue: np.ndarray,
    labels: np.ndarray,
    cavity_depth: np.ndarray,
    gap: np.ndarray,
    kind: np.ndarray,
    fine: np.ndarray,
    torso: Torso,
    share: Callable[[np.ndarray], np.ndarray],
) -> None:
    across = np.abs(-cavity_depth - RIB_OFFSET_MM)
    rho = np.sqrt((across / 4.2) ** 2 + (gap / 6.6) ** 2)
    near = rho < 1.6
    if not near.any():
        return
    depth = (1.0 - rho[near]) * 5.0
    bone = kind[near] == 1
    signs = torso.signs
    cortex = 0.85 * signs.cortical_hu
    core = 0.75 * signs.trabecular_hu + 40.0
    specks = np.clip((fine[near] - 0.8 + 1.6 * signs.cartilage_calcification) * 1.2, 0.0, 1.0)
    specks *= signs.cartilage_calcification
    shell = np.where(bone, cortex, 95.0 + 420.0 * specks)
    inner = np.where(bone, core, 75.0 + 160.0 * specks)
    values = tissue[near]
    values += share(depth) * (shell - values)
    values += share(depth - 1.6) * (inner - values)
    tissue[near] = values
    marks = labels[near]
    marks[depth > 0] = 0
    marks[~bone & (depth > 0)] = COSTAL_CARTILAGE
    labels[near] = marks


def _rib_table(grid: TorsoGrid, torso: Torso) -> tuple[np.ndarray, np.ndarray]:
    """Distance (mm) to the nearest rib along z and its kind (1 bone, 2 cartilage) per slice and direction."""
    angle = np.arange(CONTOUR_ANGLES) * (2 * np.pi / CONTOUR_ANGLES)
    from_back = np.abs((angle - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi)
    gap = np.full((len(grid.z_mm), CONTOUR_ANGLES), 99.0, np.float32)
    kind = np.zeros_like(gap, np.uint8)
    thoracic = [v for v in torso.vertebrae if v.name.startswith("T")][::-1]
    for number, vertebra in enumerate(thoracic):
        end, cartilage = _RIB_END[number], _CARTILAGE_END[number]
        run = np.clip((from_back - 0.25) / (end - 0.25), 0.0, 1.0)
        drop = _RIB_DROP[number] * (0.35 * run + 0.65 * run**1.5) * torso.subject.stature
        rise = np.clip((from_back - end) / max(cartilage - end, 0.1), 0.0, 1.0) ** 1.3 * _CARTILAGE_RISE[number]
        height = vertebra.centre_z_mm + 6.0 - drop + rise
        slope = np.gradient(height, angle) / 125.0
        distance = np.abs(grid.z_mm[:, None] - height[None]) / np.sqrt(1.0 + slope**2)[None]
        distance = np.where((from_back > 0.28) & (from_back < cartilage), distance, 99.0)
        closer = distance < gap
        gap = np.where(closer, distance, gap).astype(np.float32)
        kind = np.where(closer, np.where(from_back < end, 1, 2)[None], kind).astype(np.uint8)
    return gap, kind
