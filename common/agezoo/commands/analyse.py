"""``agezoo analyse``: from a table of predictions to the statistics and figures of a paper."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agezoo.commands.arguments import add_verb
from agezoo.errors import InputError

if TYPE_CHECKING:
    from agezoo.analysis.plan import AnalysisPlan

_METHODS = ("none", "beheshti", "cole", "quadratic", "age_level")


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "analyse",
        "bias correction, discrimination, survival, groups: tables, figures and one HTML page",
        "Analyse a prediction table of any bundle or from elsewhere (age_years, predicted_age_years and your own\n"
        "columns). What is asked for decides what is analysed:\n\n"
        "  always            raw and corrected ages side by side, accelerated and decelerated agers, repeat scans\n"
        "  --label           AUROC (DeLong) against chronological age, odds ratio per SD of the gap, SVM on the gap\n"
        "  --endpoint        Cox models per SD of the gap, concordance, time-dependent AUC, Kaplan-Meier by tertile\n"
        "  --group, --site   gap by group and by site at equal age and sex\n\n"
        "The bias correction is fitted on --reference (a prediction table of other people), else across the table's\n"
        "own folds, else taken from --calibration or from the table; never on the people who are reported. Flags add\n"
        "to --plan, a JSON file with the fields of agezoo.analysis.plan.AnalysisPlan, or take its place. Writes\n"
        "analysis.html, analysis.json, tables/ (CSV) and figures/ (PNG, SVG).",
        "  agezoo analyse crossval/out_of_fold.csv --out analysis --label osteoporosis --group diagnosis\n"
        "  agezoo analyse predictions.csv --out analysis --reference out_of_fold.csv --plan plan.json\n"
        "  agezoo analyse predictions.csv --out analysis --label diagnosis=AD/HC --group diagnosis=HC --site scanner\n"
        "  agezoo analyse predictions.csv --out analysis --label group=AD/CN group=MCI/CN --reference-group group=CN\n"
        "  agezoo analyse predictions.csv --out analysis --follow-up outcomes.csv "
        "--endpoint fracture=years,fracture,death\n"
        "  agezoo analyse table.csv --out analysis --label falls "
        '--model "model 1=age_years,sex" "model 2=age_years,sex,bmi"',
    )
    parser.add_argument("table", type=Path, help="prediction table (CSV or Parquet)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument(
        "--plan", type=Path, metavar="JSON", help="plan of the analysis; flags add to it or override it"
    )
    parser.add_argument("--prediction", metavar="COL", help="column of the predicted age (default predicted_age_years)")
    parser.add_argument("--reference", type=Path, metavar="TABLE", help="predictions of other people, to fit on")
    parser.add_argument(
        "--reference-fraction",
        type=float,
        metavar="SHARE",
        help="instead of --reference: draw this share of the people (apart by --by) to fit on, and report the others",
    )
    parser.add_argument(
        "--reference-group",
        metavar="COL=VALUE",
        help="fit the correction on these people alone, e.g. diagnosis=CN: those of --reference, of the other folds, "
        "or of the share that is drawn; a table without folds is cross-fitted over five that are drawn",
    )
    parser.add_argument("--calibration", type=Path, metavar="JSON", help="calibration file of the weights")
    parser.add_argument("--correction", choices=_METHODS, help="bias correction (default beheshti)")
    parser.add_argument("--by", metavar="COL", help="column whose values are corrected apart, e.g. modality")
    parser.add_argument(
        "--follow-up", type=Path, metavar="TABLE", help="table of outcomes, one row per person, joined by subject_id"
    )
    parser.add_argument(
        "--label",
        nargs="+",
        action="extend",
        default=[],
        metavar="COL",
        help="binary columns, or COL=VALUE, or COL=VALUE/OTHER (e.g. diagnosis=AD/HC)",
    )
    parser.add_argument(
        "--endpoint",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=TIME,EVENT[,COMPETING]",
        help="time-to-event outcomes: columns of years, of 0/1, and of a competing event (usually death)",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=COL,COL",
        help='covariates beside the gap (default "model 1=age_years,sex")',
    )
    parser.add_argument(
        "--group",
        nargs="+",
        action="extend",
        default=[],
        metavar="COL",
        help="columns of groups; COL=VALUE names the group that the others are compared with (default the largest)",
    )
    parser.add_argument("--site", metavar="COL", help="column of the scanner or hospital")
    parser.add_argument("--horizons", metavar="Y,Y", help="years at which the time-dependent AUC is taken, e.g. 2,5,10")
    parser.add_argument("--bootstrap", type=int, default=2000, metavar="N", help="resamples (default 2000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of resamples and folds (default 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Analyse, print the main findings and say where the page is."""
    from agezoo.analysis.analyse import analyse_table

    result = analyse_table(
        args.table,
        args.out,
        plan_of(args),
        reference=args.reference,
        reference_fraction=args.reference_fraction,
        calibration=args.calibration,
        follow_up=args.follow_up,
        title=args.title,
        seed=args.seed,
        n_bootstrap=args.bootstrap,
    )
    counts = result["counts"]
    print(f"{counts['analysed_rows']} rows of {counts['people']} people; correction: {result['correction']['how']}")
    for line in result["headlines"]:
        print(line)
    if result["phantom_weights"]:
        print("PHANTOM WEIGHTS: these ages mean nothing for real people.")
    print(f"report: {args.out / 'analysis.html'}")
    return 0


def plan_of(args: argparse.Namespace) -> AnalysisPlan:
    """The plan of the file with what the flags add; a flag with a single value overrides, lists grow.

    Models and end points of the same name as one of the file take its place; with any ``--model`` and no plan file,
    the default model is not fitted.
    """
    from agezoo.analysis.plan import AnalysisPlan, checked_plan, read_plan

    plan = AnalysisPlan() if args.plan is None else read_plan(args.plan)
    document = plan.model_dump(exclude_unset=args.plan is not None)
    for name in ("prediction", "correction", "reference_group", "by", "site"):
        if getattr(args, name) is not None:
            document[name] = getattr(args, name)
    for field, values in (("labels", args.label), ("groups", args.group)):
        document[field] = list(dict.fromkeys([*document.get(field, []), *values]))
    points = {point["name"]: point for point in document.get("end_points", [])}
    document["end_points"] = list((points | dict(_end_point(text) for text in args.endpoint)).values())
    if args.model:
        document["models"] = (document.get("models", {}) if args.plan else {}) | dict(_model(t) for t in args.model)
    if args.horizons:
        document["horizons_years"] = _years(args.horizons)
    return checked_plan(document, source="the plan and the flags")


def _end_point(text: str) -> tuple[str, dict[str, str]]:
    name, _, columns = text.partition("=")
    parts = [part.strip() for part in columns.split(",")]
    if not name.strip() or not 2 <= len(parts) <= 3 or not all(parts):
        raise InputError(
            "an end point cannot be read",
            source="--endpoint",
            found=text,
            expected="NAME=TIME,EVENT or NAME=TIME,EVENT,COMPETING with names of columns",
        )
    return name.strip(), dict(zip(("name", "time", "event", "competing"), (name.strip(), *parts), strict=False))


def _model(text: str) -> tuple[str, list[str]]:
    name, equals, columns = text.partition("=")
    parts = [part.strip() for part in columns.split(",") if part.strip()]
    if not name.strip() or not equals or not parts:
        raise InputError(
            "a model cannot be read",
            source="--model",
            found=text,
            expected='NAME=COL,COL such as "model 2=age_years,sex,bmi"',
        )
    return name.strip(), parts


def _years(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError(
            "horizons cannot be read", source="--horizons", found=text, expected="years such as 2,5,10"
        ) from None
