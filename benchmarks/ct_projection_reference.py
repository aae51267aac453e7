"""The CT preprocessing of Kerber et al. 2023 step by step in float64, the yardstick for agezoo.transforms.

Written for plainness: one library call per step of the published recipe, nothing saved. The steps and their
parameters are those of the released code; the code is our own.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage
from skimage.filters import sobel
from skimage.measure import label
from skimage.segmentation import watershed

GRID = (112, 112, 224)
AIR_HU = -1024.0
THRESHOLD_HU = -600.0


def read_nifti(path: str | Path) -> np.ndarray:
    """Voxels of a NIfTI file in LAS as float64."""
    image = nibabel.load(path)
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(image.affine), nibabel.orientations.axcodes2ornt("LAS")
    )
    return image.as_reoriented(turn).get_fdata()


def read_dicom_series(folder: str | Path) -> np.ndarray:
    """Voxels of a folder with one axial CT series in LAS as float64."""
    import pydicom

    slices = [pydicom.dcmread(path) for path in sorted(Path(folder).iterdir())]
    slices.sort(key=lambda dataset: float(dataset.ImagePositionPatient[2]))
    hu = [
        dataset.pixel_array.astype(np.float64) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        for dataset in slices
    ]
    # Rows run to the back and columns to the left of the patient.
    return np.stack(hu, axis=-1).transpose(1, 0, 2)[:, ::-1, :]


def resample(volume: np.ndarray, grid: tuple[int, int, int] = GRID) -> np.ndarray:
    """Cubic resampling, every axis scaled on its own about the centre of the first voxel."""
    step = [source / target for source, target in zip(volume.shape, grid, strict=True)]
    resampled = ndimage.affine_transform(
        volume, np.array(step), output_shape=grid, order=3, mode="constant", cval=AIR_HU
    )
    return np.clip(resampled, min(volume.min(), AIR_HU), volume.max())


def body_labels(volume: np.ndarray) -> np.ndarray:
    """Body mask from the watershed of the Sobel edges between air and tissue."""
    markers = np.where(volume < THRESHOLD_HU, 1, 2)
    tissue = watershed(sobel(volume), markers) == 2
    objects = label(ndimage.binary_fill_holes(tissue), connectivity=3)
    sizes = np.bincount(objects.ravel())
    return ndimage.binary_fill_holes(objects == np.argmax(sizes[1:]) + 1)


def mask(volume: np.ndarray) -> np.ndarray:
    """Set air and everything outside the body to -1024 HU."""
    return np.where(body_labels(volume) & (volume >= THRESHOLD_HU), volume, AIR_HU)


def project(volume: np.ndarray, thickness: int = 10) -> np.ndarray:
    """Coronal and sagittal maximum-intensity projections of the central slabs, one after the other."""
    x, y, _ = volume.shape
    half = thickness // 2
    sagittal = volume[x // 2 - half : x // 2 + half].max(axis=0)
    coronal = volume[:, y // 2 - half : y // 2 + half].max(axis=1)
    return np.concatenate((coronal, sagittal), axis=0)


def scale(image: np.ndarray) -> np.ndarray:
    """Scale to 0..1 between max(-1024, minimum) and maximum."""
    low, high = max(AIR_HU, image.min()), image.max()
    return (np.clip(image, low, high) - low) / (high - low)


def reference_projection(volume: np.ndarray) -> np.ndarray:
    """The whole recipe: float64 volume in LAS to a 224 x 224 image in 0..1."""
    return scale(project(mask(resample(volume))))
