"""Telling the series in a heap of slices apart, also where their UIDs are empty or shared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agezoo.data.dicom_headers import SliceHeader
from agezoo.data.slice_geometry import has_doubles, heights_mm

# Directions that differ by less than this belong to one stack (about 0.3 degrees).
_DIRECTION_TOLERANCE = 5e-3
_LOCALISER_WORDS = ("LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "SURVIEW", "SCANOGRAM", "SCANOSCOPE")
# A field that differs in every slice tells no stacks apart.
_MIN_MEAN_STACK = 3
_SECONDARY_CAPTURE_PREFIX = "1.2.840.10008.5.1.4.1.1.7"

# What sets two stacks at the same places apart, tried in this order when a series has several slices at a place.
_DISTINCTIONS: tuple[tuple[str, Callable[[SliceHeader], Hashable]], ...] = (
    ("image type", lambda header: header.image_type),
    ("echo time", lambda header: header.echo_time),
    ("acquisition number", lambda header: header.acquisition),
    ("kernel", lambda header: header.kernel),
    ("slice thickness", lambda header: header.slice_thickness_mm),
    ("cardiac phase", lambda header: header.cardiac_phase),
    ("series number", lambda header: header.series_number),
    ("series description", lambda header: header.series_description),
)


@dataclass(frozen=True)
class Series:
    """Slices that can form one volume.

    Parameters
    ----------
    headers
        The slices, in no particular order.
    split_by
        The header field that had to tell this stack from others of the same series; empty when the UID did.
    mixed
        Set when slices of the same series and orientation have another matrix size or pixel spacing: what was found.
    """

    headers: tuple[SliceHeader, ...]
    split_by: str = ""
    mixed: str = ""

    @property
    def first(self) -> SliceHeader:
        """A slice that stands for all."""
        return self.headers[0]

    @property
    def n_slices(self) -> int:
        """Number of slices, doubled ones included."""
        return len(self.headers)

    @property
    def is_localiser(self) -> bool:
        """Whether this is a scout image for planning."""
        words = (*self.first.image_type, self.first.series_description.upper())
        return any(name in word for word in words for name in _LOCALISER_WORDS)

    @property
    def is_screenshot(self) -> bool:
        """Whether these are secondary captures or colour pictures (dose reports, screen saves)."""
        return (
            self.first.sop_class.startswith(_SECONDARY_CAPTURE_PREFIX)
            or self.first.pixels.samples != 1
            or any("SCREEN SAVE" in word for word in self.first.image_type)
        )

    @cached_property
    def extent_mm(self) -> float:
        """Length of body covered: from the first slice's centre to the last one's."""
        if self.first.orientation is None or any(header.position_mm is None for header in self.headers):
            return 0.0
        return float(np.ptp(heights_mm(self.headers)))


def split_into_series(headers: Sequence[SliceHeader]) -> list[Series]:
    """Group slices into stacks.

    Slices belong together when patient, study, series UID (where it is empty: folder, series number and
    description), modality, kind of object, orientation, matrix size and pixel spacing agree. Where such a group
    still has several slices at one place, it is split by the first of image type, echo time, acquisition number,
    kernel, slice thickness, cardiac phase, series number and description (or else all of them together) that leaves
    one slice at each place. If nothing does, the group stays whole and its doubled slices are judged by their pixels.
    """
    series: list[Series] = []
    for group in _partition(headers, _series_key):
        stacks = [
            stack
            for same_direction in _cluster_by_orientation(group)
            for stack in _partition(same_direction, _matrix_key)
        ]
        for stack in stacks:
            mixed = _mixture(stack, stacks)
            series.extend(Series(tuple(part), split_by, mixed) for part, split_by in _split_doubles(stack))
    return series


def _partition(headers: Iterable[SliceHeader], key: Callable[[SliceHeader], Hashable]) -> list[list[SliceHeader]]:
    parts: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        parts[key(header)].append(header)
    return list(parts.values())


def _series_key(header: SliceHeader) -> Hashable:
    if header.series_uid:
        series: Hashable = header.series_uid
    else:
        series = (header.path.parent, header.series_number, header.series_description)
    is_localiser = any(name in word for word in header.image_type for name in _LOCALISER_WORDS)
    return (
        header.patient_key,
        header.study_uid,
        header.study_date,
        series,
        header.modality,
        header.sop_class,
        is_localiser,
        header.pixels.samples,
    )


def _matrix_key(header: SliceHeader) -> Hashable:
    spacing = header.pixel_spacing_mm
    return header.pixels.rows, header.pixels.columns, spacing and tuple(round(value, 4) for value in spacing)


def _cluster_by_orientation(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    clusters: list[tuple[tuple[float, ...] | None, list[SliceHeader]]] = []
    for header in headers:
        for orientation, members in clusters:
            if _is_same_direction(orientation, header.orientation):
                members.append(header)
                break
        else:
            clusters.append((header.orientation, [header]))
    return [members for _, members in clusters]


def _is_same_direction(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(abs(a - b) < _DIRECTION_TOLERANCE for a, b in zip(one, other, strict=True))


def _mixture(stack: list[SliceHeader], stacks: list[list[SliceHeader]]) -> str:
    """Words for a series whose slices of one orientation have several matrix sizes or spacings."""
    if not stack[0].series_uid:
        return ""
    alike = [other for other in stacks if _is_same_direction(other[0].orientation, stack[0].orientation)]
    if len(alike) == 1:
        return ""
    return ", ".join(f"{len(other)} of {_matrix_words(other[0])}" for other in alike)


def _matrix_words(header: SliceHeader) -> str:
    spacing = header.pixel_spacing_mm
    size = f"{header.pixels.columns} x {header.pixels.rows} pixels"
    return f"{size} without spacing" if spacing is None else f"{size} at {spacing[1]:g} x {spacing[0]:g} mm"


def _split_doubles(stack: list[SliceHeader]) -> list[tuple[list[SliceHeader], str]]:
    if any(header.position_mm is None for header in stack) or not has_doubles(stack):
        return [(stack, "")]
    for name, key in _DISTINCTIONS:
        parts = _partition(stack, key)
        if _are_stacks(parts):
            return [(part, name) for part in parts]
    parts = _partition(stack, lambda header: tuple(key(header) for _, key in _DISTINCTIONS))
    if _are_stacks(parts):
        return [(part, "several header fields") for part in parts]
    return [(stack, "")]


def _are_stacks(parts: list[list[SliceHeader]]) -> bool:
    """Whether a split gives stacks with one slice at each place, and not merely single slices."""
    n_slices = sum(len(part) for part in parts)
    is_crumbled = n_slices < _MIN_MEAN_STACK * len(parts)
    return len(parts) > 1 and not is_crumbled and not any(has_doubles(part) for part in parts)
