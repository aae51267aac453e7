"""Which series of an MR study of the head is read as its T1-weighted volume.

The rule, in this order:

1. T1-weighted by :mod:`agezoo.data.mr_sequence`, with slices at most 3.5 mm apart over at least 100 mm; one whose
   header tells nothing of the weighting only where no other is T1-weighted;
2. without a contrast agent before with;
3. original images before derived ones;
4. the finer series, by the longest edge of its voxels, in steps of half a millimetre;
5. acquired as a volume (3D) before single slices;
6. the lowest series number, then the first file name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agezoo.data.dicom_headers import count_of
from agezoo.data.dicom_series import Series
from agezoo.data.mr_sequence import T1, UNKNOWN, MRSequence
from agezoo.errors import InputError

_MAX_SLICE_STEP_MM = 3.5
_MIN_EXTENT_MM = 100.0
_NOT_TOLD = "nothing in the header tells that the series is T1-weighted"


def t1_series(candidates: Sequence[Series], *, source: str) -> list[Series]:
    """Those series that can be a T1-weighted volume of the head, best first.

    Raises
    ------
    InputError
        If there is none; every series is then told with its kind.
    """
    fitting = [one for one in candidates if sequence_kind(one) == T1 and not _too_coarse(one)]
    # A T1-weighted series that is too coarse must not be replaced by one of which nobody knows what it is.
    if not any(sequence_kind(one) == T1 for one in candidates):
        fitting = [one for one in candidates if sequence_kind(one) == UNKNOWN and not _too_coarse(one)]
    if not fitting:
        raise InputError(
            "no T1-weighted volume found",
            source=source,
            found=_listed(candidates),
            expected=f"a T1-weighted series (MPRAGE, SPGR, BRAVO, TFE ...) with slices at most "
            f"{_MAX_SLICE_STEP_MM:g} mm apart over at least {_MIN_EXTENT_MM:g} mm",
            remedy="export the T1-weighted volume too; if one of these is it, convert it to NIfTI and give that file",
        )
    return sorted(fitting, key=_preference)


def t1_notes(series: Series) -> tuple[str, ...]:
    """What a user should know of the series that was chosen."""
    kind = sequence_kind(series)
    notes = []
    if kind == UNKNOWN:
        notes.append(_NOT_TOLD)
    elif kind != T1:
        notes.append(f"the series is {kind}, not T1-weighted")
    if _sequence(series).has_agent:
        notes.append("a contrast agent was given, which changes the grey values of a T1-weighted image")
    return tuple(notes)


def sequence_kind(series: Series) -> str:
    """Kind of a series, by its first slice."""
    return _sequence(series).kind


def _sequence(series: Series) -> MRSequence:
    sequence = series.first.mr
    assert sequence is not None, "only series of modality MR are asked for"
    return sequence


def _slice_step_mm(series: Series) -> float:
    return series.extent_mm / max(1, series.n_slices - 1)


def _too_coarse(series: Series) -> str:
    """Why a series is no volume of the head, empty if it is one."""
    if series.n_slices < 2:
        return "a single slice"
    step = _slice_step_mm(series)
    if step > _MAX_SLICE_STEP_MM:
        return f"slices {step:.1f} mm apart"
    return "" if series.extent_mm >= _MIN_EXTENT_MM else f"only {series.extent_mm:.0f} mm of the head"


def _preference(series: Series) -> tuple[object, ...]:
    first, sequence = series.first, _sequence(series)
    edge = max(_slice_step_mm(series), *(first.pixel_spacing_mm or (10.0,)))
    number = first.series_number
    return (
        sequence.has_agent,
        "DERIVED" in first.image_type[:1],
        round(2 * edge),
        sequence.is_3d is not True,
        int(number) if number.lstrip("-").isdigit() else 0,
        str(first.path),
    )


def _listed(candidates: Sequence[Series]) -> str:
    kinds: Counter[str] = Counter()
    for one in candidates:
        kind, coarse = sequence_kind(one), _too_coarse(one)
        kinds[f"{kind} ({coarse})" if coarse and kind in (T1, UNKNOWN) else kind] += 1
    return ", ".join(
        f"{count_of(count, 'series') if count == 1 else f'{count} series'} {kind}"
        for kind, count in sorted(kinds.items())
    )
