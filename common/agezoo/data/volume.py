"""A scan in memory: voxels, where they lie in the body, and the facts that later steps need."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

# Axis 0 grows towards the patient's Left, axis 1 towards Anterior, axis 2 towards Superior.
STANDARD_AXCODES = "LAS"
_BODY_AXIS = {"L": "LR", "R": "LR", "A": "AP", "P": "AP", "I": "IS", "S": "IS"}


@dataclass(frozen=True)
class ScanFacts:
    """What is known of a scan besides its voxels; nothing here identifies a person.

    Parameters
    ----------
    modality
        DICOM modality, for example ``"CT"``; empty where the format does not tell (NIfTI).
    age_years
        Age at the scan in years, from birth and study date or from PatientAge; None when unknown.
    sex
        ``"F"``, ``"M"`` or None.
    study_uid, series_uid
        DICOM UIDs; None where the header has none.
    slice_thickness_mm
        Nominal slice thickness (not the distance between slices, which is in ``Volume.spacing_mm``).
    kernel
        Reconstruction kernel as written by the scanner.
    manufacturer
        Scanner manufacturer.
    n_slices
        Slices in the volume as acquired.
    notes
        Repairs and choices made while reading, in words for the user.
    patient_key
        Keyed hash of the patient's identifier. The key is random and lives only as long as the process: it groups
        the scans of one person inside this process and is worthless outside of it.
    """

    modality: str = ""
    age_years: float | None = None
    sex: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    slice_thickness_mm: float | None = None
    kernel: str | None = None
    manufacturer: str | None = None
    n_slices: int | None = None
    notes: tuple[str, ...] = ()
    patient_key: str | None = field(repr=False, default=None)

    def with_notes(self, *notes: str) -> ScanFacts:
        """The same facts with further notes at the end."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image with its geometry.

    Parameters
    ----------
    hu
        Voxel values, three axes; Hounsfield units for CT, the scanner's own units otherwise. int16 where every value
        is a whole number that fits, else float32. It is often a strided view (turned axes, negative strides) on the
        array as stored: ``np.ascontiguousarray`` makes a plain copy where a library needs one (torch does).
        Values are not clipped: outside the scanner's circle some manufacturers write values far below -1024.
    affine
        4x4 matrix from voxel indices to RAS+ millimetres (nibabel's convention) of ``hu`` as it is.
    facts
        See :class:`ScanFacts`.
    """

    hu: np.ndarray
    affine: np.ndarray
    facts: ScanFacts = field(default_factory=ScanFacts)

    def __post_init__(self) -> None:
        if self.hu.ndim != 3:
            raise ValueError(f"hu must have 3 axes, got shape {self.hu.shape}")
        if self.affine.shape != (4, 4):
            raise ValueError(f"affine must be 4x4, got shape {self.affine.shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        n0, n1, n2 = self.hu.shape
        return n0, n1, n2

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, in mm."""
        s0, s1, s2 = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(s0), float(s1), float(s2)

    @property
    def axcodes(self) -> str:
        """The body direction towards which each axis grows, for example ``"LAS"`` (nearest one when oblique)."""
        return "".join(str(code) for code in aff2axcodes(self.affine))

    def to_axcodes(self, codes: str = STANDARD_AXCODES) -> Volume:
        """The same volume with axes turned and flipped so that they grow towards ``codes``.

        Nothing is resampled and no voxel is copied: the result's array is a view.

        Parameters
        ----------
        codes
            Three letters, one of L/R, one of A/P and one of I/S.

        Raises
        ------
        ValueError
            If ``codes`` does not name three different body axes.
        """
        if sorted(_BODY_AXIS.get(code, "") for code in codes) != ["AP", "IS", "LR"]:
            raise ValueError(f"codes must name three different body axes such as 'LAS', got {codes!r}")
        wanted = axcodes2ornt(codes)
        turn = ornt_transform(io_orientation(self.affine), wanted)
        return replace(
            self, hu=apply_orientation(self.hu, turn), affine=self.affine @ inv_ornt_aff(turn, self.hu.shape)
        )
