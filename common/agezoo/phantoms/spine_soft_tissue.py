"""What is not bone: the body's outline and thickness, lungs, heart, diaphragm, bowel gas, skin folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agezoo.phantoms.spine_anatomy import Column, SpineSubject
from agezoo.phantoms.spine_layer import Layer, ellipse, rounded, smooth_line

FloatArray = NDArray[np.float64]

TISSUE_PER_MM = 0.0185
"""Attenuation of soft tissue at the effective energy of a filtered 80 to 90 kV beam."""

# Outline of a lung: two points from T2, two from T6, eight from the diaphragm below T11, two from T6.
_LUNG_MM = (
    (-30, -6),
    (8, -10),
    (48, -34),
    (56, 20),
    (56, 0),
    (50, 34),
    (40, 46),
    (24, 26),
    (-2, 4),
    (-40, -15),
    (-90, -22),
    (-170, -2),
    (-160, 0),
    (-120, -110),
)


@dataclass(frozen=True)
class Breath:
    """What differs between two images of one person inside the trunk.

    Attributes
    ----------
    dome_mm
        Height of the diaphragm, upward positive.
    gas_seed
        Of the bowel gas.
    """

    dome_mm: float
    gas_seed: int


def draw_soft_tissue(layer: Layer, column: Column, subject: SpineSubject, breath: Breath) -> None:
    """Set the layer to the attenuation of the trunk without bones.

    Parameters
    ----------
    layer
        A coarse grid: nothing in it is sharper than a few millimetres.
    column
        Where the spine is.
    subject
        Girth and stature.
    breath
        Diaphragm and gas.
    """
    x, y = layer.centres_mm()
    rows = y[:, 0].astype(np.float64)
    spine_y = column.line(0.0)[:, 1]
    marks = np.concatenate([spine_y, [column.sacrum_mm[1] + 40.0]])
    spine_x = np.concatenate([column.line(0.0)[:, 0], [column.sacrum_mm[0] + 14.0]])
    girth = 1.0 + 0.075 * subject.fatness
    smooth = 40.0 / layer.pixel_mm
    middle = ndimage.gaussian_filter1d(np.interp(rows, marks, spine_x), smooth, mode="nearest")
    own = np.interp(rows, marks, spine_x)
    # Along the trunk: shoulders, chest, waist, hips.
    stations = [spine_y[0], spine_y[4], spine_y[8], spine_y[11], spine_y[14], column.sacrum_mm[1] + 60.0]
    fat_mm = 9.0 + 4.5 * subject.fatness
    behind = np.interp(rows, stations, [50, 62, 66, 68, 72, 92]) * subject.stature**0.5 + max(fat_mm, 3.0)
    depth = np.interp(rows, stations, [150, 215, 235, 228, 222, 228]) * subject.stature**0.5 * girth
    width = np.interp(rows, stations, [420, 330, 315, 300, 310, 360]) * subject.stature**0.5 * girth
    skin_back = np.maximum(0.4 * own + 0.6 * middle, own - 6.0) + behind
    skin_back = ndimage.gaussian_filter1d(skin_back, 9.0 / layer.pixel_mm, mode="nearest")
    skin_front = ndimage.gaussian_filter1d(skin_back - depth, 16.0 / layer.pixel_mm, mode="nearest")
    centre, half = (skin_back + skin_front) / 2.0, (skin_back - skin_front) / 2.0
    s = (x - centre[:, None]) / half[:, None]
    chord = np.clip(1.0 - np.abs(s) ** 2.4, 0.0, None) ** 0.5
    tissue = width[:, None] * chord
    # Fat under the skin of the back attenuates less than muscle.
    inside_mm = skin_back[:, None] - x
    tissue *= 1.0 - 0.16 / (1.0 + np.exp((inside_mm - 1.6 * max(fat_mm, 3.0)) / 1.5))
    lungs = _lung_path(layer, column, subject, breath, s)
    tissue = tissue - np.minimum(lungs, 0.80 * tissue)
    layer.values += (TISSUE_PER_MM * tissue).astype(np.float32)
    _add_texture(layer, lungs, tissue, breath)
    _draw_heart_and_great_vessels(layer, column)
    _draw_bowel(layer, column, breath)


def _lung_path(
    layer: Layer, column: Column, subject: SpineSubject, breath: Breath, s: NDArray[np.float32]
) -> FloatArray:
    """Millimetres of tissue that the lungs take out of each beam."""
    size = subject.stature
    t2, t6, t11 = (column[level].centre_mm for level in ("T2", "T6", "T11"))
    dome = np.array([0.0, -breath.dome_mm])
    total = np.zeros(layer.values.shape, dtype=np.float64)
    for side, path_mm in ((-1.0, 88.0), (1.0, 80.0)):
        low = t11 + dome + np.array([0.0, 6.0 * side])
        anchors = np.array([t2] * 2 + [t6] * 2 + [low] * 8 + [t6] * 2)
        outline = anchors + size * np.array(_LUNG_MM)
        drawn = layer.shape(rounded(outline, cuts=3), 2.6)
        if drawn is not None:
            total[drawn[0]] += path_mm * size * drawn[1]
    # Near the back and the front wall the lungs are thin, towards their top as well.
    thin = np.clip(1.0 - np.clip(np.abs(s), 0.0, 1.0) ** 3.0, 0.0, 1.0) ** 0.5
    _, y = layer.centres_mm()
    apex = 0.2 + 0.8 / (1.0 + np.exp((t2[1] + 42.0 - y) / 17.0))
    return total * thin * apex


def _add_texture(layer: Layer, lungs: FloatArray, tissue: FloatArray, breath: Breath) -> None:
    """Vessels of the lungs and contents of the bowel: too small to draw one by one."""
    rng = np.random.default_rng([breath.gas_seed, 19])
    noise = rng.standard_normal(layer.values.shape)
    in_lung = np.clip(lungs / 120.0, 0.0, 1.0)
    in_body = np.clip(tissue / 150.0, 0.0, 1.0) * (1.0 - in_lung)
    for where, sd_mm, amount in ((in_lung, 2.2, 0.045), (in_body, 7.0, 0.03)):
        mottle = ndimage.gaussian_filter(noise, sd_mm / layer.pixel_mm, mode="wrap")
        layer.values += (amount * where * mottle / mottle.std()).astype(np.float32)


def _draw_heart_and_great_vessels(layer: Layer, column: Column) -> None:
    t5, t8, t11 = (column[level] for level in ("T5", "T8", "T11"))
    heart = t8.centre_mm + np.array([-t8.depth_mm / 2.0 - 78.0, 24.0])
    layer.fill(ellipse(heart, (46.0, 60.0), -24.0), 0.6, 13.0)
    hilum = t5.centre_mm + np.array([-t5.depth_mm / 2.0 - 34.0, 22.0])
    layer.fill(ellipse(hilum, (17.0, 22.0), -20.0), 0.26, 8.0)
    arch = np.array([(-34.0, -2.0), (-18.0, -16.0), (-2.0, -4.0)]) + column["T4"].centre_mm
    down = np.array(
        [column[level].place([(-0.32 * column[level].depth_mm, 0.0)])[0] for level in ("T5", "T7", "T9", "T11")]
    )
    layer.stroke(smooth_line(np.concatenate([arch, down])), 25.0, 0.36, 2.4)
    trachea = np.array([(-26.0, -64.0), (-25.0, -20.0), (-30.0, 14.0)]) + column["T4"].centre_mm
    layer.stroke(smooth_line(trachea), 15.0, -0.22, 2.0)
    liver = t11.centre_mm + np.array([-70.0, 46.0])
    layer.fill(ellipse(liver, (78.0, 40.0), 12.0), 0.25, 12.0)


def _draw_bowel(layer: Layer, column: Column, breath: Breath) -> None:
    rng = np.random.default_rng([breath.gas_seed, 15])
    for _ in range(int(rng.integers(5, 12))):
        level = column[f"L{rng.integers(1, 6)}"]
        place = level.centre_mm + np.array([-level.depth_mm / 2.0 - rng.uniform(18.0, 110.0), rng.normal(0.0, 16.0)])
        wide, high = rng.uniform(6.0, 18.0), rng.uniform(5.0, 12.0)
        outline = ellipse((0.0, 0.0), (wide, high), rng.uniform(-60, 60))[::6]
        outline = place + rounded(outline * rng.uniform(0.6, 1.35, (len(outline), 1)), cuts=2)
        layer.fill(outline, -rng.uniform(0.08, 0.4), rng.uniform(1.5, 4.0))
