"""What a perturbation does to a brain on its way to the network: registration, and the image in MNI space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agezoo.explain.mni_grid import mni_affine_of
from agezoo.explain.volume_layout import orthogonal_slices

#: What preprocessing says of a scan that it had to register.
REGISTERED_STATES = ("head", "stripped")

# Slices through ventricles and corpus callosum, in mm of MNI152 (right, front, head).
_SHOWN_RAS_MM = (8.0, -16.0, 16.0)


def brain_columns(prepared: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any]:
    """How well a brain was registered, and how far its image in MNI space differs from that of the scan as it is.

    Parameters
    ----------
    prepared, baseline
        What :meth:`agezoo.workflows.bundle_predictor.BundlePredictor.prepare_item` gives.

    Returns
    -------
    dict
        ``brain_state``, ``registration_overlap`` and ``registration_correlation`` of the preprocessing, None where it
        does not tell; ``input_correlation`` (Pearson) and ``input_rms_difference`` (in SD of the brain's voxels) of the
        two images as the network gets them, over all voxels that one of them counts as brain.
    """
    facts = prepared.get("image_facts") or {}
    image, former = (np.asarray(item["image"], dtype=np.float64) for item in (prepared, baseline))
    # A brain's own voxels lie around 0; exactly 0 is what lies outside.
    either = (image != 0) | (former != 0)
    here, there = image[either], former[either]
    varies = either.any() and here.std() > 0 and there.std() > 0
    return {
        "brain_state": str(facts.get("brain_state") or "") or None,
        "registration_overlap": _known(facts.get("registration_overlap")),
        "registration_correlation": _known(facts.get("registration_correlation")),
        "input_correlation": float(np.corrcoef(here, there)[0, 1]) if varies else None,
        "input_rms_difference": float(np.sqrt(np.mean((here - there) ** 2))) if either.any() else None,
    }


def brain_slices(image: np.ndarray) -> tuple[np.ndarray, ...]:
    """Coronal, sagittal and axial slice of the network's input, always through the same point of MNI space."""
    volume = np.asarray(image)[0]
    affine = mni_affine_of(volume.shape)
    voxel = np.asarray(volume.shape) // 2
    if affine is not None:
        voxel = np.rint(np.linalg.solve(affine, [*_SHOWN_RAS_MM, 1.0])[:3]).astype(int)
    return orthogonal_slices(volume, voxel=[int(v) for v in voxel]).split(volume)


def was_registered(prepared: Mapping[str, Any]) -> bool:
    """Whether preprocessing had to register the scan, which takes long."""
    return (prepared.get("image_facts") or {}).get("brain_state") in REGISTERED_STATES


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
