"""``agezoo crossval``: train and judge a bundle by cross-validation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_bundle, add_verb
from agezoo.errors import InputError


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "crossval",
        "train every fold, predict every subject out of fold, and the test rows by the ensemble",
        "Train every fold of a datalist through MONAI's bundle entry point, then predict each subject with the model\n"
        "that never saw them, and the test rows with all models together. The same command goes on after a stop.\n"
        "Results: out_of_fold.csv, test.csv, metrics.json, report.html, and fold_*/model.pt, which\n"
        "agezoo predict takes as --weights OUT.",
        "  agezoo crossval ct_age --datalist datalist.json --out crossval --set max_epochs=60 --set batch_size=16\n"
        "  agezoo crossval ct_age --datalist cohort/datalist.json --out crossval --overlay phantom --tracking mlflow",
    )
    add_bundle(parser)
    parser.add_argument("--datalist", type=Path, required=True, help="datalist with folds (agezoo datalist)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--overlay",
        action="append",
        default=[],
        metavar="CONFIG",
        help="config merged over train.json: a file, or a name in the bundle such as phantom; may be repeated",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="ID=VALUE",
        help="override one setting of the training, e.g. max_epochs=50; may be repeated",
    )
    parser.add_argument("--tracking", choices=["mlflow"], help="log an MLflow run with a child per fold (sqlite)")
    parser.add_argument("--workers", type=int, default=2, help="processes that read images (default 2)")
    parser.add_argument(
        "--jobs", type=int, help="folds trained side by side (default: one on a GPU, else one per CPU core)"
    )
    parser.add_argument("--verbose", action="store_true", help="show MONAI's own messages")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Cross-validate and print the main figures."""
    from agezoo.commands.figures import summary_lines
    from agezoo.workflows.crossval import cross_validate
    from agezoo.workflows.fold_training import default_jobs

    result = cross_validate(
        args.bundle,
        args.datalist,
        args.out,
        configs=args.overlay,
        overrides=dict(map(setting, args.set)),
        tracking=args.tracking,
        workers=args.workers,
        jobs=default_jobs(5) if args.jobs is None else args.jobs,
        verbose=args.verbose,
    )
    for line in summary_lines(result.metrics):
        print(line)
    print(f"report: {result.folder / 'report.html'}")
    return 0


def setting(text: str) -> tuple[str, Any]:
    """``max_epochs=50`` -> ``("max_epochs", 50)``; values are read as Python literals, anything else is text."""
    import ast

    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputError("not a setting", source="--set", found=text, expected="ID=VALUE, e.g. max_epochs=50")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
