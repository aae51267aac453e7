"""Dixon volumes in NIfTI files, told apart by whole words in their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agezoo.data.brain_search import nifti_stem
from agezoo.data.dixon_contrast import CONTRASTS
from agezoo.data.nifti import read_nifti
from agezoo.data.volume import Volume
from agezoo.errors import InputError

# What names a contrast anywhere in a name, and what does so at its end.
_ANYWHERE = {
    "water": "water",
    "fat": "fat",
    "in": "in[-_. ]?phase",
    "opposed": "opposed([-_. ]?phase)?|opp[-_. ]?phase|out[-_. ]?(of[-_. ]?)?phase",
}
_AT_END = {"water": "w", "fat": "f", "in": "in|ip", "opposed": "opp|oop|op|out"}
_OTHER_WORDS = {"fraction", "ff", "pdff", "mask", "seg", "label", "labels", "labelmap", "map", "r2star", "t2star"}
_SAME_GRID_MM = 1.0


def is_other_image(path: Path) -> bool:
    """Whether the name says that the file is a mask, label or parameter map."""
    return bool(set(re.findall(r"[a-z0-9]+", nifti_stem(path).lower())) & _OTHER_WORDS)


def split_name(path: Path) -> tuple[str, str | None]:
    """What a NIfTI file's name says of the subject, and the contrast that it names (None if it names none).

    Words are what stands between characters that are no letters or digits; case does not matter. ``water``, ``fat``,
    ``inphase`` (``in-phase``), ``opposed``, ``outphase`` (``out-of-phase``) ... count anywhere in the name; ``W``,
    ``F``, ``in``, ``IP``, ``opp``, ``OP``, ``out`` only as its last word. Names of masks, labels and fraction maps
    name no contrast.

    Raises
    ------
    InputError
        If the name holds two contrasts.
    """
    stem = nifti_stem(path)
    if is_other_image(path):
        return stem, None
    found = _matches(_ANYWHERE, stem, "") or _matches(_AT_END, stem, "$")
    if len(found) > 1:
        raise InputError(
            "the file's name tells several contrasts",
            source=path,
            found=" and ".join(found),
            expected="one of the words water, fat, inphase, opposed",
            remedy="rename the file",
        )
    for contrast, pattern in found.items():
        return re.sub(rf"[-_. ]?{pattern.pattern}", "", stem, flags=re.IGNORECASE).strip("-_. "), contrast
    return stem, None


def _matches(vocabulary: dict[str, str], stem: str, end: str) -> dict[str, re.Pattern[str]]:
    """The contrasts of which a whole word stands in a name."""
    patterns = {
        contrast: re.compile(rf"(?<![a-z0-9])({words})(?![a-z0-9]){end}", re.IGNORECASE)
        for contrast, words in vocabulary.items()
    }
    return {contrast: pattern for contrast, pattern in patterns.items() if pattern.search(stem)}


def choose_nifti(files: Sequence[Path], *, source: str, is_listed: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Which file holds which contrast.

    A single file without a contrast in its name holds water. ``is_listed``: the user named each file, so that none
    may be passed over.

    Raises
    ------
    InputError
        If two files name one contrast, none of several names water (or in and opposed phase), or a listed one names
        nothing.
    """
    chosen: dict[str, Path] = {}
    unnamed = []
    for path in files:
        contrast = split_name(path)[1]
        if contrast is None:
            unnamed.append(path)
        elif contrast in chosen:
            raise InputError(
                f"two files are {contrast} images by their names",
                source=source,
                found=f"{chosen[contrast].name} and {path.name}",
                expected="one file for each contrast of one visit",
                remedy="give the files of one visit as a list, or put each visit into a folder of its own",
            )
        else:
            chosen[contrast] = path
    if not chosen and len(unnamed) == 1 and (is_listed or not is_other_image(unnamed[0])):
        return {"water": unnamed[0]}, ()
    if (unnamed and is_listed) or not ("water" in chosen or {"in", "opposed"} <= chosen.keys()):
        shown = ", ".join(path.name for path in (unnamed or files)[:4])
        raise InputError(
            "the files' names do not tell which is the water image",
            source=source,
            found=shown or "no NIfTI file",
            expected=f"names with one of the words {', '.join(CONTRASTS)} (or W, F, IP, OP at their end); water is "
            "needed, or in and opposed",
            remedy="rename the files",
        )
    left = (f"{len(unnamed)} NIfTI files passed over whose names tell no Dixon contrast",) if unnamed else ()
    return {contrast: chosen[contrast] for contrast in CONTRASTS if contrast in chosen}, left


def read_nifti_contrasts(files: dict[str, Path], *, source: str) -> dict[str, Volume]:
    """The volumes, in LAS orientation on one grid.

    Raises
    ------
    InputError
        If a file cannot be read, or the volumes do not share one grid.
    """
    volumes = {
        contrast: read_nifti(path, source=str(path), empty=0).to_axcodes("LAS") for contrast, path in files.items()
    }
    first_name, first = next(iter(volumes.items()))
    for contrast, volume in volumes.items():
        if volume.shape != first.shape or _apart_mm(volume, first) > _SAME_GRID_MM:
            sizes = [" x ".join(map(str, one.shape)) for one in (first, volume)]
            raise InputError(
                "the contrasts do not share one geometry",
                source=source,
                found=f"{first_name} {sizes[0]} and {contrast} {sizes[1]} voxels"
                + ("" if volume.shape != first.shape else f", up to {_apart_mm(volume, first):.1f} mm apart"),
                expected="equal size, position and direction",
                remedy="convert the series again, or resample the volumes to one grid",
            )
    return volumes


def _apart_mm(one: Volume, other: Volume) -> float:
    corners = np.array(np.meshgrid(*((0, size - 1) for size in one.shape), [1])).reshape(4, -1)
    return float(np.abs((one.affine - other.affine) @ corners).max())
