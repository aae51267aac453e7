"""``agezoo predict``: ages for scans."""

from __future__ import annotations

import argparse
from typing import Any

from agezoo.commands.arguments import add_bundle, add_scans, add_verb
from agezoo.registry import BUNDLES


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "predict",
        "predict ages for DICOM folders, image files or a datalist",
        "Predict an age with uncertainty for every case found in the inputs. Writes predictions.csv (and .parquet)\n"
        "with one row per case, and one picture per case with the map of where the age comes from. A case that\n"
        "cannot be read gets the reason in its row and never stops the others. Nothing is sent anywhere.",
        "  agezoo predict ct_age scans/ --out results --weights crossval\n"
        "  agezoo predict ct_age patient.nii.gz --out results --weights phantom\n"
        "  agezoo predict spine_age radiographs/ --out results --weights crossval\n"
        "  agezoo predict wholebody_mr zips/ --out results --weights crossval --save-maps",
    )
    add_bundle(parser)
    add_scans(parser)
    choices = ", ".join(f"{facts.name}: {facts.saliency}" for facts in BUNDLES.values() if facts.state == "ready")
    parser.add_argument("--saliency", help=f"map over the anatomy, or 'none' (default {choices})")
    parser.add_argument(
        "--save-maps",
        action="store_true",
        help="also write the map as NIfTI: of a radiograph on the stored image's grid, of a brain in MNI152 space, of "
        "a whole body in the scanner's millimetres",
    )
    parser.add_argument("--no-overlays", action="store_true", help="write no pictures")
    parser.add_argument("--device", help="for example cuda:0 or cpu (default: the first GPU, else the CPU)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict and print one line per case."""
    from agezoo.predict.run import predict

    table = predict(
        args.bundle,
        args.inputs,
        args.out,
        weights=args.weights,
        overlays=not args.no_overlays,
        saliency=args.saliency,
        save_maps=args.save_maps,
        device=args.device,
    )
    failed = table["predicted_age_years"].isna()
    for _, row in table[~failed].iterrows():
        parts = [row[name] for name in ("aleatoric_sd_years", "epistemic_sd_years") if row[name] >= 0]
        sd = f" ± {sum(part**2 for part in parts) ** 0.5:.1f}" if parts else ""
        age = "" if row["age_years"] != row["age_years"] else f"  (age {row['age_years']:.1f})"
        print(f"{row['subject_id']}: {row['predicted_age_years']:.1f}{sd} years{age}")
    for _, row in table[failed].iterrows():
        print(f"{row['subject_id']}: no age: {row['error']}")
    if (table["weights_origin"] == "phantom").any():
        print("PHANTOM WEIGHTS: these ages mean nothing for real people.")
    print(f"table: {args.out / 'predictions.csv'}")
    return 0 if not failed.all() else 1
