"""``agezoo package``: a bundle as one zip for people who have only MONAI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_bundle, add_verb


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "package",
        "write a bundle with chosen weights as one zip for people who have only MONAI",
        "Write BUNDLE_vVERSION.zip in the form of MONAI's model zoo, with configs, docs, this package and the chosen\n"
        "weights inside, and its sha256 beside it. python -m monai.bundle download fetches it from any web server;\n"
        "in the unzipped folder python -m monai.bundle run works with nothing of AgeZoo installed.",
        "  agezoo package ct_age --out dist\n"
        "  agezoo package ct_age --out dist --weights crossval\n"
        "  agezoo package ct_age --out dist --weights phantom",
    )
    add_bundle(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the zip")
    parser.add_argument(
        "--weights",
        default="installed",
        help="a weight file, a folder (several models go in as an ensemble), 'installed' (default), 'published', or "
        "'phantom' for weights whose ages mean nothing for real people",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Package and say what is in the zip."""
    from agezoo.networks.weights import ensemble_origin
    from agezoo.workflows.packaging import package_bundle

    done = package_bundle(args.bundle, args.out, weights=args.weights)
    members = f"{len(done.weights)} {'models' if len(done.weights) > 1 else 'model'}"
    size = done.path.stat().st_size / 1e6
    print(f"{done.path}: {size:.1f} MB, {len(done.files)} files, {members} of origin {ensemble_origin(done.weights)}")
    if ensemble_origin(done.weights) == "phantom":
        print("PHANTOM WEIGHTS: ages from this package mean nothing for real people.")
    print(f"sha256 {done.sha256} (beside it in {done.path.name}.sha256)")
    return 0
