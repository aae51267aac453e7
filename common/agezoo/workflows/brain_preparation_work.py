"""What one worker does with one scan: read, bring to MNI space, judge, write, draw."""

from __future__ import annotations

import gzip
import io
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agezoo.data.atomic import written_atomically
from agezoo.data.read import read_volume
from agezoo.errors import InputError, MissingExtraError
from agezoo.transforms.brain.quality import DOUBTFUL_CORRELATION, DOUBTFUL_OVERLAP
from agezoo.version import __version__
from agezoo.workflows.brain_preparation_cases import BrainCase, CaseRecord, without_paths

logger = logging.getLogger(__name__)

SPACING_MM = 2.0

STATES = {
    "head": "whole head",
    "stripped": "skull already removed",
    "mni_head": "head already in MNI space",
    "mni_brain": "brain already in MNI space",
}
"""How a scan was found, in words."""

_PICTURE_DPI = 110
_PICTURE_COLOURS = 128
_INT16_MAX = 32767


@dataclass(frozen=True)
class CaseTask:
    """One scan and how it is to be prepared; everything that a process of its own needs to know.

    Attributes
    ----------
    case
        The scan.
    out
        Output folder.
    picture
        Draw the case.
    make_brain
        What stands for :func:`agezoo.transforms.brain_to_mni.brain_to_mni`, with its arguments and result.
    """

    case: BrainCase
    out: Path
    picture: bool
    make_brain: Callable[..., Any] | None = None


def prepare_case(task: CaseTask) -> CaseRecord:
    """Prepare one scan and keep its record; a scan that cannot be prepared gives a record with the reason.

    The record is written last, so that what it tells of is complete however a run ends.

    Raises
    ------
    MissingExtraError
        If the libraries of the registration are not installed, which no other case would survive either.
    """
    case, started = task.case, time.perf_counter()
    for path in (case.image, case.sidecar, case.overlay, case.record):
        _clear(task.out / path)
    record = _record(case)
    try:
        record = _prepared(task)
    except MissingExtraError:
        raise
    except InputError as error:
        record = _record(case, error=without_paths(str(error), case))
    except Exception as error:
        # A case must never stop the others; memory may suffice next time, and a fault of ours may be mended.
        logger.debug("unexpected failure", exc_info=True)
        text = without_paths(f"{type(error).__name__}: {error}", case)
        record = _record(case, error=text, may_pass_later=True)
    record = replace(record, seconds=round(time.perf_counter() - started, 1))
    record.save(task.out / case.record)
    return record


def draw_case(case: BrainCase, record: CaseRecord, out: Path) -> None:
    """Draw a finished case from the brain that lies in the output folder."""
    import nibabel as nib

    image: Any = nib.load(out / case.image)
    _write_picture(case, record, out, np.asarray(image.dataobj, dtype=np.float32), image.affine)


def write_brain(voxels: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write a brain as int16 with a slope, a fifth of float32's size; nothing but the background becomes exactly 0.

    Parameters
    ----------
    voxels
        float, shape (X, Y, Z); brain above 0, everything else exactly 0.
    affine
        4x4, voxel index to RAS+ mm of MNI space.
    path
        ``.nii.gz`` file; its folder is made.
    """
    import nibabel as nib

    slope = float(voxels.max()) / _INT16_MAX
    stored = np.where(voxels > 0, np.clip(np.rint(voxels / slope), 1, _INT16_MAX), 0).astype(np.int16)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_xyzt_units("mm")
    image = nib.Nifti1Image(stored, affine, header)
    for set_form in (image.set_sform, image.set_qform):
        set_form(affine, code="mni")
    # Given after the data, for nibabel would otherwise choose a slope of its own.
    image.header.set_slope_inter(slope, 0.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _prepared(task: CaseTask) -> CaseRecord:
    case = task.case
    volume = read_volume(case.row["image"], modality="MR")
    make_brain = task.make_brain or _brain_to_mni()
    brain = make_brain(np.ascontiguousarray(volume.hu), volume.affine, spacing_mm=SPACING_MM, source=case.source)
    voxels = np.asarray(brain.voxels, dtype=np.float32)
    if not (voxels > 0).any():
        raise InputError("no brain was found in the image", source=case.source)
    notes = dict.fromkeys((*str(case.row.get("reading_notes") or "").split("; "), *volume.facts.notes, *brain.notes))
    record = _record(
        case,
        image=case.image,
        brain_state=str(brain.state),
        overlap=_finite(float(brain.overlap)),
        correlation=_finite(float(brain.correlation)),
        notes=without_paths("; ".join(note for note in notes if note), case),
        age_years=volume.facts.age_years,
        sex=volume.facts.sex,
    )
    record = judged(record)
    write_brain(voxels, brain.affine, task.out / case.image)
    _write_sidecar(record, task.out / case.sidecar)
    if task.picture:
        _write_picture(case, record, task.out, voxels, brain.affine)
    return record


def _brain_to_mni() -> Callable[..., Any]:
    from agezoo.transforms.brain_to_mni import brain_to_mni

    return brain_to_mni


def judged(record: CaseRecord) -> CaseRecord:
    """A finished case with its verdict: ``warn`` where the figures are doubtful and the picture should be looked at."""
    reasons = [
        f"{name} {_shown(value)} (expected at least {least:g})"
        for name, value, least in (
            ("overlap with the template", record.overlap, DOUBTFUL_OVERLAP),
            ("correlation with the template", record.correlation, DOUBTFUL_CORRELATION),
        )
        if value is None or value < least
    ]
    return replace(record, qc="warn" if reasons else "pass", qc_reasons="; ".join(reasons))


def _write_sidecar(record: CaseRecord, path: Path) -> None:
    content = {
        "Description": "T1-weighted brain, intensities corrected for bias and not standardised; background exactly 0",
        "SkullStripped": True,
        "SpatialReference": "ICBM 152 nonlinear symmetric 2009a (nilearn), on the 2 mm grid of FSL's MNI152",
        "Resolution": "2 mm isotropic",
        "RegistrationOverlap": record.overlap,
        "RegistrationCorrelation": record.correlation,
        "GeneratedBy": f"agezoo {__version__}",
    }
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_picture(case: BrainCase, record: CaseRecord, out: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    from PIL import Image

    from agezoo.analysis.plots.registration_overlay import plot_registration
    from agezoo.transforms.brain.template import template

    standard = template(SPACING_MM)
    found = STATES.get(record.brain_state, record.brain_state)
    figures = f"overlap {_shown(record.overlap)}, correlation {_shown(record.correlation)}, {found}"
    figure = plot_registration(
        voxels,
        affine,
        {"template's brain": standard.mask, "template's white matter": standard.white > 0.5},
        title=case.name,
        subtitle=figures + (f"; {record.qc.upper()}: {record.qc_reasons}" if record.qc_reasons else ""),
        alarm=record.qc != "pass",
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=_PICTURE_DPI, format="png")
    path = out / case.overlay
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(buffer) as picture, written_atomically(path) as temporary:
        # Grey, two outlines and their blends: a palette holds them in a third of the size.
        picture.convert("RGB").quantize(_PICTURE_COLOURS).save(temporary, optimize=True)


def _record(case: BrainCase, **values: Any) -> CaseRecord:
    fields = {"image": "", "notes": without_paths(str(case.row.get("reading_notes") or ""), case), **values}
    return CaseRecord(
        case=case.name,
        subject_id=str(case.row["subject_id"]),
        session=str(case.row.get("session") or ""),
        source=case.source,
        fingerprint=case.fingerprint,
        **fields,
    )


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"


def _clear(path: Path) -> None:
    """Remove a file of an earlier run, and what a kill left half written beside it."""
    path.unlink(missing_ok=True)
    for half in path.parent.glob(f".{path.stem}-*") if path.parent.is_dir() else ():
        half.unlink(missing_ok=True)
