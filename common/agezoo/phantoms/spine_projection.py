"""One lateral view of a person's spine: attenuation along each beam, and the labels of what carries age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agezoo.phantoms.spine_ageing import SpineSigns
from agezoo.phantoms.spine_anatomy import Column, Pose, SpineSubject, build_column
from agezoo.phantoms.spine_aorta import draw_plaques
from agezoo.phantoms.spine_bodies import draw_bodies
from agezoo.phantoms.spine_layer import Layer, Picture
from agezoo.phantoms.spine_posterior import draw_iliac_wings, draw_posterior_elements, draw_sacrum
from agezoo.phantoms.spine_ribs import draw_ribs, draw_shoulder_blades
from agezoo.phantoms.spine_soft_tissue import Breath, draw_soft_tissue

_COARSE_MM = 1.6
_MIDDLE_MM = 0.7


@dataclass(frozen=True)
class View:
    """The part of the person that the image shows.

    Attributes
    ----------
    rows, columns
        Of the image.
    pixel_mm
        Edge of a pixel.
    sacrum_from_bottom_mm
        Height of the sacrum's endplate above the lower border.
    spine_from_front_mm
        Distance of the column's middle from the border on the patient's front side.
    faces_right
        The patient looks to the right of the image.
    """

    rows: int
    columns: int
    pixel_mm: float
    sacrum_from_bottom_mm: float
    spine_from_front_mm: float
    faces_right: bool


@dataclass(frozen=True)
class Projection:
    """What the beams meet.

    Attributes
    ----------
    bone
        Attenuation of bone and calcification beyond that of soft tissue, float32 ``(rows, columns)``.
    tissue
        Attenuation of everything else.
    labels
        uint8 of the same shape, values as in `agezoo.phantoms.spine_labels.LABELS`.
    """

    bone: Picture
    tissue: Picture
    labels: NDArray[np.uint8]


def project_spine(subject: SpineSubject, signs: SpineSigns, pose: Pose, breath: Breath, view: View) -> Projection:
    """Project a person.

    Parameters
    ----------
    subject, signs
        Who, and how aged.
    pose, breath
        How at this moment.
    view
        Grid and field.

    Returns
    -------
    Projection
    """
    size_mm = (view.rows * view.pixel_mm, view.columns * view.pixel_mm)
    column = _placed(build_column(subject, signs, pose), view, size_mm)
    shape = (view.rows, view.columns)
    seed = subject.seed[-1] + 100_003 * subject.seed[0]
    density, cortex = signs.trabecular_density, signs.cortical_density
    strength = 0.45 * density + 0.55 * cortex

    fine = Layer(size_mm, view.pixel_mm)
    fine.values = np.zeros(shape, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.uint8)
    middle = Layer(size_mm, max(_MIDDLE_MM, view.pixel_mm))
    arches = np.zeros(middle.values.shape, dtype=np.uint8)
    draw_posterior_elements(middle, arches, column, strength)
    draw_sacrum(middle, column, strength)
    draw_iliac_wings(middle, column, pose, cortex)
    draw_ribs(middle, column, pose, cortex, seed)
    draw_shoulder_blades(middle, column, pose, cortex)
    labels[...] = _labels_on(arches, shape, middle.pixel_mm, view.pixel_mm)
    draw_bodies(fine, labels, column, signs, pose.obliquity, seed)
    draw_plaques(fine, labels, column, signs, seed)

    coarse = Layer(size_mm, _COARSE_MM)
    draw_soft_tissue(coarse, column, subject, breath)
    bone = fine.values + middle.on_grid(shape, view.pixel_mm)
    tissue = np.maximum(coarse.on_grid(shape, view.pixel_mm), 0.0)
    turn = slice(None, None, -1) if view.faces_right else slice(None)
    return Projection(*(np.ascontiguousarray(part[:, turn]) for part in (bone, tissue, labels)))


def _placed(column: Column, view: View, size_mm: tuple[float, float]) -> Column:
    """The column where the view wants it."""
    middle = float(np.mean([vertebra.centre_mm[0] for vertebra in column.vertebrae]))
    return column.moved((view.spine_from_front_mm - middle, size_mm[0] - view.sacrum_from_bottom_mm))


def _labels_on(labels: NDArray[np.uint8], shape: tuple[int, int], from_mm: float, to_mm: float) -> NDArray[np.uint8]:
    scale = to_mm / from_mm
    box = (0.0, 0.0, min(shape[1] * scale, labels.shape[1]), min(shape[0] * scale, labels.shape[0]))
    return np.asarray(Image.fromarray(labels).resize(shape[::-1], Image.Resampling.NEAREST, box=box))
