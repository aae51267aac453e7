"""The person's own brain in a head that lies on the template."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from agezoo.transforms.brain.template import Template

# The brain is looked for no farther than this from the template's.
PRIOR_MM = 6.0
OPENING_MM = 3.0
CLOSING_MM = 6.0


def extract_brain(head: np.ndarray, brain: Template) -> np.ndarray:
    """Find the brain, with the fluid in its sulci and ventricles, in a registered head.

    Grey and white matter lie above half-way between fluid and grey matter, whose levels are read where the template
    is sure of its tissue. What hangs on by less than `OPENING_MM` is dura, vessels or the optic nerves and goes;
    closing then bridges the sulci and filling takes in the ventricles.

    Parameters
    ----------
    head
        Head on the template's grid, without bias field.
    brain
        The template.

    Returns
    -------
    numpy.ndarray
        bool mask.
    """
    spacing_mm = brain.spacing_mm
    outside_mm = ndimage.distance_transform_edt(~brain.mask, sampling=spacing_mm)
    depth_mm = ndimage.distance_transform_edt(brain.mask, sampling=spacing_mm)
    prior = outside_mm <= PRIOR_MM
    grey = float(np.median(head[brain.grey > 0.7]))
    white = float(np.median(head[brain.white > 0.9]))
    fluid = float(np.percentile(head[depth_mm > 10], 1))
    tissue = prior & (head > 0.5 * (grey + fluid)) & (head < white + 0.6 * (white - fluid))
    core = ndimage.distance_transform_edt(tissue, sampling=spacing_mm) > OPENING_MM
    core = largest(core | (tissue & (depth_mm > 10)))
    near = ndimage.distance_transform_edt(~core, sampling=spacing_mm) <= OPENING_MM + 0.5 * spacing_mm
    opened = largest(near & tissue)
    return closed(opened, CLOSING_MM, spacing_mm) & (prior)


def closed(mask: np.ndarray, radius_mm: float, spacing_mm: float) -> np.ndarray:
    """Bridge gaps up to twice the radius wide and fill cavities."""
    margin = int(np.ceil(radius_mm / spacing_mm)) + 1
    padded = np.pad(mask, margin)
    wide = ndimage.distance_transform_edt(~padded, sampling=spacing_mm) <= radius_mm
    wide = ndimage.binary_fill_holes(wide)
    narrow = ndimage.distance_transform_edt(wide, sampling=spacing_mm) > radius_mm
    return (narrow | padded)[(slice(margin, -margin),) * 3]


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest part whose voxels touch by their faces."""
    labels, n_parts = ndimage.label(mask)
    if n_parts < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(np.argmax(sizes))
