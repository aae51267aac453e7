"""evaluate.json over train.json: which rows are judged, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError, WeightsError
from agezoo.networks.weights import describe
from agezoo.workflows.bundle_run import run_bundle
from bundle_runs import run_configs, training_settings
from cohort_files import Cohort

OVERLAID = ["train.json", "evaluate.json"]


def evaluation_settings(cohort: Cohort, trained: Path, out: Path, **overrides: Any) -> dict[str, Any]:
    settings = training_settings(cohort, trained, output_dir=str(out), **overrides)
    settings.pop("max_epochs")
    return settings


def test_validation_rows_are_those_of_the_fold_that_was_held_out(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    run_configs("evaluating", OVERLAID, **evaluation_settings(cohort, trained, tmp_path))
    table = read_predictions(tmp_path / "predictions.csv")
    expected = [row["image"] for row in cohort.rows("training") if row["fold"] == 0]
    assert sorted(table["image"]) == sorted(expected)
    assert table["predicted_age_years"].notna().all()
    assert set(table["weights_sha256"]) == {describe(trained / "model.pt").sha256}
    assert set(table["weights_origin"]) == {"trained"}

    metrics = json.loads((tmp_path / "metrics.json").read_text())
    errors = (table["predicted_age_years"] - table["age_years"]).abs()
    assert metrics["mae_years"] == pytest.approx(errors.mean(), abs=1e-6)
    assert metrics["n"] == len(expected)
    # What the trainer saw for the same weights; ages in the table are rounded to 4 decimals.
    recorded = json.loads((trained / "model.json").read_text())["validation"]["val_mae_years"]
    assert metrics["mae_years"] == pytest.approx(recorded, abs=1e-3)
    assert list((tmp_path / "plots").glob("*.png"))
    page = (tmp_path / "report.html").read_text()
    assert f"{metrics['mae_years']:.2f}" in page
    assert "antom weights" not in page


def test_plain_run_evaluates_the_test_section(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    run_configs(None, OVERLAID, **evaluation_settings(cohort, trained, tmp_path, section="test"))
    table = read_predictions(tmp_path / "predictions.parquet")
    assert sorted(table["image"]) == sorted(row["image"] for row in cohort.rows("test"))
    assert list(table["age_years"]) == [row["age_years"] for row in cohort.rows("test")]
    assert set(table["site"]) == {"elsewhere"}, "the datalist's own columns belong into the table"


def test_weights_that_are_not_there_are_never_replaced_by_random_ones(cohort: Cohort, tmp_path: Path) -> None:
    settings = evaluation_settings(cohort, tmp_path / "empty", tmp_path)
    with pytest.raises(WeightsError, match=r"empty/model\.pt: no weights there"):
        run_bundle("ct_age", "evaluating", OVERLAID, overrides=settings)
    assert not (tmp_path / "predictions.csv").exists()


def test_weights_of_another_width_are_refused(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    settings = evaluation_settings(cohort, trained, tmp_path, trunk_width=8)
    with pytest.raises(WeightsError, match=r"another network layout.*\(4,\) in the file"):
        run_bundle("ct_age", "evaluating", OVERLAID, overrides=settings)


def test_a_section_that_does_not_exist(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    settings = evaluation_settings(cohort, trained, tmp_path, section="holdout")
    with pytest.raises(InputError, match=r"no such section.*holdout.*training, validation, test"):
        run_bundle("ct_age", "evaluating", OVERLAID, overrides=settings)
