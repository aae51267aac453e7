"""Scans of which it is known where the age lies: a cohort with label masks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from agezoo.data.datalist import SECTIONS, load_datalist
from agezoo.data.nifti import read_nifti
from agezoo.data.volume import Volume
from agezoo.errors import InputError

_TABLE = "cohort.csv"
_NAMES = "labels.json"
_REMEDY = "agezoo phantom writes such a cohort"


@dataclass(frozen=True)
class MaskedScan:
    """One scan and its label mask.

    Attributes
    ----------
    image
        DICOM folder, file or list of files.
    mask
        Label values on the scan's grid: a NIfTI volume, of a radiograph a PNG image.
    subject_id, session
        Whose scan it is, and which.
    age_years
        Chronological age; NaN if unknown.
    modality
        Kind of a radiograph, ``"radiograph"`` or ``"vfa"``; empty for other scans and where it is not known.
    sex
        ``"F"`` or ``"M"``; empty if unknown.
    """

    image: str | list[str]
    mask: Path
    subject_id: str
    session: str
    age_years: float
    modality: str = ""
    sex: str = ""

    @property
    def name(self) -> str:
        """Subject and session, for file names and messages."""
        return "_".join(part for part in (self.subject_id, self.session) if part)


def find_masked_scans(cohort: str | PathLike[str]) -> list[MaskedScan]:
    """Scans with masks of a cohort.

    Parameters
    ----------
    cohort
        Folder with ``cohort.csv`` (columns ``image``, ``mask``, ``subject_id`` and, if known, ``session``,
        ``age_years``, ``sex`` and ``modality``), or a datalist whose rows have the covariate ``mask``; paths are
        relative to the folder of either. Rows without a mask are left out.

    Raises
    ------
    InputError
        If there is no such file, a column is missing, no row has a mask, or a mask is not there.
    """
    path = Path(cohort)
    scans = _from_datalist(path) if path.suffix.lower() == ".json" else _from_table(path / _TABLE)
    if not scans:
        raise InputError("no row has a mask", source=path, remedy=_REMEDY)
    absent = [scan.mask for scan in scans if not scan.mask.is_file()]
    if absent:
        raise InputError("mask is not there", source=absent[0], found=f"{len(absent)} of {len(scans)} masks missing")
    return scans


def read_labels(mask: Path) -> Volume:
    """A mask's label values in LAS, like the scans that :func:`agezoo.data.read.read_volume` gives.

    Raises
    ------
    InputError
        If the file cannot be read or holds anything but whole numbers.
    """
    volume = read_nifti(mask, source=str(mask), empty=0).to_axcodes()
    if volume.hu.dtype.kind not in "iu":
        raise InputError("a mask holds whole numbers, one per region", source=mask, found=f"{volume.hu.dtype} values")
    return volume


def read_label_image(mask: Path) -> np.ndarray:
    """A radiograph's label values (rows, columns) as stored.

    Raises
    ------
    InputError
        If the file is no image or has more than one channel.
    """
    try:
        with Image.open(mask) as picture:
            labels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError("cannot be read as a mask", source=mask, expected="a PNG image of labels") from error
    if labels.ndim != 2:
        raise InputError(
            "a mask has one channel, whose value is the label",
            source=mask,
            found=f"{labels.shape[-1]} channels",
            remedy="save the label values themselves, not their colours",
        )
    # A mask of one bit comes as truth values.
    return labels.astype(np.uint8) if labels.dtype == bool else labels


def label_names(mask: Path, labels: np.ndarray) -> dict[str, int]:
    """Names and values of the regions: from ``labels.json`` beside the mask, else ``label_1`` and so on as found."""
    path = mask.parent / _NAMES
    if not path.is_file():
        return {f"label_{value}": int(value) for value in np.unique(labels) if value != 0}
    try:
        names = {str(name): int(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError("not the names of labels", source=path, expected='{"region": 1, ...}') from error
    return {name: value for name, value in names.items() if value != 0}


def _from_table(table: Path) -> list[MaskedScan]:
    if not table.is_file():
        raise InputError(
            "no such cohort", source=table, expected="a folder with cohort.csv, or a datalist", remedy=_REMEDY
        )
    rows = pd.read_csv(table, dtype={"subject_id": str, "session": str, "image": str, "mask": str})
    missing = [name for name in ("image", "mask", "subject_id") if name not in rows]
    if missing:
        raise InputError(
            "columns are missing", source=table, found=", ".join(rows.columns), expected=", ".join(missing)
        )
    return [
        MaskedScan(
            image=str(table.parent / row["image"]),
            mask=table.parent / row["mask"],
            subject_id=row["subject_id"],
            session=_text(row.get("session")),
            age_years=float(row.get("age_years", math.nan)),
            modality=_text(row.get("modality")),
            sex=_text(row.get("sex")),
        )
        for row in rows.to_dict("records")
        if isinstance(row["mask"], str)
    ]


def _text(value: object) -> str:
    """A cell's text; empty where it is missing."""
    return "" if value is None or value != value else str(value)


def _from_datalist(path: Path) -> list[MaskedScan]:
    datalist = load_datalist(path)
    rows = [row for section in SECTIONS for row in datalist.rows(section)]
    return [
        MaskedScan(
            image=row["image"],
            mask=datalist.folder / row["covariates"]["mask"],
            subject_id=row["subject_id"],
            session=row["session"],
            age_years=row["age_years"],
            modality=_text(row.get("modality") or row["covariates"].get("modality")),
            sex=_text(row.get("sex")),
        )
        for row in rows
        if isinstance(row["covariates"].get("mask"), str) and row["covariates"]["mask"]
    ]
