"""phantom.json: the recipe on synthetic people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agezoo.data.datalist import load_datalist
from agezoo.data.prediction_table import read_predictions
from bundle_runs import CONFIGS, run_configs, training_settings
from cohort_files import Cohort

OVERLAID = ["train.json", "phantom.json"]


def test_overlay_keeps_the_recipe() -> None:
    # A phantom run that changed preprocessing, layout or loss would not exercise the recipe that it stands for.
    overlay = json.loads((CONFIGS / "phantom.json").read_text())
    train = json.loads((CONFIGS / "train.json").read_text())
    assert overlay.keys() - {"phantom_dir", "phantom_subjects", "weights"} <= train.keys()
    nested = {name for name, value in train.items() if isinstance(value, dict | list)}
    assert not nested & overlay.keys()


def test_overlay_trains_and_evaluates_on_a_given_cohort(cohort: Cohort, tmp_path: Path) -> None:
    # An own datalist of phantoms: nothing is drawn, and what is trained on it is marked as phantom weights.
    document = json.loads(cohort.datalist.read_text()) | {"origin": "phantom"}
    datalist = cohort.folder / "as_phantoms.json"
    datalist.write_text(json.dumps(document))
    settings = training_settings(cohort, tmp_path, datalist=str(datalist), dataset_dir=str(cohort.folder), max_epochs=1)
    run_configs("training", OVERLAID, **settings)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["origin"] == "phantom"

    settings.pop("max_epochs")
    evaluated = settings | {"output_dir": str(tmp_path / "evaluation"), "weights": str(tmp_path / "model.pt")}
    run_configs("evaluating", ["train.json", "phantom.json", "evaluate.json"], **evaluated)
    table = read_predictions(tmp_path / "evaluation" / "predictions.csv")
    assert set(table["weights_origin"]) == {"phantom"}
    assert "Phantom weights" in (tmp_path / "evaluation" / "report.html").read_text()


@pytest.mark.slow
def test_overlay_draws_its_own_cohort(tmp_path: Path) -> None:
    phantom_dir = tmp_path / "phantom"
    run_configs(
        "training", OVERLAID, phantom_dir=str(phantom_dir), phantom_subjects=6, max_epochs=1, trunk_width=4, fold=1
    )
    cohort = phantom_dir / "cohort"
    listed = load_datalist(cohort / "datalist.json")
    assert listed.origin == "phantom"
    assert len({row.subject_id for _, _, row in listed.all_rows()}) == 6
    assert len(list((cohort / "images").iterdir())) == len(listed)
    record = json.loads((phantom_dir / "models" / "model.json").read_text())
    assert record["origin"] == "phantom"
    assert record["fold"] == 1
    assert (phantom_dir / "eval" / "training.png").is_file()
