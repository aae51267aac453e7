"""BIDS file names: whose image it is, which kind, and which of several T1-weighted ones of a session is read.

The rule, in this order:

1. raw images before finished brains (``space-MNI152_desc-brain``) before other derivatives;
2. without a contrast agent (no ``ce-``) before with;
3. the finer image, by the longest edge of its voxels, in steps of half a millimetre;
4. no ``rec-`` and no ``acq-`` before one of them before both;
5. the lowest ``run-`` (none counts as the first), then the file's name.

Names follow the Brain Imaging Data Structure, https://bids-specification.readthedocs.io.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

T1_SUFFIX = "T1w"
PARTICIPANTS = "participants.tsv"
# Folders of a dataset that hold no raw images of its people.
OTHER_FOLDERS = frozenset({"derivatives", "sourcedata", "code", "stimuli", "phenotype"})

# BIDS allows letters and digits in labels; many data sets in the wild have hyphens too.
_ENTITY = re.compile(r"([A-Za-z]+)-(.+)")
# Entities that only derived images have.
_DERIVED = frozenset({"space", "desc", "res", "den"})
_NO_IMAGE_OF_A_HEAD = frozenset({"from", "to", "mode", "label", "seg", "hemi", "atlas"})
_PARTS_WITHOUT_MAGNITUDE = frozenset({"phase", "real", "imag"})


@dataclass(frozen=True)
class BidsImage:
    """An image file whose name follows BIDS.

    Attributes
    ----------
    path
        The file.
    entities
        Key -> label, for example ``{"sub": "01", "ses": "2", "run": "1"}``.
    suffix
        What kind of image it is, for example ``"T1w"``.
    """

    path: Path
    entities: Mapping[str, str]
    suffix: str

    @property
    def subject(self) -> str:
        """``sub-<label>``."""
        return f"sub-{self.entities['sub']}"

    @property
    def session(self) -> str | None:
        """``ses-<label>``, None without sessions."""
        return f"ses-{self.entities['ses']}" if "ses" in self.entities else None

    @property
    def is_t1(self) -> bool:
        """Whether it is a T1-weighted image of a head or brain, not its phase, a mask, a label map or a warp."""
        return (
            self.suffix == T1_SUFFIX
            and not _NO_IMAGE_OF_A_HEAD & set(self.entities)
            and self.entities.get("part") not in _PARTS_WITHOUT_MAGNITUDE
        )

    @property
    def is_finished(self) -> bool:
        """Whether the name says that it is a brain without skull on the MNI152 grid, as ``agezoo prepare`` writes."""
        return self.is_t1 and self.entities.get("space") == "MNI152" and self.entities.get("desc") == "brain"

    @property
    def is_derived(self) -> bool:
        """Whether it was computed from another image."""
        return bool(_DERIVED & set(self.entities))

    @cached_property
    def dataset(self) -> Path:
        """The dataset's folder: the first one above the file that is none of a subject, session or data type."""
        folder = self.path.parent
        while re.match(r"(sub|ses)-|anat$", folder.name) and folder != folder.parent:
            folder = folder.parent
        return folder


def parse_bids_name(path: Path) -> BidsImage | None:
    """The entities and suffix of a NIfTI file's name; None where the name does not follow BIDS."""
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    *pairs, suffix = stem.split("_")
    entities: dict[str, str] = {}
    for pair in pairs:
        match = _ENTITY.fullmatch(pair)
        if match is None or match[1] in entities:
            return None
        entities[match[1]] = match[2]
    if next(iter(entities), "") != "sub" or not suffix or "-" in suffix:
        return None
    return BidsImage(path, entities, suffix)


def is_dataset(folder: Path) -> bool:
    """Whether a folder says that it is a BIDS dataset, raw or derived."""
    return any((folder / name).is_file() for name in ("dataset_description.json", PARTICIPANTS))


def participants_file(dataset: Path) -> Path | None:
    """A dataset's table of participants; for one in ``derivatives`` without a table, that of the raw dataset."""
    above = (folder.parent for folder in (dataset, *dataset.parents) if folder.name == "derivatives")
    return next((folder / PARTICIPANTS for folder in (dataset, *above) if (folder / PARTICIPANTS).is_file()), None)


def choose_t1(images: Sequence[BidsImage]) -> tuple[BidsImage, str]:
    """The image to read of one person's session by the rule at the top of this file, and a note if there were more."""
    if len(images) == 1:
        return images[0], ""
    chosen = min(images, key=_preference)
    others = sorted(image.path.name for image in images if image is not chosen)
    shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return chosen, f"{len(images)} T1w images of one session, read {chosen.path.name} rather than {shown}"


def _preference(image: BidsImage) -> tuple[object, ...]:
    entities = image.entities
    run = entities.get("run", "")
    return (
        2 if image.is_derived and not image.is_finished else int(image.is_finished),
        "space" in entities and not image.is_finished,
        "ce" in entities,
        round(2 * max(_voxel_edges_mm(image.path))),
        ("rec" in entities) + ("acq" in entities),
        int(run) if run.isdigit() else 0,
        image.path.name,
    )


def _voxel_edges_mm(path: Path) -> Iterator[float]:
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        edges = nib.load(path).header.get_zooms()[:3]  # type: ignore[attr-defined]
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError):
        edges = (1e6,)  # a damaged file is chosen last
    yield from (float(edge) for edge in edges)
