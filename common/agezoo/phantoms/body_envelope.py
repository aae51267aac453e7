"""Skin, subcutaneous fat, muscle and the fat of the cavity of a whole-body phantom: what all organs lie in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agezoo.phantoms import body_labels
from agezoo.phantoms.body_canvas import BodyCanvas, Tissue
from agezoo.phantoms.body_shape import BodyShape
from agezoo.phantoms.torso_grid import Box

FAT = Tissue(0.05, 0.92)
MUSCLE = Tissue(0.86, 0.0)
SKIN = Tissue(0.45, 0.15)


def muscle(shape: BodyShape) -> Tissue:
    """Muscle of a person, with the fat that it holds; none of it depends on age."""
    share = shape.muscle_fat_fraction
    return Tissue(float(MUSCLE.water) * (1.0 - share), float(FAT.fat) * share)


@dataclass(frozen=True, eq=False)
class Envelope:
    """Signed depth (mm) of every voxel below the skin, the muscle fascia and the wall of the cavity; (Z, Y, X)."""

    skin: np.ndarray
    fascia: np.ndarray
    cavity: np.ndarray

    def keep_inside(self, found: tuple[Box, np.ndarray] | None, margin_mm: float) -> tuple[Box, np.ndarray] | None:
        """Cut a shape off where it comes closer than a margin to the wall of the cavity."""
        if found is None:
            return None
        box, depth = found
        return box, np.minimum(depth, self.cavity[box] - np.float32(margin_mm))


def draw_envelope(canvas: BodyCanvas, shape: BodyShape) -> Envelope:
    """Paint skin, subcutaneous fat, muscle and cavity, and return where they are."""
    direction, radius = canvas.grid.direction, canvas.grid.radius
    volumes = []
    for contour in shape.contours_mm(canvas.z_mm):
        depth = contour[:, direction]
        depth -= radius
        volumes.append(depth)
    skin, fascia, cavity = volumes
    for volume, skinned in ((skin, True), (fascia, False)):
        for side in (1, -1):
            for knots in (shape.thigh(side, skin=skinned), shape.arm(side, skin=skinned)):
                found = canvas.column(knots, power=2.2)
                if found is not None:
                    view = volume[found[0]]
                    np.maximum(view, found[1], out=view)
    np.minimum(fascia, skin - np.float32(2.5), out=fascia)
    everything = canvas.everything
    canvas.mix(everything, canvas.share(skin), SKIN, body_labels.SUBCUTANEOUS_FAT)
    canvas.mix(everything, canvas.share(skin - np.float32(2.0)), FAT)
    canvas.mix(everything, canvas.share(fascia), muscle(shape), body_labels.OTHER_SOFT_TISSUE)
    canvas.mix(
        everything,
        canvas.share(cavity),
        Tissue(shape.visceral_water, 0.95 - shape.visceral_water),
        body_labels.VISCERAL_FAT,
    )
    return Envelope(skin=skin, fascia=fascia, cavity=cavity)
