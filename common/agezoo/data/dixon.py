"""A whole-body Dixon MR scan: the stations of one visit and their contrasts, as the scanner made them.

A UK Biobank archive (field 20201) holds six overlapping stations from neck to knee, each as in-phase, opposed-phase,
fat and water images. Joining them to one body is the task of :mod:`agezoo.transforms.body.stitched`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agezoo.data.dicom_headers import count_of, list_files
from agezoo.data.dicom_volume import load_series, scan_facts
from agezoo.data.dixon_nifti import choose_nifti, read_nifti_contrasts
from agezoo.data.dixon_source import DixonSource, files_source, open_zip, refuse_damaged
from agezoo.data.dixon_stations import Station, StationPlan, plan_stations
from agezoo.data.dixon_table import is_reversed
from agezoo.data.dixon_volumes import dixon_volumes
from agezoo.data.dixon_zip import is_zip
from agezoo.data.nifti import is_nifti
from agezoo.data.volume import STANDARD_AXCODES, ScanFacts
from agezoo.errors import InputError


@dataclass(frozen=True, eq=False)
class DixonStation:
    """One position of the table.

    Attributes
    ----------
    images
        Contrast (``"water"``, ``"fat"``, ``"in"``, ``"opposed"``; those that the scan has) to voxels of shape
        (X, Y, Z) in LAS orientation; one shape for all. int16 where the stored values allow, else float32; often a
        view with negative strides.
    affine
        4x4, voxel to RAS millimetres.
    """

    images: Mapping[str, np.ndarray]
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        n0, n1, n2 = next(iter(self.images.values())).shape
        return n0, n1, n2


@dataclass(frozen=True, eq=False)
class DixonScan:
    """One visit.

    Attributes
    ----------
    stations
        From head to foot; all have the same contrasts.
    facts
        Facts of the visit, from the topmost station's first contrast; ``notes`` tells what was passed over or chosen,
        ``n_slices`` counts the slices of one contrast in all stations.
    """

    stations: tuple[DixonStation, ...]
    facts: ScanFacts

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Names of the contrasts that every station has."""
        return tuple(self.stations[0].images)


def read_dixon(source: str | Path | Sequence[str | Path]) -> DixonScan:
    """Read a Dixon scan.

    Parameters
    ----------
    source
        A zip of the DICOM files of one visit (read in memory, nothing is unpacked to disk), a folder of them, a list
        of them; or NIfTI: one water volume, a folder or list of files whose names tell the contrasts (see
        :func:`agezoo.data.dixon_nifti.split_name`). Which contrast a DICOM image shows is told by its header, see
        :mod:`agezoo.data.dixon_contrast`.

    Raises
    ------
    InputError
        If anything would have to be guessed: a station or contrast is missing, doubled beyond telling, patients or
        visits are mixed, slices are missing, the archive is damaged or hostile, names tell no contrast.
    """
    if not isinstance(source, (str, Path)):
        return _read_list([Path(item) for item in source])
    path = Path(source)
    if not path.exists():
        raise InputError("there is no such file or folder", source=source)
    if path.is_dir():
        return _read_folder(path, str(source))
    return _read_list([path])


def _read_list(files: list[Path]) -> DixonScan:
    if not files:
        raise InputError("the list of files is empty", expected="the images of one visit")
    for path in files:
        if not path.is_file():
            raise InputError("there is no such file" if not path.exists() else "is a folder in a list", source=path)
    zips, niftis = [path for path in files if is_zip(path)], [path for path in files if is_nifti(path)]
    name = str(files[0]) if len(files) == 1 else f"{files[0]} and {count_of(len(files) - 1, 'more file')}"
    if niftis and len(niftis) == len(files):
        return _read_nifti(niftis, name, is_listed=True)
    if zips and len(files) == 1:
        with open_zip(zips[0]) as archive:
            return _read_dicom(archive)
    if zips or niftis:
        raise InputError(
            "a list holds files of several kinds, or several archives",
            source=name,
            found=f"{count_of(len(zips), 'zip archive')}, {count_of(len(niftis), 'NIfTI file')} among {len(files)}",
            expected="the DICOM files of one visit, its NIfTI files, or its one zip",
            remedy="give one visit at a time",
        )
    return _read_dicom(files_source(files, name=name))


def _read_folder(folder: Path, name: str) -> DixonScan:
    files = list_files(folder)
    niftis = [path for path in files if is_nifti(path)]
    dicom = files_source([path for path in files if not is_nifti(path)], root=folder, name=name)
    if not dicom.scan.headers and not dicom.scan.damaged:
        zips = [path for path in files if is_zip(path)]
        if niftis and not zips:
            return _read_nifti(niftis, name, is_listed=False)
        if zips:
            raise InputError(
                "holds archives, not images",
                source=name,
                found=count_of(len(zips), "zip archive"),
                expected="the DICOM or NIfTI files of one visit",
                remedy="give the zip file itself: each is read as one visit",
            )
    return _read_dicom(dicom)


def _read_nifti(files: list[Path], name: str, *, is_listed: bool) -> DixonScan:
    chosen, notes = choose_nifti(files, source=name, is_listed=is_listed)
    if list(chosen) == ["water"] and len(files) == 1:
        name = str(files[0])
    volumes = read_nifti_contrasts(chosen, source=name)
    first = next(iter(volumes.values()))
    notes = (*notes, *dict.fromkeys(note for volume in volumes.values() for note in volume.facts.notes))
    station = DixonStation({contrast: volume.hu for contrast, volume in volumes.items()}, first.affine)
    return DixonScan((station,), ScanFacts(n_slices=first.facts.n_slices, notes=notes))


def _read_dicom(source: DixonSource) -> DixonScan:
    plan, facts = plan_dixon(source)
    stations, notes = [], []
    for station in plan.stations:
        read, new = _load(station, source)
        stations.append(read)
        notes += new
    if any(volume.shift_mm for station in plan.stations for volume in station.values()):
        images = [next(iter(station.images.values())) for station in stations]
        if is_reversed(images, [station.affine for station in stations], source=source.name):
            stations = [_mirrored(station, planned) for station, planned in zip(stations, plan.stations, strict=True)]
            stations.reverse()
            notes.append("the table's position was counted the other way: stations meet only in the reverse order")
    return DixonScan(tuple(stations), facts.with_notes(*dict.fromkeys(notes)))


def plan_dixon(source: DixonSource) -> tuple[StationPlan, ScanFacts]:
    """Check everything that headers tell, before any pixel is read.

    Raises
    ------
    InputError
        As :func:`read_dixon` does.
    """
    refuse_damaged(source)
    volumes, passed = dixon_volumes(source.scan.headers, source=source.name)
    plan = plan_stations(volumes, source=source.name)
    firsts = [next(iter(station.values())) for station in plan.stations]
    n_slices = sum(len(volume.geometry.order) for volume in firsts)
    notes = (*source.scan.notes(), *passed, *plan.notes)
    return plan, scan_facts(firsts[0].series, n_slices=n_slices, notes=notes)


def _load(station: Station, source: DixonSource) -> tuple[DixonStation, list[str]]:
    images: dict[str, np.ndarray] = {}
    notes: list[str] = []
    affine = np.eye(4)
    for contrast, planned in station.items():
        volume = load_series(
            planned.series,
            planned.geometry,
            notes=(),
            root=source.root,
            source=source.name,
            open_stream=source.open,
        ).to_axcodes(STANDARD_AXCODES)
        if not images:
            affine = _moved(volume.affine, planned.shift_mm)
        elif volume.hu.shape != next(iter(images.values())).shape:
            raise InputError(
                "the contrasts of a station have different sizes after their tilt was removed", source=source.name
            )
        images[contrast] = volume.hu
        known = planned.series.first.subject_notes
        notes += [f"{contrast}: {note}" for note in volume.facts.notes if note not in known]
    return DixonStation(images, affine), notes


def _mirrored(station: DixonStation, planned: Station) -> DixonStation:
    """The station moved by the table's position in the other direction."""
    return replace(station, affine=_moved(station.affine, -2 * next(iter(planned.values())).shift_mm))


def _moved(affine: np.ndarray, shift_mm: float) -> np.ndarray:
    moved = affine.copy()
    moved[2, 3] += shift_mm
    return moved
