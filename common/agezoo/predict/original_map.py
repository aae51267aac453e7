"""Saliency maps where other programs find them.

A radiograph's lies on the image as it is stored, a brain's in MNI space, a whole body's in the patient's millimetres.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import nibabel as nib
import numpy as np

from agezoo.data.atomic import written_atomically
from agezoo.data.radiograph import read_radiograph
from agezoo.errors import InputError
from agezoo.explain.mni_grid import mni_affine_of
from agezoo.transforms.canvas import CanvasPlacement, map_to_original


@dataclass(frozen=True, eq=False)
class OriginalMap:
    """A stored radiograph and the map on its own grid.

    Attributes
    ----------
    image
        (rows, columns) as stored, bone bright; 0 outside the area that was kept when reading.
    saliency
        float32 of the same shape; 0 where nothing of the image was shown to the network.
    spacing_mm
        Millimetres between rows and between columns, or None where unknown.
    """

    image: np.ndarray
    saliency: np.ndarray
    spacing_mm: tuple[float, float] | None

    @property
    def field_of_view_mm(self) -> tuple[float, float, float] | None:
        """Extent of the stored image towards left (not known), front and head; None where the spacing is unknown."""
        if self.spacing_mm is None:
            return None
        rows, columns = self.image.shape
        return float("nan"), columns * self.spacing_mm[1], rows * self.spacing_mm[0]


def map_on_original(
    source: str | Path | Sequence[str | Path], kind: str, placement: CanvasPlacement, saliency: np.ndarray
) -> OriginalMap:
    """Read a radiograph again and lay the canvas' map over it.

    Parameters
    ----------
    source
        The file or files that were predicted.
    kind
        ``"radiograph"`` or ``"vfa"``.
    placement
        What of the stored image lies where on the canvas.
    saliency
        Map of the canvas' shape.
    """
    # Whether it is a lateral spine was decided when it was predicted.
    radiograph = read_radiograph(source, kind=kind, any_body_part=True)
    return OriginalMap(
        radiograph.to_stored(radiograph.pixels), map_to_original(saliency, placement), radiograph.spacing_mm
    )


def write_map(path: str | PathLike[str], original: OriginalMap) -> Path:
    """Write the map as a NIfTI image (columns, rows, 1), float32, that lies on the stored radiograph.

    Viewers built on ITK (3D Slicer, ITK-SNAP) place a radiograph without orientation with its first pixel at 0 and its
    columns and rows along the patient's left and back; so does this file. Where the spacing is unknown, pixels are
    1 mm.
    """
    row_mm, column_mm = original.spacing_mm or (1.0, 1.0)
    # NIfTI counts towards right, front and head, where ITK counts towards left, back and head.
    return _write_nifti(path, original.saliency.T[:, :, None], np.diag([-column_mm, -row_mm, 1.0, 1.0]), code=1)


def write_mni_map(path: str | PathLike[str], saliency: np.ndarray) -> Path:
    """Write a brain's map as a NIfTI image, float32, that lies on the MNI152 template in any viewer.

    Parameters
    ----------
    path
        File to write, ``.nii.gz``.
    saliency
        (X, Y, Z) in LAS on an MNI grid, see :func:`agezoo.explain.mni_grid.mni_affine_of`.

    Raises
    ------
    InputError
        If the map has not the shape of such a grid.
    """
    affine = mni_affine_of(saliency.shape)
    if affine is None:
        raise InputError("the map does not lie on a grid of MNI space", found=saliency.shape, expected="(91, 109, 91)")
    return _write_nifti(path, saliency, affine, code=4)


def write_patient_map(path: str | PathLike[str], saliency: np.ndarray, affine: np.ndarray) -> Path:
    """Write a volume's map as a NIfTI image, float32, that lies on the patient's scan in any viewer.

    Parameters
    ----------
    path
        File to write, ``.nii.gz``.
    saliency
        (X, Y, Z) on the network's grid.
    affine
        (4, 4) from the grid's voxels to the scanner's millimetres (right, front, head).

    Raises
    ------
    InputError
        If the map is no volume, or the affine is not known (not finite).
    """
    if np.ndim(saliency) != 3:
        raise InputError("the map is no volume", found=f"shape {np.shape(saliency)}", expected="(X, Y, Z)")
    if np.shape(affine) != (4, 4) or not np.isfinite(affine).all():
        raise InputError("it is not known where the map's voxels lie in the patient", expected="a finite (4, 4) affine")
    return _write_nifti(path, saliency, np.asarray(affine, dtype=float), code=1)


def _write_nifti(path: str | PathLike[str], voxels: np.ndarray, affine: np.ndarray, *, code: int) -> Path:
    """`code` is NIfTI's for the space: 1 the scanner's, 4 MNI152."""
    image = nib.Nifti1Image(voxels.astype(np.float32), affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=code)
    image.set_sform(affine, code=code)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(target) as temporary:
        # nibabel tells the format by a suffix that the temporary file lacks.
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
    return target
