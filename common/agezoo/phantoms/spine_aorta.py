"""Calcified plaques in the walls of the abdominal and the lower thoracic aorta."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agezoo.phantoms.spine_ageing import PLAQUES, SpineSigns
from agezoo.phantoms.spine_anatomy import Column
from agezoo.phantoms.spine_labels import LABELS
from agezoo.phantoms.spine_layer import Layer, band, smooth_line

_LEVELS = ("T10", "T11", "T12", "L1", "L2", "L3", "L4")


def draw_plaques(layer: Layer, labels: NDArray[np.uint8], column: Column, signs: SpineSigns, seed: int) -> None:
    """Add the plaques to the layer and label them.

    Parameters
    ----------
    layer
        The stored image's grid.
    labels
        Mask of the same shape, changed in place; bone keeps its label.
    column
        The vessel runs in front of it, down to its bifurcation at L4.
    signs
        Growth of each plaque.
    seed
        The person's; it says where each plaque is.
    """
    rng = np.random.default_rng([seed, 16])
    gap, radius = rng.uniform(3.0, 9.0), rng.uniform(9.0, 11.5)
    waves = rng.normal(0.0, 2.2, len(_LEVELS))
    # Plaques gather towards the bifurcation.
    places, walls = 1.0 - rng.random(PLAQUES) ** 1.5, rng.random(PLAQUES) < 0.58
    lengths, wobble = rng.uniform(0.4, 1.7, PLAQUES), rng.normal(0.0, 0.8, PLAQUES)
    dense = rng.uniform(0.5, 1.5, PLAQUES)
    bumps = np.clip(rng.normal(1.0, 0.35, (PLAQUES, 9)), 0.3, 1.9) * np.array([0.4, 0.8, 1, 1, 1, 1, 1, 0.8, 0.4])
    axis = np.array(
        [
            column[level].place([(-column[level].depth_mm / 2.0 - gap - radius + wave, 0.0)])[0]
            for level, wave in zip(_LEVELS, waves, strict=True)
        ]
    )
    # Above the diaphragm the vessel lies beside the bodies.
    axis[:2, 0] += (14.0, 8.0)
    axis = np.concatenate([axis, axis[-1:] + (axis[-1:] - axis[-2:-1]) * 0.25])
    line = smooth_line(axis)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    for index, growth in enumerate(signs.plaque_growth):
        if growth <= 0.02:
            continue
        length = (1.5 + 7.5 * growth) * lengths[index]
        middle = places[index] * along[-1]
        reach = np.linspace(middle - length / 2.0, middle + length / 2.0, 9)
        course = np.stack([np.interp(reach, along, line[:, axis_]) for axis_ in (0, 1)], axis=1)
        out = -radius if walls[index] else radius
        course[:, 0] += out + wobble[index]
        thick = (0.9 + 1.3 * growth) * bumps[index]
        outline = band(course, thick)
        layer.fill(outline, (0.10 + 0.30 * growth) * dense[index], 0.5)
        drawn = layer.shape(outline, 0.0)
        if drawn is not None:
            part = labels[drawn[0]]
            part[(drawn[1] > 0.5) & ((part == 0) | (part == LABELS["discs"]))] = LABELS["aorta_calcification"]
