"""The ``agezoo`` command: thin verbs over functions that a script can call as well."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from agezoo.errors import AgeZooError
from agezoo.registry import BUNDLES
from agezoo.version import __version__

VERBS = (
    "phantom",
    "datalist",
    "check",
    "prepare",
    "crossval",
    "predict",
    "evaluate",
    "calibrate",
    "analyse",
    "weights",
    "package",
    "robustness",
    "localise",
    "atlas",
)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; imports no heavy library."""
    parser = argparse.ArgumentParser(
        prog="agezoo",
        description="Biological age from medical images, as MONAI bundles: predict, train, cross-validate, evaluate.",
        epilog="bundles:\n"
        + "\n".join(f"  {b.name:<14}{b.title}{'' if b.state == 'ready' else ' [planned]'}" for b in BUNDLES.values())
        + "\n\nTraining goes through MONAI itself:\n"
        "  python -m monai.bundle run training --config_file bundles/ct_age/configs/train.json --datalist FILE\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"agezoo {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the stack trace of an error")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        import_module(f"agezoo.commands.{verb}").add_parser(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status (0 fine, 1 the user's input is at fault, 2 usage, 130 interrupted)."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("agezoo").setLevel(logging.INFO)
    try:
        status: int = args.run(args)
    except AgeZooError as error:
        if args.debug:
            raise
        print(f"agezoo {args.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"agezoo {args.verb}: interrupted; the same command goes on where it can", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
