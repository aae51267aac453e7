"""A chosen DICOM series to a volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from agezoo.data.dicom_headers import SliceHeader, count_of
from agezoo.data.dicom_pixels import AIR_HU, open_file, read_stack
from agezoo.data.dicom_series import Series
from agezoo.data.gantry_tilt import shear_along_slices
from agezoo.data.slice_geometry import StackGeometry
from agezoo.data.volume import ScanFacts, Volume
from agezoo.errors import InputError

# DICOM directions grow towards Left and Posterior, the affine's towards Right and Anterior.
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
# A shear that moves the outermost row by less than this is left alone.
_NEGLIGIBLE_SHIFT_SLICES = 0.5


def scan_facts(series: Series, *, n_slices: int, notes: tuple[str, ...]) -> ScanFacts:
    """The facts of a series, from its first slice's header."""
    first = series.first
    return ScanFacts(
        modality=first.modality,
        age_years=first.age_years,
        sex=first.sex,
        study_uid=first.study_uid or None,
        series_uid=first.series_uid or None,
        slice_thickness_mm=first.slice_thickness_mm,
        kernel=first.kernel or None,
        manufacturer=first.manufacturer or None,
        n_slices=n_slices,
        notes=(*notes, *first.subject_notes),
        patient_key=first.patient_key,
    )


def load_series(
    series: Series,
    geometry: StackGeometry,
    *,
    notes: tuple[str, ...],
    root: Path,
    source: str,
    open_stream: Callable[[SliceHeader], BinaryIO] = open_file,
) -> Volume:
    """Read the pixels of a checked series; files are opened as :func:`agezoo.data.dicom_pixels.read_stack` says.

    Returns
    -------
    Volume
        In the orientation of the slices: axes along columns, rows and slices.

    Raises
    ------
    InputError
        If pixels cannot be read, or two different slices claim the same place.
    """
    headers = [series.headers[index] for index in geometry.order]
    if geometry.doubles:
        _check_doubles(series, geometry, root, source, open_stream)
        notes = (*notes, f"{count_of(len(geometry.doubles), 'slice')} stored twice with equal pixels (one copy used)")
    empty = AIR_HU if series.first.modality == "CT" else 0
    names = [_name(header, root, source) for header in headers]
    stack = read_stack(headers, empty=empty, names=names, open_stream=open_stream)
    n_slices = len(headers)

    origin = geometry.origin_mm
    steps = np.column_stack([geometry.column_step_mm, geometry.row_step_mm, geometry.slice_step_mm])
    if geometry.is_tilted:
        stack, origin, steps = _remove_tilt(stack, origin, steps, empty=empty, source=source)
        notes = (*notes, f"gantry tilt of {geometry.tilt_degrees:.1f} degrees removed by resampling along the slices")
    else:
        stated = headers[0].stated_tilt_degrees
        if stated is not None and abs(stated) > 1.0:
            notes = (*notes, f"the header names a gantry tilt of {stated:g} degrees, the slice positions show none")

    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ steps
    affine[:3, 3] = _LPS_TO_RAS @ origin
    return Volume(stack.transpose(2, 1, 0), affine, scan_facts(series, n_slices=n_slices, notes=notes))


def _name(header: SliceHeader, root: Path, source: str) -> str:
    """The file as a user finds it: the source they gave and the path below it."""
    try:
        below = header.path.relative_to(root)
    except ValueError:
        below = Path(header.path.name)
    return source if below == Path() else f"{source}: {below}"


def _check_doubles(
    series: Series,
    geometry: StackGeometry,
    root: Path,
    source: str,
    open_stream: Callable[[SliceHeader], BinaryIO],
) -> None:
    for kept, doubled in geometry.doubles:
        pair = [series.headers[kept], series.headers[doubled]]
        names = [_name(header, root, source) for header in pair]
        pixels = read_stack(pair, names=names, open_stream=open_stream)
        if not np.array_equal(pixels[0], pixels[1]):
            raise InputError(
                "two different slices lie at the same place",
                source=source,
                found=f"{pair[0].path.name} and {pair[1].path.name} "
                f"({count_of(len(geometry.doubles), 'doubled place')} in all)",
                expected="one slice at every place",
                remedy="put the slices of each reconstruction into a folder of their own",
            )


def _remove_tilt(
    stack: np.ndarray, origin: np.ndarray, steps: np.ndarray, *, empty: int, source: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resample a tilted stack so that its slices are perpendicular to the stacking direction.

    The body stays upright, as in a scan without tilt: slices become perpendicular to the direction of the table
    rather than the table perpendicular to the slices.
    """
    slice_mm = float(np.linalg.norm(steps[:, 2]))
    along = steps[:, 2] / slice_mm
    # In-plane steps as slices along the stacking direction: (per column, per row).
    rise = steps[:, :2].T @ along / slice_mm
    shifts = np.abs(rise) * (stack.shape[2], stack.shape[1])
    if (shifts > _NEGLIGIBLE_SHIFT_SLICES).all():
        raise InputError(
            "the slices are tilted in two directions",
            source=source,
            expected="slices tilted about one axis (gantry tilt), or none",
            remedy="export the original axial series from the archive",
        )
    steps = steps.copy()
    steps[:, :2] -= np.outer(along, along @ steps[:, :2])
    if shifts[1] >= shifts[0]:
        stack, first = shear_along_slices(stack, slices_per_row=float(rise[1]), fill=empty)
    else:
        turned, first = shear_along_slices(stack.transpose(0, 2, 1), slices_per_row=float(rise[0]), fill=empty)
        stack = turned.transpose(0, 2, 1)
    return stack, origin + first * slice_mm * along, steps
