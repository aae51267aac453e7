"""``agezoo phantom``: write a synthetic cohort."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_verb
from agezoo.errors import InputError
from agezoo.registry import bundle_facts


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "phantom",
        "write a synthetic cohort with a known ageing signal",
        "Write a synthetic cohort in real file formats. The images age with a biological age that is the\n"
        "chronological one plus an individual deviation; both, and masks of the regions that carry age, are written\n"
        "beside them. A cohort that is already there is completed or kept. Ages learnt from phantoms mean nothing\n"
        "for real people.\n\n"
        "  ct_age        torso CT series\n"
        "  spine_age     lateral spine radiographs and, of other people, DXA vertebral fracture assessment images,\n"
        "                with follow-up (fractures, death) whose hazards depend on the deviation\n"
        "  brain_tsan    T1 heads as a BIDS data set, of controls and of patients (MCI, AD) with larger\n"
        "                deviations; or, with --space mni, brains as after extraction and registration to MNI152\n"
        "  wholebody_mr  neck-to-knee Dixon MR as zips of DICOM: six stations of four contrasts, a few with water and\n"
        "                fat swapped, with labels of the organs and the share of the ageing that each carries",
        "  agezoo phantom ct_age --subjects 80 --out cohort --seed 0\n"
        "  agezoo phantom spine_age --subjects 200 --vfa-subjects 100 --out cohort --seed 0\n"
        "  agezoo phantom brain_tsan --subjects 120 --out cohort --seed 0\n"
        "  agezoo phantom wholebody_mr --subjects 40 --quick --out cohort --seed 0",
    )
    parser.add_argument("bundle", choices=list(_WRITERS), metavar="BUNDLE", help=f"one of: {', '.join(_WRITERS)}")
    parser.add_argument("--subjects", type=int, default=80, help="number of people, test rows included (default 80)")
    parser.add_argument(
        "--vfa-subjects",
        type=int,
        default=None,
        help="spine_age: number of other people with a DXA image (default half of --subjects)",
    )
    parser.add_argument(
        "--space",
        choices=("head", "mni"),
        default=None,
        help="brain_tsan: whole heads (default), or brains in MNI space at 2 mm",
    )
    parser.add_argument(
        "--swap-fraction",
        type=float,
        default=None,
        help="wholebody_mr: share of the people with water and fat swapped in one or two stations (default 0.02)",
    )
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
    folder = _WRITERS[bundle_facts(args.bundle).name](args)
    print(f"phantom cohort: {folder}\n  table: {folder / 'cohort.csv'}")
    return 0


def _refuse(bundle: str, args: argparse.Namespace, *options: str) -> None:
    """Raise for an option of another bundle."""
    for option in options:
        if getattr(args, option) is not None:
            name = "--" + option.replace("_", "-")
            raise InputError(f"a {bundle} cohort has no such option", source=name, remedy="leave it out")


def _common(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "subjects": args.subjects,
        "seed": args.seed,
        "deviation_sd_years": args.deviation_sd,
        "quick": args.quick,
        "workers": args.workers,
    }


def _write_ct(args: argparse.Namespace) -> Path:
    _refuse("ct_age", args, "vfa_subjects", "space", "swap_fraction")
    from agezoo.phantoms.ct_cohort import ensure_ct_cohort

    return ensure_ct_cohort(args.out, **_common(args))


def _write_spine(args: argparse.Namespace) -> Path:
    _refuse("spine_age", args, "space", "swap_fraction")
    from agezoo.phantoms.spine_cohort import ensure_spine_cohort

    vfa = args.subjects // 2 if args.vfa_subjects is None else args.vfa_subjects
    return ensure_spine_cohort(args.out, vfa_subjects=vfa, **_common(args))


def _write_brain(args: argparse.Namespace) -> Path:
    _refuse("brain_tsan", args, "vfa_subjects", "swap_fraction")
    from agezoo.phantoms.brain_cohort import ensure_brain_cohort

    return ensure_brain_cohort(args.out, space=args.space or "head", **_common(args))


def _write_body(args: argparse.Namespace) -> Path:
    _refuse("wholebody_mr", args, "vfa_subjects", "space")
    from agezoo.phantoms.body_cohort import ensure_body_cohort

    swap = 0.02 if args.swap_fraction is None else args.swap_fraction
    return ensure_body_cohort(args.out, swap_fraction=swap, **_common(args))


_WRITERS: dict[str, Callable[[argparse.Namespace], Path]] = {
    "ct_age": _write_ct,
    "spine_age": _write_spine,
    "brain_tsan": _write_brain,
    "wholebody_mr": _write_body,
}
