"""``agezoo evaluate``: figures, plots and one page from a prediction table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_verb
from agezoo.errors import InputError


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "evaluate",
        "figures, plots and one HTML page from a prediction table",
        "Evaluate any table with age_years and predicted_age_years, and optionally aleatoric_sd_years (all in\n"
        "years), subject_id and sex. Writes metrics.json, plots/ and a self-contained report.html.\n"
        "With --pairs the table holds two predictions per row (first_years, second_years), or is a prediction table\n"
        "with repeat scans, and agreement is reported: Bland-Altman, ICC(2,1).",
        "  agezoo evaluate crossval/out_of_fold.csv --out evaluation\n"
        "  agezoo evaluate table.csv --out evaluation --sd-column sigma_years --split-by set\n"
        "  agezoo evaluate --pairs repeats.csv --out agreement",
    )
    parser.add_argument("table", type=Path, nargs="?", help="prediction table (CSV or Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument("--sd-column", help="column with the predicted SD in years, for tables from elsewhere")
    parser.add_argument("--split-by", help="column whose values are evaluated apart (a set, a site, a scanner)")
    parser.add_argument("--pairs", type=Path, metavar="TABLE", help="table with first_years, second_years")
    parser.add_argument("--bootstrap", type=int, default=2000, help="resamples of the intervals (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (default 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate and say where the page is."""
    from agezoo.analysis.report import PairsSection, ReportSection, write_report
    from agezoo.analysis.report_sections import split_section
    from agezoo.commands.figures import summary_lines

    sections: list[ReportSection | PairsSection] = []
    if args.table is not None:
        section = ReportSection("Evaluation", args.table, "", args.sd_column)
        sections += split_section(section, args.split_by) if args.split_by else [section]
    if args.pairs is not None:
        sections.append(PairsSection("Repeat scans", args.pairs))
    if not sections:
        raise InputError("nothing to evaluate", expected="a prediction table, --pairs TABLE, or both")
    metrics = write_report(
        sections,
        args.out,
        title=args.title or "Evaluation of predicted ages",
        seed=args.seed,
        n_bootstrap=args.bootstrap,
    )
    for line in summary_lines(metrics):
        print(line)
    print(f"report: {args.out / 'report.html'}")
    return 0
