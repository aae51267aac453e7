"""NIfTI files to volumes, without ever holding them as float64."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Header
from nibabel.orientations import aff2axcodes
from nibabel.spatialimages import HeaderDataError

from agezoo.data.dicom_pixels import AIR_HU
from agezoo.data.volume import ScanFacts, Volume
from agezoo.errors import InputError

_CHUNK_BYTES = 1 << 22
_INT16 = np.iinfo(np.int16)
_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_SPACING_RANGE_MM = (0.05, 50.0)
_MAX_SHEAR_COSINE = 0.02
_MAX_SHARE_WITHOUT_VALUE = 0.5
# A brain fills a tenth of its field of view or more, and some tools write NaN everywhere else.
_MAX_SHARE_OUTSIDE_BRAIN = 0.97
# Forms whose corners lie closer together tell the same place.
_SAME_PLACE_MM = 1.0


def is_nifti(path: Path) -> bool:
    """Whether the name is that of a single-file NIfTI image (``.nii`` or ``.nii.gz``)."""
    return path.name.lower().endswith((".nii", ".nii.gz"))


def read_nifti(path: Path, *, source: str, empty: int = AIR_HU, is_brain: bool = False) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file in its stored orientation.

    Values are scaled by ``scl_slope`` and ``scl_inter``. Voxels without a value (NaN, infinite) become ``empty``
    and a note says so; more than half of them is an error. The sform goes before the qform.

    Parameters
    ----------
    path, source
        The file, and what it is called in messages.
    empty
        What stands for no value.
    is_brain
        An MRI of a head or brain: up to 97 % of the voxels may have no value, as around a brain whose background is
        NaN, and a note tells when sform and qform place the image differently.

    Raises
    ------
    InputError
        If the file is damaged or not NIfTI, is not one 3D image, or does not say how it lies in the body.
    """
    image = _open(path, source)
    shape = _shape_3d(image.header, source)
    affine = _affine(image.header, source)
    hu, n_without_value = _read_values(path, cast(ArrayProxy, image.dataobj), shape, empty, source)
    notes: tuple[str, ...] = ()
    if is_brain:
        notes = _form_notes(image.header, shape)
    if n_without_value:
        share = n_without_value / hu.size
        most = _MAX_SHARE_OUTSIDE_BRAIN if is_brain else _MAX_SHARE_WITHOUT_VALUE
        if share > most:
            raise InputError(
                "most voxels have no value",
                source=source,
                found=f"{share:.0%} NaN or infinite",
                expected=f"at most {most:.0%}",
                remedy="convert the scan again from DICOM",
            )
        notes = (
            *notes,
            f"{n_without_value} voxels without a value (NaN or infinite; {share:.2%}) were set to {empty}",
        )
    # The stored file knows neither modality nor person.
    return Volume(hu, affine, ScanFacts(n_slices=shape[2], notes=notes))


def nifti_facts(path: Path, *, source: str) -> ScanFacts:
    """Check a file's header without reading its voxels; raises as :func:`read_nifti` does."""
    image = _open(path, source)
    shape = _shape_3d(image.header, source)
    _affine(image.header, source)
    return ScanFacts(n_slices=shape[2])


def _open(path: Path, source: str) -> nib.Nifti1Image:
    try:
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, EOFError, OSError, zlib.error, ValueError) as error:
        raise InputError(
            "cannot be read as NIfTI",
            source=source,
            found="a damaged or foreign file",
            remedy="convert the scan again, for example with dcm2niix",
        ) from error
    if not isinstance(image, nib.Nifti1Image):
        raise InputError("cannot be read as NIfTI", source=source, found=type(image).__name__)
    return image


def _shape_3d(header: Nifti1Header, source: str) -> tuple[int, int, int]:
    shape = tuple(int(size) for size in header.get_data_shape())
    spatial = shape[:3] if all(size == 1 for size in shape[3:]) else shape
    if len(spatial) != 3 or min(spatial) < 2:
        raise InputError(
            "is not one 3D image",
            source=source,
            found=f"shape {' x '.join(map(str, shape))}",
            expected="three axes with at least 2 voxels each",
            remedy="save the one volume to be read as a file of its own" if len(spatial) > 3 else "give a whole volume",
        )
    if header.get_data_dtype().kind not in "iuf":
        raise InputError(
            "does not hold grey values", source=source, found=f"data type {header.get_data_dtype()}", expected="numbers"
        )
    return spatial[0], spatial[1], spatial[2]


def _affine(header: Nifti1Header, source: str) -> np.ndarray:
    """RAS+ affine in mm, only where the file states one."""
    sform, sform_code = header.get_sform(coded=True)
    try:
        qform, qform_code = header.get_qform(coded=True)
    except HeaderDataError:  # an impossible quaternion
        qform, qform_code = None, 0
    if not sform_code and not qform_code:
        raise InputError(
            "does not say how it lies in the body",
            source=source,
            found="sform and qform code are both 0",
            expected="at least one of them above 0",
            remedy="convert the scan again from DICOM (dcm2niix sets both), or set the sform yourself",
        )
    affine = sform if sform_code else qform
    unit = header.get_xyzt_units()[0]
    affine = np.array(affine, dtype=float)
    affine[:3] *= _MM_PER_UNIT[unit]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (
        not np.isfinite(affine).all()
        or not ((spacing >= _SPACING_RANGE_MM[0]) & (spacing <= _SPACING_RANGE_MM[1])).all()
    ):
        raise InputError(
            "the voxel size is impossible",
            source=source,
            found=f"{' x '.join(f'{value:g}' for value in spacing)} mm",
            expected=f"{_SPACING_RANGE_MM[0]:g} to {_SPACING_RANGE_MM[1]:g} mm",
            remedy="convert the scan again from DICOM",
        )
    directions = affine[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > _MAX_SHEAR_COSINE:
        raise InputError(
            "the voxel axes are not perpendicular",
            source=source,
            found="a sheared affine, as of a scan with gantry tilt",
            remedy="give the DICOM series, whose tilt is then removed, or dcm2niix's tilt-corrected file",
        )
    if sform_code and qform_code and qform is not None and aff2axcodes(sform) != aff2axcodes(qform):
        raise InputError(
            "sform and qform tell different orientations",
            source=source,
            found=f"{''.join(aff2axcodes(sform))} and {''.join(aff2axcodes(qform))}",
            expected="the same orientation in both",
            remedy="convert the scan again from DICOM, or set the wrong one's code to 0",
        )
    return affine


def _form_notes(header: Nifti1Header, shape: tuple[int, int, int]) -> tuple[str, ...]:
    """A note when sform and qform are both set and place the image differently, though in one orientation."""
    sform, sform_code = header.get_sform(coded=True)
    try:
        qform, qform_code = header.get_qform(coded=True)
    except HeaderDataError:
        return ("the qform is impossible; the sform was used",)
    if not sform_code or not qform_code:
        return ()
    corners = np.array(np.meshgrid(*((0, size - 1) for size in shape), [1])).reshape(4, -1)
    unit = _MM_PER_UNIT[header.get_xyzt_units()[0]]
    apart_mm = unit * float(np.linalg.norm(((sform - qform) @ corners)[:3], axis=0).max())
    if apart_mm <= _SAME_PLACE_MM:
        return ()
    return (f"sform and qform place the image up to {apart_mm:.0f} mm apart; the sform was used",)


def _read_values(
    path: Path, stored: ArrayProxy, shape: tuple[int, int, int], empty: int, source: str
) -> tuple[np.ndarray, int]:
    slope, intercept = float(stored.slope), float(stored.inter)
    n_voxels = int(np.prod(shape))
    can_be_whole = slope.is_integer() and intercept.is_integer()
    values = np.empty(n_voxels, np.int16 if can_be_whole else np.float32)
    n_done = n_without_value = 0
    try:
        with path.open("rb") as stream:
            chunks = _inflated(stream) if path.name.lower().endswith(".gz") else _plain(stream)
            for piece in _voxel_chunks(chunks, int(stored.offset), stored.dtype, n_voxels):
                scaled, n_missing = _scaled(piece, slope, intercept, empty)
                n_without_value += n_missing
                if values.dtype == np.int16 and not _fits_int16(scaled):
                    # Only what was read so far is converted; fractions show in the first chunk as a rule.
                    wider = np.empty(n_voxels, np.float32)
                    wider[:n_done] = values[:n_done]
                    values = wider
                values[n_done : n_done + scaled.size] = scaled
                n_done += scaled.size
    except (zlib.error, OSError, EOFError) as error:
        raise _damaged(source) from error
    if n_done != n_voxels:
        raise _damaged(source)
    return values.reshape(shape, order="F"), n_without_value


def _scaled(stored: np.ndarray, slope: float, intercept: float, empty: int) -> tuple[np.ndarray, int]:
    """Scaled values (whole-number types stay whole) and how many had no finite value."""
    if stored.dtype.kind == "f":
        scaled = (
            stored
            if slope == 1 and intercept == 0
            else stored * stored.dtype.type(slope) + stored.dtype.type(intercept)
        )
        missing = ~np.isfinite(scaled)
        n_missing = int(missing.sum())
        if n_missing:
            scaled = np.where(missing, scaled.dtype.type(empty), scaled)
        return scaled, n_missing
    if slope == 1 and intercept == 0:
        return stored, 0
    if slope.is_integer() and intercept.is_integer():
        return stored.astype(np.int64) * int(slope) + int(intercept), 0
    return stored * np.float32(slope) + np.float32(intercept), 0


def _fits_int16(scaled: np.ndarray) -> bool:
    if scaled.dtype == np.int16 or scaled.size == 0:
        return True
    if scaled.min() < _INT16.min or scaled.max() > _INT16.max:
        return False
    return scaled.dtype.kind != "f" or bool((scaled == np.rint(scaled)).all())


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    while data := stream.read(_CHUNK_BYTES):
        yield data


def _inflated(stream: BinaryIO) -> Iterator[bytes]:
    """Decompressed pieces of a gzip file; its checksum is verified at the end of each member."""
    inflater = zlib.decompressobj(wbits=31)
    pending = b""
    while data := pending or stream.read(_CHUNK_BYTES // 4):
        if inflater.eof:
            inflater = zlib.decompressobj(wbits=31)
        yield inflater.decompress(data, _CHUNK_BYTES)
        pending = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        # Some writers pad the end with zeros.
        if inflater.eof and not pending.strip(b"\0"):
            pending = b""
    if not inflater.eof:
        raise EOFError("the compressed data is cut off")


def _voxel_chunks(chunks: Iterator[bytes], offset: int, stored_type: np.dtype, n_voxels: int) -> Iterator[np.ndarray]:
    """Whole voxels from pieces of a file; reads on to the end, so that a checksum there is verified."""
    skip, n_left = offset, n_voxels
    rest = b""
    for piece in chunks:
        if skip:
            skipped = min(skip, len(piece))
            skip -= skipped
            piece = piece[skipped:]
        if not n_left or not piece:
            continue
        data = rest + piece if rest else piece
        n_whole = min(len(data) // stored_type.itemsize, n_left)
        yield np.frombuffer(data, stored_type, n_whole)
        n_left -= n_whole
        rest = data[n_whole * stored_type.itemsize :] if n_left else b""


def _damaged(source: str) -> InputError:
    return InputError(
        "the file is cut off or damaged",
        source=source,
        expected="as many voxels as its header says, and a right checksum",
        remedy="copy or convert the file again",
    )
