"""A saliency map carried from the network's canvas back onto the radiograph as it is stored."""

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
    image = nib.Nifti1Image(original.saliency.T[:, :, None], np.diag([-column_mm, -row_mm, 1.0, 1.0]))
    image.header.set_xyzt_units("mm")
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=1)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(target) as temporary:
        # nibabel tells the format by a suffix that the temporary file lacks.
        temporary.write_bytes(gzip.compress(image.to_bytes(), mtime=0))
    return target
