"""``agezoo phantom``: write a synthetic cohort."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_bundle, add_verb


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "phantom",
        "write a synthetic cohort with a known ageing signal",
        "Write a synthetic cohort in real file formats. The images age with a biological age that is the\n"
        "chronological one plus an individual deviation; both, and masks of the regions that carry age, are written\n"
        "beside them. A cohort that is already there is completed or kept. Ages learnt from phantoms mean nothing\n"
        "for real people.",
        "  agezoo phantom ct_age --subjects 80 --out cohort --seed 0",
    )
    add_bundle(parser)
    parser.add_argument("--subjects", type=int, default=80, help="number of people, test rows included (default 80)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the cohort")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same cohort (default 0)")
    parser.add_argument(
        "--deviation-sd", type=float, default=3.0, help="SD of the individual deviation (default 3 years)"
    )
    parser.add_argument("--quick", action="store_true", help="coarse images, for trying things out")
    parser.add_argument("--workers", type=int, default=2, help="processes that write (default 2)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the cohort and say where it is."""
    from agezoo.phantoms.ct_cohort import ensure_ct_cohort

    folder = ensure_ct_cohort(
        args.out,
        subjects=args.subjects,
        seed=args.seed,
        deviation_sd_years=args.deviation_sd,
        quick=args.quick,
        workers=args.workers,
    )
    print(f"phantom cohort: {folder}\n  table: {folder / 'cohort.csv'}")
    return 0
