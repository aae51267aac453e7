"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
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
