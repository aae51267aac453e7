"""Which scans lie in a folder, and which of them a table's row means."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agezoo.data.body_search import find_bodies
from agezoo.data.brain_search import FoundBrain, find_brains, name_without_kind
from agezoo.data.datalist import absolute_path
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError

NIFTI_SUFFIXES = (".nii", ".nii.gz")
# Files that lie beside scans in most cohorts and can be passed over without opening them.
_NO_SCAN = {".csv", ".tsv", ".json", ".txt", ".md", ".png", ".jpg", ".jpeg", ".pdf", ".html", ".xlsx", ".npz", ".npy"}


@dataclass(frozen=True)
class FoundScan:
    """A scan that exists.

    Attributes
    ----------
    files
        Absolute path of the NIfTI file, radiograph or DICOM folder; several DICOM files where their folder holds more
        than this study.
    names
        Path components below the searched folder, and the file's name without suffix; what a table may refer to.
    facts
        Header facts; None for NIfTI and for pictures without a header.
    error
        Why it cannot be used; None when it can.
    first_file
        The file to read a header from.
    kind
        Of a radiograph whose header tells: ``"radiograph"`` or ``"vfa"``; otherwise empty.
    reason
        Why a radiograph cannot be used, in a few words that many images may share.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    facts: ScanFacts | None
    error: str | None
    first_file: Path
    kind: str = ""
    reason: str = ""

    def shown(self, root: Path) -> str:
        """Short path for a message."""
        place = self.files[0] if len(self.files) == 1 else self.files[0].parent
        return Path(os.path.relpath(place, root)).as_posix()


def is_nifti(path: Path) -> bool:
    """Whether a file's name says NIfTI."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def nifti_stem(path: Path) -> str:
    """File name without ``.nii`` or ``.nii.gz``."""
    name = path.name
    for suffix in (".gz", ".nii"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name


def find_scans(root: str | os.PathLike[str], *, modality: str, reader: str = "volume") -> list[FoundScan]:
    """Every scan under a folder, by path: each NIfTI file and each DICOM study of the modality.

    With reader ``"radiograph"``: each DICOM, PNG, JPEG and TIFF image, whatever its modality; those that are no
    lateral spine have an error. With reader ``"brain"``: what :func:`agezoo.data.brain_search.find_brains` finds; with
    reader ``"body"``: what :func:`agezoo.data.body_search.find_bodies` finds.

    Raises
    ------
    InputError
        If the folder is absent, or reader ``"brain"`` finds nothing.
    """
    root = absolute_path(root)
    if not root.is_dir():
        raise InputError("no such folder of images", source=root)
    if reader == "radiograph":
        return _radiographs(root)
    if reader == "brain":
        return [brain_scan(brain, root) for brain in find_brains(root, progress=sys.stderr.isatty()).brains]
    if reader == "body":
        return _bodies(root)
    scans = []
    may_hold_dicom = False
    for path in sorted(root.rglob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        if is_nifti(path):
            names = (*path.relative_to(root).parts[:-1], nifti_stem(path))
            scans.append(FoundScan((path,), names, None, None, path))
        elif path.suffix.lower() not in _NO_SCAN:
            may_hold_dicom = True
    if may_hold_dicom:
        scans += _dicom_scans(root, modality)
    return sorted(scans, key=lambda scan: scan.files)


def brain_scan(brain: FoundBrain, root: Path) -> FoundScan:
    """A brain as a scan that a table may mean by its path, its BIDS entities, or its name without ``T1`` and such."""
    files = tuple(absolute_path(file) for file in brain.files)
    if brain.facts is not None:
        folder = absolute_path(Path(os.path.commonpath([file.parent for file in files])))
        # A folder stands for the series only if nothing else would be read from it.
        is_alone = sum(path.is_file() for path in folder.rglob("*")) == len(files)
        names = folder.relative_to(root).parts + ((files[0].stem,) if len(files) == 1 else ())
        return FoundScan((folder,) if is_alone else files, names, brain.facts, brain.error, files[0])
    stem = nifti_stem(files[0])
    entities: tuple[str, ...] = ()
    if brain.bids is not None:
        # With and without "sub-" and "ses-", which some tables leave out.
        full = [name for name in (brain.bids.subject, brain.bids.session) if name]
        entities = (*full, *(name[4:] for name in full))
    names = (*files[0].relative_to(root).parts[:-1], *entities, *name_without_kind(stem), stem)
    return FoundScan(files, names, None, brain.error, files[0])


def _dicom_scans(root: Path, modality: str) -> list[FoundScan]:
    from agezoo.data.read import discover_studies

    try:
        studies = discover_studies(root, modality=modality, progress=sys.stderr.isatty())
    except InputError:
        # Nothing under the folder is DICOM; whether that is a fault is for the caller to say.
        return []
    studies_below: Counter[Path] = Counter()
    for study in studies:
        studies_below.update({folder for file in study.files for folder in absolute_path(file).parents})
    scans = []
    for study in studies:
        folder = absolute_path(study.folder)
        files = tuple(absolute_path(file) for file in study.files)
        # A folder stands for the study only if nothing else would be read from it.
        place = (folder,) if studies_below[folder] <= 1 or not files else files
        names = folder.relative_to(root).parts + ((files[0].stem,) if len(files) == 1 else ())
        first = files[0] if files else folder
        scans.append(FoundScan(place, names, study.facts, study.error, first))
    return scans


def _bodies(root: Path) -> list[FoundScan]:
    scans = []
    for body in find_bodies(root, progress=sys.stderr.isatty()):
        files = tuple(absolute_path(file) for file in body.files)
        names = (*files[0].relative_to(root).parts[:-1], *dict.fromkeys((image_stem(files[0]), body.name)))
        scans.append(FoundScan(files, names, body.facts, body.error, files[0]))
    return scans


def _radiographs(root: Path) -> list[FoundScan]:
    from agezoo.data.radiograph_search import find_radiographs

    scans = []
    for image in find_radiographs(root, progress=sys.stderr.isatty()):
        files = tuple(absolute_path(file) for file in image.files)
        names = (*files[0].relative_to(root).parts[:-1], image_stem(files[0]))
        error, reason = (None, "") if image.error is None else (str(image.error), image.error.problem)
        scans.append(FoundScan(files, names, image.facts, error, files[0], image.kind, reason))
    return scans


def image_stem(path: Path) -> str:
    """A radiograph's file name without its suffix; the numbers of a UID behind dots are no suffix."""
    return path.stem if re.fullmatch(r"\.[A-Za-z]\w{1,4}", path.suffix) else path.name


def matching_scans(scans: Iterable[FoundScan], subject_id: str, session: str | None) -> list[FoundScan]:
    """Scans whose path names the subject, and the session if there is one.

    A name counts only as a whole: a path component or a file's name without suffix, the two joined
    (``P7_first``, ``P7-first``), or a BIDS entity (``sub-01`` and ``ses-2`` in ``sub-01_ses-2_ct.nii.gz``). Order never
    decides.
    """
    joined = set() if session is None else {f"{subject_id}_{session}", f"{subject_id}-{session}"}
    return [
        scan
        for scan in scans
        if joined & set(scan.names) or (_names(scan, subject_id) and (session is None or _names(scan, session)))
    ]


def _names(scan: FoundScan, name: str) -> bool:
    if name in scan.names:
        return True
    return name.startswith(("sub-", "ses-")) and bool(scan.names) and name in scan.names[-1].split("_")


def resolve_image(name: str, folders: Sequence[Path]) -> Path:
    """The file or folder that a table's image cell means, tried in each folder in turn.

    Raises
    ------
    ValueError
        In user words, if nothing or two different things are there.
    """
    candidates = [absolute_path(folder / name.replace("\\", "/")) for folder in folders]
    found = list(dict.fromkeys(path for path in candidates if path.exists()))
    if not found:
        raise ValueError(f"image {name!r} is neither under " + " nor under ".join(map(str, dict.fromkeys(folders))))
    if len(found) > 1:
        raise ValueError(f"image {name!r} is ambiguous: it is both under " + " and under ".join(map(str, folders)))
    return found[0]
