"""Cross-validation of a bundle: every fold trained, every subject predicted by the model that never saw them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agezoo.analysis.bias_correction import cross_fit
from agezoo.analysis.calibration import FILE_NAME as CALIBRATION
from agezoo.analysis.calibration import fit_calibration
from agezoo.analysis.conformal import cross_fitted_intervals
from agezoo.analysis.report import PairsSection, ReportSection, write_report
from agezoo.analysis.report_sections import split_section
from agezoo.data.datalist import Datalist, datalist_hash, load_datalist, save_datalist
from agezoo.data.prediction_table import merge_predictions, prediction_row, read_predictions, write_predictions
from agezoo.errors import InputError
from agezoo.networks.weights import WeightsFile, describe
from agezoo.predict.run import predict_rows
from agezoo.registry import bundle_facts, bundle_root, bundle_version
from agezoo.workflows.bundle_run import check_settings, config_path, held_back
from agezoo.workflows.fold_training import FoldTraining, train_folds
from agezoo.workflows.preparation import image_key, prepare_images
from agezoo.workflows.tracking import TrackedParent

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

EXAMPLES = 4


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation left in its folder.

    Attributes
    ----------
    folder
        Holds ``fold_*/`` (weights, history, figures), the two tables below, ``calibration.json`` fitted on the first
        of them, ``metrics.json`` and ``report.html``.
    out_of_fold
        Prediction table with every cross-validated image, each predicted by the fold that did not train on its subject;
        corrected ages and intervals of each fold are fitted on the other folds.
    test
        Prediction table of the test rows by the ensemble of all folds, or ``None`` without test rows; corrected ages
        and intervals by the calibration file.
    weights
        The folds' weight files.
    metrics
        Content of ``metrics.json``.
    """

    folder: Path
    out_of_fold: pd.DataFrame
    test: pd.DataFrame | None
    weights: tuple[WeightsFile, ...]
    metrics: Mapping[str, Any]


def cross_validate(
    bundle: str,
    datalist: str | Path,
    out: str | Path,
    *,
    configs: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    tracking: str | None = None,
    workers: int = 2,
    jobs: int = 1,
    verbose: bool = False,
) -> CrossValidation:
    """Train every fold through ``monai.bundle run training``, predict out of fold and, as an ensemble, the test rows.

    A run that was stopped goes on where it was when called again with the same arguments: finished folds are kept,
    an unfinished one resumes behind its last epoch. Weights of the last epoch are kept, not of the best one:
    choosing the epoch on the fold that is reported would flatter the result.

    Parameters
    ----------
    bundle
        Name of the bundle.
    datalist
        Datalist whose training rows have folds.
    out
        Output folder.
    configs
        Overlays behind ``train.json``, by name or path, e.g. ``["phantom"]``.
    overrides
        Config ids and values for the training, e.g. ``{"max_epochs": 50}``.
    tracking
        ``"mlflow"`` logs one parent run with a child per fold into ``out/mlruns.db``.
    workers
        Processes that read and preprocess images.
    jobs
        Folds trained side by side, each in a process of its own.
    verbose
        Show MONAI's own messages.

    Raises
    ------
    InputError
        If the datalist has no folds, or `out` holds another cross-validation.
    """
    out = Path(out).resolve()
    listed = load_datalist(datalist)
    folds = listed.fold_numbers()
    if len(folds) < 2:
        raise InputError(
            "no folds to cross-validate",
            source=datalist,
            found=f"folds {folds}",
            expected="training rows with at least two folds",
            remedy="build the datalist with agezoo datalist ... --folds 5",
        )
    check_settings(bundle, ["train.json", *configs, *bundle_facts(bundle).further_stages], overrides or {})
    if (overrides or {}).get("keep", "last") != "last":
        raise InputError(
            "cross-validation keeps the weights of the last epoch",
            source="keep",
            found=overrides["keep"] if overrides else None,
            remedy="leave it out; choosing the epoch on the fold that is reported would flatter the result",
        )
    _claim(out, bundle, datalist, configs, overrides or {})
    cache = out / "cache"
    rows = [row for _, row in _rows(listed)]
    failures = prepare_images(bundle, rows, cache, configs=configs, overrides=overrides, workers=workers)
    usable = _without(listed, failures)
    used = save_datalist(usable, out / "datalist.json")
    parent = TrackedParent(tracking, out, name=f"{bundle} cross-validation", experiment=bundle)
    settings: dict[str, Any] = {
        "datalist": used,
        "cache_dir": cache,
        "experiment_name": bundle,
        **(overrides or {}),
        "keep": "last",
    }
    with parent:
        trainings = [
            FoldTraining(
                bundle=bundle,
                fold=fold,
                folder=out / f"fold_{fold}",
                configs=tuple(str(config) for config in configs),
                overrides=settings | parent.child_settings(f"fold {fold}"),
                tracking=tracking,
                verbose=verbose,
            )
            for fold in folds
        ]
        train_folds(trainings, jobs=jobs)
        weights = [describe(training.folder / "model.pt") for training in trainings]
        # The calibration of an earlier call was fitted on the very rows that are predicted now.
        (out / CALIBRATION).unlink(missing_ok=True)
        with held_back("agezoo.engines.prediction_writer"):
            out_of_fold = _out_of_fold(
                bundle, usable, folds, weights, out, cache, _failed_rows(listed, failures, "training")
            )
        out_of_fold = _calibrated(bundle, out_of_fold, weights, out, datalist_hash(used))
        test = _test(bundle, usable, weights, out, cache, _failed_rows(listed, failures, "test"))
        gallery = _examples(bundle, test, usable, weights, out, cache)
        metrics = _report(bundle, out, out_of_fold, test, gallery)
        parent.log(
            params={"bundle_version": bundle_version(bundle_root(bundle)), "folds": len(folds)},
            tags={"bundle": bundle, "datalist_sha256": datalist_hash(used)},
            metrics={k: v for k, v in metrics.items() if isinstance(v, int | float)},
            # Not the report, whose pictures show test cases by name.
            artifacts=[out / "metrics.json", out / "plots"],
        )
    return CrossValidation(out, out_of_fold, test, tuple(weights), metrics)


def _rows(listed: Datalist) -> list[tuple[str, dict[str, Any]]]:
    return [(section, row) for section in ("training", "test") for row in listed.rows(section)]


def _claim(
    out: Path, bundle: str, datalist: str | Path, configs: Sequence[str | Path], overrides: Mapping[str, Any]
) -> None:
    """Write down what this folder is for, or refuse when it is for something else."""
    folder = bundle_root(bundle) / "configs"
    identity = {
        "bundle": bundle,
        "bundle_version": bundle_version(bundle_root(bundle)),
        "datalist_sha256": datalist_hash(datalist),
        "configs": [config_path(folder, c).name for c in configs],
        "overrides": {k: str(v) for k, v in overrides.items()},
    }
    path = out / "crossval.json"
    if path.is_file():
        there = json.loads(path.read_text())
        differing = [k for k in identity if there.get(k) != identity[k]]
        if differing:
            raise InputError(
                "the folder holds another cross-validation",
                source=out,
                found="; ".join(f"{k}: {there.get(k)}" for k in differing),
                expected="; ".join(f"{k}: {identity[k]}" for k in differing),
                remedy="choose another --out, or delete the folder",
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(identity, indent=2) + "\n")


def _without(listed: Datalist, failures: Mapping[str, str]) -> Datalist:
    """The datalist without the images that cannot be used."""

    def usable(section: str) -> list[Any]:
        kept = zip(listed.section(section), listed.rows(section), strict=True)
        return [row for row, plain in kept if image_key(plain) not in failures]

    return listed.model_copy(update={s: usable(s) for s in ("training", "validation", "test")})


def _failed_rows(listed: Datalist, failures: Mapping[str, str], section: str) -> list[dict[str, Any]]:
    rows = [row for row in listed.rows(section) if image_key(row) in failures]
    return [prediction_row(row, error=failures[image_key(row)], qc="fail", qc_reasons="not read") for row in rows]


def _out_of_fold(
    bundle: str,
    usable: Datalist,
    folds: Sequence[int],
    weights: Sequence[WeightsFile],
    out: Path,
    cache: Path,
    failed: list[dict[str, Any]],
) -> pd.DataFrame:
    tables = [
        predict_rows(
            bundle,
            usable.rows("training", fold=fold),
            out / f"fold_{fold}",
            weights=[weight],
            overlays=False,
            cache_dir=cache,
            batch_size=16,
        )
        for fold, weight in zip(folds, weights, strict=True)
    ]
    if failed:
        tables.append(_table(failed, out / "fold_failed"))
    merged = merge_predictions(tables)
    write_predictions(merged, out, stem="out_of_fold")
    return read_predictions(out / "out_of_fold.csv")


def _calibrated(
    bundle: str, out_of_fold: pd.DataFrame, weights: Sequence[WeightsFile], out: Path, datalist_sha256: str
) -> pd.DataFrame:
    """Write the calibration file for predictions to come, and give the out-of-fold ones cross-fitted values."""
    known = out_of_fold["age_years"].notna() & out_of_fold["predicted_age_years"].notna()
    if not known.any():
        logger.info("no row has an age and a prediction: no calibration file")
        return out_of_fold
    kinds = bundle_facts(bundle).reader == "radiograph" and "modality" in out_of_fold
    by = "modality" if kinds and out_of_fold.loc[known, "modality"].notna().all() else None
    calibration = fit_calibration(
        out_of_fold, by=by, weights_sha256=[file.sha256 for file in weights], datalist_sha256=datalist_sha256
    )
    calibration.save(out / CALIBRATION)
    for note in calibration.notes:
        logger.info("calibration: %s", note)
    table = cross_fitted_intervals(out_of_fold, by=by)
    if calibration.correction is not None:
        try:
            table, notes, _ = cross_fit(table, calibration.correction.method, by=by)
        except InputError as error:
            notes = (f"out-of-fold ages are not corrected: {error.problem} ({error.source}: {error.found})",)
        for note in notes:
            logger.info("calibration: %s", note)
    if table["calibrated_sd_years"].isna().all():
        table = table.drop(columns="calibrated_sd_years")
    write_predictions(table, out, stem="out_of_fold")
    return read_predictions(out / "out_of_fold.csv")


def _table(rows: list[dict[str, Any]], folder: Path) -> pd.DataFrame:
    path = write_predictions(rows, folder)
    table = read_predictions(path)
    shutil.rmtree(folder)
    return table


def _test(
    bundle: str,
    usable: Datalist,
    weights: Sequence[WeightsFile],
    out: Path,
    cache: Path,
    failed: list[dict[str, Any]],
) -> pd.DataFrame | None:
    rows = usable.rows("test")
    if not rows and not failed:
        return None
    tables = []
    if rows:
        tables.append(
            predict_rows(bundle, rows, out / "test", weights=weights, overlays=False, cache_dir=cache, batch_size=16)
        )
    if failed:
        tables.append(_table(failed, out / "test_failed"))
    write_predictions(merge_predictions(tables), out, stem="test")
    return read_predictions(out / "test.csv")


def _examples(
    bundle: str, test: pd.DataFrame | None, usable: Datalist, weights: Sequence[WeightsFile], out: Path, cache: Path
) -> list[tuple[str, Path]]:
    """Pictures of a few test cases over the range of ages, for the report."""
    rows = usable.rows("test")
    if test is None or not rows:
        return []
    known = sorted((row for row in rows if row["age_years"] == row["age_years"]), key=lambda row: row["age_years"])
    chosen = known or rows
    chosen = [chosen[round(i * (len(chosen) - 1) / (EXAMPLES - 1))] for i in range(EXAMPLES)]
    chosen = list({image_key(row): row for row in chosen}.values())
    predict_rows(bundle, chosen, out / "examples", weights=weights, cache_dir=cache)
    # Of a radiograph there is a second picture, on the image as stored; the report shows what the network saw.
    pictures = [p for p in sorted((out / "examples" / "overlays").glob("*.png")) if not p.stem.endswith("_original")]
    return [
        (f"Test case {p.stem}, predicted by all folds together. Colour: where the age comes from.", p) for p in pictures
    ]


def _test_sections(test: pd.DataFrame) -> list[ReportSection]:
    """One section, or one per kind of image where there are several: an error on radiographs says nothing of VFA."""
    whole = ReportSection("Test (ensemble)", test, "The test rows of the datalist, predicted by all folds together.")
    if "modality" not in test or test["modality"].nunique() < 2:
        return [whole]
    return [replace(part, name=f"{whole.name}, {part.name}") for part in split_section(whole, "modality")]


def _report(
    bundle: str,
    out: Path,
    out_of_fold: pd.DataFrame,
    test: pd.DataFrame | None,
    gallery: Sequence[tuple[str, Path]],
) -> dict[str, Any]:
    sections: list[ReportSection | PairsSection] = [
        ReportSection(
            "Cross-validation (out of fold)",
            out_of_fold,
            "Every image predicted by the one model that was not trained on its subject; weights of the last epoch.",
        )
    ]
    if test is not None:
        sections += _test_sections(test)
    repeated = out_of_fold.dropna(subset=["predicted_age_years"])
    if repeated["subject_id"].duplicated().sum() >= 3:
        sections.append(
            PairsSection("Repeat scans", repeated, "First and repeat scan of one person, both predicted out of fold.")
        )
    return write_report(sections, out, title=f"{bundle}: cross-validation", gallery=gallery)
