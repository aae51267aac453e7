"""A phantom brain as after extraction and affine registration to MNI152 at 2 mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from agezoo.phantoms.brain_ageing import brain_signs
from agezoo.phantoms.brain_labels import LABELS
from agezoo.phantoms.brain_plan import PlannedBrainScan
from agezoo.phantoms.brain_scan import BrainScan
from agezoo.phantoms.brain_scanner import BrainScanSettings, bias_field, blurred, magnitude, rotation
from agezoo.phantoms.brain_tissue import BrainTissue, brain_tissue, own_brain, tissue_signal

Floats = NDArray[np.float32]

MNI_SHAPE = (91, 109, 91)
MNI_AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
"""FSL's grid of the MNI152 template at 2 mm: axes to the patient's left, anterior, superior."""

_BOX = (slice(4, 87), slice(3, 108), slice(0, 86))
_FIELD_LEFT = 0.3
"""Share of the bias field that its correction leaves."""


def mni_scan(scan: PlannedBrainScan) -> BrainScan:
    """Draw a scan in MNI space; the background is 0, the brain above."""
    brain = own_brain(scan.subject, brain_signs(scan.subject))
    tissue = brain_tissue(brain, brain.displacement.template_points(_points_mm(scan.settings)))
    inside = _extracted(tissue)
    signal = tissue_signal(tissue, scan.settings)
    settings = scan.settings
    rng = np.random.default_rng([*settings.seed, 1])
    field = bias_field(rng, inside.shape, np.full(3, 2.0))
    # The scan's own voxels are finer than 2 mm, and resampling averages their noise.
    seen = magnitude(signal * np.exp(np.float32(_FIELD_LEFT * settings.bias) * field), 0.6 * settings.noise, rng)
    voxels = np.zeros(MNI_SHAPE, np.float32)
    labels = np.zeros(MNI_SHAPE, np.uint8)
    voxels[_BOX] = np.where(inside, np.maximum(np.rint(settings.white_stored * blurred(seen, 0.45)), 1.0), 0.0)
    labels[_BOX] = np.where(inside, tissue.labels, 0)
    affine = MNI_AFFINE
    if settings.quick:
        voxels, labels, affine = _every_second(voxels, labels)
    return BrainScan(voxels.astype(np.int16), labels, affine)


def _points_mm(settings: BrainScanSettings) -> Floats:
    """Positions in the person's brain of the grid's points: what an affine registration leaves, per scan."""
    rng = np.random.default_rng([*settings.seed, 2])
    turn = rng.normal(0.0, 0.6, 3)
    scale = 1.0 + rng.normal(0.0, 0.008, 3)
    # Proportions that an affine registration of the whole cannot make alike are in the person's own warp.
    matrix = rotation((float(turn[0]), float(turn[1]), float(turn[2]))) @ np.diag(scale) @ MNI_AFFINE[:3, :3]
    shift = MNI_AFFINE[:3, 3] + rng.normal(0.0, 0.6, 3)
    axes = [np.arange(part.start, part.stop, dtype=np.float32) for part in _BOX]
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.stack(
        [
            np.float32(row[0]) * i + np.float32(row[1]) * j + np.float32(row[2]) * k + np.float32(offset)
            for row, offset in zip(matrix, shift, strict=True)
        ]
    )


def _extracted(tissue: BrainTissue) -> NDArray[np.bool_]:
    """Brain mask as an extraction gives it: tissue, ventricles and the narrow sulci, without the fluid around."""
    filled = np.maximum(tissue.grey + tissue.white, tissue.labels == LABELS["ventricles"])
    near = blurred(np.where(tissue.distance_mm < 3.0, filled, 0.0).astype(np.float32), 1.4)
    filled_up = ndimage.binary_fill_holes((near > 0.42) | (tissue.distance_mm < -2.0))
    parts, _ = ndimage.label(filled_up)
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.asarray(parts == largest, bool)


def _every_second(voxels: Floats, labels: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.uint8], NDArray[np.float64]]:
    """The 4 mm grid with the same first voxel centre."""
    brain = voxels > 0
    weight = blurred(brain.astype(np.float32), 0.85)
    mean = blurred(voxels, 0.85) / np.maximum(weight, np.float32(1e-3))
    kept = brain[::2, ::2, ::2]
    coarse = np.where(kept, np.maximum(np.rint(mean[::2, ::2, ::2]), 1.0), 0.0).astype(np.float32)
    affine = MNI_AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
    return coarse, np.where(kept, labels[::2, ::2, ::2], 0).astype(np.uint8), affine
