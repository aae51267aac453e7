"""What a T1 must have before any step is tried on it."""

from __future__ import annotations

import numpy as np

from agezoo.data.volume import Volume
from agezoo.errors import InputError

MIN_EXTENT_MM = 90.0
MIN_SLICES = 20
MAX_SPACING_MM = 6.0
WANTED = "a T1-weighted scan of a whole head, or a brain cut out of one"


def checked_scan(voxels: np.ndarray, affine: np.ndarray, *, source: str = "") -> Volume:
    """The scan with its axes turned to LAS, if it can be a head at all.

    Raises
    ------
    InputError
        If it is not 3D, has values that are not finite, is constant, holds Hounsfield units, has a broken affine, or
        is a slab of few slices or a small piece.
    """
    if voxels.ndim != 3:
        raise InputError(
            "the scan is not a 3D volume",
            source=source or None,
            found=f"shape {tuple(voxels.shape)}",
            expected="one volume with three axes",
            remedy="give one volume of a series with several echoes or time points",
        )
    affine = np.asarray(affine, dtype=float)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise InputError(
            "the affine does not describe a volume",
            source=source or None,
            found=np.round(affine, 3).tolist(),
            expected="a 4x4 matrix from voxels to mm that can be inverted",
            remedy="convert the scan from DICOM again, for example with dcm2niix",
        )
    n_bad = int(voxels.size - np.isfinite(voxels).sum())
    if n_bad:
        raise InputError(
            "the scan holds values that are not finite",
            source=source or None,
            found=f"{n_bad} of {voxels.size} voxels are NaN or infinite",
            expected="a number in every voxel",
            remedy="set the background to 0 if it is stored as NaN",
        )
    volume = Volume(hu=voxels, affine=affine).to_axcodes()
    _check_extent(volume, source)
    _check_values(volume.hu, source)
    return volume


def _check_extent(volume: Volume, source: str) -> None:
    extent_mm = [size * edge_mm for size, edge_mm in zip(volume.shape, volume.spacing_mm, strict=True)]
    if min(extent_mm) >= MIN_EXTENT_MM and min(volume.shape) >= MIN_SLICES and max(volume.spacing_mm) <= MAX_SPACING_MM:
        return
    size = " x ".join(map(str, volume.shape))
    edges = " x ".join(f"{edge_mm:.3g}" for edge_mm in volume.spacing_mm)
    raise InputError(
        "the scan is too small or too coarse to hold a brain in 3D",
        source=source or None,
        found=f"{size} voxels of {edges} mm (left, front, head)",
        expected=f"at least {MIN_EXTENT_MM:g} mm and {MIN_SLICES} voxels along each axis, "
        f"voxels of at most {MAX_SPACING_MM:g} mm",
        remedy="choose the 3D T1 series (MPRAGE, SPGR, TFE) of the examination, not a localiser or a slab",
    )


def _check_values(voxels: np.ndarray, source: str) -> None:
    low, high = float(voxels.min()), float(voxels.max())
    if low == high:
        raise InputError(
            "the scan is blank", source=source or None, found=f"{low:g} in every voxel", expected=WANTED,
            remedy="export the series again",
        )  # fmt: skip
    sample = voxels[::4, ::4, ::4]
    if low < -900 and float((sample < -500).mean()) > 0.05:
        raise InputError(
            "the scan looks like a CT",
            source=source or None,
            found=f"values from {low:g} to {high:g}, {100 * float((sample < -500).mean()):.0f} % below -500",
            expected=WANTED,
            remedy="choose the MR series",
        )
