"""``agezoo localise``: saliency maps against the regions that carry age."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_bundle, add_verb

# Unions of regions that the console shows.
_SUMMED_UP = ("all_regions", "vertebral_column", "fluid_spaces_and_hippocampi", "planted_regions")


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "localise",
        "measure saliency maps against the regions that are known to carry age",
        "Explain every image of a cohort with label masks (agezoo phantom writes one) by every saliency method and\n"
        "measure whether the maps find the labelled regions: pointing game and energy inside, beside an untrained\n"
        "network, the image's brightness and random maps. Use scans that the weights were not trained on. Writes\n"
        "localisation.csv, .json and .html, and gallery/ with the maps of three cases. Brains must lie in MNI space\n"
        "(agezoo phantom brain_tsan --space mni), since labels of heads are not carried through a registration.",
        "  agezoo localise ct_age cohort --out localisation --weights phantom\n"
        "  agezoo localise ct_age cohort --out localisation --methods score_cam,grad_cam --limit 5\n"
        "  agezoo localise spine_age cohort --out localisation --weights phantom\n"
        "  agezoo localise brain_tsan brains --out localisation --weights phantom\n"
        "  agezoo localise wholebody_mr bodies --out localisation --weights phantom --layer backbone.layer3",
    )
    add_bundle(parser)
    parser.add_argument("cohort", type=Path, help="folder with cohort.csv and masks, or a datalist with covariate mask")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--weights", default="phantom", help="weight file, folder, 'installed' or 'phantom' (default phantom)"
    )
    parser.add_argument(
        "--methods", metavar="A,B,...", help="saliency methods (default: all but those that take minutes)"
    )
    parser.add_argument(
        "--layer",
        help="layer of the class-activation methods, or several as A,B (default: the network's own); the end of a "
        "name is enough where only one fits, and a name that none has is answered with those that there are",
    )
    parser.add_argument("--limit", type=int, help="only the first so many scans")
    parser.add_argument("--seed", type=int, default=0, help="seed of controls and intervals (default 0)")
    parser.add_argument("--device", help="for example cuda:0 or cpu (default: the first GPU, else the CPU)")
    parser.set_defaults(run=run)


def _layers(text: str | None) -> str | list[str] | None:
    """One layer's name as it is, several separated by commas as a list."""
    if text is None or "," not in text:
        return text
    return [name.strip() for name in text.split(",")]


def run(args: argparse.Namespace) -> int:
    """Measure and print one line per method."""
    from agezoo.workflows.localisation import localise

    content = localise(
        args.bundle,
        args.cohort,
        args.out,
        weights=args.weights,
        methods=None if args.methods is None else [name.strip() for name in args.methods.split(",")],
        layer=_layers(args.layer),
        limit=args.limit,
        seed=args.seed,
        device=args.device,
    )
    print(f"{content['cases']} scans of {content['subjects']} subjects")
    present = {row["region"] for row in content["summary"]}
    for region in (name for name in _SUMMED_UP if name in present):
        print(f"{region.replace('_', ' ')}:")
        print(f"{'network':<11}{'method':<24}{'pointing':>9}{'energy':>9}{'x chance':>10}")
        for row in content["summary"]:
            if row["region"] == region:
                figures = [row[name]["value"] for name in ("pointing_game", "energy_inside", "energy_ratio")]
                print("{:<11}{:<24}{:>9.2f}{:>9.3f}{:>10.2f}".format(row["network"], row["method"], *figures))
    for method, seconds in content["too_slow"].items():
        print(f"left out: {method} (about {seconds} s per map; name it in --methods to have it)")
    best = content["best"]
    print(f"most energy inside: {best['energy_inside']}; most pointing hits: {best['pointing_game']}")
    print(f"report: {args.out / 'localisation.html'}")
    return 0
