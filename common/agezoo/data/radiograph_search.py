"""Which radiographs lie in a folder, and why the other images there are none."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from agezoo.data.dicom_headers import count_of, list_files
from agezoo.data.nifti import is_nifti
from agezoo.data.radiograph_header import RadiographHeader, check_projection, scan_file
from agezoo.data.radiograph_picture import check_picture, is_picture
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError

# Files that lie beside images in most cohorts and can be passed over without opening them.
_NO_IMAGE = {
    ".csv",
    ".tsv",
    ".json",
    ".txt",
    ".md",
    ".pdf",
    ".html",
    ".xlsx",
    ".npz",
    ".npy",
    ".parquet",
    ".svg",
    ".log",
}


@dataclass(frozen=True)
class FoundRadiograph:
    """An image file, or a series of slices among the radiographs.

    Attributes
    ----------
    files
        The image's one file; all files of a series that is none.
    kind
        ``"radiograph"`` or ``"vfa"``; empty where no header tells.
    facts
        What the header says; None for PNG, JPEG and TIFF.
    error
        Why it cannot be used, or None. Pixels are not looked at here.
    """

    files: tuple[Path, ...]
    kind: str
    facts: ScanFacts | None
    error: InputError | None


def find_radiographs(
    source: Path | Iterable[Path], *, any_body_part: bool = False, progress: bool = False
) -> list[FoundRadiograph]:
    """Every image under a folder (or in a list of files and folders), by path.

    A series of CT or MR slices is one entry with an error; DICOMDIR files, reports and files of other kinds are
    passed over.

    Parameters
    ----------
    source
        Folder, or files and folders.
    any_body_part
        As in :func:`agezoo.data.radiograph.read_radiograph`.
    progress
        Show a progress bar.
    """
    places = [source] if isinstance(source, Path) else list(source)
    files = [file for place in places for file in (list_files(place) if place.is_dir() else [place])]
    found: list[FoundRadiograph] = []
    slices: dict[Hashable, list[tuple[Path, RadiographHeader]]] = {}
    for path in tqdm(
        dict.fromkeys(files), desc="reading headers", unit="file", disable=None if progress else True, leave=False
    ):
        if is_picture(path):
            found.append(FoundRadiograph((path,), "", None, _problem(partial(check_picture, path, source=str(path)))))
        elif is_nifti(path):
            volume = InputError("is a volume, not a radiograph", source=path, found="a NIfTI file")
            found.append(FoundRadiograph((path,), "", ScanFacts(), volume))
        elif path.suffix.lower() not in _NO_IMAGE:
            found += _dicom_image(path, slices, any_body_part)
    for series in slices.values():
        found.append(_no_projection(series))
    return sorted(found, key=lambda one: one.files)


def _dicom_image(
    path: Path, slices: dict[Hashable, list[tuple[Path, RadiographHeader]]], any_body_part: bool
) -> list[FoundRadiograph]:
    header, scan = scan_file(path)
    if header is None:
        damage = InputError("the DICOM header is damaged or cut off", source=path, remedy="copy or export it again")
        return [FoundRadiograph((path,), "", ScanFacts(), damage)] if scan.damaged else []
    if header.is_volume:
        image = header.image
        series = image.series_uid or (image.study_uid, path.parent)
        slices.setdefault((image.patient_key, image.modality, series), []).append((path, header))
        return []
    error = _problem(partial(check_projection, header, source=str(path), any_body_part=any_body_part))
    return [FoundRadiograph((path,), header.kind, header.facts(), error)]


def _no_projection(series: list[tuple[Path, RadiographHeader]]) -> FoundRadiograph:
    paths, header = tuple(path for path, _ in series), series[0][1]
    error = _problem(partial(check_projection, header, source=str(paths[0])))
    if error is not None and len(paths) > 1:
        found = f"{len(paths)} images of modality {header.image.modality}"
        error = InputError(
            error.problem, source=paths[0].parent, found=found, expected=error.expected, remedy=error.remedy
        )
    return FoundRadiograph(paths, "", header.facts(), error)


def _problem(check: Callable[[], object]) -> InputError | None:
    try:
        check()
    except InputError as error:
        return error
    return None


def only_usable(places: list[Path], *, any_body_part: bool = False) -> Path:
    """The one image that can be used among files and folders.

    Raises
    ------
    InputError
        If there is none, with the reason, or more than one.
    """
    source = str(places[0]) if len(places) == 1 else f"{places[0]} and {count_of(len(places) - 1, 'more file')}"
    found = find_radiographs(places, any_body_part=any_body_part)
    usable = [one for one in found if one.error is None]
    if len(usable) == 1:
        return usable[0].files[0]
    if len(usable) > 1:
        names = ", ".join(one.files[0].name for one in usable[:4]) + (", ..." if len(usable) > 4 else "")
        raise InputError(
            "holds several radiographs",
            source=source,
            found=f"{len(usable)}: {names}",
            expected="one",
            remedy="give the file itself, or list them all with `agezoo datalist`",
        )
    errors = [one.error for one in found if one.error is not None]
    if len(errors) == 1:
        raise errors[0]
    raise InputError(
        "holds no usable radiograph",
        source=source,
        found="; ".join(f"{error.source} {error.problem}" for error in errors[:4]) or "no image at all",
        expected="a DICOM, PNG, JPEG or TIFF file of the lateral spine",
        remedy="give the folder or file of the lateral radiograph",
    )
