"""Building a datalist from a folder of images with a table, or from DICOM headers alone."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agezoo.data.autopet import select_autopet
from agezoo.data.bids import PARTICIPANTS
from agezoo.data.cohort_draft import CohortDraft
from agezoo.data.cohort_from_headers import draft_from_headers
from agezoo.data.cohort_from_table import draft_from_table
from agezoo.data.cohort_of_people import draft_from_bids, draft_from_ixi, is_bids_cohort
from agezoo.data.datalist import Datalist, DatalistRow, absolute_path, save_datalist
from agezoo.data.datalist_check import content_faults
from agezoo.data.diagnosis import is_control
from agezoo.data.ixi import is_ixi_table
from agezoo.data.splits import SplitSummary, assign_folds, draw_test_subjects, summarise_split
from agezoo.data.subject_table import listed, read_subject_table
from agezoo.data.table_cells import natural_key
from agezoo.errors import InputError
from agezoo.registry import bundle_facts

Origin = Literal["phantom", "real"]
LAYOUTS = ("autopet",)
FORMATS = ("bids", "ixi", "csv")
_SHOWN_WARNINGS = 8


@dataclass
class BuildReport:
    """What was built.

    Attributes
    ----------
    path
        The file written.
    datalist
        Its content.
    splits
        Who is in the test section, in each fold, or in the training section without folds.
    left_out
        Reason -> how many images were left out for it.
    notes
        Repairs, choices and warnings, in words for the user.
    """

    path: Path
    datalist: Datalist
    splits: tuple[SplitSummary, ...]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    def render(self) -> str:
        """The report as text for a terminal."""
        lines = [f"{self.path}: {len(self.datalist)} images"]
        lines += [f"  {summary}" for summary in self.splits]
        lines += [f"  left out: {reason}" for reason in _counted(self.left_out)]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def build_datalist(
    *,
    bundle: str,
    images: str | os.PathLike[str] | None = None,
    table: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str],
    folds: int | None = 5,
    seed: int = 0,
    test_fraction: float = 0.0,
    layout: str | None = None,
    format: str | None = None,
    all_studies: bool = False,
    patients_to_test: bool = False,
    origin: Origin | None = None,
    ages_from_headers: bool = False,
    keep_patient_id: bool = False,
    force: bool = False,
) -> BuildReport:
    """Build and write a datalist.

    Parameters
    ----------
    bundle
        Name of the bundle that it is for; it sets the DICOM modality and the age range that is remarked on.
    images
        Folder of NIfTI files and DICOM studies, at any depth; for a bundle that reads radiographs, of DICOM, PNG, JPEG
        and TIFF images. May be left out when the table has a column ``image``.
    table
        CSV with one row per image: ``image`` (relative to ``images`` or to the table), or else ``subject_id`` and,
        where a person has several scans, ``session``, both matched to whole folder and file names under ``images``;
        and ``age_years`` or ``age``, ``sex``, and optionally ``test`` (or ``split``), ``fold``, ``group``, ``site``,
        ``time_years``, ``event``. Other columns become covariates; for radiographs ``modality`` is one of them, whose
        cells say ``radiograph`` or ``vfa``. Without a table, subjects, ages and sexes
        come from the DICOM headers, and subjects are called ``sub-0001`` and so on in the order of their folders.
    out
        The JSON file to write; image paths are stored relative to its folder.
    folds
        Cross-validation folds of the training rows; 0 or None for none. Folds that the table names are kept.
    seed
        Seed of the folds and of the test draw.
    test_fraction
        Share of subjects to draw into the test section, when the table does not name test rows.
    layout
        ``"autopet"`` for the public FDG-PET-CT-Lesions set; all rows go into the test section.
    format
        What the table is, for brain MRI: ``"bids"`` (``participants.tsv`` with its data dictionary and session
        tables; the images may be left without `table`), ``"ixi"`` (IXI's own table and file names), or ``"csv"``, as
        described under `table`. None recognises it by the name and columns; see
        :func:`agezoo.data.cohort_of_people.draft_from_bids`.
    all_studies
        With the layout ``"autopet"``: keep every fitting study of a person, not only the first.
    patients_to_test
        Move everybody with a row whose ``group`` is none of the usual names of controls into the test section, before
        `test_fraction` of the others is drawn.
    origin
        ``"phantom"`` or ``"real"``; by default phantom if ``cohort.json`` beside the table or images says so.
    ages_from_headers
        Fill empty age and sex cells of the table from the DICOM headers. Absent columns always are.
    keep_patient_id
        Without a table: use the header's PatientID as ``subject_id``. Only for pseudonymised data.
    force
        Replace ``out`` if it exists.

    Raises
    ------
    InputError
        If anything prevents a sound datalist; faults of single rows are reported all at once.
    """
    facts = bundle_facts(bundle)
    out = absolute_path(out)
    if out.exists() and not force:
        raise InputError("the file exists", source=out, remedy="choose another --out, or replace it with --force")
    if layout is not None and layout not in LAYOUTS:
        raise InputError("no such layout", found=layout, expected=", ".join(LAYOUTS))
    modality = facts.modalities[0]
    format = _known_format(format, images, table, facts.reader)

    if layout == "autopet":
        draft = _from_autopet(images, table, facts.age_range_years, all_studies)
    elif format == "bids":
        progress = sys.stderr.isatty()
        draft = draft_from_bids(_path(images), _path(table), progress=progress)
    elif format == "ixi":
        if images is None or table is None:
            raise InputError("IXI's images and its table are two downloads", expected="--images and --table")
        draft = draft_from_ixi(Path(images), Path(table), progress=sys.stderr.isatty())
    elif table is not None:
        draft = draft_from_table(images, read_subject_table(table), modality, ages_from_headers, facts.reader)
    elif images is not None:
        draft = draft_from_headers(images, modality, keep_patient_id, facts.reader)
    else:
        raise InputError("nothing to build a datalist from", expected="--images, --table or both")
    _raise_all(draft.faults, table or images)
    if not draft.rows:
        raise InputError(
            "no usable images",
            source=images or table,
            found="; ".join([*(f"{count} x {reason}" for reason, count in draft.left_out.items()), *draft.notes])
            or "none",
        )

    folders = [*([] if table is None else [Path(table).parent]), *([] if images is None else [Path(images)])]
    datalist = Datalist(bundle=bundle, origin=origin or _stated_origin(*folders), folder=out.parent)
    for section, row in sorted(draft.rows, key=lambda item: _order(item[1])):
        datalist.section(section).append(row)
    if patients_to_test:
        _move_patients(datalist, draft)
    _split(datalist, draft, folds=folds or 0, seed=seed, test_fraction=test_fraction)
    faults = content_faults(datalist, bundle=bundle, headers=False)
    _raise_all([str(fault) for fault in faults if fault.severity == "error"], table or images)
    draft.notes += _some([str(fault) for fault in faults if fault.severity == "warning"])
    save_datalist(datalist, out, overwrite=force)
    return BuildReport(out, datalist, _summaries(datalist), dict(draft.left_out), tuple(draft.notes))


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)


def _known_format(
    format: str | None,
    images: str | os.PathLike[str] | None,
    table: str | os.PathLike[str] | None,
    reader: str,
) -> str:
    """The format that was asked for, or the one that the table and the images show."""
    if format is not None and format not in FORMATS:
        raise InputError("no such format of a table", found=format, expected=", ".join(FORMATS))
    if reader != "brain":
        if format in ("bids", "ixi"):
            raise InputError(f"--format {format} is for brain MRI", expected="--format csv, or none")
        return "csv"
    if format is not None:
        return format
    if table is None:
        return "bids" if images is not None and is_bids_cohort(Path(images)) else "csv"
    if Path(table).name.lower() == PARTICIPANTS:
        return "bids"
    return "ixi" if is_ixi_table(Path(table)) else "csv"


def _move_patients(datalist: Datalist, draft: CohortDraft) -> None:
    """Put everybody with a row of a group that is no control into the test section, in place."""
    patients = {row.subject_id for _, _, row in datalist.all_rows() if not is_control(row.group)}
    moved = 0
    for name in ("training", "validation"):
        rows = datalist.section(name)
        datalist.test += [row for row in rows if row.subject_id in patients]
        moved += sum(row.subject_id in patients for row in rows)
        rows[:] = [row for row in rows if row.subject_id not in patients]
    for row in datalist.test:
        row.fold = None if row.subject_id in patients else row.fold
    groups = sorted({str(row.group) for row in datalist.test if not is_control(row.group)})
    draft.notes.append(f"{moved} images of patients moved to the test section (groups: {', '.join(groups) or 'none'})")


def _raise_all(faults: Sequence[str], source: object) -> None:
    if faults:
        raise InputError(
            f"{len(faults)} fault{'s' if len(faults) > 1 else ''} prevent a datalist",
            source=None if source is None else str(source),
            found=listed(faults),
        )


def _counted(left_out: Mapping[str, int]) -> list[str]:
    return [f"{count} x {reason}" for reason, count in left_out.items()]


def _some(warnings: Sequence[str]) -> list[str]:
    shown = list(warnings[:_SHOWN_WARNINGS])
    more = len(warnings) - len(shown)
    return [*shown, f"and {more} more warnings; `agezoo check` lists them"] if more else shown


def _order(row: DatalistRow) -> tuple[object, ...]:
    image = row.image if isinstance(row.image, str) else row.image[0]
    return natural_key(row.subject_id), natural_key(row.session), natural_key(image)


def _stated_origin(*folders: Path) -> Origin | None:
    """Phantom if a ``cohort.json`` in one of the folders says so (``"origin": "phantom"``); otherwise not stated."""
    for sidecar in (folder / "cohort.json" for folder in folders):
        if not sidecar.is_file():
            continue
        try:
            content = json.loads(sidecar.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError("not valid JSON", source=sidecar, found=str(error)) from error
        if isinstance(content, dict) and (content.get("origin") == "phantom" or content.get("phantom") is True):
            return "phantom"
    return None


def _from_autopet(
    images: str | os.PathLike[str] | None,
    table: str | os.PathLike[str] | None,
    age_range_years: tuple[float, float],
    all_studies: bool,
) -> CohortDraft:
    if images is None or table is None:
        raise InputError("--layout autopet needs the set's folder and its table", expected="--images and --table")
    selection = select_autopet(images, table, age_range_years=age_range_years, all_studies=all_studies)
    return CohortDraft([("test", row) for row in selection.rows], selection.left_out)


def _split(datalist: Datalist, draft: CohortDraft, *, folds: int, seed: int, test_fraction: float) -> None:
    """Draw test rows and folds in place, where the table does not name them."""
    if test_fraction:
        if any(section == "test" for section, _ in draft.rows):
            raise InputError(
                "the table names test rows already",
                found=f"{sum(section == 'test' for section, _ in draft.rows)} test rows",
                remedy="leave out --test-fraction",
            )
        rows = datalist.training
        is_test = draw_test_subjects(*_keys(rows), fraction=test_fraction, seed=seed)
        datalist.training = [row for row, test in zip(rows, is_test, strict=True) if not test]
        datalist.test += [row for row, test in zip(rows, is_test, strict=True) if test]
        datalist.seed = seed
    given = datalist.fold_numbers()
    if given:
        datalist.folds = max(2, len(given))
        draft.notes.append("folds were taken from the table")
    elif folds and datalist.training and not datalist.validation:
        for row, fold in zip(
            datalist.training, assign_folds(*_keys(datalist.training), folds=folds, seed=seed), strict=True
        ):
            row.fold = int(fold)
        datalist.folds, datalist.seed = folds, seed


def _keys(rows: Sequence[DatalistRow]) -> tuple[list[str], list[float | None], list[str | None]]:
    return [row.subject_id for row in rows], [row.age_years for row in rows], [row.sex for row in rows]


def _summaries(datalist: Datalist) -> tuple[SplitSummary, ...]:
    parts: list[tuple[str, list[DatalistRow]]] = []
    numbers = datalist.fold_numbers()
    if numbers:
        parts += [(f"fold {n}", [row for row in datalist.training if row.fold == n]) for n in numbers]
    else:
        parts.append(("training", datalist.training))
    parts += [("validation", datalist.validation), ("test", datalist.test)]
    return tuple(summarise_split(name, *_keys(rows)) for name, rows in parts if rows)
