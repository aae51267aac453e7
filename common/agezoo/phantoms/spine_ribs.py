"""Ribs and shoulder blades in the lateral projection."""

from __future__ import annotations

import numpy as np

from agezoo.phantoms.spine_ageing import LEVELS
from agezoo.phantoms.spine_anatomy import Column, Pose
from agezoo.phantoms.spine_layer import Layer, smooth_line


def draw_ribs(layer: Layer, column: Column, pose: Pose, strength: float, seed: int) -> None:
    """Add both sides' ribs.

    Each starts at the back of its vertebra, runs backwards to its angle, where it lies along the beam and is bright,
    and then sweeps forwards and down across the bodies below, broad and faint.
    """
    rng = np.random.default_rng([seed, 14])
    for index, level in enumerate(LEVELS[: LEVELS.index("L1")]):
        vertebra = column[level]
        size = vertebra.depth_mm / 28.0
        short = {"T11": 0.55, "T12": 0.28}.get(level, 1.0)
        for side in (-0.5, 0.5):
            jitter = rng.normal(0.0, 1.2, 2)
            steep = 1.0 + 0.05 * rng.standard_normal() + 0.25 * (index / 11.0)
            head = vertebra.place([(vertebra.depth_mm / 2.0, vertebra.height_mm[1] * 0.42)])[0]
            shift = np.array([side * pose.turn_mm, side * pose.turn_mm * 0.35]) + jitter
            reach = (30.0 + 12.0 * np.sin(np.pi * min(index + 2, 10) / 12.0)) * size**0.5
            back = np.array(
                [
                    (0.0, 0.0),
                    (0.35 * reach, 2.0),
                    (0.78 * reach, 12.0 * steep),
                    (reach, 29.0 * steep),
                    (reach, 48.0 * steep),
                    (0.84 * reach, 66.0 * steep),
                ]
            )
            forward = np.array(
                [
                    (0.40 * reach, 90.0 * steep),
                    (-22.0, 116.0 * steep),
                    (-66.0, 138.0 * steep),
                    (-110.0, 150.0 * steep),
                    (-160.0, 152.0 * steep),
                ]
            )
            run = np.concatenate([back, back[-1] + short * (forward - back[-1])])
            course = head + shift * np.clip(np.linspace(0.2, 1.6, len(run)), 0.0, 1.0)[:, None] + run
            line = smooth_line(course)
            width = np.interp(np.linspace(0, 1, len(line)), [0.0, 0.25, 0.5, 1.0], [6.5, 7.5, 10.5, 11.5])
            layer.stroke(line, width * size**0.4, 0.045 * strength, 0.9, rim=0.04 * strength)
            angle = smooth_line(course[:6])
            layer.stroke(angle, 6.5 * size**0.4, 0.13 * strength, 1.0, rim=0.09 * strength)


def draw_shoulder_blades(layer: Layer, column: Column, pose: Pose, strength: float) -> None:
    """Add the faint borders of both shoulder blades over the upper thoracic spine."""
    top = column["T3"].centre_mm
    for side in (-0.5, 0.5):
        shift = np.array([side * (pose.turn_mm + 9.0), side * 5.0])
        blade = smooth_line(
            top + shift + np.array([(-34.0, -40.0), (-6.0, -12.0), (16.0, 34.0), (34.0, 86.0), (30.0, 104.0)])
        )
        layer.stroke(blade, 8.0, 0.10 * strength, 1.8, rim=0.05 * strength)
