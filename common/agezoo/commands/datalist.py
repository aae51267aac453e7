"""``agezoo datalist``: list a cohort for training or evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agezoo.commands.arguments import add_bundle, add_verb


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "datalist",
        "list a cohort's images with ages, folds and test rows",
        "List a cohort: which image belongs to whom, at what age, in which fold. Subjects never stand in two folds or\n"
        "in training and test; folds are balanced for age and sex. With a table, its columns are: image (path under\n"
        "--images) or subject_id (+ session) that name a folder or file there, age_years, sex, and optionally test,\n"
        "fold, group, site, time_years, event; other columns are kept as covariates (spine_age: modality,\n"
        "radiograph or vfa). A BIDS folder (brain_tsan) needs no table beside its participants.tsv, and IXI's own\n"
        "table is understood. Without a table, ages and sexes come from the DICOM headers and subjects are numbered;\n"
        "patient names and ids never leave the header.",
        "  agezoo datalist ct_age --images scans --table cohort.csv --out datalist.json --folds 5 --test-fraction 0.2\n"
        "  agezoo datalist ct_age --images scans --out datalist.json\n"
        "  agezoo datalist spine_age --images radiographs --table cohort.csv --out datalist.json\n"
        "  agezoo datalist brain_tsan --images BIDS_FOLDER --patients-to-test --test-fraction 0.2 --out datalist.json\n"
        "  agezoo datalist brain_tsan --images IXI-T1 --table IXI.csv --out datalist.json\n"
        "  agezoo datalist ct_age --layout autopet --images FDG-PET-CT-Lesions --table clinical.csv --out test.json",
    )
    add_bundle(parser)
    parser.add_argument(
        "--images",
        type=Path,
        help="folder of images at any depth: DICOM, and NIfTI (volumes) or PNG, JPEG (radiographs)",
    )
    parser.add_argument("--table", type=Path, help="CSV with one row per image (BIDS, IXI: per person)")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--folds", type=int, default=5, help="cross-validation folds, 0 for none (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of folds and test draw (default 0)")
    parser.add_argument("--test-fraction", type=float, default=0.0, help="share of subjects set aside as test rows")
    parser.add_argument("--layout", choices=["autopet"], help="a public set's own folder and table")
    parser.add_argument(
        "--format", choices=["bids", "ixi", "csv"], help="what the table is (brain MRI; default: recognised)"
    )
    parser.add_argument(
        "--patients-to-test",
        action="store_true",
        help="set everybody whose group is not one of controls aside as test rows",
    )
    parser.add_argument("--all-studies", action="store_true", help="with --layout: all fitting studies of a person")
    parser.add_argument("--origin", choices=["real", "phantom"], help="overrides what cohort.json says")
    parser.add_argument("--ages-from-headers", action="store_true", help="fill empty ages and sexes from DICOM headers")
    parser.add_argument(
        "--keep-patient-id",
        action="store_true",
        help="without a table: use the header's PatientID as subject_id; only for pseudonymised data",
    )
    parser.add_argument("--force", action="store_true", help="replace --out if it exists")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the datalist and print what is in it."""
    from agezoo.data.datalist_build import build_datalist

    report = build_datalist(
        bundle=args.bundle,
        images=args.images,
        table=args.table,
        out=args.out,
        folds=args.folds,
        seed=args.seed,
        test_fraction=args.test_fraction,
        layout=args.layout,
        format=args.format,
        all_studies=args.all_studies,
        patients_to_test=args.patients_to_test,
        origin=args.origin,
        ages_from_headers=args.ages_from_headers,
        keep_patient_id=args.keep_patient_id,
        force=args.force,
    )
    print(report.render())
    return 0
