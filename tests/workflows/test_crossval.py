"""Cross-validation on real files: who is predicted by which model, what is kept, what a second call does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.bias_correction import BiasCorrection
from agezoo.analysis.calibration import Calibration
from agezoo.analysis.conformal import fit_intervals
from agezoo.data.datalist import datalist_hash
from agezoo.data.prediction_table import prediction_row, read_predictions, write_predictions
from agezoo.errors import InputError
from agezoo.networks.weights import WeightsFile, describe
from agezoo.workflows import crossval as crossval_module
from agezoo.workflows import fold_training
from agezoo.workflows.bundle_run import run_bundle
from agezoo.workflows.crossval import CrossValidation, cross_validate
from cohort_files import FOLDS, TINY, Cohort, write_corrupt_nifti

SETTINGS = {**TINY, "max_epochs": 1}
UNREADABLE = {"training": "CANARYSUBJECT-BROKEN", "test": "CANARYSUBJECT-T-BROKEN"}


@pytest.fixture(scope="module")
def datalist(cohort: Cohort) -> Path:
    """The tiny cohort with one image in the training and one in the test rows that cannot be read."""
    document = json.loads(cohort.datalist.read_text())
    for section, subject in UNREADABLE.items():
        image = write_corrupt_nifti(cohort.folder / "images" / f"{subject}.nii.gz")
        row = {"image": image.relative_to(cohort.folder).as_posix(), "subject_id": subject, "age_years": 50.0}
        document[section].append({**row, "fold": 1} if section == "training" else row)
    path = cohort.folder / "with_unreadable.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture(scope="module")
def result(datalist: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    """A finished, tracked cross-validation."""
    out = tmp_path_factory.mktemp("crossval") / "out"
    # Two at a time, as the command line does; the later runs in these tests train one after the other.
    return cross_validate("ct_age", datalist, out, overrides=SETTINGS, tracking="mlflow", workers=0, jobs=2)


@pytest.fixture
def trained_folds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The folds that are trained while a test runs; they are trained for real."""
    folds: list[int] = []

    def counting(bundle: str, run_id: str, configs: Any, *, overrides: Mapping[str, Any], **others: Any) -> None:
        assert run_id == "training"
        folds.append(overrides["fold"])
        run_bundle(bundle, run_id, configs, overrides=overrides, **others)

    monkeypatch.setattr(fold_training, "run_bundle", counting)
    return folds


def rows_of(datalist: Path, section: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(datalist.read_text())[section]
    return rows


def test_every_image_is_predicted_once_by_the_model_of_its_own_fold(result: CrossValidation, datalist: Path) -> None:
    table = read_predictions(result.folder / "out_of_fold.csv")
    listed = {row["subject_id"] + row.get("session", ""): row["fold"] for row in rows_of(datalist, "training")}
    found = dict(zip(table["subject_id"] + table["session"].fillna(""), table["fold"], strict=True))
    assert len(table) == len(listed)
    assert found == listed
    assert set(table["image"]) == {row["image"] for row in rows_of(datalist, "training")}, "as the user listed them"
    predicted = table[table["predicted_age_years"].notna()]
    assert len(predicted) == len(listed) - 1
    sha256 = {fold: describe(result.folder / f"fold_{fold}" / "model.pt").sha256 for fold in range(FOLDS)}
    assert len(set(sha256.values())) == FOLDS
    assert list(predicted["weights_sha256"]) == [sha256[fold] for fold in predicted["fold"]]


def test_a_fold_is_not_trained_on_its_own_rows(result: CrossValidation, datalist: Path) -> None:
    usable = [row for row in rows_of(datalist, "training") if row["subject_id"] not in UNREADABLE.values()]
    for fold in range(FOLDS):
        record = json.loads((result.folder / f"fold_{fold}" / "model.json").read_text())
        assert record["fold"] == fold
        assert record["n_training"] == sum(row["fold"] != fold for row in usable)
        assert record["kept"] == "last", "choosing the epoch on the reported fold would flatter the result"
        assert record["epoch"] == SETTINGS["max_epochs"]
        assert record["datalist_sha256"] == datalist_hash(result.folder / "datalist.json")


def test_unreadable_images_are_left_out_and_told(result: CrossValidation) -> None:
    assert result.test is not None
    for table, subject in zip((result.out_of_fold, result.test), UNREADABLE.values(), strict=True):
        row = table.set_index("subject_id").loc[subject]
        assert pd.isna(row["predicted_age_years"])
        assert f"{subject}.nii.gz" in row["error"]
        assert row["qc"] == "fail"
        assert row["age_years"] == 50.0
        assert table["error"].notna().sum() == 1
    kept = json.loads((result.folder / "datalist.json").read_text())
    assert not {row["subject_id"] for row in kept["training"] + kept["test"]} & set(UNREADABLE.values())


def test_test_rows_are_predicted_by_all_models_together(result: CrossValidation, datalist: Path) -> None:
    assert result.test is not None
    assert sorted(result.test["image"]) == sorted(row["image"] for row in rows_of(datalist, "test"))
    predicted = result.test[result.test["predicted_age_years"].notna()]
    assert (predicted["epistemic_sd_years"] > 0).all(), "models of different folds disagree"
    assert (predicted["aleatoric_sd_years"] > 0).all()
    assert not set(predicted["weights_sha256"]) & {weight.sha256 for weight in result.weights}
    assert result.out_of_fold["epistemic_sd_years"].isna().all(), "one model alone has no spread"


def test_test_rows_are_corrected_by_the_calibration_of_the_out_of_fold_rows(result: CrossValidation) -> None:
    assert result.test is not None
    calibration = Calibration.load(result.folder / "calibration.json")
    fitted = calibration.fitted_on
    predicted = result.out_of_fold["predicted_age_years"].notna()
    assert fitted.how == "out of fold"
    assert (fitted.rows, fitted.subjects) == (int(predicted.sum()), result.out_of_fold[predicted].subject_id.nunique())
    assert fitted.weights_sha256 == tuple(sorted(weight.sha256 for weight in result.weights))
    assert fitted.datalist_sha256 == datalist_hash(result.folder / "datalist.json")
    assert calibration.correction is not None
    test = result.test[result.test["predicted_age_years"].notna()]
    by_hand = BiasCorrection.fit(result.out_of_fold, "beheshti").apply(test)
    assert test["corrected_age_years"].to_numpy() == pytest.approx(by_hand["corrected_age_years"], abs=1e-3)
    # Twelve people are too few for an interval, and eight for the correction of the others' fold.
    assert result.test["lower_years"].isna().all()
    assert result.out_of_fold[["corrected_age_years", "lower_years"]].isna().all(axis=None)


def test_out_of_fold_values_come_from_the_other_folds_and_later_ones_from_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    age = rng.uniform(40, 90, 120)
    rows = [
        prediction_row(
            {"image": f"{i}.dcm", "subject_id": f"s{i}", "age_years": age[i], "fold": i % 3},
            predicted_age_years=20 + 0.7 * age[i] + rng.normal(0, 4),
            aleatoric_sd_years=3.0,
            bundle="ct_age",
        )
        for i in range(120)
    ]
    rows.append(prediction_row({"image": "x.dcm", "subject_id": "x", "age_years": 50.0, "fold": 0}, error="no"))
    path = write_predictions(rows, tmp_path, stem="out_of_fold")
    weights = [WeightsFile(tmp_path / f"fold_{fold}" / "model.pt", f"{fold}" * 64, "trained") for fold in range(3)]
    table = crossval_module._calibrated("ct_age", read_predictions(path), weights, tmp_path, "d" * 64)
    pd.testing.assert_frame_equal(table, read_predictions(path))
    assert len(table) == 121
    for fold in range(3):
        own = table[(table["fold"] == fold) & table["predicted_age_years"].notna()]
        others = table[(table["fold"] != fold) & table["predicted_age_years"].notna()]
        corrected = BiasCorrection.fit(others, "beheshti").apply(own)
        assert own["corrected_age_years"].to_numpy() == pytest.approx(corrected["corrected_age_years"], abs=1e-3)
        bounds = fit_intervals(others)[0].applied(own)[0]
        for name in ("lower_years", "upper_years", "calibrated_sd_years"):
            assert own[name].to_numpy() == pytest.approx(bounds[name].to_numpy(), abs=1e-3)
    for_others = Calibration.load(tmp_path / "calibration.json")
    assert for_others.fitted_on.rows == 120
    assert for_others.intervals == fit_intervals(table)[0]


def test_kinds_of_radiograph_are_calibrated_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        prediction_row(
            {"image": f"{i}.dcm", "subject_id": f"s{i}", "age_years": age, "fold": i % 2},
            predicted_age_years=age + (9 if i % 3 else 0),
            modality="vfa" if i % 3 else "radiograph",
        )
        for i, age in enumerate(rng.uniform(40, 90, 180))
    ]
    table = read_predictions(write_predictions(rows, tmp_path))
    corrected = crossval_module._calibrated("spine_age", table, [], tmp_path, "d" * 64)
    assert corrected["corrected_gap_years"].abs().max() < 0.01
    assert list(Calibration.load(tmp_path / "calibration.json").intervals.groups) == ["radiograph", "vfa"]
    together = crossval_module._calibrated("ct_age", table, [], tmp_path, "d" * 64)
    assert together["corrected_gap_years"].abs().max() > 2


def test_report_and_metrics_tell_what_the_tables_hold(result: CrossValidation) -> None:
    metrics = json.loads((result.folder / "metrics.json").read_text())
    test = metrics["other_sections"]["Test (ensemble)"]
    for figures, table in ((metrics, result.out_of_fold), (test, result.test)):
        assert table is not None
        gap = (table["predicted_age_years"] - table["age_years"]).dropna()
        assert figures["n"] == len(gap)
        assert figures["n_failed"] == 1
        assert figures["mae_years"] == pytest.approx(gap.abs().mean(), abs=1e-6)
        assert figures["bias_years"] == pytest.approx(gap.mean(), abs=1e-6)
    page = (result.folder / "report.html").read_text()
    assert f"{metrics['mae_years']:.2f}" in page
    assert f"{test['mae_years']:.2f}" in page
    assert "Phantom weights" not in page
    assert page.count("data:image/png") >= 4
    assert "Test case CANARYSUBJECT-T" in page, "pictures of a few test cases belong to the report"


def test_one_tracked_parent_with_a_child_per_fold(result: CrossValidation, datalist: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{(result.folder / 'mlruns.db').as_posix()}")
    experiment = client.get_experiment_by_name("ct_age")
    runs = {run.info.run_name: run for run in client.search_runs(experiment.experiment_id)}
    assert set(runs) == {"ct_age cross-validation", *(f"fold {fold}" for fold in range(FOLDS))}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent = runs.pop("ct_age cross-validation")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    assert [runs[f"fold {fold}"].data.params["fold"] for fold in range(FOLDS)] == ["0", "1", "2"]
    assert parent.data.metrics["mae_years"] == pytest.approx(result.metrics["mae_years"])
    assert parent.data.tags["datalist_sha256"] == datalist_hash(result.folder / "datalist.json")
    assert {"metrics.json", "plots"} <= {item.path for item in client.list_artifacts(parent.info.run_id)}
    recorded = [result.folder / "mlruns.db", *(p for p in (result.folder / "mlruns").rglob("*") if p.is_file())]
    assert [path.name for path in recorded if b"CANARYSUBJECT" in path.read_bytes()] == []


def test_a_second_call_trains_nothing_and_tells_the_same(
    result: CrossValidation, datalist: Path, trained_folds: list[int]
) -> None:
    calibration = (result.folder / "calibration.json").read_text()
    again = cross_validate("ct_age", datalist, result.folder, overrides=SETTINGS, tracking="mlflow", workers=0)
    assert trained_folds == []
    # The calibration of the first call must not reach the rows that it was fitted on.
    pd.testing.assert_frame_equal(again.out_of_fold, result.out_of_fold)
    assert again.test is not None
    pd.testing.assert_frame_equal(again.test, result.test)
    assert (result.folder / "calibration.json").read_text() == calibration
    assert again.metrics == result.metrics
    test_one_tracked_parent_with_a_child_per_fold(again, datalist)


def test_only_folds_that_are_not_finished_are_trained(
    result: CrossValidation, datalist: Path, trained_folds: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pictures and pages take longer than the training here and are looked at above.
    monkeypatch.setattr(crossval_module, "_examples", lambda *_: [])
    monkeypatch.setattr(crossval_module, "_report", lambda *_: dict(result.metrics))
    before = [weight.sha256 for weight in result.weights]
    (result.folder / "fold_1" / "complete.json").unlink()
    (result.folder / "fold_2" / "model.pt").unlink()
    again = cross_validate("ct_age", datalist, result.folder, overrides=SETTINGS, workers=0)
    assert trained_folds == [1, 2]
    assert [weight.sha256 for weight in again.weights] == before, "the same seed gives the same weights"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"datalist": "cohort"}, "datalist_sha256"),
        ({"overrides": {**SETTINGS, "seed": 7}}, "overrides"),
        ({"configs": ["phantom"]}, r"configs.*phantom\.json"),
    ],
)
def test_the_folder_of_another_cross_validation_is_refused(
    result: CrossValidation,
    cohort: Cohort,
    datalist: Path,
    trained_folds: list[int],
    change: dict[str, Any],
    words: str,
) -> None:
    used = cohort.datalist if "datalist" in change else datalist
    others = {"overrides": SETTINGS, **{name: value for name, value in change.items() if name != "datalist"}}
    with pytest.raises(InputError, match=f"holds another cross-validation.*{words}.*choose another --out"):
        cross_validate("ct_age", used, result.folder, workers=0, **others)
    assert trained_folds == []


def test_a_misspelt_setting_is_refused_before_anything_is_written(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such setting.*max_epoch"):
        cross_validate("ct_age", cohort.datalist, tmp_path / "out", overrides={"max_epoch": 1}, workers=0)
    assert not (tmp_path / "out").exists()


def test_a_datalist_without_folds_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    document = json.loads(cohort.datalist.read_text())
    for row in document["training"]:
        row.pop("fold")
    path = cohort.folder / "unfolded.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"no folds to cross-validate.*agezoo datalist \.\.\. --folds 5"):
        cross_validate("ct_age", path, tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()


def test_phantoms_are_called_so_everywhere(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossval_module, "_examples", lambda *_: [])
    document = json.loads(cohort.datalist.read_text()) | {"origin": "phantom", "folds": 2}
    document["training"] = [{**row, "fold": row["fold"] % 2} for row in document["training"]]
    path = cohort.folder / "phantom.json"
    path.write_text(json.dumps(document))
    result = cross_validate("ct_age", path, tmp_path / "out", overrides=SETTINGS, workers=0)
    assert result.test is not None
    assert set(result.out_of_fold["weights_origin"]) == set(result.test["weights_origin"]) == {"phantom"}
    assert "Phantom weights" in (tmp_path / "out" / "report.html").read_text()
    assert not (tmp_path / "out" / "mlruns.db").exists(), "nothing is tracked unless asked for"
