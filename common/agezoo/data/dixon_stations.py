"""From single-contrast volumes to the stations of one visit: from head to foot, complete, each of one acquisition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agezoo.data.dicom_headers import count_of
from agezoo.data.dixon_contrast import CONTRASTS
from agezoo.data.dixon_volumes import DixonVolume
from agezoo.errors import InputError

Station = dict[str, DixonVolume]
"""Volumes of one station by contrast; they share one grid."""

# Volumes that share more than this much of the shorter one's length show the same part of the body.
_SAME_PLACE_SHARE = 0.5
# Contrasts that one acquisition gives carry one time, or nearly; a repeat begins a breath-hold later.
_SAME_ACQUISITION_S = 5.0
# The table moves on by a station's length less the overlap; less than this is the patient being put right.
_TABLE_STEP_MM = 50.0
# Stations may fall short of each other by this many slices, which leaves no visible hole.
_LARGEST_GAP_SLICES = 1.0
_REPEAT_REMEDY = "take the images of all acquisitions but one out of the archive or folder"


@dataclass(frozen=True)
class StationPlan:
    """Which volumes are read.

    Attributes
    ----------
    stations
        From head to foot.
    notes
        Choices made, in words for the user.
    """

    stations: tuple[Station, ...]
    notes: tuple[str, ...]


def plan_stations(volumes: Sequence[DixonVolume], *, source: str) -> StationPlan:
    """Put the volumes of one visit in order.

    Volumes at one place of the body are one station; of a repeated acquisition the last one with all contrasts is
    taken. Stations are ordered by position, never by number. Where positions are relative to the scanner rather than to
    the patient, so that all stations lie on top of each other, they are moved by the table position; whether it was
    counted in that direction, the images must tell (:mod:`agezoo.data.dixon_table`).

    Raises
    ------
    InputError
        If patients or visits are mixed, a station or a contrast of one is missing, contrasts of a station do not share
        a grid, it cannot be told which of several acquisitions is wanted, or stations lie on top of each other.
    """
    notes = list(_check_one_visit(volumes, source))
    wanted = [contrast for contrast in CONTRASTS if any(volume.contrast == contrast for volume in volumes)]
    places = _places(volumes)
    moved = _moved_by_table(places, source)
    if moved:
        places = _places(moved)
        notes.append("positions are relative to the scanner: stations were placed by the table position")
    if len(places) == 1:
        _refuse_pile(places[0], source)
    stations = []
    for index, place in enumerate(places):
        name = "the one station" if len(places) == 1 else f"station {index + 1} of {len(places)} (from the head)"
        station, note = _one_acquisition(place, wanted, name, source)
        stations.append(station)
        notes += note
    _check_gaps(stations, source)
    numbers = [min((v.number for v in station.values() if v.number is not None), default=None) for station in stations]
    known = [number for number in numbers if number is not None]
    if known != sorted(known):
        notes.append("series numbers do not run from head to foot; stations were ordered by their positions")
    return StationPlan(tuple(stations), tuple(notes))


def _check_one_visit(volumes: Iterable[DixonVolume], source: str) -> tuple[str, ...]:
    headers = [header for volume in volumes for header in volume.series.headers]
    people = {header.patient_key for header in headers if header.patient_key is not None}
    sexes = {header.sex for header in headers if header.sex is not None}
    if len(people) > 1 or len(sexes) > 1:
        raise InputError(
            "images of several patients are mixed",
            source=source,
            found=f"{len(people)} patient identifiers" if len(people) > 1 else "both sexes",
            expected="the images of one visit of one patient",
            remedy="give each visit a zip or folder of its own",
        )
    dates = {header.study_date for header in headers if header.study_date}
    studies = {header.study_uid for header in headers if header.study_uid}
    if len(dates) > 1 or (len(studies) > 1 and not dates):
        raise InputError(
            "images of several visits are mixed",
            source=source,
            found=f"{len(dates)} study dates" if dates else f"{len(studies)} studies without a date",
            expected="the images of one visit",
            remedy="give each visit a zip or folder of its own",
        )
    return (f"{len(studies)} studies of one day taken as one visit",) if len(studies) > 1 else ()


def _places(volumes: Sequence[DixonVolume]) -> list[list[DixonVolume]]:
    """Volumes that show the same part of the body, from head to foot."""
    places: list[list[DixonVolume]] = []
    for volume in sorted(volumes, key=lambda volume: -(volume.top_mm + volume.bottom_mm)):
        if places and any(_share_a_place(volume, other) for other in places[-1]):
            places[-1].append(volume)
        else:
            places.append([volume])
    return places


def _share_a_place(one: DixonVolume, other: DixonVolume) -> bool:
    common = min(one.top_mm, other.top_mm) - max(one.bottom_mm, other.bottom_mm)
    return common > _SAME_PLACE_SHARE * min(one.top_mm - one.bottom_mm, other.top_mm - other.bottom_mm)


def _moved_by_table(places: Sequence[Sequence[DixonVolume]], source: str) -> list[DixonVolume]:
    """All volumes at their places on the table, or none where positions tell the places already."""
    piled = [{volume.table_mm for volume in place} for place in places]
    known = [[table for table in tables if table is not None] for tables in piled]
    if not any(len(tables) > 1 and max(tables) - min(tables) > _TABLE_STEP_MM for tables in known):
        return []
    moved = []
    for volume in (volume for place in places for volume in place):
        lying = volume.series.first.mr.patient_position if volume.series.first.mr is not None else ""
        if volume.table_mm is None or lying[:2] not in ("HF", "FF"):
            raise InputError(
                "stations lie on top of each other, and not every header tells the table's position",
                source=source,
                expected="positions in the patient's coordinates, or TablePosition and PatientPosition in every image",
                remedy="export the original series from the archive, or convert the stitched volumes to NIfTI",
            )
        # Further into the scanner, the magnet's centre is nearer to the feet of a patient who goes in head first.
        moved.append(volume.moved(-volume.table_mm if lying[:2] == "HF" else volume.table_mm))
    return moved


def _refuse_pile(place: Sequence[DixonVolume], source: str) -> None:
    """Several acquisitions at the only place are repeats, or stations whose positions tell nothing."""
    most = max(sum(volume.contrast == contrast for volume in place) for contrast in CONTRASTS)
    if most > 1:
        raise InputError(
            "stations lie on top of each other",
            source=source,
            found=f"{most} volumes of one contrast at the same place, and no table position that sets them apart",
            expected="stations at different positions, or one acquisition",
            remedy=f"export the original series from the archive; if it is one station that was repeated, "
            f"{_REPEAT_REMEDY}",
        )


def _one_acquisition(
    place: Sequence[DixonVolume], wanted: Sequence[str], name: str, source: str
) -> tuple[Station, tuple[str, ...]]:
    acquisitions = [one for grid in _grids(place) for one in _acquisitions(grid, name, source)]
    complete = [one for one in acquisitions if len(one) == len(wanted)]
    if not complete:
        raise _incomplete(acquisitions, wanted, name, source)
    if len(acquisitions) == 1:
        return complete[0], ()
    keys = [_order_key(one.values()) for one in acquisitions]
    if len(set(keys)) < len(keys):
        raise _undecided(name, len(acquisitions), source)
    chosen = max(complete, key=lambda one: _order_key(one.values()))
    return chosen, (f"{name} was acquired {len(acquisitions)} times: the last complete acquisition was used",)


def _grids(place: Sequence[DixonVolume]) -> list[list[DixonVolume]]:
    grids: list[list[DixonVolume]] = []
    for volume in place:
        for grid in grids:
            if volume.has_grid_of(grid[0]):
                grid.append(volume)
                break
        else:
            grids.append([volume])
    return grids


def _acquisitions(grid: Sequence[DixonVolume], name: str, source: str) -> list[Station]:
    """Volumes on one grid, sorted into acquisitions: by time where that gives each contrast once, else by order.

    Raises
    ------
    InputError
        If neither tells which contrasts belong together.
    """
    if len({volume.contrast for volume in grid}) == len(grid):
        return [{volume.contrast: volume for volume in grid}]
    ordered = sorted(grid, key=lambda volume: _order_key([volume]))
    n_wanted = len({volume.contrast for volume in grid})
    times = [volume.acquired_s for volume in ordered]
    if all(time is not None for time in times):
        groups = [[ordered[0]]]
        for earlier, later in pairwise(ordered):
            if (later.acquired_s or 0) - (earlier.acquired_s or 0) > _SAME_ACQUISITION_S:
                groups.append([])
            groups[-1].append(later)
        stations = [{volume.contrast: volume for volume in group} for group in groups]
        is_single = all(len(station) == len(group) for station, group in zip(stations, groups, strict=True))
        if is_single and any(len(station) == n_wanted for station in stations):
            return stations
    stations = [{}]
    for volume in ordered:
        if volume.contrast in stations[-1]:
            stations.append({})
        stations[-1][volume.contrast] = volume
    # Where one is incomplete, the order alone does not tell whose contrasts are whose.
    keys = {_order_key([volume]) for volume in ordered}
    if len(keys) < len(ordered) or any(len(station) < n_wanted for station in stations):
        most = max(sum(volume.contrast == contrast for volume in grid) for contrast in CONTRASTS)
        raise _undecided(name, most, source)
    return stations


def _order_key(volumes: Iterable[DixonVolume]) -> tuple[float, int]:
    """Acquisition time and series number of the first volume."""
    return min(
        (
            -1.0 if volume.acquired_s is None else volume.acquired_s,
            -1 if volume.number is None else volume.number,
        )
        for volume in volumes
    )


def _undecided(name: str, n: int, source: str) -> InputError:
    return InputError(
        f"{name} is there {n} times and nothing tells which images are the later ones",
        source=source,
        expected="different acquisition times, or complete acquisitions with series numbers in their order",
        remedy=_REPEAT_REMEDY,
    )


def _incomplete(acquisitions: Sequence[Station], wanted: Sequence[str], name: str, source: str) -> InputError:
    at_the_place = {contrast for one in acquisitions for contrast in one}
    lacking = [contrast for contrast in wanted if contrast not in at_the_place]
    if lacking:
        return InputError(
            f"{name} has no {' and no '.join(lacking)} image",
            source=source,
            found=", ".join(contrast for contrast in wanted if contrast in at_the_place),
            expected=f"{', '.join(wanted)}, as in the other stations",
            remedy="copy or export the visit again; if it does not exist, take this contrast out of all stations",
        )
    sizes = ", ".join(
        f"{contrast} {' x '.join(map(str, volume.shape))}" for one in acquisitions for contrast, volume in one.items()
    )
    return InputError(
        f"the contrasts of {name} do not share one geometry",
        source=source,
        found=f"{sizes} voxels, in {count_of(len(acquisitions), 'acquisition')} or grids",
        expected="equal size, position and direction of all contrasts of a station",
        remedy="copy or export the visit again: slices may be missing",
    )


def _check_gaps(stations: Sequence[Station], source: str) -> None:
    for index, (upper, lower) in enumerate(pairwise(stations)):
        above, below = next(iter(upper.values())), next(iter(lower.values()))
        gap_mm = above.bottom_mm - below.top_mm
        if gap_mm > _LARGEST_GAP_SLICES * max(above.step_mm, below.step_mm):
            raise InputError(
                "a station is missing",
                source=source,
                found=f"a gap of {gap_mm:.0f} mm between stations {index + 1} and {index + 2} of {len(stations)} "
                f"(from the head)",
                expected="stations that overlap or touch",
                remedy="copy or export the visit again; a body with a hole in it is not read",
            )
