"""A phantom head as a T1 scanner stores it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from agezoo.phantoms.brain_ageing import BrainSubject, brain_signs
from agezoo.phantoms.brain_anatomy import DISTANCE_SCALE, brain_anatomy
from agezoo.phantoms.brain_head import head_shell
from agezoo.phantoms.brain_plan import PlannedBrainScan
from agezoo.phantoms.brain_scan import BrainScan
from agezoo.phantoms.brain_scanner import BrainScanSettings, bias_field, magnitude, rotation
from agezoo.phantoms.brain_tissue import OwnBrain, brain_tissue, own_brain, tissue_signal

Floats = NDArray[np.float32]

_LATTICE_MM = 4.0
_BRAIN_REACH_MM = 2.4
"""How far outside the template's brain its tissues are asked for; beyond is the fluid of the head around it."""

_PIVOT_MM = np.array([0.0, -20.0, -20.0])
"""The head turns about this point (MNI space)."""


def head_scan(scan: PlannedBrainScan) -> BrainScan:
    """Draw a whole head: turned, shaded and noisy, in the scan's own grid and axes."""
    settings = scan.settings
    brain = own_brain(scan.subject, brain_signs(scan.subject))
    affine, shape = _grid(settings)
    parts = _subdivisions(settings)
    fine_shape = tuple(size * part for size, part in zip(shape, parts, strict=True))
    step = np.diag([*(1.0 / part for part in parts), 1.0])
    # The centres of a voxel's parts lie half a voxel less half a part before its own centre.
    step[:3, 3] = [0.5 / part - 0.5 for part in parts]
    to_head = _head_from_scanner(scan.subject, settings) @ affine @ step
    signal, labels = _seen(brain, settings, to_head, (fine_shape[0], fine_shape[1], fine_shape[2]))
    signal = _averaged(signal, parts)
    labels = labels[tuple(slice((part - 1) // 2, None, part) for part in parts)]
    rng = np.random.default_rng([*settings.seed, 1])
    field = bias_field(rng, shape, np.array(settings.voxel_mm))
    field *= np.float32(settings.bias)
    field += _coil_end(affine, shape)
    signal *= np.exp(field)
    stored = np.rint(np.float32(settings.white_stored) * magnitude(signal, settings.noise, rng))
    voxels = np.clip(stored, 0, 32767).astype(np.int16)
    return _stored_as(BrainScan(voxels, labels, affine), settings.orientation)


def _grid(settings: BrainScanSettings) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Voxel to scanner coordinates (RAS+ mm) and number of voxels, before the axes are put in their stored order."""
    step = np.array(settings.voxel_mm)
    sizes = np.round(np.array(settings.field_of_view_mm) / step / 2).astype(int) * 2
    affine = np.eye(4)
    affine[:3, :3] = rotation(settings.oblique_deg) @ np.diag(step)
    affine[:3, 3] = np.array(settings.centre_mm) - affine[:3, :3] @ ((sizes - 1) / 2)
    return affine, (int(sizes[0]), int(sizes[1]), int(sizes[2]))


def _subdivisions(settings: BrainScanSettings) -> tuple[int, int, int]:
    """Parts that each voxel is averaged from along its axes: thick ones mix tissues."""
    x, y, z = (1 if settings.quick else max(1, round(step / 1.2)) if step > 1.7 else 1 for step in settings.voxel_mm)
    return x, y, z


def _head_from_scanner(subject: BrainSubject, settings: BrainScanSettings) -> NDArray[np.float64]:
    """Scanner coordinates to those of the person's head at the template's size and pose, both in mm."""
    rng = np.random.default_rng([*subject.seed, 8])
    size = (1.0 if subject.sex == "M" else 0.945) * float(np.exp(rng.normal(0.0, 0.028)))
    proportions = np.exp(rng.normal(0.0, 0.02, 3))
    # MNI's average brain is larger than most people's.
    scale = 0.95 * size * proportions / float(proportions.mean())
    to_scanner = np.eye(4)
    to_scanner[:3, :3] = rotation(settings.rotation_deg) @ np.diag(scale)
    to_scanner[:3, 3] = np.array(settings.shift_mm) - to_scanner[:3, :3] @ _PIVOT_MM
    return np.asarray(np.linalg.inv(to_scanner), np.float64)


def _seen(
    brain: OwnBrain, settings: BrainScanSettings, to_head: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[Floats, NDArray[np.uint8]]:
    """Brightness, white matter being 1, and labels at the points of a grid."""
    anatomy = brain_anatomy()
    # The warp is smooth: template positions are computed on a coarse lattice of the scan and interpolated.
    strides = [max(1, int(_LATTICE_MM / step)) for step in np.linalg.norm(to_head[:3, :3], axis=0)]
    lattice = [
        np.arange(-(-(size - 1) // stride) + 1, dtype=np.float32) * stride
        for size, stride in zip(shape, strides, strict=True)
    ]
    coarse = brain.displacement.template_points(_transformed(to_head, lattice))
    away = anatomy.pull(anatomy.distance, anatomy.index(coarse), outside=255)
    places = [
        np.arange(size, dtype=np.float32) / np.float32(stride) for size, stride in zip(shape, strides, strict=True)
    ]
    template = np.stack([_interpolated(part, places) for part in coarse])
    signal = head_shell().pull(template)
    near = _interpolated(away, places) < 128 + DISTANCE_SCALE * (_BRAIN_REACH_MM + 2.0)
    at = np.flatnonzero(near.ravel())
    tissue = brain_tissue(brain, template.reshape(3, -1)[:, at])
    inner = np.clip((np.float32(_BRAIN_REACH_MM) - tissue.distance_mm) / np.float32(1.2), 0.0, 1.0)
    shown = tissue_signal(tissue, settings)
    flat = signal.reshape(-1)
    flat[at] += inner * (shown - flat[at])
    labels = np.zeros(flat.size, np.uint8)
    labels[at] = tissue.labels
    return signal, labels.reshape(shape)


def _transformed(matrix: NDArray[np.float64], axes: list[Floats]) -> Floats:
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    rows = [[np.float32(value) for value in row] for row in matrix[:3]]
    return np.stack([a * i + b * j + c * k + d for a, b, c, d in rows])


def _interpolated(coarse: Floats, places: list[Floats]) -> Floats:
    """Linear interpolation along the axes in turn; a place is in steps of the lattice."""
    values = coarse
    # The first axis last, so that the large array is passed over in the order of memory.
    for axis in (2, 1, 0):
        low = np.minimum(places[axis].astype(np.intp), max(0, values.shape[axis] - 2))
        shape = [1, 1, 1]
        shape[axis] = -1
        share = (places[axis] - low).astype(np.float32).reshape(shape)
        first = np.take(values, low, axis)
        step = np.take(values, np.minimum(low + 1, values.shape[axis] - 1), axis)
        step -= first
        step *= share
        first += step
        values = first
    return values


def _averaged(signal: Floats, parts: tuple[int, int, int]) -> Floats:
    for axis, part in enumerate(parts):
        if part > 1:
            shape = list(signal.shape)
            shape[axis : axis + 1] = [shape[axis] // part, part]
            signal = signal.reshape(shape).mean(axis + 1, dtype=np.float32)
    return signal


def _coil_end(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Floats:
    """Logarithm of the receive coil's sensitivity, which falls off towards the neck."""
    axes = [np.arange(size, dtype=np.float32) for size in shape]
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    row = affine[2].astype(np.float32)
    below_mm = np.maximum(np.float32(-85.0) - (row[0] * i + row[1] * j + row[2] * k + row[3]), np.float32(0.0))
    falling: Floats = -((below_mm / np.float32(75.0)) ** 2)
    return falling


def _stored_as(scan: BrainScan, axes: str) -> BrainScan:
    """The scan with its axes in another order."""
    turn = ornt_transform(io_orientation(scan.affine), axcodes2ornt(tuple(axes)))
    affine = scan.affine @ inv_ornt_aff(turn, scan.voxels.shape)
    voxels, labels = (
        np.ascontiguousarray(nib.orientations.apply_orientation(part, turn)) for part in (scan.voxels, scan.labels)
    )
    return BrainScan(voxels, labels, affine)
