"""``agezoo calibrate``: a calibration file from a table of out-of-fold predictions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agezoo.commands.arguments import add_verb
from agezoo.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from agezoo.analysis.calibration import Calibration
    from agezoo.networks.weights import WeightsFile


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs,
        "calibrate",
        "fit bias correction and intervals on out-of-fold predictions, for predictions to come",
        "Fit the calibration file that gives predictions to come their interval, their corrected age and an SD of the\n"
        "right size. The table's people must be such as the model was not trained on: out-of-fold predictions of a\n"
        "cross-validation (which writes the file by itself), or predictions of a further cohort. With --weights the\n"
        "file is tied to these weights and lies beside them, where predicting finds it; otherwise it is tied to the\n"
        "weights that the table names.",
        "  agezoo calibrate crossval/out_of_fold.csv --weights crossval\n"
        "  agezoo calibrate reference_vfa/predictions.csv --weights models/model.pt --by modality\n"
        "  agezoo calibrate out_of_fold.csv --out calibration.json --correction cole --level 0.95",
    )
    parser.add_argument("table", type=Path, metavar="TABLE", help="prediction table with true ages (CSV or Parquet)")
    parser.add_argument("--out", type=Path, help="the file to write (default with --weights: beside them)")
    parser.add_argument(
        "--weights", type=Path, help="weight file, or folder as of agezoo crossval, that the calibration is for"
    )
    parser.add_argument("--by", metavar="COLUMN", help="column whose values are fitted apart, e.g. modality")
    parser.add_argument(
        "--correction",
        choices=["none", "beheshti", "cole", "quadratic", "age_level"],
        default="beheshti",
        help="bias correction (default beheshti: the line of the gap on age)",
    )
    parser.add_argument("--level", type=float, default=0.9, help="share of people inside the interval (default 0.9)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit, write and say what was fitted."""
    from agezoo.analysis.calibration import FILE_NAME, fit_calibration
    from agezoo.data.prediction_table import read_predictions

    if args.out is None and args.weights is None:
        raise InputError("nowhere to write the calibration", expected="--out FILE, --weights PATH, or both")
    table = read_predictions(args.table)
    files = [] if args.weights is None else _weights_of(table, args.weights)
    out_of_fold = table["fold"].nunique() >= 2
    calibration = fit_calibration(
        table,
        correction=args.correction,
        by=args.by,
        level=args.level,
        how="out of fold" if out_of_fold else "on people who are not in the training, as the user states",
        weights_sha256=[file.sha256 for file in files] or None,
    )
    out = args.out
    if out is None:
        folder = args.weights if args.weights.is_dir() else args.weights.parent
        out = folder / FILE_NAME
    calibration.save(out)
    _tell(calibration)
    print(f"calibration: {out}")
    return 0


def _weights_of(table: pd.DataFrame, path: Path) -> list[WeightsFile]:
    """The weight files, which must be those that predicted the table as far as it says."""
    from agezoo.networks.weights import ensemble_sha256, find_weights

    files = find_weights(path, path)
    known = {file.sha256 for file in files} | {ensemble_sha256(files)}
    strange = sorted(set(table["weights_sha256"].dropna()) - known)
    if strange:
        raise InputError(
            "the table was predicted by other weights",
            source=path,
            found=f"sha256 {strange[0][:16]}... in the table",
            expected="the checksum of one of the weight files, or of all of them together",
            remedy="name the weights that predicted the table",
        )
    return files


def _tell(calibration: Calibration) -> None:
    fitted = calibration.fitted_on
    print(f"fitted {fitted.how} on {fitted.rows} rows of {fitted.subjects} people")
    if fitted.origin == "phantom":
        print("PHANTOM WEIGHTS: these ages mean nothing for real people.")
    groups = calibration.intervals.groups
    for name, group in groups.items():
        label = f"{name}: " if len(groups) > 1 or calibration.intervals.by else ""
        if group.quantile_sd is not None:
            print(f"{label}interval: predicted age -+ {group.quantile_sd:.2f} SD; SD factor {group.sd_factor:.2f}")
        elif group.quantile_years is not None:
            print(f"{label}interval: predicted age -+ {group.quantile_years:.1f} years")
    if calibration.correction is not None:
        for name, corrected in calibration.correction.groups.items():
            label = f"{name}: " if calibration.correction.by else ""
            numbers = ", ".join(f"{value:.4g}" for value in corrected.coefficients)
            what = f"coefficients {numbers}" if numbers else f"{len(corrected.levels)} ages"
            print(f"{label}bias correction {corrected.method}: {what}")
    for note in calibration.notes:
        print(note)
    if not fitted.weights_sha256:
        print("The table names no weights, so predicting will not use this file; --weights PATH ties it to some.")
