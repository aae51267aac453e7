"""Bring a cohort's heads to brains in MNI space once: cached, resumable, several at a time, judged and drawn."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from agezoo.analysis.preparation_page import write_preparation_page
from agezoo.child_processes import children_with_threads
from agezoo.data.datalist import absolute_path
from agezoo.errors import InputError
from agezoo.predict.cases import find_cases
from agezoo.registry import BUNDLES, bundle_facts
from agezoo.workflows.brain_preparation_cases import BrainCase, CaseRecord, brain_cases, records_below, without_paths
from agezoo.workflows.brain_preparation_outputs import (
    DATALIST,
    PAGE,
    TABLE,
    finished_datalist,
    preparation_table,
    write_bids_files,
    write_datalist,
    write_table,
)
from agezoo.workflows.brain_preparation_people import with_participants
from agezoo.workflows.brain_preparation_work import CaseTask, draw_case, judged, prepare_case
from agezoo.workflows.brain_preparation_workers import WorkerDeath, in_workers

logger = logging.getLogger(__name__)

#: Raise it when the finished brains change: every case is then prepared anew.
RECIPE_VERSION = "1"


@dataclass(frozen=True)
class BrainPreparation:
    """What a preparation gave.

    Attributes
    ----------
    table
        Content of ``preparation.csv``, one row per case.
    n_made, n_kept
        Brains made by this call, and brains that were finished before.
    page, datalist
        The HTML page, and the datalist of the finished brains.
    """

    table: pd.DataFrame
    n_made: int
    n_kept: int
    page: Path
    datalist: Path

    @property
    def n_failed(self) -> int:
        """Cases without a brain."""
        return int(self.table["error"].notna().sum())


def prepare_brains(
    bundle: str,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    jobs: int | None = None,
    force: bool = False,
    limit: int | None = None,
    pictures: bool = True,
    make_brain: Callable[..., Any] | None = None,
) -> BrainPreparation:
    """Prepare every T1 scan of a cohort as the bundle's networks take it, and keep the brains.

    `out` becomes a BIDS derivative: one ``sub-X[_ses-Y]_space-MNI152_desc-brain_T1w.nii.gz`` per scan on the 2 mm MNI
    grid, background exactly 0, intensities not yet standardised. Beside it lie ``preparation.csv``,
    ``preparation.html``, ``overlays/`` with one picture per case, and ``datalist.json``, from which the bundle trains
    and predicts without registering again. A scan whose files and recipe are the same as in an earlier run is not
    prepared again; a run that was stopped loses the cases in work alone.

    Parameters
    ----------
    bundle
        A bundle that reads brains, e.g. ``"brain_tsan"``.
    inputs
        BIDS datasets, folders of NIfTI files, DICOM folders, single files, or datalists, whose columns are kept; see
        :func:`agezoo.predict.cases.find_cases`.
    out
        Folder of the results.
    jobs
        Scans at a time, each in a process of its own, on one core; by default as many as there are cores. 0 works in
        this process.
    force
        Prepare finished cases again.
    limit
        Only the first so many scans.
    pictures
        Draw each case.
    make_brain
        What stands for :func:`agezoo.transforms.brain_to_mni.brain_to_mni`; must be importable in another process.

    Returns
    -------
    BrainPreparation

    Raises
    ------
    InputError
        If `jobs` or `limit` is out of range or the bundle reads no brains. Scans that fail are rows with the reason.
    MissingExtraError
        If the libraries of the registration are not installed.
    """
    facts = bundle_facts(bundle)
    if facts.reader != "brain":
        readers = ", ".join(name for name, one in BUNDLES.items() if one.reader == "brain")
        raise InputError("the bundle reads no brains", source=bundle, expected=readers)
    jobs = (os.cpu_count() or 1) if jobs is None else jobs
    for name, value, least in (("jobs", jobs, 0), ("limit", limit, 1)):
        if value is not None and value < least:
            raise InputError("out of range", source=name, found=value, expected=f"at least {least}")
    out = absolute_path(out)
    rows = [
        row
        for row in find_cases(inputs, modality=facts.modalities[0], reader=facts.reader)
        # A dataset's derivatives may lie inside it, and what was made here before is no input.
        if not _lies_in(row, out) or "error" in row
    ]
    if not rows:
        raise InputError(
            "no scan to prepare",
            source=", ".join(map(str, inputs)),
            found="only what was prepared before",
            remedy="give the raw scans; --out is left out of the inputs",
        )
    rows = with_participants(rows[:limit])
    cases = brain_cases(rows, recipe=RECIPE_VERSION)
    out.mkdir(parents=True, exist_ok=True)
    records = {} if force else _kept(cases, out)
    n_kept = sum(record.is_finished for record in records.values())
    for case in cases:
        if case.row.get("error"):
            records[case.name] = _failed(case, str(case.row["error"]))
            records[case.name].save(out / case.record)
    todo = [case for case in cases if case.name not in records]
    tasks = [CaseTask(case, out, pictures, make_brain) for case in todo]
    n_failed_before = sum(not record.is_finished for record in records.values())
    if n_kept:
        logger.info("%d of %d scans were prepared before", n_kept, len(cases))
    for case, record in _work(tasks, jobs=min(jobs, len(tasks)), n_failed=n_failed_before):
        records[case.name] = record
    if pictures:
        _draw_missing(cases, records, out)
    return _written(bundle, inputs, out, [(case, records[case.name]) for case in cases], n_kept)


def _work(tasks: Sequence[CaseTask], *, jobs: int, n_failed: int) -> list[tuple[BrainCase, CaseRecord]]:
    results = []
    with (
        logging_redirect_tqdm([logging.getLogger("agezoo")]) if sys.stderr.isatty() else nullcontext(),
        tqdm(total=len(tasks), desc="preparing brains", unit="scan", smoothing=0.1, disable=None) as bar,
        children_with_threads(1),
        closing(in_workers(prepare_case, tasks, jobs=jobs)) as outcomes,
    ):
        for task, outcome in outcomes:
            if isinstance(outcome, WorkerDeath):
                record = _failed(task.case, str(outcome), may_pass_later=True)
                record.save(task.out / task.case.record)
            else:
                record = outcome
            results.append((task.case, record))
            if not record.is_finished:
                n_failed += 1
                logger.warning("%s failed: %s", record.case, record.error)
            elif bar.disable:
                logger.info(
                    "%d of %d: %s, overlap %s, %s s",
                    len(results), len(tasks), record.case, record.overlap, record.seconds,
                )  # fmt: skip
            bar.set_postfix_str(f"{n_failed} failed" if n_failed else "", refresh=False)
            bar.update()
    return results


def _kept(cases: Sequence[BrainCase], out: Path) -> dict[str, CaseRecord]:
    """Records of an earlier run that still hold."""
    kept = {}
    for case in cases:
        record = CaseRecord.load(out / case.record)
        if record is None or record.fingerprint != case.fingerprint or record.may_pass_later:
            continue
        if record.is_finished and not (out / case.image).is_file():
            continue
        kept[case.name] = judged(record) if record.is_finished else record
    return kept


def _failed(case: BrainCase, error: str, *, may_pass_later: bool = False) -> CaseRecord:
    return CaseRecord(
        case=case.name,
        subject_id=str(case.row["subject_id"]),
        session=str(case.row.get("session") or ""),
        source=case.source,
        image="",
        fingerprint=case.fingerprint,
        error=without_paths(error, case),
        may_pass_later=may_pass_later,
    )


def _draw_missing(cases: Sequence[BrainCase], records: Mapping[str, CaseRecord], out: Path) -> None:
    """Pictures of cases that an earlier run left without one."""
    todo = [case for case in cases if records[case.name].is_finished and not (out / case.overlay).is_file()]
    for case in tqdm(todo, desc="drawing", unit="picture", disable=None if len(todo) > 1 else True):
        draw_case(case, records[case.name], out)


def _written(
    bundle: str,
    inputs: Sequence[str | Path],
    out: Path,
    prepared: Sequence[tuple[BrainCase, CaseRecord]],
    n_kept: int,
) -> BrainPreparation:
    table = preparation_table(record for _, record in prepared)
    write_table(table, out / TABLE)
    datalist = finished_datalist(inputs, prepared, bundle=bundle, out=out)
    write_datalist(datalist, out)
    write_bids_files(datalist, out, recipe=RECIPE_VERSION)
    pictures = {case.name: out / case.overlay for case, record in prepared if record.is_finished}
    write_preparation_page(
        out / PAGE,
        table,
        bundle=bundle,
        recipe=RECIPE_VERSION,
        pictures={name: path for name, path in pictures.items() if path.is_file()},
        phantom=datalist.origin == "phantom",
    )
    names = {case.name for case, _ in prepared}
    others = sum(record.case not in names and record.is_finished for record in records_below(out))
    if others:
        logger.info("%d brains in %s are of other inputs and are not listed in %s", others, out.name, DATALIST)
    n_made = sum(record.is_finished for _, record in prepared) - n_kept
    return BrainPreparation(table, n_made, n_kept, out / PAGE, out / DATALIST)


def _lies_in(row: Mapping[str, Any], folder: Path) -> bool:
    image = row["image"] if isinstance(row["image"], str) else row["image"][0]
    return Path(image).is_relative_to(folder.resolve())
