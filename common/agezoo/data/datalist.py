"""The datalist: which images, of whom, at what age, in which part of the study.

A datalist is a JSON file in MONAI's manner, ``{"training": [...], "validation": [...], "test": [...]}``, whose rows
are described by :class:`DatalistRow`. Image paths are relative to the datalist's own folder, so that a cohort can be
moved as a whole. With cross-validation all rows that take part stand in ``training`` and carry ``fold``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agezoo.data.atomic import written_atomically
from agezoo.errors import InputError

Section = Literal["training", "validation", "test"]
SECTIONS: tuple[Section, ...] = get_args(Section)
NO_FOLD = -1
"""Stands for "no fold" in the rows that go into a dataset, where None cannot be collated."""

_SHOWN_FAULTS = 12

NonEmptyText = Annotated[str, Field(min_length=1, coerce_numbers_to_str=True)]
Text = Annotated[str, Field(coerce_numbers_to_str=True)]
ImagePath = Annotated[str, Field(min_length=1)]
Covariate = bool | int | float | str | None


class DatalistRow(BaseModel):
    """One image (or one list of slices) of one person at one time.

    Attributes
    ----------
    image
        NIfTI file, DICOM folder or list of DICOM slice files; relative to the datalist's folder, or absolute.
    subject_id
        Pseudonym that is the same in all rows of one person; folds and bootstraps keep its rows together.
    age_years
        Chronological age at the scan; needed for training, None where unknown.
    sex
        ``"F"``, ``"M"`` or None.
    fold
        Cross-validation fold, counted from 0.
    session
        Tells the scans of one person apart.
    group, site
        Diagnosis group; scanner or hospital.
    time_years, event
        Follow-up time and whether the event (1) or censoring (0) ended it.
    covariates
        Any further column of the user's table; carried into the prediction table.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    image: ImagePath | Annotated[list[ImagePath], Field(min_length=1)]
    subject_id: NonEmptyText
    age_years: Annotated[float, Field(ge=0, le=125)] | None = None
    sex: Literal["F", "M"] | None = None
    fold: Annotated[int, Field(ge=0)] | None = None
    session: Text | None = None
    group: Text | None = None
    site: Text | None = None
    time_years: Annotated[float, Field(ge=0)] | None = None
    event: Annotated[int, Field(ge=0, le=1)] | None = None
    covariates: dict[str, Covariate] = Field(default_factory=dict)

    @field_validator("age_years", "time_years", mode="before")
    @classmethod
    def _number_not_flag(cls, value: object) -> object:
        # Pydantic would read JSON's true as 1.0 years.
        if isinstance(value, bool):
            raise ValueError("Input should be a number")
        return value


class Datalist(BaseModel):
    """The whole list, with the folder that relative image paths start from.

    Attributes
    ----------
    training, validation, test
        Rows of the three sections.
    bundle
        The bundle that the list was made for.
    origin
        ``"phantom"`` for synthetic people, ``"real"`` otherwise.
    folds, seed
        How many folds the training section has, and the seed that drew them.
    folder
        Folder of the JSON file; not written.
    """

    model_config = ConfigDict(extra="allow")

    bundle: str | None = None
    origin: Literal["phantom", "real"] | None = None
    folds: Annotated[int, Field(ge=2)] | None = None
    seed: int | None = None
    training: list[DatalistRow] = Field(default_factory=list)
    validation: list[DatalistRow] = Field(default_factory=list)
    test: list[DatalistRow] = Field(default_factory=list)
    folder: Path = Field(default_factory=Path, exclude=True)

    def section(self, name: str) -> list[DatalistRow]:
        """Rows of one section as they stand in the file; raise :class:`InputError` for an unknown section name."""
        if name not in SECTIONS:
            raise InputError("no such section of a datalist", found=name, expected=", ".join(SECTIONS))
        rows: list[DatalistRow] = getattr(self, name)
        return rows

    def __len__(self) -> int:
        return sum(len(self.section(name)) for name in SECTIONS)

    def all_rows(self) -> Iterator[tuple[Section, int, DatalistRow]]:
        """Every row as ``(section, index within the section, row)``."""
        for name in SECTIONS:
            for index, row in enumerate(self.section(name)):
                yield name, index, row

    def fold_numbers(self) -> list[int]:
        """The folds that occur in the training section, in order."""
        return sorted({row.fold for row in self.training if row.fold is not None})

    def image_paths(self, row: DatalistRow) -> list[Path]:
        """Absolute paths of a row's image or slices."""
        listed = [row.image] if isinstance(row.image, str) else row.image
        return [absolute_path(self.folder / name) for name in listed]

    def rows(self, section: str, *, fold: int | None = None, exclude_fold: int | None = None) -> list[dict[str, Any]]:
        """Rows of a section as plain dictionaries, ready for a MONAI dataset.

        Every row has the same keys and no value is None, because neither can be collated into a batch: an unknown
        text is ``""``, an unknown number NaN, no fold :data:`NO_FOLD`.
        :func:`agezoo.data.prediction_table.prediction_row` turns these back into empty cells.

        Parameters
        ----------
        section
            ``"training"``, ``"validation"`` or ``"test"``.
        fold
            Keep only this fold.
        exclude_fold
            Leave this fold out.

        Returns
        -------
        list of dict
            Keys: ``image`` (absolute path, or list of them), ``listed_image`` (short text as it stands in the file),
            ``mask`` (absolute path of the label volume that the covariate ``mask`` names, else ``""``), ``subject_id``,
            ``session``, ``fold``, ``age_years``, ``sex``, ``group``, ``site``, ``time_years``, ``event`` and
            ``covariates`` (a dictionary with the same keys in all rows of the list).

        Raises
        ------
        InputError
            If the section or the fold does not exist, or a fold is asked of rows that have none.
        """
        rows = self.section(section)
        for asked in (fold, exclude_fold):
            folds = sorted({row.fold for row in rows if row.fold is not None})
            if asked is not None and asked not in folds:
                raise InputError(
                    f"section {section!r} has no rows of fold {asked}",
                    source=self.folder,
                    found=f"folds {folds}" if folds else "rows without folds",
                    remedy="build the datalist with --folds, or ask for a fold that exists",
                )
        if exclude_fold is not None and any(row.fold is None for row in rows):
            raise InputError(
                f"some rows of section {section!r} have a fold and others none",
                source=self.folder,
                remedy="run `agezoo check` on the datalist; every cross-validated row needs its fold",
            )
        chosen = [
            row
            for row in rows
            if (fold is None or row.fold == fold) and (exclude_fold is None or row.fold != exclude_fold)
        ]
        blanks = self._blank_covariates()
        return [self._plain_row(row, blanks) for row in chosen]

    def _plain_row(self, row: DatalistRow, blanks: Mapping[str, float | str]) -> dict[str, Any]:
        paths = [str(path) for path in self.image_paths(row)]
        nan = float("nan")
        return {
            "image": paths[0] if isinstance(row.image, str) else paths,
            "listed_image": listed_image(row.image),
            "mask": self._mask_path(row),
            "subject_id": row.subject_id,
            "session": row.session or "",
            "fold": NO_FOLD if row.fold is None else row.fold,
            "age_years": nan if row.age_years is None else row.age_years,
            "sex": row.sex or "",
            "group": row.group or "",
            "site": row.site or "",
            "time_years": nan if row.time_years is None else row.time_years,
            "event": nan if row.event is None else float(row.event),
            "covariates": {name: _like(blank, row.covariates.get(name)) for name, blank in blanks.items()},
        }

    def _mask_path(self, row: DatalistRow) -> str:
        listed = row.covariates.get("mask")
        return str(absolute_path(self.folder / listed)) if isinstance(listed, str) and listed else ""

    def _blank_covariates(self) -> dict[str, float | str]:
        """What stands for an unknown value of each covariate: NaN where all known values are numbers, else ``""``."""
        blanks: dict[str, float | str] = {}
        for _, _, row in self.all_rows():
            for name, value in row.covariates.items():
                blanks.setdefault(name, float("nan"))
                if isinstance(value, str):
                    blanks[name] = ""
        return blanks


def _like(blank: float | str, value: Covariate) -> float | str:
    if value is None:
        return blank
    return str(value) if isinstance(blank, str) else float(value)


@dataclass(frozen=True)
class SchemaFault:
    """One departure from the datalist's form: where it is, and what is wrong in user words."""

    section: str
    index: int | None
    field: str
    message: str

    @property
    def where(self) -> str:
        """``training[3]``, a section's name, or ``datalist`` for the file as a whole."""
        return self.section if self.index is None else f"{self.section}[{self.index}]"

    def __str__(self) -> str:
        return f"{self.where}{' ' + self.field if self.field else ''}: {self.message}"


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a datalist's JSON object without looking into it; raise :class:`InputError` when that fails."""
    path = Path(path)
    if not path.is_file():
        raise InputError("no such datalist", source=path, remedy="build one with `agezoo datalist BUNDLE --images DIR`")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError("not a text file", source=path, expected="JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        raise InputError(
            "not valid JSON", source=path, found=f"{error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    if not isinstance(document, dict):
        raise InputError(
            "not a datalist", source=path, found=type(document).__name__, expected='{"training": [...], "test": [...]}'
        )
    return document


def schema_faults(document: Mapping[str, Any]) -> list[SchemaFault]:
    """Every departure of a datalist's JSON object from the form, in file order; empty when it conforms."""
    try:
        Datalist.model_validate({**document, "folder": Path()})
    except ValidationError as error:
        return _deduplicated([_fault(dict(detail)) for detail in error.errors(include_url=False)])
    return []


def _fault(detail: Mapping[str, Any]) -> SchemaFault:
    location = list(detail["loc"])
    section = str(location[0]) if location else "datalist"
    index = location[1] if len(location) > 1 and isinstance(location[1], int) else None
    field = str(location[2]) if index is not None and len(location) > 2 else ""
    kind = detail["type"]
    if kind == "extra_forbidden":
        message = "unknown key (a further column of yours belongs into `covariates`)"
    elif kind == "missing":
        message = "missing"
    else:
        found = json.dumps(detail.get("input"), default=str)
        message = f"{detail['msg'].removeprefix('Value error, ')}, found {found[:60]}"
    return SchemaFault(section, index, field, message)


def _deduplicated(faults: list[SchemaFault]) -> list[SchemaFault]:
    # A union such as `image` reports one fault per alternative; the first one tells enough.
    kept: dict[tuple[str, int | None, str], SchemaFault] = {}
    for fault in faults:
        kept.setdefault((fault.section, fault.index, fault.field), fault)
    return list(kept.values())


def load_datalist(path: str | os.PathLike[str]) -> Datalist:
    """Read a datalist.

    Only its form is judged here; :func:`agezoo.data.datalist_check.check_datalist` looks at the content too.

    Raises
    ------
    InputError
        If the file is absent, not JSON or not of the form; the message lists all faults of form (the first
        twelve when there are more).
    """
    document = read_json(path)
    faults = schema_faults(document)
    if faults:
        shown = "; ".join(str(fault) for fault in faults[:_SHOWN_FAULTS])
        rest = f" and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise InputError(
            f"not a valid datalist ({len(faults)} fault{'s' if len(faults) > 1 else ''})",
            source=path,
            found=shown + rest,
            remedy=f"correct them, or see all with `agezoo check {Path(path).name}`",
        )
    return Datalist.model_validate({**document, "folder": absolute_path(path).parent})


def save_datalist(datalist: Datalist, path: str | os.PathLike[str], *, overwrite: bool = True) -> Path:
    """Write a datalist, with paths of images and masks made relative to the new file's folder; return the path.

    Raises
    ------
    InputError
        If the file exists and ``overwrite`` is False.
    """
    path = absolute_path(path)
    if path.exists() and not overwrite:
        raise InputError("the file exists", source=path, remedy="choose another name, or allow overwriting (--force)")
    rebased = datalist.model_copy(
        update={
            name: [
                row.model_copy(
                    update={
                        "image": _rebased(row.image, datalist.folder, path.parent),
                        "covariates": _with_rebased_mask(row.covariates, datalist.folder, path.parent),
                    }
                )
                for row in datalist.section(name)
            ]
            for name in SECTIONS
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as temporary:
        temporary.write_text(json.dumps(_document(rebased), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _rebased(image: str | list[str], old: Path, new: Path) -> str | list[str]:
    if isinstance(image, list):
        return [relative_image(old / name, new) for name in image]
    return relative_image(old / image, new)


def _with_rebased_mask(covariates: Mapping[str, Covariate], old: Path, new: Path) -> dict[str, Covariate]:
    """The covariates, with the path of a mask made relative to another folder; a column that is no path stays."""
    mask = covariates.get("mask")
    if not isinstance(mask, str) or not mask or not (old / mask).is_file():
        return dict(covariates)
    return {**covariates, "mask": relative_image(old / mask, new)}


def listed_image(image: str | list[str]) -> str:
    """A row's image as one short text: the path, or the first slice's path and how many more there are."""
    return image if isinstance(image, str) else image[0] + (f" (+{len(image) - 1})" if len(image) > 1 else "")


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """A path made absolute and free of ``..`` without following links, so that linked cohorts keep their names."""
    return Path(os.path.normpath(Path(path).absolute()))


def relative_image(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str:
    """An image's path as a datalist in ``folder`` stores it: relative and with forward slashes where possible."""
    absolute = absolute_path(path)
    try:
        return Path(os.path.relpath(absolute, absolute_path(folder))).as_posix()
    except ValueError:
        # On Windows there is no relative path between two drives.
        return absolute.as_posix()


def _document(datalist: Datalist) -> dict[str, Any]:
    """JSON object with absent facts left out, so that a row is short enough to read."""
    document = datalist.model_dump(mode="json", exclude_none=True)
    for name in SECTIONS:
        for row in document[name]:
            if not row.get("covariates"):
                row.pop("covariates", None)
    return document


def datalist_rows(
    path: str | os.PathLike[str],
    section: str,
    fold: int | None = None,
    exclude_fold: int | None = None,
    *,
    require_age: bool | None = None,
    allow_empty: bool = False,
) -> list[dict[str, Any]]:
    """Rows of a datalist file for a MONAI dataset; the form that bundle configs call.

    Parameters
    ----------
    path, section, fold, exclude_fold
        As in :func:`load_datalist` and :meth:`Datalist.rows`.
    require_age
        Refuse rows without an age. By default this holds for ``training`` and ``validation`` and not for ``test``.
    allow_empty
        Return an empty list instead of raising when no row is left.

    Raises
    ------
    InputError
        If the datalist cannot be used, no row is left, or an age that is needed is absent.
    """
    rows = load_datalist(path).rows(section, fold=fold, exclude_fold=exclude_fold)
    if not rows and not allow_empty:
        raise InputError(
            f"section {section!r} has no rows", source=path, remedy="add images to it, or use another section"
        )
    if require_age is None:
        require_age = section != "test"
    without = [row["subject_id"] for row in rows if row["age_years"] != row["age_years"]]
    if require_age and without:
        raise InputError(
            f"{len(without)} of {len(rows)} rows of section {section!r} have no age",
            source=path,
            found="subjects " + ", ".join(without[:5]) + (", ..." if len(without) > 5 else ""),
            expected="age_years in every row that is trained on or validated with",
        )
    return rows


def datalist_hash(datalist: Datalist | str | os.PathLike[str]) -> str:
    """SHA-256 of a datalist's content: its rows in order and its bundle, origin, folds and seed.

    Spaces, key order and unknown top-level keys do not matter; nor does the place of the file, as long as the images
    lie at the same place relative to it.
    """
    if not isinstance(datalist, Datalist):
        datalist = load_datalist(datalist)
    document = _document(datalist)
    known = {name: document.get(name) for name in Datalist.model_fields if name != "folder"}
    canonical = json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
