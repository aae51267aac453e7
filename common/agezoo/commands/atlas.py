"""``agezoo atlas``: where a population's bodies show their age."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_verb
from agezoo.errors import InputError
from agezoo.registry import BUNDLES


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "atlas",
        "average the saliency maps of a cohort on a template: importance per body region, by sex, age and ageing",
        "Explain every whole-body scan, register it to one template, carry the maps there and average them: for\n"
        "everybody, by sex, by age group, and for accelerated and decelerated agers. --out becomes\n\n"
        "  index.html, region_table.csv      the findings, with intervals and a test against shuffled maps\n"
        "  population/                       mean, SD, signed mean and count maps of every group\n"
        "  cases.csv                         one row per scan: registration, share of each region\n"
        "  template/                         mean water and fat, body mask, regions\n"
        "  registration_overlap.csv          Dice per region, where scans have masks\n\n"
        "The same command goes on where it was stopped. The regions come from masks of the cohort (phantoms), the\n"
        "template's folder or from --labels. For scans without masks: build the template with --template-only, label\n"
        "its water.nii.gz with any tool, and run again with --labels. Large cohorts run as shards on many machines.",
        "  agezoo atlas wholebody_mr datalist.json --out atlas --weights phantom --section test\n"
        "  agezoo atlas wholebody_mr scans/ --out atlas --template-only --workers 8\n"
        "  agezoo atlas wholebody_mr scans/ --out atlas --labels labels.nii.gz --predictions corrected.csv\n"
        "  agezoo atlas wholebody_mr datalist.json --out part3 --template atlas/template --predictions all.csv "
        "--shard 3/40\n"
        "  agezoo atlas wholebody_mr --merge part* --out atlas",
    )
    readers = [name for name, facts in BUNDLES.items() if facts.reader == "body"]
    parser.add_argument("bundle", choices=readers, metavar="BUNDLE", help=f"one of: {', '.join(readers)}")
    parser.add_argument(
        "inputs",
        nargs="*",
        type=Path,
        metavar="INPUT",
        help="zips or folders of Dixon DICOM, NIfTI files, or a datalist, whose ages, sexes and masks are used",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--weights", default="installed", help="weight file, folder, 'installed' (default) or 'phantom'"
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="CSV",
        help="prediction table of the whole cohort, best with corrected gaps (default: predict first)",
    )
    _add_template(parser)
    _add_maps(parser)
    _add_work(parser)
    parser.set_defaults(run=run)


def _add_template(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("template and registration")
    group.add_argument(
        "--template",
        type=Path,
        metavar="FOLDER",
        help="water.nii.gz, fat.nii.gz, labels.nii.gz, labels.json (default: built from the cohort)",
    )
    group.add_argument(
        "--labels", type=Path, metavar="FILE", help="label volume in the template's space, labels.json beside it"
    )
    group.add_argument("--template-only", action="store_true", help="stop when the template is there")
    group.add_argument(
        "--template-subjects", type=int, default=12, metavar="N", help="bodies that are averaged (default 12)"
    )
    group.add_argument("--reference", metavar="SUBJECT", help="body to begin with (default: the most typical in size)")
    group.add_argument(
        "--registration-mm",
        type=float,
        metavar="MM",
        help="edge of the template's voxels (default 6, or the template's)",
    )
    group.add_argument(
        "--registrations", type=Path, metavar="FOLDER", help="finished registrations to the same template to use again"
    )
    group.add_argument("--min-overlap", type=float, default=0.85, help="Dice of the body masks (default 0.85)")
    group.add_argument("--min-correlation", type=float, default=0.5, help="of water against fat (default 0.5)")


def _add_maps(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("maps and groups")
    group.add_argument(
        "--method", help="saliency method with a sign (default: the bundle's, hires_cam; published: grad_cam)"
    )
    group.add_argument("--layer", help="layer of the class-activation methods (default: the network's own)")
    group.add_argument(
        "--age-groups", default="55,65", metavar="A,B,...", help="ages that part the groups (default 55,65)"
    )
    group.add_argument("--shuffles", type=int, default=200, help="shuffled copies of every map (default 200)")
    group.add_argument("--seed", type=int, default=0, help="seed of shuffles and intervals (default 0)")


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("work")
    group.add_argument(
        "--workers", type=int, default=0, metavar="N", help="scans at a time, in processes that each load the network"
    )
    group.add_argument("--limit", type=int, metavar="N", help="only the first N scans")
    group.add_argument(
        "--section",
        choices=["training", "validation", "test"],
        help="only this section of a datalist, e.g. test: people whom the network never saw (default: all)",
    )
    group.add_argument("--shard", metavar="I/N", help="only every N-th scan from the I-th on, to be merged later")
    group.add_argument("--merge", nargs="+", type=Path, metavar="DIR", help="put shards together; takes no INPUT")
    group.add_argument(
        "--fresh", action="store_true", help="begin anew in --out (finished registrations are used again)"
    )
    group.add_argument("--no-report", action="store_true", help="leave out the report")
    group.add_argument("--device", help="for example cuda:0 or cpu (default: the first GPU, else the CPU)")


def run(args: argparse.Namespace) -> int:
    """Make the atlas and print the counts; fail only if not one scan counts."""
    atlas = _merged(args) if args.merge else _made(args)
    if args.template_only:
        print(f"template: {atlas.folder}")
        return 0
    n_used = len(atlas.cases) - atlas.n_left_out
    print(f"{n_used} of {len(atlas.cases)} scans in the atlas ({atlas.n_done} treated now, {atlas.n_kept} before)")
    for _, row in atlas.cases[atlas.cases["error"] != ""].head(10).iterrows():
        print(f"left out: {row['subject_id']}: {row['error']}")
    print(f"report: {atlas.page}" if atlas.page else f"results: {atlas.folder}")
    return 0 if n_used else 1


def _merged(args: argparse.Namespace) -> Any:
    from agezoo.workflows.atlas_merge import merge_atlases

    if args.inputs:
        raise InputError("--merge takes no scans", found=", ".join(map(str, args.inputs)))
    return merge_atlases(args.merge, args.out, report=not args.no_report, seed=args.seed)


def _made(args: argparse.Namespace) -> Any:
    from agezoo.workflows.atlas import population_atlas

    if not args.inputs:
        raise InputError("no scans are given", expected="INPUT, or --merge with the folders of shards")
    return population_atlas(
        args.bundle,
        args.inputs,
        args.out,
        weights=args.weights,
        predictions=args.predictions,
        template=args.template,
        labels=args.labels,
        reference=args.reference,
        template_subjects=args.template_subjects,
        template_only=args.template_only,
        registration_mm=args.registration_mm,
        registrations=args.registrations,
        min_overlap=args.min_overlap,
        min_correlation=args.min_correlation,
        method=args.method,
        layer=args.layer,
        age_cuts=_numbers(args.age_groups),
        shuffles=args.shuffles,
        seed=args.seed,
        workers=args.workers,
        limit=args.limit,
        section=args.section,
        shard=_shard(args.shard),
        resume=not args.fresh,
        report=not args.no_report,
        device=args.device,
    )


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InputError("not a list of ages", source="--age-groups", found=text, expected="such as 55,65") from None


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    part, _, n = text.partition("/")
    if not (part.isdigit() and n.isdigit()):
        raise InputError("no such shard", source="--shard", found=text, expected="I/N, such as 3/40")
    return int(part), int(n)
