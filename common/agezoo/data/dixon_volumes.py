"""The volumes, each of one Dixon contrast, that a heap of MR slices holds; told by their headers alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from agezoo.data.dicom_headers import SliceHeader, count_of
from agezoo.data.dicom_series import Series, split_into_series
from agezoo.data.dixon_contrast import CONTRASTS, OTHER, contrast_of_echo, is_composed, named_contrast
from agezoo.data.slice_geometry import StackGeometry, has_doubles, stack_geometry
from agezoo.errors import InputError

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_MIN_SLICES = 3
# Grids whose corners lie nearer than this are one grid: headers round positions and directions.
_SAME_GRID_MM = 1.0
_ECHO_RATIO_IN_TO_OPPOSED = (1.7, 2.3)

# What tells the stations apart that one series holds, tried in this order.
_STATION_FIELDS: tuple[Callable[[SliceHeader], Hashable], ...] = (
    lambda header: header.acquisition,
    lambda header: header.mr and header.mr.table_mm,
    lambda header: header.mr and header.mr.acquired_s,
)


@dataclass(frozen=True, eq=False)
class DixonVolume:
    """One contrast of one acquisition.

    Attributes
    ----------
    contrast
        One of :data:`agezoo.data.dixon_contrast.CONTRASTS`.
    series, geometry
        Its slices, and how they form a stack.
    shift_mm
        How far the volume is moved towards the head: by the table position, where positions need it.
    """

    contrast: str
    series: Series
    geometry: StackGeometry
    shift_mm: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        pixels = self.series.first.pixels
        return pixels.columns, pixels.rows, len(self.geometry.order)

    @cached_property
    def corners_mm(self) -> np.ndarray:
        """(8, 3): centres of the corner voxels in RAS."""
        geometry = self.geometry
        steps = _LPS_TO_RAS @ np.column_stack([geometry.column_step_mm, geometry.row_step_mm, geometry.slice_step_mm])
        indices = np.array(np.meshgrid(*((0, size - 1) for size in self.shape), indexing="ij")).reshape(3, 8)
        corners = (_LPS_TO_RAS @ geometry.origin_mm) + (steps @ indices).T
        return corners + np.array([0.0, 0.0, self.shift_mm])

    @cached_property
    def step_mm(self) -> float:
        """Distance between voxels along the body, from head to foot."""
        geometry = self.geometry
        steps = (geometry.column_step_mm, geometry.row_step_mm, geometry.slice_step_mm)
        return max(abs(float(step[2])) for step in steps)

    @property
    def top_mm(self) -> float:
        """Upper edge of the volume, towards the head."""
        return float(self.corners_mm[:, 2].max()) + self.step_mm / 2

    @property
    def bottom_mm(self) -> float:
        """Lower edge."""
        return float(self.corners_mm[:, 2].min()) - self.step_mm / 2

    @property
    def number(self) -> int | None:
        """Series number."""
        text = self.series.first.series_number
        return int(text) if text.isdigit() else None

    @property
    def acquired_s(self) -> float | None:
        """Acquisition time of the earliest slice, in seconds since midnight."""
        times = [header.mr.acquired_s for header in self.series.headers if header.mr is not None]
        return min((time for time in times if time is not None), default=None)

    @property
    def table_mm(self) -> float | None:
        """Table position, growing into the scanner."""
        return self.series.first.mr.table_mm if self.series.first.mr is not None else None

    def has_grid_of(self, other: DixonVolume) -> bool:
        """Whether voxels of the two lie at the same places."""
        return self.shape == other.shape and bool(np.abs(self.corners_mm - other.corners_mm).max() <= _SAME_GRID_MM)

    def moved(self, shift_mm: float) -> DixonVolume:
        """The same volume, moved towards the head."""
        return replace(self, shift_mm=shift_mm)


def dixon_volumes(headers: Sequence[SliceHeader], *, source: str) -> tuple[list[DixonVolume], tuple[str, ...]]:
    """Every Dixon volume among MR images, and notes on what was passed over.

    Images whose header names their contrast are taken where they hold water, or in and opposed phase; else images of
    two echoes that share one grid. Volumes that the scanner joined from stations are taken only where nothing else
    is there.

    Raises
    ------
    InputError
        If there are none, or slices of one are missing, doubled, uneven or cut off.
    """
    images = [header for header in headers if header.modality == "MR" and not _is_no_volume(header)]
    labels = [named_contrast(header) for header in images]
    by_name: dict[str, list[SliceHeader]] = defaultdict(list)
    for header, label in zip(images, labels, strict=True):
        if label in CONTRASTS:
            by_name[label].append(header)
    by_name, composed_note = _without_composed(by_name)
    notes = list(composed_note)
    if "water" in by_name or {"in", "opposed"} <= by_name.keys():
        volumes, stray = _stacked(by_name, source)
    else:
        unnamed = [header for header, label in zip(images, labels, strict=True) if label != OTHER]
        by_echo, echo_notes = _by_echo(unnamed, source)
        volumes, stray = _stacked(by_echo, source)
        volumes = _with_partner(volumes)
        notes += echo_notes if volumes else ()
    if not volumes:
        raise _nothing(headers, source)
    used = {id(header) for volume in volumes for header in volume.series.headers}
    n_passed = len(_series_of(header for header in headers if id(header) not in used) - _series_of_volumes(volumes))
    if n_passed:
        notes.append(f"{n_passed} series passed over that are no Dixon images (localisers, maps and others)")
    if stray:
        notes.append(f"{count_of(stray, 'stack')} of fewer than {_MIN_SLICES} slices passed over")
    return volumes, tuple(notes)


def _is_no_volume(header: SliceHeader) -> bool:
    single = Series((header,))
    return single.is_localiser or single.is_screenshot


def _series_of(headers: Iterable[SliceHeader]) -> set[Hashable]:
    return {header.series_uid or (header.path.parent, header.series_number) for header in headers}


def _series_of_volumes(volumes: Iterable[DixonVolume]) -> set[Hashable]:
    return _series_of(header for volume in volumes for header in volume.series.headers)


def _without_composed(
    by_contrast: dict[str, list[SliceHeader]],
) -> tuple[dict[str, list[SliceHeader]], tuple[str, ...]]:
    single = {
        contrast: kept
        for contrast, headers in by_contrast.items()
        if (kept := [header for header in headers if not is_composed(header)])
    }
    n_all, n_single = (sum(map(len, groups.values())) for groups in (by_contrast, single))
    if n_single in (0, n_all):
        return by_contrast, ()
    return single, ("volumes that the scanner joined from stations passed over; the stations themselves were read",)


def _by_echo(images: Sequence[SliceHeader], source: str) -> tuple[dict[str, list[SliceHeader]], tuple[str, ...]]:
    """Images of gradient echoes by what their echo times tell, the shortest echo of each kind."""
    series: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for header in images:
        if header.mr is not None and header.mr.echo_ms is not None and "SE" not in header.mr.scanning:
            series[header.series_uid or header.path.parent].append(header)
    found: dict[str, list[SliceHeader]] = defaultdict(list)
    n_later = 0
    for group in series.values():
        echoes = sorted({_echo_ms(header) for header in group})
        kinds = _kinds_of_echoes(echoes, group, source)
        for contrast in ("in", "opposed"):
            mine = [echo for echo in echoes if kinds[echo] == contrast]
            found[contrast] += [header for header in group if _echo_ms(header) in mine[:1]]
            n_later += len(mine[1:])
    told = "in and opposed phase told apart by their echo times"
    later = (f"{count_of(n_later, 'later echo')} not used",) if n_later else ()
    return found, (told, *later)


def _echo_ms(header: SliceHeader) -> float:
    echo_ms = None if header.mr is None else header.mr.echo_ms
    assert echo_ms is not None, "images without an echo time were left out before"
    return round(echo_ms, 2)


def _kinds_of_echoes(echoes: list[float], group: Sequence[SliceHeader], source: str) -> dict[float, str | None]:
    frequency = next((header.mr.frequency_mhz for header in group if header.mr and header.mr.frequency_mhz), None)
    if frequency is not None:
        return {echo: contrast_of_echo(echo, frequency) for echo in echoes}
    low, high = _ECHO_RATIO_IN_TO_OPPOSED
    if len(echoes) == 2 and echoes[0] > 0 and low <= echoes[1] / echoes[0] <= high:
        # Scanners take the first opposed and the first in-phase echo, at every field strength one half and one turn.
        return {echoes[0]: "opposed", echoes[1]: "in"}
    if len(echoes) < 2:
        return dict.fromkeys(echoes)
    raise InputError(
        "the echoes cannot be told apart as in and opposed phase",
        source=source,
        found=f"echo times {', '.join(f'{echo:g}' for echo in echoes)} ms and no field strength",
        expected="MagneticFieldStrength or ImagingFrequency in the header, or a header that names the contrast",
        remedy="export the original series from the archive",
    )


def _stacked(by_contrast: dict[str, list[SliceHeader]], source: str) -> tuple[list[DixonVolume], int]:
    volumes, n_stray = [], 0
    for contrast in CONTRASTS:
        for series in split_into_series(by_contrast.get(contrast, [])):
            if series.n_slices < _MIN_SLICES:
                n_stray += 1
                continue
            for part in _stations_of(series):
                name = f"{source} ({contrast}, series {part.first.series_number or 'without number'})"
                _refuse_faults(part, name)
                volumes.append(DixonVolume(contrast, part, stack_geometry(part.headers, source=name)))
    return volumes, n_stray


def _stations_of(series: Series) -> list[Series]:
    """The stations that one series holds: where its slices form no stack, a header field must tell them apart."""
    if _is_stack(series.headers):
        return [series]
    for field in _STATION_FIELDS:
        parts: dict[Hashable, list[SliceHeader]] = defaultdict(list)
        for header in series.headers:
            parts[field(header)].append(header)
        if len(parts) > 1 and all(len(part) >= _MIN_SLICES and _is_stack(part) for part in parts.values()):
            return [replace(series, headers=tuple(part)) for part in parts.values()]
    return [series]


def _is_stack(headers: Sequence[SliceHeader]) -> bool:
    try:
        stack_geometry(headers, source="")
    except InputError:
        return False
    return not has_doubles(headers)


def _refuse_faults(series: Series, name: str) -> None:
    for header in series.headers:
        if header.fault is not None:
            raise InputError(f"slice {header.path.name} {header.fault}", source=name, remedy="copy or export it again")


def _with_partner(volumes: Sequence[DixonVolume]) -> list[DixonVolume]:
    """Volumes beside which the other phase lies on the same grid: an echo time alone makes no Dixon image.

    Where one series holds both, volumes whose partner would be of another series are none.
    """

    def is_pair(one: DixonVolume, other: DixonVolume) -> bool:
        return one.contrast != other.contrast and one.has_grid_of(other)

    paired = [one for one in volumes if any(is_pair(one, other) for other in volumes)]
    of_one_series = [
        one
        for one in paired
        if any(is_pair(one, other) and _series_of_volumes([one]) == _series_of_volumes([other]) for other in paired)
    ]
    return of_one_series or paired


def _nothing(headers: Sequence[SliceHeader], source: str) -> InputError:
    kinds: dict[str, int] = defaultdict(int)
    for header in headers:
        kinds[header.modality or "unknown modality"] += 1
    found = ", ".join(f"{count_of(count, 'image')} of {kind}" for kind, count in sorted(kinds.items()))
    return InputError(
        "no Dixon MR images found",
        source=source,
        found=found or "no DICOM image at all",
        expected="water images, or in-phase and opposed-phase images, that ImageType, SeriesDescription or two echo "
        "times tell",
        remedy="give the zip or folder of the Dixon series; convert images that are told otherwise to NIfTI",
    )
