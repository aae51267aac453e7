"""``agezoo check``: every fault of a datalist at once."""

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
        "check",
        "report every fault of a datalist at once",
        "Look through a datalist and all that it names: form, missing files, subjects in two folds or in training and\n"
        "test, absent or implausible ages, duplicated images, ages that disagree with the DICOM header.\n"
        "Exit status 1 when there are errors; warnings alone give 0.",
        "  agezoo check datalist.json",
    )
    parser.add_argument("datalist", type=Path, help="the JSON file")
    parser.add_argument("--bundle", choices=sorted(BUNDLES), help="judge ages by this bundle's range")
    parser.add_argument("--no-headers", action="store_true", help="do not open DICOM headers (quicker)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check and print all faults."""
    from agezoo.data.datalist_check import check_datalist, render_faults

    faults = check_datalist(args.datalist, bundle=args.bundle, headers=not args.no_headers)
    print(render_faults(faults, name=args.datalist.name))
    return 1 if any(fault.severity == "error" for fault in faults) else 0
