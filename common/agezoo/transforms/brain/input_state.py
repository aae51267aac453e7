"""What has been done to a T1 before: nothing, skull removed, moved to MNI152, or both."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from agezoo.transforms.brain.extraction import largest
from agezoo.transforms.brain.head_grid import sampled
from agezoo.transforms.brain.template import Template, mni_affine, mni_shape

# Values this much above the background, in parts of the bright tissue, belong to the object.
_OBJECT = 0.02
# A brain keeps to the template's mask widened by this much; the scalp of a head lies outside it.
_BEYOND_MM = 8.0
_MAX_BEYOND = 0.05
_MIN_DICE = 0.75


def background(voxels: np.ndarray) -> float:
    """The value of air: the commonest value if a tenth of the scan has it, else a low percentile."""
    sample = voxels[::2, ::2, ::2].ravel()
    values, counts = np.unique(sample, return_counts=True)
    commonest = int(np.argmax(counts))
    if counts[commonest] > 0.1 * sample.size and values[commonest] < np.percentile(sample, 90):
        return float(values[commonest])
    return float(np.percentile(sample, 1))


def object_mask(voxels: np.ndarray) -> np.ndarray:
    """Everything that stands out from a background of 0, as one piece without cavities."""
    bright = float(np.percentile(voxels[voxels > 0], 95)) if (voxels > 0).any() else 0.0
    return ndimage.binary_fill_holes(largest(voxels > _OBJECT * bright))


def is_stripped(voxels: np.ndarray, affine: np.ndarray, pose: np.ndarray, brain: Template) -> bool:
    """True if nothing but a brain stands out from the background.

    It is decided by shape, not by the number of zeros: a head whose air or face is set to 0 has its scalp outside of
    where a brain can lie.

    Parameters
    ----------
    voxels, affine
        Scan with background 0.
    pose
        Template's RAS mm to the scan's (4, 4), see :class:`agezoo.transforms.brain.pose.Pose`.
    brain
        The template, coarse voxels will do.
    """
    margin = int(np.ceil(60 / brain.spacing_mm))
    wide = brain.affine.copy()
    wide[:3, 3] -= wide[:3, :3] @ np.full(3, margin)
    mask = np.pad(brain.mask, margin)
    values = sampled(voxels, affine, pose @ wide, mask.shape)
    found = object_mask(np.maximum(values, 0))
    allowed = ndimage.distance_transform_edt(~mask, sampling=brain.spacing_mm) <= _BEYOND_MM
    return bool((found & ~allowed).sum() <= _MAX_BEYOND * found.sum() and dice(found, mask) >= _MIN_DICE)


def is_fsl_grid(shape: tuple[int, ...], affine: np.ndarray) -> bool:
    """True for FSL's MNI152 grid in LAS at any spacing (91 x 109 x 91 at 2 mm, 182 x 218 x 182 at 1 mm, ...)."""
    spacing_mm = float(abs(affine[0, 0]))
    if not 0.4 <= spacing_mm <= 8:
        return False
    return tuple(shape) == mni_shape(spacing_mm) and bool(np.allclose(affine, mni_affine(spacing_mm), atol=0.01))


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks: twice the shared voxels over the sum of both; 0 if both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 0.0
