"""Which series of a study is read, and why another is not.

The rule, in this order:

1. the wanted modality; localisers (scouts, topograms), secondary captures and colour pictures never;
2. the longest stretch of body (series that cover at least 90 % of the longest count as equal);
3. original images before derived ones (reformats, thick slabs);
4. axial slices before coronal, sagittal and oblique ones;
5. a soft-tissue kernel before an unknown one before a sharp one (lung, bone);
6. the most slices;
7. the lowest series number, then the first file name.

A series that cannot be read (missing slices, no rescale values ...) is passed over only for one that is equal under
2. Otherwise its error is raised: reading a short fragment instead would give an age of the wrong part of the body.

Of an MR study the T1-weighted volume of the head is read where there is one, by :mod:`agezoo.data.mr_series_choice`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from agezoo.data.dicom_headers import SliceHeader, count_of
from agezoo.data.dicom_series import Series
from agezoo.data.mr_series_choice import t1_notes, t1_series
from agezoo.data.slice_geometry import StackGeometry, slice_normal, stack_geometry
from agezoo.errors import InputError

_SIMILAR_EXTENT = 0.90
# Slices whose normal lies within 45 degrees of the body's long axis.
_AXIAL_COSINE = 0.70
_HU_RESCALE_TYPES = {"", "HU", "US"}

_SOFT_WORDS = ("STANDARD", "SOFT", "DETAIL", "STND", "BODY", "ABDOMEN", "SMOOTH", "MEDIASTIN")
_SHARP_WORDS = ("LUNG", "BONE", "EDGE", "SHARP", "CHST", "ULTRA")


def kernel_kind(kernel: str) -> str:
    """``"soft"``, ``"sharp"`` or ``"unknown"`` from a reconstruction kernel's name.

    Siemens names carry a sharpness number (B30f, Br38f, I70f: below 50 is soft), Canon ones a family (FC01-FC19 body,
    FC30-FC39 and FC50-FC59, FC80-FC89 bone and lung), Philips ones letters (A-C soft, D-F, L and Y sharp), GE ones
    words.
    """
    name = kernel.split("\\")[0].strip().upper()
    if any(word in name for word in _SHARP_WORDS):
        return "sharp"
    if any(word in name for word in _SOFT_WORDS):
        return "soft"
    if match := re.fullmatch(r"FC(\d{2}).*", name):
        return "soft" if int(match.group(1)) < 30 else "sharp"
    if match := re.fullmatch(r"[A-Z]{1,3}(\d{2})\w?(_\d+)?", name):
        return "soft" if int(match.group(1)) < 50 else "sharp"
    if re.fullmatch(r"[ABC]", name):
        return "soft"
    if re.fullmatch(r"[DEFL]|Y[A-D]", name):
        return "sharp"
    return "unknown"


def check_series(series: Series, *, modality: str, source: str) -> StackGeometry:
    """The geometry of a series that can be read.

    Raises
    ------
    InputError
        With the first reason why it cannot: see the functions called here.
    """
    for header in series.headers:
        if header.fault is not None:
            raise InputError(
                f"slice {header.path.name} {header.fault}", source=source, remedy="copy or export the series again"
            )
    if series.mixed:
        raise InputError(
            "slices of one series have different matrix sizes or pixel spacings",
            source=source,
            found=series.mixed,
            expected="one matrix size and spacing",
            remedy="put slices that belong together into a folder of their own",
        )
    if modality == "CT":
        _check_hounsfield(series, source)
    return stack_geometry(series.headers, source=source)


def _check_hounsfield(series: Series, source: str) -> None:
    for header in series.headers:
        pixels = header.pixels
        if pixels.has_lookup_table or pixels.slope is None or pixels.intercept is None or pixels.slope == 0:
            found = "a Modality LUT" if pixels.has_lookup_table else f"{_absent(header)} in {header.path.name}"
            raise InputError(
                "stored values cannot be turned into Hounsfield units",
                source=source,
                found=found,
                expected="RescaleSlope and RescaleIntercept in every slice",
                remedy="export the original series from the archive",
            )
        if pixels.rescale_type not in _HU_RESCALE_TYPES:
            raise InputError(
                "values are not in Hounsfield units",
                source=source,
                found=f"RescaleType {pixels.rescale_type}",
                expected="HU",
                remedy="use the conventional CT reconstruction, not a material or effective-Z map",
            )
        if pixels.photometric not in {"", "MONOCHROME2"}:
            raise InputError(
                "the grey scale is not the one of CT",
                source=source,
                found=f"PhotometricInterpretation {pixels.photometric}",
                expected="MONOCHROME2",
                remedy="export the original series from the archive",
            )


def _absent(header: SliceHeader) -> str:
    if header.pixels.slope == 0:
        return "RescaleSlope 0"
    names = [
        name
        for name, value in (("RescaleSlope", header.pixels.slope), ("RescaleIntercept", header.pixels.intercept))
        if value is None
    ]
    return f"no {' and no '.join(names)}"


def choose_series(
    series: Sequence[Series], *, modality: str, source: str, contrast: str = ""
) -> tuple[Series, StackGeometry, tuple[str, ...]]:
    """The series to read by the rule at the top of this file, its geometry, and notes on the choice.

    Parameters
    ----------
    series
        Every series of the study.
    modality
        DICOM modality that is wanted.
    source
        Where they are, for messages.
    contrast
        ``"T1"``: of an MR study only a T1-weighted volume of the head will do. Otherwise one is preferred.

    Raises
    ------
    InputError
        If there is no image of the modality, nothing but localisers and captures, no T1-weighted volume where one is
        demanded, or the fitting series is faulty.
    """
    candidates, left_out = _candidates(series, modality, source)
    similar = _t1_candidates(candidates, source, is_demanded=contrast == "T1") if modality == "MR" else []
    if not similar:
        longest = max(candidate.extent_mm for candidate in candidates)
        similar = [candidate for candidate in candidates if candidate.extent_mm >= _SIMILAR_EXTENT * longest]
        similar.sort(key=_preference)
    first_error: InputError | None = None
    for candidate in similar:
        try:
            geometry = check_series(candidate, modality=modality, source=source)
        except InputError as error:
            first_error = first_error or error
            continue
        notes = list(_choice_notes(candidate, candidates, modality))
        if left_out:
            notes.append(f"left out: {left_out}")
        if first_error is not None:
            notes.append(f"a preferred series was passed over: {first_error.problem}")
        if kernel_kind(candidate.first.kernel) == "sharp":
            notes.append(f"sharp reconstruction kernel ({candidate.first.kernel})")
        if modality == "MR":
            notes += t1_notes(candidate)
        return candidate, geometry, tuple(notes)
    assert first_error is not None  # similar holds at least the longest candidate
    raise first_error


def _t1_candidates(candidates: Sequence[Series], source: str, *, is_demanded: bool) -> list[Series]:
    try:
        return t1_series(candidates, source=source)
    except InputError:
        if is_demanded:
            raise
        return []


def _candidates(series: Sequence[Series], modality: str, source: str) -> tuple[list[Series], str]:
    if not series:
        raise InputError(
            "no DICOM images found",
            source=source,
            expected=f"{modality} slices",
            remedy="give the folder that holds the slices, or a NIfTI file",
        )
    fitting = [one for one in series if one.first.modality == modality]
    if not fitting:
        found = Counter(one.first.modality or "no modality" for one in series for _ in one.headers)
        raise InputError(
            f"no {modality} images found",
            source=source,
            found=", ".join(f"{count_of(n, f'{name} image')}" for name, n in sorted(found.items())),
            expected=f"modality {modality}",
            remedy=f"give a {modality} scan, or use the bundle that is made for this modality",
        )
    volumes = [one for one in fitting if not one.is_localiser and not one.is_screenshot]
    localisers = sum(one.n_slices for one in fitting if one.is_localiser)
    screenshots = sum(one.n_slices for one in fitting if one.is_screenshot and not one.is_localiser)
    parts = []
    if localisers:
        parts.append(count_of(localisers, "localiser image"))
    if screenshots:
        parts.append(count_of(screenshots, "secondary capture"))
    if not volumes:
        raise InputError(
            "no volume found",
            source=source,
            found=f"only {' and '.join(parts)}",
            expected=f"a series of {modality} slices",
            remedy="export the slices of the scan, not only its scouts or reports",
        )
    others = Counter(one.first.modality or "unknown" for one in series if one.first.modality != modality)
    parts.extend(
        count_of(n, f"{name} series") if n == 1 else f"{n} {name} series" for name, n in sorted(others.items())
    )
    return volumes, ", ".join(parts)


def _preference(series: Series) -> tuple[object, ...]:
    image_type = series.first.image_type
    is_derived = "DERIVED" in image_type[:1] or any(
        word in kind for kind in image_type[2:] for word in ("MPR", "MIP", "REFORMAT", "PROJECTION")
    )
    normal = slice_normal(series.first.orientation or (1, 0, 0, 0, 1, 0))
    number = series.first.series_number
    return (
        is_derived,
        bool(abs(normal[2]) < _AXIAL_COSINE),
        ("soft", "unknown", "sharp").index(kernel_kind(series.first.kernel)),
        -len(np.unique(np.round([header.position_mm[2] for header in series.headers if header.position_mm], 2))),
        int(number) if number.lstrip("-").isdigit() else 0,
        str(series.first.path),
    )


def _choice_notes(chosen: Series, candidates: Sequence[Series], modality: str) -> tuple[str, ...]:
    if len(candidates) == 1:
        return ()
    what = f"{chosen.n_slices} slices over {chosen.extent_mm:.0f} mm"
    if chosen.first.kernel:
        what += f", kernel {chosen.first.kernel.split(chr(92))[0]}"
    if chosen.first.series_number:
        what += f", series number {chosen.first.series_number}"
    if chosen.split_by:
        what += f", told apart by {chosen.split_by}"
    return (f"{len(candidates)} {modality} series found, read the one with {what}",)
