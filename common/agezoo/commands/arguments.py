"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.registry import BUNDLES


def add_verb(verbs: Any, name: str, summary: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A sub-parser whose help ends with examples that can be copied."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The positional name of a bundle that is ready."""
    ready = [name for name, facts in BUNDLES.items() if facts.state == "ready"]
    parser.add_argument("bundle", choices=ready, metavar="BUNDLE", help=f"one of: {', '.join(ready)}")


def add_scans(parser: argparse.ArgumentParser) -> None:
    """The scans to predict, where the results go, and the weights to ask."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="folder or file of images (DICOM; .nii/.nii.gz for volumes, PNG or JPEG for radiographs), or a datalist",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--weights",
        default="installed",
        help="a weight file, a folder (e.g. of agezoo crossval: all its models are asked as an ensemble), 'installed' "
        "(default), or 'phantom' to try the pipeline with weights whose ages mean nothing for real people",
    )
