"""Which whole-body Dixon scans lie in a folder: zips, DICOM visits and NIfTI sets."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from agezoo.data.brain_search import nifti_stem
from agezoo.data.dicom_headers import HeaderScan, SliceHeader, count_of, list_files, scan_headers
from agezoo.data.dicom_series import Series
from agezoo.data.dicom_volume import scan_facts
from agezoo.data.dixon import plan_dixon
from agezoo.data.dixon_nifti import choose_nifti, is_other_image, split_name
from agezoo.data.dixon_source import DixonSource, may_be_image, open_zip
from agezoo.data.dixon_zip import is_zip
from agezoo.data.nifti import is_nifti, nifti_facts
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError

ACCEPTED = (
    "zips of the Dixon DICOM of one visit each, folders of such DICOM, or NIfTI files named *water* and *fat* "
    "(water.nii.gz and fat.nii.gz in one folder per visit, or sub-1_water.nii.gz beside sub-1_fat.nii.gz)"
)


@dataclass(frozen=True)
class FoundBody:
    """One visit's scan.

    Attributes
    ----------
    files
        What :func:`agezoo.data.dixon.read_dixon` takes: the zip; the DICOM folder, or the visit's DICOM files where
        their folder holds more than them; the NIfTI files.
    name
        The zip's or NIfTI set's name without suffix and contrast, or the folder's; with the folders above it where
        several would share a name. Nothing comes from a header.
    facts
        What headers tell; ``notes`` of a zip are complete only where all its headers were read.
    error
        Why it cannot be read; None where nothing speaks against it.
    """

    files: tuple[Path, ...]
    name: str
    facts: ScanFacts
    error: str | None = None

    @property
    def source(self) -> Path | tuple[Path, ...]:
        """The same as ``files``, a single one as a plain path."""
        return self.files[0] if len(self.files) == 1 else self.files


def find_bodies(root: str | Path, *, all_headers: bool = False, progress: bool = False) -> list[FoundBody]:
    """Every whole-body scan in a folder, or the one that a file is; a bad one has an error and stops no other.

    - Each zip is a visit.
    - DICOM files outside zips are grouped by patient, study and date; studies without any MR image are passed over.
    - NIfTI files whose names tell a contrast form sets with those of the same name beside them
      (:func:`agezoo.data.dixon_nifti.split_name`). Files whose names tell none are water volumes only where nothing of
      the above is found, and never where their name is that of a mask, label or map.

    Parameters
    ----------
    root
        A folder, or a zip, DICOM or NIfTI file.
    all_headers
        Read every header in each zip and check stations and contrasts. A zip's names, sizes and first image alone are
        a hundred times faster; other faults then show when it is read. DICOM folders are always checked whole.
    progress
        Show a progress bar.

    Returns
    -------
    list of FoundBody
        By path.

    Raises
    ------
    InputError
        If the root does not exist or nothing is found.
    """
    root = Path(root)
    if not root.exists():
        raise InputError("there is no such file or folder", source=root)
    files = list_files(root) if root.is_dir() else [root]
    top = root if root.is_dir() else root.parent
    found = [
        _zip_case(path, all_headers)
        for path in tqdm(
            [path for path in files if is_zip(path)],
            desc="opening archives",
            unit="zip",
            disable=None if progress else True,
            leave=False,
        )
    ]
    found += _dicom_cases([path for path in files if _may_be_dicom(path)], progress, is_file=root.is_file())
    found += _nifti_cases([path for path in files if is_nifti(path)], is_file=root.is_file(), others=bool(found))
    if not found:
        raise InputError(
            "no whole-body Dixon scans found",
            source=root,
            found=f"{count_of(len(files), 'file')} of other kinds" if files else "an empty folder",
            expected=ACCEPTED,
            remedy="give the folder that holds the scans",
        )
    return sorted(_with_unique_names(found, top), key=lambda body: body.files)


def _may_be_dicom(path: Path) -> bool:
    return not is_zip(path) and not is_nifti(path) and may_be_image(path.name)


def _zip_case(path: Path, all_headers: bool) -> FoundBody:
    name, facts = path.name[: -len(".zip")], ScanFacts()
    try:
        with open_zip(path, first_only=not all_headers) as source:
            facts = _facts(source.scan.headers)
            if all_headers:
                facts = plan_dixon(source)[1]
            elif not source.scan.headers:
                raise InputError("holds no DICOM image", source=path, expected="the Dixon DICOM of one visit")
    except InputError as error:
        return FoundBody((path,), name, facts, str(error))
    return FoundBody((path,), name, facts)


def _facts(headers: Sequence[SliceHeader]) -> ScanFacts:
    if not headers:
        return ScanFacts()
    return scan_facts(Series((headers[0],)), n_slices=len(headers), notes=())


def _dicom_cases(files: Sequence[Path], progress: bool, *, is_file: bool) -> list[FoundBody]:
    scan = scan_headers(files, progress=progress)
    visits: dict[Hashable, list[SliceHeader]] = defaultdict(list)
    for header in scan.headers:
        visits[header.patient_key, header.study_date, header.study_uid or header.path.parent].append(header)
    cases = [
        _dicom_case(headers, scan, is_file)
        for headers in visits.values()
        if is_file or any(header.modality == "MR" for header in headers)
    ]
    if is_file and files and not cases:
        cases.append(FoundBody((files[0],), files[0].stem, ScanFacts(), _unreadable(files[0])))
    return cases


def _unreadable(path: Path) -> str:
    return str(InputError("is neither a zip, DICOM image nor NIfTI file", source=path, expected=ACCEPTED))


def _dicom_case(headers: list[SliceHeader], scan: HeaderScan, is_file: bool) -> FoundBody:
    files = tuple(sorted({header.path for header in headers}))
    folder = Path(os.path.commonpath([path.parent for path in files]))
    damaged = [path for path in scan.damaged if path.is_relative_to(folder)]
    others = {header.path for header in scan.headers if header.path.is_relative_to(folder)} - set(files)
    is_alone = not is_file and not others
    place = (folder,) if is_alone else files
    name = folder.resolve().name if is_alone else f"{folder.resolve().name}_{files[0].stem}"
    if is_file:
        name = files[0].stem
    facts = _facts(headers)
    source = DixonSource(str(place[0]), folder, HeaderScan(headers=headers, damaged=damaged))
    try:
        facts = plan_dixon(source)[1]
    except InputError as error:
        return FoundBody(place, name, facts, str(error))
    return FoundBody(place, name, facts)


def _nifti_cases(files: Sequence[Path], *, is_file: bool, others: bool) -> list[FoundBody]:
    sets: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    unnamed, cases = [], []
    for path in files:
        try:
            subject, contrast = split_name(path)
        except InputError as error:
            cases.append(FoundBody((path,), nifti_stem(path), ScanFacts(), str(error)))
            continue
        if contrast is not None:
            sets[path.parent, subject].append(path)
        elif is_file or not is_other_image(path):
            unnamed.append(path)
    for (folder, subject), members in sets.items():
        cases.append(_nifti_case(members, subject or folder.resolve().name))
    if not cases and not others:
        cases += [_nifti_case([path], nifti_stem(path)) for path in unnamed]
    return cases


def _nifti_case(members: Sequence[Path], name: str) -> FoundBody:
    try:
        chosen, notes = choose_nifti(members, source=str(members[0]), is_listed=True)
        facts = [nifti_facts(path, source=str(path)) for path in chosen.values()]
    except InputError as error:
        return FoundBody(tuple(members), name, ScanFacts(), str(error))
    return FoundBody(tuple(chosen.values()), name, facts[0].with_notes(*notes))


def _with_unique_names(found: Sequence[FoundBody], top: Path) -> list[FoundBody]:
    """Where several share a name, the folders above tell them apart."""
    uses = Counter(body.name for body in found)
    named = []
    for body in found:
        if uses[body.name] > 1:
            first = body.files[0]
            above = first.parent.relative_to(top).parts if first.is_relative_to(top) else ()
            own = () if above[-1:] == (body.name,) else (body.name,)
            body = replace(body, name="_".join((*above, *own)) or body.name)
        named.append(body)
    return named
