"""``agezoo robustness``: how far ages move when scans or radiographs are perturbed."""

from __future__ import annotations

import argparse
from typing import Any

from agezoo.commands.arguments import add_bundle, add_scans, add_verb
from agezoo.errors import InputError
from agezoo.registry import BUNDLES
from agezoo.transforms.perturb.catalogue import CATALOGUES


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "robustness",
        "perturb scans in graded ways, predict again and report the agreement",
        "Perturb every scan or radiograph in graded ways (noise, dose, cropping, position, resolution, grey values,\n"
        "metal, motion), predict again and report the agreement with the age of the image as it is. Writes\n"
        "robustness.csv, robustness.json, plots/ and a self-contained robustness.html. With a datalist, errors by\n"
        "grade and the agreement of repeat scans are reported too. A run that was stopped goes on where it was.\n\n"
        "A T1 of a whole head is registered to the template anew after every change: with all perturbations count\n"
        "with about ten minutes a head, and choose by --perturbations, --grades and --limit. Brains that lie in MNI\n"
        "space already (agezoo prepare makes them) take a second each; turns and shifts of them stand for a\n"
        "registration that went wrong.\n\n"
        "Perturbations and the strengths that are tried:\n\n" + "\n\n".join(_known(reader) for reader in CATALOGUES),
        "  agezoo robustness ct_age datalist.json --out robustness --limit 20\n"
        "  agezoo robustness ct_age scans/ --out robustness --weights phantom --perturbations noise,crop,metal\n"
        "  agezoo robustness ct_age scan.nii.gz --out robustness --grades noise=20,40 hu_offset=-30,30\n"
        "  agezoo robustness spine_age radiographs/ --out robustness --perturbations crop,rotation,metal\n"
        "  agezoo robustness brain_tsan bids/ --out robustness --limit 3 --grades noise=0.05 pitch=5,15 gamma=0.5\n"
        "  agezoo robustness wholebody_mr zips/ --out robustness --limit 20 --perturbations crop,shift,station_step",
    )
    add_bundle(parser)
    add_scans(parser)
    parser.add_argument(
        "--perturbations",
        metavar="NAMES",
        help="names separated by commas, or what several begin with, e.g. crop (default: all)",
    )
    parser.add_argument(
        "--grades",
        nargs="+",
        default=[],
        metavar="NAME=G1,G2",
        help="own strengths; without --perturbations only these are tried",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N scans, spread evenly over the inputs")
    parser.add_argument("--seed", type=int, default=0, help="seed of noise and directions (default 0)")
    parser.add_argument("--device", help="for example cuda:0 or cpu (default: the first GPU, else the CPU)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Perturb, predict and print one line per grade."""
    from agezoo.workflows.robustness import robustness

    grades = dict(_own_grades(text) for text in args.grades)
    names = list(grades) or None
    if args.perturbations:
        names = [name.strip() for name in args.perturbations.split(",") if name.strip()]
    result = robustness(
        args.bundle,
        args.inputs,
        args.out,
        weights=args.weights,
        perturbations=names,
        grades=grades,
        limit=args.limit,
        seed=args.seed,
        device=args.device,
    )
    for line in summary_lines(result.figures):
        print(line)
    if result.figures["is_constant"]:
        print("NEARLY THE SAME AGE FOR ALL: nothing can move it, so the agreement says nothing about robustness.")
    if result.figures["weights_origin"] == "phantom":
        print("PHANTOM WEIGHTS: these ages mean nothing for real people.")
    print(f"table: {args.out / 'robustness.csv'}\nreport: {result.page}")
    return 0


def summary_lines(figures: dict[str, Any]) -> list[str]:
    """A table for the console: perturbed - unperturbed age in years."""
    from agezoo.analysis.robustness_page import NOUNS

    lines = [f"{'':<28}{'n':>4}{'mean':>8}{'limits of agreement':>22}{'ICC':>8}{'> 5 years':>11}{'MAE':>8}"]
    mae = figures["baseline_mae_years"]
    lines.append(
        f"{NOUNS[figures['reader']] + 's as they are':<28}{figures['n_cases']:>4}{'':>49}{_number(mae, '8.2f')}"
    )
    for name, grades in figures["perturbations"].items():
        for grade in grades:
            limits = "-"
            if grade["lower_limit_years"] is not None:
                limits = f"{grade['lower_limit_years']:.2f} to {grade['upper_limit_years']:.2f}"
            label = f"{name} {grade['grade']:g}" if grade["unit"] else name
            lines.append(
                f"{label:<28}{grade['n']:>4}"
                f"{_number(grade['mean_difference_years'], '+8.2f')}{limits:>22}{_number(grade['icc_2_1'], '8.3f')}"
                f"{_number(grade['share_changed_over_5_years'], '11.0%')}{_number(grade['mae_years'], '8.2f')}"
            )
    return lines


def _number(value: float | None, form: str) -> str:
    if value is None:
        return "-".rjust(int("".join(c for c in form.split(".")[0] if c.isdigit())))
    return format(value, form)


def _known(reader: str) -> str:
    """The perturbations of one kind of image with their grades, under the bundles that take them."""
    bundles = [facts.name for facts in BUNDLES.values() if facts.reader == reader and facts.state == "ready"]
    lines = [
        f"  {p.name:<17}{', '.join(f'{g:g}' for g in p.grades)} {p.unit}".rstrip() if p.unit else f"  {p.name}"
        for p in CATALOGUES[reader].values()
    ]
    return "\n".join([f"{', '.join(bundles)}:", *lines])


def _own_grades(text: str) -> tuple[str, tuple[float, ...]]:
    name, _, values = text.partition("=")
    try:
        return name.strip(), tuple(float(v) for v in values.split(",") if v.strip())
    except ValueError:
        raise InputError(
            "grades cannot be read", source="--grades", found=text, expected="NAME=G1,G2 such as noise=20,40"
        ) from None
