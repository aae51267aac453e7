"""The bias field of an MR scan by N4, on a copy with larger voxels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from agezoo.transforms.brain.itk_images import image_of, load_itk

# Voxels of about 8 mm hold all of a field whose finest control points are some 25 mm apart. The control points come
# closer at every level, twice as many per axis each time; the last level is what removes the ends of a steep field.
SHRINK = 4
ITERATIONS = (50, 50, 50, 50)
CONVERGENCE = 2e-4


def bias_field(voxels: np.ndarray, mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Estimate by how much the coil brightens each place (N4, Tustison et al., IEEE TMI 2010).

    The field is estimated on every fourth voxel, which is enough for something so smooth, and only from tissue inside
    `mask`; beyond it the spline goes on.

    Parameters
    ----------
    voxels
        Scan (X, Y, Z), background near 0.
    mask
        bool, roughly the brain.
    spacing_mm
        Edge of a voxel.

    Returns
    -------
    numpy.ndarray
        float32 factor (X, Y, Z), about 1 in the mask; divide the scan by it.
    """
    itk = load_itk("Bias-field correction")
    step = (slice(None, None, SHRINK),) * 3
    coarse, inside = voxels[step], mask[step]
    # N4 works on logarithms; voxels this dark are air or fluid and tell nothing of the coil.
    floor = 1e-3 * float(np.percentile(coarse[inside], 99))
    tissue = inside & (coarse > 100 * floor)
    lifted = np.maximum(coarse, floor).astype(np.float32)

    image, mask_image = image_of(lifted, SHRINK * spacing_mm), image_of(tissue.astype(np.uint8), SHRINK * spacing_mm)
    n4 = itk.N4BiasFieldCorrectionImageFilter[type(image), type(mask_image), type(image)].New()
    n4.SetInput(image)
    n4.SetMaskImage(mask_image)
    n4.SetNumberOfFittingLevels(len(ITERATIONS))
    n4.SetMaximumNumberOfIterations(list(ITERATIONS))
    n4.SetConvergenceThreshold(CONVERGENCE)
    n4.SetNumberOfWorkUnits(1)
    n4.Update()
    corrected = itk.array_from_image(n4.GetOutput()).T
    log_field = np.log(lifted / np.maximum(corrected, np.float32(1e-3 * floor)))
    log_field -= np.median(log_field[tissue])
    full = ndimage.affine_transform(
        log_field, np.full(3, 1 / SHRINK), output_shape=voxels.shape, order=3, mode="nearest"
    )
    return np.exp(full)
