"""``agezoo prepare``: raw T1 scans to brains in MNI space, once for a whole cohort."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_verb
from agezoo.registry import BUNDLES


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "prepare",
        "bring a cohort's T1 scans to brains in MNI space once, with quality figures and pictures",
        "Prepare every T1 scan for the bundle once: orientation, bias field, brain extraction and non-linear\n"
        "registration to MNI152. Raw heads, stripped brains and images already in MNI space are told apart, so a\n"
        "folder may hold all of them. --out becomes a BIDS derivative with\n\n"
        "  sub-X/anat/..._desc-brain_T1w.nii.gz   the brains: 2 mm, background exactly 0\n"
        "  overlays/                              one picture per case: does the brain fill the template's outline?\n"
        "  preparation.html, preparation.csv      overlap, correlation and verdict of every case, worst first\n"
        "  datalist.json                          the finished brains, to train and predict from\n\n"
        "The same command goes on where it was stopped, and prepares only what is new or changed. Training,\n"
        "cross-validation and prediction take raw scans as well and then register by themselves; prepared brains\n"
        "save that time in every later run.",
        "  agezoo prepare brain_tsan bids/ --out prepared\n"
        "  agezoo prepare brain_tsan datalist.json --out prepared --jobs 4\n"
        "  agezoo prepare brain_tsan scan.nii.gz dicom_folder/ --out prepared --jobs 1\n"
        "  agezoo prepare brain_tsan bids/ --out trial --limit 5",
    )
    readers = [name for name, facts in BUNDLES.items() if facts.reader == "brain"]
    parser.add_argument("bundle", choices=readers, metavar="BUNDLE", help=f"one of: {', '.join(readers)}")
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="BIDS dataset, folder of NIfTI files, DICOM folder, single file, or a datalist, whose ages, sexes, folds "
        "and groups are kept",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="scans at a time, each on one core with about 1.5 GB of memory (default: as many as there are cores)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N scans")
    parser.add_argument("--no-pictures", action="store_true", help="leave out overlays/; a later run can draw them")
    parser.add_argument("--force", action="store_true", help="prepare finished cases again")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prepare and print the counts; fail only if not one scan gave a brain."""
    from agezoo.workflows.brain_preparation import prepare_brains

    result = prepare_brains(
        args.bundle,
        args.inputs,
        args.out,
        jobs=args.jobs,
        force=args.force,
        limit=args.limit,
        pictures=not args.no_pictures,
    )
    table = result.table
    done = len(table) - result.n_failed
    print(f"{done} of {len(table)} scans prepared ({result.n_made} now, {result.n_kept} before)")
    counts = table["qc"].value_counts()
    print(", ".join(f"{name} {counts.get(name, 0)}" for name in ("pass", "warn", "fail")))
    if done:
        overlap = table["registration_overlap"]
        print(f"overlap with the template: median {overlap.median():.3f}, lowest {overlap.min():.3f}")
    for _, row in table[table["error"].notna()].head(10).iterrows():
        print(f"failed: {row['case']}: {row['error']}")
    print(f"report: {args.out / result.page.name}\ndatalist: {args.out / result.datalist.name}")
    return 0 if done else 1
