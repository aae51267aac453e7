"""Write volumes of phantoms as NIfTI."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray, *, standard_space: bool = False) -> None:
    """Write a volume as compressed NIfTI that says how it lies: in the scanner's space, or in MNI's."""
    image = nib.Nifti1Image(voxels, affine)
    code = "mni" if standard_space else "scanner"
    image.set_sform(affine, code=code)
    image.set_qform(affine, code=code)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"AgeZoo phantom"
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
