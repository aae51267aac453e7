"""Draw one whole-body phantom: ideal signals of water and fat, and the labels of all tissues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agezoo.phantoms.body_abdomen import draw_abdomen
from agezoo.phantoms.body_canvas import BodyCanvas
from agezoo.phantoms.body_chest import diaphragm_mm, draw_chest
from agezoo.phantoms.body_envelope import draw_envelope
from agezoo.phantoms.body_heart import draw_heart
from agezoo.phantoms.body_labels import SUBCUTANEOUS_FAT
from agezoo.phantoms.body_muscles import draw_back_muscles, draw_limb_muscles, draw_psoas
from agezoo.phantoms.body_shape import BodyShape
from agezoo.phantoms.body_skeleton import draw_skeleton
from agezoo.phantoms.body_spine import draw_spine
from agezoo.phantoms.body_subject import BodySubject
from agezoo.phantoms.body_vessels import draw_aorta, draw_vessels

FIELD_OF_VIEW_MM = (500.0, 375.0, 1089.0)
"""Extent to the Left, Anterior and Superior, as in UK Biobank: from the neck to the knees."""


@dataclass(frozen=True, eq=False)
class BodyPhantom:
    """What an ideal scanner would see of a body.

    Attributes
    ----------
    water, fat
        Ideal signals, 0 to 1, float32 (X, Y, Z), axes to Left, Anterior and Superior.
    labels
        uint8 of the same shape; see `body_labels.LABELS`.
    affine
        Voxel to patient, RAS+ mm, shape (4, 4); the middle of the field of view is the origin.
    """

    water: np.ndarray
    fat: np.ndarray
    labels: np.ndarray
    affine: np.ndarray


def draw_body(subject: BodySubject, spacing_mm: Sequence[float]) -> BodyPhantom:
    """Draw a body from the neck to the knees.

    Parameters
    ----------
    subject
        The person at a visit; equal subjects give equal bodies.
    spacing_mm
        Voxel size to the Left, Anterior and Superior; the field of view is `FIELD_OF_VIEW_MM` to the nearest voxel.

    Returns
    -------
    BodyPhantom
        What lies outside of the field of view is cut off: arms of wide people, knees of tall ones.
    """
    steps = [float(step) for step in spacing_mm]
    counts = [round(extent / step) for extent, step in zip(FIELD_OF_VIEW_MM, steps, strict=True)]
    x, y, z = ((np.arange(count) - (count - 1) / 2) * step for count, step in zip(counts, steps, strict=True))
    shape = BodyShape(subject)
    canvas = BodyCanvas(x, y + shape.middle_y_mm, z + shape.middle_z_mm)
    signs = subject.signs
    envelope = draw_envelope(canvas, shape)
    draw_limb_muscles(canvas, shape, envelope)
    draw_skeleton(canvas, shape, envelope)
    diaphragm = diaphragm_mm(canvas, shape)
    draw_chest(canvas, shape, envelope, diaphragm)
    draw_abdomen(canvas, shape, envelope, diaphragm)
    draw_psoas(canvas, shape)
    draw_vessels(canvas, shape)
    # The regions that age come last: nothing that does not age shows or hides a change in them.
    draw_back_muscles(canvas, shape, envelope, signs)
    draw_spine(canvas, shape, signs)
    draw_heart(canvas, shape, envelope, signs)
    draw_aorta(canvas, shape, signs)
    # Where thin layers share a voxel, as in a hand, none of them may fill half of it.
    unnamed = (canvas.labels == 0) & (canvas.water + canvas.fat > 0.5)
    canvas.labels[unnamed] = SUBCUTANEOUS_FAT
    affine = np.diag([-steps[0], steps[1], steps[2], 1.0])
    affine[:3, 3] = (-x[0], y[0], z[0])
    water, fat, labels = (
        np.ascontiguousarray(volume[:, ::-1].transpose(2, 1, 0)) for volume in (canvas.water, canvas.fat, canvas.labels)
    )
    return BodyPhantom(water=water, fat=fat, labels=labels, affine=affine)
