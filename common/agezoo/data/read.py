"""The one door for images: whatever a scan is stored as, it leaves here as a volume in LAS orientation."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agezoo.data.dicom_headers import HeaderScan, SliceHeader, count_of, list_files, scan_headers
from agezoo.data.dicom_pixels import AIR_HU
from agezoo.data.dicom_series import Series, split_into_series
from agezoo.data.dicom_volume import load_series, scan_facts
from agezoo.data.hounsfield import check_hounsfield
from agezoo.data.nifti import is_nifti, nifti_facts, read_nifti
from agezoo.data.series_choice import choose_series
from agezoo.data.volume import ScanFacts, Volume
from agezoo.errors import InputError


@dataclass(frozen=True)
class Study:
    """One person's scan session as found in a folder of many.

    Parameters
    ----------
    files
        Files of the series that is to be read; all files of the study where ``error`` is set.
    folder
        Folder that holds all of these files.
    facts
        What the headers say; ``facts.notes`` tells which series was chosen.
    error
        Why the study cannot be read, or None.
    """

    files: tuple[Path, ...]
    folder: Path
    facts: ScanFacts
    error: str | None = None


def read_volume(source: str | Path | Sequence[str | Path], *, modality: str = "CT") -> Volume:
    """Read one scan.

    Parameters
    ----------
    source
        A folder of DICOM files (nested, several series, any order, compressed or not), a NIfTI file (``.nii``,
        ``.nii.gz``), or a list of the DICOM files of one scan. Of several series one is read by the rule in
        :mod:`agezoo.data.series_choice`.
    modality
        DICOM modality that is wanted. For ``"CT"`` values are Hounsfield units and are checked to look like them.

    Returns
    -------
    Volume
        In LAS orientation: axis 0 grows towards the patient's Left, axis 1 towards Anterior, axis 2 towards Superior.
        Voxels are as the scanner stored them except for the repairs named in ``facts.notes``: gantry tilt removed,
        equal copies of slices dropped, padding and missing values set to air. Values below -1024 HU, which some
        scanners write outside their circle, are kept.

    Raises
    ------
    InputError
        If there is no scan that can be read without guessing; the message says what was found and what to do.
    """
    if not isinstance(source, (str, Path)):
        volume, name = _read_files([Path(item) for item in source], modality)
    else:
        path, name = Path(source), str(source)
        _must_exist(path)
        if path.is_dir():
            volume = _read_dicom(list_files(path), root=path, modality=modality, source=name)
        elif is_nifti(path):
            volume = _read_nifti(path, modality=modality, source=name)
        else:
            volume = _read_dicom([path], root=path, modality=modality, source=name)
    volume = volume.to_axcodes("LAS")
    if modality == "CT":
        check_hounsfield(volume, source=name)
    return volume


def _read_files(files: list[Path], modality: str) -> tuple[Volume, str]:
    if not files:
        raise InputError("the list of files is empty", expected="the DICOM files of one scan")
    for path in files:
        _must_exist(path)
    name = str(files[0]) if len(files) == 1 else f"{files[0]} and {count_of(len(files) - 1, 'more file')}"
    if any(is_nifti(path) for path in files):
        if len(files) > 1:
            raise InputError(
                "a list may only hold the DICOM slices of one scan",
                source=name,
                found="NIfTI files",
                remedy="give each NIfTI file on its own",
            )
        return _read_nifti(files[0], modality=modality, source=name), name
    root = _common_folder(files)
    return _read_dicom(list(dict.fromkeys(files)), root=root, modality=modality, source=name), name


def _read_nifti(path: Path, *, modality: str, source: str) -> Volume:
    return read_nifti(path, source=source, empty=AIR_HU if modality == "CT" else 0, is_brain=modality == "MR")


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise InputError("there is no such file or folder", source=path)


def _common_folder(files: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in files]))


def _read_dicom(files: list[Path], *, root: Path, modality: str, source: str) -> Volume:
    scan = _scan(files, source=source, progress=False)
    studies = _group_studies(scan.headers, modality)
    if len(studies) > 1:
        n_people = len({headers[0].patient_key for headers in studies})
        raise InputError(
            "holds scans of several people" if n_people > 1 else "holds several studies",
            source=source,
            found=f"{len(studies)} studies",
            expected="one study",
            remedy="give the folder of one study, or list them all first with `agezoo datalist`",
        )
    # Images of other modalities take part so that an error can name what was found.
    series = split_into_series(scan.headers)
    chosen, geometry, notes = choose_series(series, modality=modality, source=source)
    _refuse_damaged_neighbours(chosen, scan, source)
    return load_series(chosen, geometry, notes=(*scan.notes(), *notes), root=root, source=source)


def _refuse_damaged_neighbours(chosen: Series, scan: HeaderScan, source: str) -> None:
    """A file too damaged to tell its series may be the chosen one's first or last slice."""
    folders = {header.path.parent for header in chosen.headers}
    beside = [path for path in scan.damaged if path.parent in folders]
    if beside:
        raise InputError(
            "a DICOM file beside the slices is damaged",
            source=source,
            found=f"{beside[0].name}{f' and {len(beside) - 1} more' if len(beside) > 1 else ''}",
            expected="readable headers",
            remedy="copy or export the series again; remove the file if it does not belong to it",
        )


def _scan(files: list[Path], *, source: str, progress: bool) -> HeaderScan:
    if not files:
        raise InputError(
            "the folder is empty",
            source=source,
            expected="DICOM slices",
            remedy="give the folder that holds the slices, or a NIfTI file",
        )
    scan = scan_headers(files, progress=progress)
    if not scan.headers:
        n_nifti = sum(is_nifti(path) for path in files)
        found = [count_of(n_nifti, "NIfTI file")] if n_nifti else []
        if len(scan.not_dicom) > n_nifti:
            found.append(f"{count_of(len(scan.not_dicom) - n_nifti, 'file')} of other kinds")
        if scan.damaged:
            found.append(count_of(len(scan.damaged), "damaged DICOM file"))
        if scan.without_image:
            kinds = ", ".join(sorted(set(scan.without_image)))
            found.append(f"{count_of(len(scan.without_image), 'DICOM object')} without pixel data ({kinds})")
        raise InputError(
            "no DICOM images found",
            source=source,
            found=", ".join(found),
            expected="DICOM slices with pixel data",
            remedy="give the path of the NIfTI file itself"
            if n_nifti
            else "give the folder that holds the slices, or a NIfTI file",
        )
    return scan


def _group_studies(headers: Sequence[SliceHeader], modality: str) -> list[list[SliceHeader]]:
    """Images of the modality by person and study; without a study UID, by study date."""
    groups: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        if header.modality == modality:
            groups[header.patient_key, header.study_uid or header.study_date].append(header)
    return list(groups.values())


def discover_studies(
    folder: str | Path,
    *,
    modality: str = "CT",
    contrast: str = "",
    include_nifti: bool = False,
    progress: bool = False,
) -> list[Study]:
    """Find the studies in a folder that holds many people's scans.

    Every header is read once. Images are grouped by person and StudyInstanceUID; where the UID is empty, by person,
    study date and folder. In each study one series is chosen by the rule in :mod:`agezoo.data.series_choice`; a study
    without a usable one comes back with ``error`` set. Pixels are not read, so what shows only in them (a damaged
    compressed slice, values that are not Hounsfield units) is found by :func:`read_volume` later.

    Parameters
    ----------
    folder
        Folder to search, with everything below it.
    modality
        DICOM modality that is wanted; studies without any image of it are left out.
    contrast
        ``"T1"``: a study without a T1-weighted volume of the head has an error, see
        :func:`agezoo.data.series_choice.choose_series`.
    include_nifti
        Whether each NIfTI file counts as a study too.
    progress
        Show a progress bar.

    Returns
    -------
    list of Study
        Sorted by their first file; empty where a folder holds NIfTI files alone and ``include_nifti`` is off.

    Raises
    ------
    InputError
        If the folder does not exist, or holds neither a study nor a NIfTI file.
    """
    root = Path(folder)
    _must_exist(root)
    if not root.is_dir():
        raise InputError("is not a folder", source=folder, remedy="give the folder that holds the studies")
    files = list_files(root)
    scan = scan_headers(files, progress=progress)
    studies = [_study(headers, scan, root, modality, contrast) for headers in _group_scattered(scan.headers, modality)]
    if include_nifti:
        studies.extend(_nifti_study(path, root) for path in files if is_nifti(path))
    if not studies and not any(is_nifti(path) for path in files):
        _scan(files, source=str(folder), progress=False)
        choose_series(split_into_series(scan.headers), modality=modality, source=str(folder))
    return sorted(studies, key=lambda study: study.files[0])


def _group_scattered(headers: Sequence[SliceHeader], modality: str) -> list[list[SliceHeader]]:
    groups: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for header in headers:
        if header.modality == modality:
            study = header.study_uid or (header.study_date, header.path.parent)
            groups[header.patient_key, study].append(header)
    return list(groups.values())


def _study(headers: list[SliceHeader], scan: HeaderScan, root: Path, modality: str, contrast: str) -> Study:
    files = tuple(sorted({header.path for header in headers}))
    folder = _common_folder(files)
    name = str(root / folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)
    try:
        chosen, geometry, notes = choose_series(
            split_into_series(headers), modality=modality, source=name, contrast=contrast
        )
        _refuse_damaged_neighbours(chosen, scan, name)
    except InputError as error:
        facts = scan_facts(Series(tuple(headers)), n_slices=len(headers), notes=())
        return Study(files, folder, facts, str(error))
    files = tuple(sorted({header.path for header in chosen.headers}))
    facts = scan_facts(chosen, n_slices=len(geometry.order), notes=notes)
    return Study(files, _common_folder(files), facts)


def _nifti_study(path: Path, root: Path) -> Study:
    try:
        return Study((path,), path.parent, nifti_facts(path, source=str(path)))
    except InputError as error:
        return Study((path,), path.parent, ScanFacts(), str(error))
