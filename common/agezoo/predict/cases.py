"""What a user points at -> the cases to predict."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agezoo.data.bids import BidsImage, participants_file
from agezoo.data.bids_participants import read_participants
from agezoo.data.body_search import ACCEPTED as BODIES
from agezoo.data.body_search import find_bodies
from agezoo.data.brain_search import ACCEPTED as BRAINS
from agezoo.data.brain_search import find_brains
from agezoo.data.datalist import SECTIONS, listed_image, load_datalist
from agezoo.data.people_table import PeopleTable
from agezoo.data.radiograph_picture import PICTURE_SUFFIXES
from agezoo.data.radiograph_search import find_radiographs
from agezoo.data.read import discover_studies
from agezoo.errors import InputError

logger = logging.getLogger(__name__)

READERS = ("volume", "radiograph", "brain", "body")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
NEVER_DICOM = (".json", ".csv", ".tsv", ".txt", ".md", ".png", ".jpg", ".html", ".pdf", ".parquet")


def find_cases(
    inputs: Sequence[str | Path],
    *,
    modality: str = "CT",
    reader: str = "volume",
    progress: bool = True,
    sections: Sequence[str] = SECTIONS,
) -> list[dict[str, Any]]:
    """Rows for :class:`agezoo.engines.CohortDataset` from folders, files and datalists.

    Parameters
    ----------
    inputs
        DICOM folders (each study in them is a case), NIfTI files or folders of them, single DICOM files, or datalists
        (``.json``). With reader ``"radiograph"``: DICOM, PNG, JPEG and TIFF files, or folders of them.
        With reader ``"brain"`` also BIDS datasets and FSL's output folders, see
        :func:`agezoo.data.brain_search.find_brains`. With reader ``"body"`` zips and folders of Dixon DICOM and NIfTI
        volumes of water and fat, see :func:`agezoo.data.body_search.find_bodies`.
    modality
        DICOM modality to look for; radiographs are known by more than that, so it does not matter for them.
    reader
        What one image is, see :class:`agezoo.registry.BundleFacts`: ``"volume"``; ``"radiograph"``, with which every
        image file is a case of its own, however many a study holds; ``"brain"``, a T1-weighted MRI of the head; or
        ``"body"``, Dixon MR of the whole body.
    progress
        Show a progress bar while DICOM headers are read, on a terminal.
    sections
        Which sections of datalists.

    Returns
    -------
    list of dict
        At least ``image`` and ``listed_image``, ``subject_id`` (the file's or folder's name as the user gave it, never
        a name or number from a DICOM header), and ``error`` for a study without a usable series, an image that is no
        lateral spine, or an input that does not exist or holds no case, so that the other inputs are predicted all
        the same. Radiographs have ``modality`` where the header tells: ``"radiograph"`` or ``"vfa"``. Brains of a BIDS
        dataset are called ``sub-<label>``, have ``session`` where the name has one, and ``age_years``, ``sex``,
        ``group`` and ``site`` where ``participants.tsv`` tells them; its unclear cells count as unknown.
    """
    if reader not in READERS:
        raise ValueError(f"reader must be one of {READERS}, got {reader!r}")
    rows: list[dict[str, Any]] = []
    for given in map(Path, inputs):
        try:
            found = _cases_of(given, modality, reader, progress and sys.stderr.isatty(), sections)
            if not found:
                raise InputError("nothing to predict there", source=given, expected=_expected(modality, reader))
        except InputError as error:
            found = [{**_row(given, given.name, _stem(given)), "error": str(error)}]
        rows += found
    _make_unique(rows)
    return rows


def write_cases(rows: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """Keep rows in a file that a config can name.

    Rows do not travel inside a config, because MONAI would run a file name that starts with ``$`` as code.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([dict(row) for row in rows]))
    return path


def read_cases(path: str | Path) -> list[dict[str, Any]]:
    """Rows that :func:`write_cases` kept."""
    rows: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return rows


def _expected(modality: str, reader: str) -> str:
    if reader in ("brain", "body"):
        return BRAINS if reader == "brain" else BODIES
    if reader == "radiograph":
        return "DICOM, PNG, JPEG or TIFF images, in any subfolder"
    return f"DICOM slices of modality {modality} or .nii / .nii.gz files, in any subfolder"


def _cases_of(given: Path, modality: str, reader: str, progress: bool, sections: Sequence[str]) -> list[dict[str, Any]]:
    if not given.exists():
        raise InputError("no such file or folder", source=given)
    if given.is_file() and given.suffix == ".json":
        datalist = load_datalist(given)
        return [row for section in sections for row in datalist.rows(section)]
    if reader == "brain":
        return _brains(given, progress)
    if reader == "body":
        return _bodies(given, progress)
    return _radiographs(given, progress) if reader == "radiograph" else _volumes(given, modality, progress)


def _brains(given: Path, progress: bool) -> list[dict[str, Any]]:
    search = find_brains(given, progress=progress)
    rows = []
    tables: dict[Path, PeopleTable | None] = {}
    for brain in search.brains:
        one_file = len(brain.files) == 1 and brain.facts is None
        row = _row(brain.files[0] if one_file else list(brain.files), brain.listed, brain.subject_id)
        if brain.session:
            row["session"] = brain.session
        row["reading_notes"] = "; ".join(brain.notes)
        if brain.bids is not None:
            row |= _known_of(brain.bids, tables)
        if brain.error:
            row["error"] = brain.error
        rows.append(row)
    for reason, count in search.left_out.items():
        logger.info("%s: left out: %d x %s", given, count, reason)
    return rows


def _bodies(given: Path, progress: bool) -> list[dict[str, Any]]:
    rows = []
    for body in find_bodies(given, progress=progress):
        files = list(body.files)
        listed = [given.name if path == given else path.relative_to(given).as_posix() for path in files]
        row = _row(files[0] if len(files) == 1 else files, listed_image(listed), body.name)
        if body.error:
            row["error"] = body.error
        rows.append(row)
    return rows


def _known_of(image: BidsImage, tables: dict[Path, PeopleTable | None]) -> dict[str, Any]:
    """Age, sex, group and site that the dataset's participants.tsv tells; only what is known."""
    path = participants_file(image.dataset)
    if path is None:
        return {}
    if path not in tables:
        try:
            tables[path] = read_participants(path)
        except InputError as error:
            logger.warning("ages and sexes are not known: %s", error)
            tables[path] = None
    table = tables[path]
    person = None if table is None else table.person(image.subject, image.session)
    known = {} if person is None else {name: getattr(person, name) for name in ("age_years", "sex", "group", "site")}
    return {name: value for name, value in known.items() if value is not None}


def _radiographs(given: Path, progress: bool) -> list[dict[str, Any]]:
    rows = []
    for image in find_radiographs(given, progress=progress):
        files = list(image.files)
        listed = [given.name if path == given else path.relative_to(given).as_posix() for path in files]
        # Slices that are no radiographs are one row, called after their folder.
        named = Path(listed[0]) if len(files) == 1 else Path(listed[0]).parent
        label = "_".join((*named.parts[:-1], _stem(named))) if named.name else given.resolve().name
        row = _row(files if len(files) > 1 else files[0], listed_image(listed), label)
        if image.error is not None:
            row["error"] = str(image.error)
        elif image.kind:
            row["modality"] = image.kind
        rows.append(row)
    return rows


def _volumes(given: Path, modality: str, progress: bool) -> list[dict[str, Any]]:
    if given.is_file():
        if given.name.lower().endswith(NIFTI_SUFFIXES):
            return [_row(given, given.name, _stem(given))]
        return [_row([given], given.name, _stem(given))]
    volumes = sorted(p for p in given.rglob("*") if p.name.lower().endswith(NIFTI_SUFFIXES) and p.is_file())
    rows = [_row(p, p.relative_to(given).as_posix(), _stem(p)) for p in volumes]
    if volumes and not any(_may_be_dicom(p) for p in given.rglob("*")):
        return rows
    studies = discover_studies(given, modality=modality, progress=progress)
    for study in studies:
        name = study.folder.relative_to(given).as_posix() if study.folder.is_relative_to(given) else study.folder.name
        label = name if name != "." else given.resolve().name
        shared = sum(other.folder == study.folder for other in studies) > 1
        files = [path.relative_to(given).as_posix() for path in study.files]
        row = _row(list(study.files), listed_image(files) if shared else label, label.replace("/", "_"))
        # The choice among several series is made here; reading the chosen files later cannot tell of it again.
        row["reading_notes"] = "; ".join(study.facts.notes)
        if study.error:
            row["error"] = study.error
        rows.append(row)
    return rows


def _may_be_dicom(path: Path) -> bool:
    # DICOM files are often called after their UID, so that what stands behind the last dot is a number.
    return path.is_file() and not path.name.lower().endswith((*NIFTI_SUFFIXES, *NEVER_DICOM))


def _row(image: Path | list[Path], listed: str, subject_id: str) -> dict[str, Any]:
    path = [str(p.resolve()) for p in image] if isinstance(image, list) else str(image.resolve())
    return {"image": path, "listed_image": listed, "subject_id": subject_id}


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".nii.gz", ".nii", ".dcm", *PICTURE_SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _make_unique(rows: list[dict[str, Any]]) -> None:
    """Two cases must not share a name, because figures are named after them; sessions of a datalist may."""
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (str(row["subject_id"]), str(row.get("session") or ""))
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1 and "fold" not in row:
            row["subject_id"] = f"{row['subject_id']}_{seen[key]}"
