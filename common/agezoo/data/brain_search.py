"""Which T1-weighted brain scans lie in a folder, whose they are, and which other files there are passed over.

A folder may hold, mixed: a BIDS dataset, FSL's output folders, NIfTI files of any name, and DICOM studies.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agezoo.data.bids import OTHER_FOLDERS, T1_SUFFIX, BidsImage, choose_t1, is_dataset, parse_bids_name
from agezoo.data.dicom_headers import count_of, list_files
from agezoo.data.nifti import is_nifti
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError

FSL_BRAINS = ("T1_to_MNI_nonlin_brain", "T1_brain_to_MNI", "T1_to_MNI_nonlin")
"""Names, without suffix, of the images in MNI space that FSL's pipelines leave in a subject's folder; best first."""

ACCEPTED = (
    "a BIDS dataset with *_T1w.nii.gz, NIfTI files (.nii, .nii.gz), FSL's T1_to_MNI_nonlin_brain.nii.gz in one folder "
    "per subject, or DICOM slices of modality MR"
)

_NEVER_DICOM = {".json", ".csv", ".tsv", ".txt", ".md", ".png", ".jpg", ".html", ".pdf", ".parquet", ".bval", ".bvec"}
# Folders that say nothing of whose scan it is.
_MUTE_FOLDERS = {"anat", "t1", "mri", "nifti", "struct", "structural"}
# The last word of a plain file's name that says it is no T1-weighted image.
_OTHER_IMAGE = re.compile(
    r"(brain)?mask|[ad]?seg|labels?|labelmap|probseg|warp(field)?|jac|t2w?|t2star|flair|pdw?|dwi|dti|adc|bold|asl|mra|"
    r"swi|pet|ct",
)
_KIND_AT_THE_END = re.compile(
    r"[_\-. ](t1w?|3d|mprage|mp2rage|spgr|fspgr|bravo|tfe|brain|head|stripped|defaced|ds|orig|anat)$", re.IGNORECASE
)
_OTHER_FORMATS = {
    ".mgz": "FreeSurfer",
    ".mgh": "FreeSurfer",
    ".hdr": "Analyze",
    ".img": "Analyze",
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mnc": "MINC",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}


@dataclass(frozen=True)
class FoundBrain:
    """One scan.

    Attributes
    ----------
    files
        The NIfTI file, or the DICOM files of the chosen series.
    subject_id
        ``sub-<label>`` in BIDS; otherwise the file's name without the words at its end that tell the kind of image
        (where several files would then share a name, with them), or the folder's name; never anything from a DICOM
        header.
    session
        ``ses-<label>`` in BIDS; None otherwise.
    listed
        Short text for the image: its path below the searched folder.
    facts
        DICOM header facts; None for NIfTI.
    error
        Why a DICOM study cannot be used; None when it can.
    notes
        Choices made among several images.
    bids
        What a BIDS name says; None for other names.
    """

    files: tuple[Path, ...]
    subject_id: str
    session: str | None
    listed: str
    facts: ScanFacts | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()
    bids: BidsImage | None = None


@dataclass
class BrainSearch:
    """What a folder holds.

    Attributes
    ----------
    brains
        The scans, by path.
    left_out
        Reason -> how many files were passed over for it.
    """

    brains: list[FoundBrain] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def find_brains(source: Path, *, progress: bool = False) -> BrainSearch:
    """Every T1-weighted brain scan in a folder, or the one that a file is.

    - BIDS names: the ``T1w`` images outside ``derivatives``, ``sourcedata`` and ``code``; one of each session by the
      rule in :mod:`agezoo.data.bids`.
    - FSL: the first of :data:`FSL_BRAINS` in a folder, which names the subject; other images beside it are its
      intermediate results.
    - Other NIfTI files, unless the folder says that it is a BIDS dataset or the name's last word is that of another
      kind of image (``mask``, ``T2``, ``FLAIR`` ...).
    - DICOM studies with their T1-weighted series, see :mod:`agezoo.data.mr_series_choice`.

    Raises
    ------
    InputError
        If there is no such scan, with what was found instead.
    """
    if source.is_file():
        return BrainSearch([_named_file(source)])
    search = BrainSearch()
    files = list_files(source)
    rest = _take_bids(source, _take_fsl(source, [path for path in files if is_nifti(path)], search), search)
    if is_dataset(source):
        if rest:
            search.left_out["NIfTI file in a BIDS dataset that is not named as BIDS names images"] += len(rest)
    else:
        _take_plain(source, rest, search)
        if any(_may_be_dicom(path) for path in files):
            _take_dicom(source, search, progress)
    if not search.brains:
        raise _nothing(source, files, search)
    search.brains.sort(key=lambda brain: brain.files)
    return search


def _named_file(path: Path) -> FoundBrain:
    """The scan in a file that the user named."""
    if not is_nifti(path):
        return FoundBrain((path,), path.stem if path.suffix.lower() == ".dcm" else path.name, None, path.name)
    if nifti_stem(path) in FSL_BRAINS:
        return FoundBrain((path,), _folder_label(path.resolve().parent, Path("/")), None, path.name)
    bids = parse_bids_name(path)
    if bids is None:
        return FoundBrain((path,), _shortest_name(nifti_stem(path)), None, path.name)
    if not bids.is_t1:
        raise InputError(
            "is no T1-weighted image by its name",
            source=path,
            found=f"BIDS suffix {bids.suffix}" if bids.suffix != T1_SUFFIX else "a phase, label or warp image",
            expected="*_T1w.nii.gz",
            remedy="give the T1w image; if this is one, rename it",
        )
    return FoundBrain((path,), bids.subject, bids.session, path.name, bids=bids)


def name_without_kind(stem: str) -> tuple[str, ...]:
    """A file's name shortened by the words at its end that tell the kind of image, longest first; may be empty.

    ``P7_T1_brain`` gives ``P7_T1`` and ``P7``; a table of people says ``P7``.
    """
    names = []
    while (match := _KIND_AT_THE_END.search(stem)) and match.start():
        stem = stem[: match.start()]
        names.append(stem)
    return tuple(names)


def nifti_stem(path: Path) -> str:
    """A NIfTI file's name without ``.nii`` or ``.nii.gz``."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def _take_fsl(root: Path, images: Sequence[Path], search: BrainSearch) -> list[Path]:
    """Move FSL's finished images into the search; the NIfTI files that belong to none of their folders."""
    by_folder: dict[Path, dict[str, Path]] = {}
    for path in images:
        if nifti_stem(path) in FSL_BRAINS:
            by_folder.setdefault(path.parent, {})[nifti_stem(path)] = path
    for folder, named in by_folder.items():
        best = next(named[name] for name in FSL_BRAINS if name in named)
        search.brains.append(FoundBrain((best,), _folder_label(folder, root), None, best.relative_to(root).as_posix()))
    rest = [path for path in images if not any(folder in by_folder for folder in path.parents)]
    beside = len(images) - len(rest) - len(by_folder)
    if beside:
        search.left_out["image beside FSL's result in MNI space"] += beside
    return rest


def _folder_label(folder: Path, root: Path) -> str:
    """The subject that a folder below the root names: its path without those parts that say nothing of whose it is."""
    parts = [part.removesuffix(".anat") for part in folder.relative_to(root).parts]
    telling = [part for part in parts if part.lower() not in _MUTE_FOLDERS]
    if root == Path("/"):
        telling = telling[-1:]
    return "_".join(telling) or root.resolve().name.removesuffix(".anat")


def _take_bids(root: Path, images: Sequence[Path], search: BrainSearch) -> list[Path]:
    """Move one T1w image of every session into the search; the NIfTI files whose names do not follow BIDS."""
    named = {path: parse_bids_name(path) for path in images}
    if not any(named.values()) and not is_dataset(root):
        return list(images)
    sessions: dict[tuple[Path, str, str | None], list[BidsImage]] = {}
    rest = []
    for path, image in named.items():
        other = OTHER_FOLDERS & set(path.relative_to(root).parts[:-1])
        if other:
            search.left_out[f"image in {min(other)}"] += 1
        elif image is None:
            rest.append(path)
        elif image.is_t1:
            sessions.setdefault((image.dataset, image.subject, image.session), []).append(image)
        else:
            kind = image.suffix if image.suffix != T1_SUFFIX else "T1w phase, label or warp"
            search.left_out[f"{kind} image"] += 1
    for (_, subject, session), several in sessions.items():
        chosen, note = choose_t1(several)
        listed = chosen.path.relative_to(root).as_posix()
        notes = (note,) if note else ()
        search.brains.append(FoundBrain((chosen.path,), subject, session, listed, notes=notes, bids=chosen))
        if len(several) > 1:
            search.left_out["further T1w image of the same session"] += len(several) - 1
    return rest


def _take_plain(root: Path, images: Sequence[Path], search: BrainSearch) -> None:
    taken = []
    for path in images:
        words = [word for word in re.split(r"[_\-. ]+", nifti_stem(path).lower()) if not word.isdigit()]
        if len(words) > 1 and _OTHER_IMAGE.fullmatch(words[-1]):
            search.left_out[f"image whose name ends in {words[-1]}"] += 1
        else:
            taken.append(path)
    uses = Counter(_shortest_name(nifti_stem(path)) for path in taken)
    for path in taken:
        stem = nifti_stem(path)
        subject = _shortest_name(stem) if uses[_shortest_name(stem)] == 1 else stem
        search.brains.append(FoundBrain((path,), subject, None, path.relative_to(root).as_posix()))


def _shortest_name(stem: str) -> str:
    return (stem, *name_without_kind(stem))[-1]


def _may_be_dicom(path: Path) -> bool:
    # DICOM files are often called after their UID, so that what stands behind the last dot is a number.
    return not is_nifti(path) and path.suffix.lower() not in _NEVER_DICOM | set(_OTHER_FORMATS)


def _take_dicom(root: Path, search: BrainSearch, progress: bool) -> None:
    from agezoo.data.read import discover_studies

    try:
        studies = discover_studies(root, modality="MR", contrast="T1", progress=progress)
    except InputError:
        if not search.brains and not search.left_out:
            raise
        return
    for study in studies:
        inside = study.folder.is_relative_to(root)
        name = study.folder.relative_to(root).as_posix() if inside else study.folder.name
        label = name if name != "." else root.resolve().name
        shared = sum(other.folder == study.folder for other in studies) > 1
        listed = label
        if shared:
            more = f" (+{len(study.files) - 1})" if len(study.files) > 1 else ""
            listed = study.files[0].relative_to(root).as_posix() + more
        search.brains.append(
            FoundBrain(
                study.files,
                label.replace("/", "_"),
                None,
                listed,
                facts=study.facts,
                error=study.error,
                notes=study.facts.notes,
            )
        )


def _nothing(root: Path, files: Sequence[Path], search: BrainSearch) -> InputError:
    found = [f"{count} x {reason}" for reason, count in search.left_out.items()]
    formats = Counter(_OTHER_FORMATS[path.suffix.lower()] for path in files if path.suffix.lower() in _OTHER_FORMATS)
    found += [count_of(count, f"{name} file") for name, count in sorted(formats.items())]
    remedy = "give the folder of the T1-weighted images, or name each file"
    if formats:
        remedy = "convert them to NIfTI first (FreeSurfer's mri_convert, FSL's fslchfiletype, or nibabel)"
    return InputError(
        "no T1-weighted brain images found",
        source=root,
        found=", ".join(found) or (count_of(len(files), "file") + " of other kinds" if files else "an empty folder"),
        expected=ACCEPTED,
        remedy=remedy,
    )
