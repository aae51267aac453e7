"""`agezoo robustness` on real files: what is predicted, what a bad case does, what a second call does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agezoo.cli import main
from agezoo.data.prediction_table import read_predictions
from agezoo.errors import InputError
from agezoo.networks.weights import describe
from agezoo.predict.cases import find_cases
from agezoo.predict.run import predict_rows
from agezoo.transforms.perturb import PERTURBATIONS
from agezoo.workflows.bundle_predictor import BundlePredictor, extent_mm
from agezoo.workflows.robustness import Robustness, robustness
from cohort_files import Cohort, write_corrupt_nifti, write_datalist, write_dicom, write_nifti

GRADES = {"noise": (20.0, 40.0), "crop_caudal": (0.2,), "slice_thickness": (5.0, 12.0)}


@pytest.fixture(scope="module")
def inputs(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four scans of three people in a datalist, with one that cannot be read, and a DICOM folder without a table."""
    folder = tmp_path_factory.mktemp("robustness_inputs")
    rows = [{**row, "image": str(cohort.folder / row["image"])} for row in cohort.rows("training")[1:5]]
    corrupt = write_corrupt_nifti(folder / "corrupt.nii.gz")
    rows.insert(1, {"image": str(corrupt), "subject_id": "CORRUPT", "age_years": 50.0})
    write_dicom(folder / "dicom" / "scan", 47.0, seed=5)
    return [write_datalist(folder / "listed.json", training=rows), folder / "dicom"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robustness")


@pytest.fixture(scope="module")
def result(inputs: list[Path], trained: Path, out: Path) -> Robustness:
    return robustness("ct_age", inputs, out, weights=trained / "model.pt", perturbations=list(GRADES), grades=GRADES)


def test_every_case_and_grade_is_a_row(result: Robustness, out: Path) -> None:
    table = pd.read_csv(out / "robustness.csv")
    assert len(table) == 5 * (1 + 5) + 1
    good = table[table["subject_id"] != "CORRUPT"]
    done = good[good["grade"] != 5.0]
    assert done["predicted_age_years"].notna().all()
    np.testing.assert_allclose(
        done["difference_years"].dropna(),
        (done["predicted_age_years"] - done["baseline_age_years"])[done["perturbation"] != "none"],
    )
    noise = done[done["perturbation"] == "noise"]
    assert (noise["difference_years"] != 0).sum() > len(noise) / 2
    assert set(noise["unit"]) == {"HU"}
    assert set(table["weights_origin"]) == {"trained"}
    assert not table["subject_id"].duplicated(keep=False)[table["subject_id"] == "CORRUPT"].any()


def test_the_unperturbed_age_is_that_of_predict(
    result: Robustness, inputs: list[Path], trained: Path, tmp_path: Path
) -> None:
    predict_rows("ct_age", find_cases(inputs), tmp_path, weights=[describe(trained / "model.pt")], overlays=False)
    predicted = read_predictions(tmp_path / "predictions.csv").set_index("image")
    mine = result.table[result.table["perturbation"] == "none"].set_index("image").loc[predicted.index]
    for name in ("predicted_age_years", "aleatoric_sd_years", "age_years"):
        np.testing.assert_allclose(mine[name].astype(float), predicted[name].astype(float), atol=2e-3)


def test_a_bad_case_is_a_row_with_its_reason(result: Robustness) -> None:
    (bad,) = result.table[result.table["subject_id"] == "CORRUPT"].to_dict("records")
    assert bad["perturbation"] == "none"
    assert "corrupt.nii.gz" in bad["error"]
    assert result.figures["n_failed"] == 1
    assert result.figures["n_cases"] == 5


def test_a_grade_that_changes_nothing_is_left_out(result: Robustness) -> None:
    thin, thick = result.figures["perturbations"]["slice_thickness"]
    assert (thin["n"], thin["n_not_applicable"], thin["n_failed"]) == (0, 5, 0)
    assert (thick["n"], thick["n_not_applicable"]) == (5, 0)
    reasons = result.table.loc[result.table["grade"] == 5.0, "error"]
    assert reasons.str.startswith("not applicable: the slices are that thick already; found: 6 mm").all()


def test_ages_come_from_the_datalist_or_the_header(result: Robustness) -> None:
    assert result.figures["n_with_age"] == 5
    dicom = result.table[result.table["image"] == "scan"]
    assert set(dicom["age_years"]) == {47.0}
    assert result.figures["repeat_scans"] == {"n_pairs": 1}


def test_files_and_page(result: Robustness, out: Path) -> None:
    assert json.loads((out / "robustness.json").read_text()) == result.figures
    page = (out / "robustness.html").read_text()
    assert "What was done" in page
    for name in GRADES:
        assert PERTURBATIONS[name].title in page
    assert {p.stem for p in (out / "plots").iterdir()} == {
        "agreement", "error", "example", *(f"difference_{name}" for name in GRADES)
    }  # fmt: skip


def test_a_second_call_keeps_what_is_done(
    result: Robustness, inputs: list[Path], trained: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    original = BundlePredictor.read

    def counting(self: BundlePredictor, image: Any) -> dict[str, Any]:
        read.append(image)
        return original(self, image)

    monkeypatch.setattr(BundlePredictor, "read", counting)
    options = {"weights": trained / "model.pt", "perturbations": list(GRADES), "grades": GRADES}
    again = robustness("ct_age", inputs, out, **options)
    pd.testing.assert_frame_equal(again.table, result.table)
    # The unreadable one is tried again; the example is read for its picture.
    assert len(read) == 2
    read.clear()
    other = robustness("ct_age", inputs, out, **{**options, "seed": 1}, limit=1)
    assert len(read) == 2
    # The same scan as the first one before, under another noise.
    assert other.table["predicted_age_years"].iloc[0] == result.table["predicted_age_years"].iloc[0]
    noise = [list(t.loc[t["perturbation"] == "noise", "difference_years"])[:2] for t in (other.table, result.table)]
    assert noise[0] != noise[1]


def test_unusable_inputs_alone_are_an_error(trained: Path, tmp_path: Path) -> None:
    corrupt = write_corrupt_nifti(tmp_path / "corrupt.nii.gz")
    with pytest.raises(InputError, match="no case could be predicted"):
        robustness("ct_age", [corrupt], tmp_path / "out", weights=trained / "model.pt", perturbations=["noise"])
    assert (tmp_path / "out" / "robustness.csv").is_file()


def test_command_prints_a_table(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = write_nifti(tmp_path / "scan.nii.gz", 50.0, seed=4)
    arguments = [
        "robustness",
        "ct_age",
        str(scan),
        "--out",
        str(tmp_path / "out"),
        "--weights",
        str(trained / "model.pt"),
    ]
    assert main([*arguments, "--grades", "hu_offset=-30,30", "noise=15"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[:3] for line in printed.splitlines()[2:5]] == [
        ["hu_offset", "-30", "1"], ["hu_offset", "30", "1"], ["noise", "15", "1"]
    ]  # fmt: skip
    assert "PHANTOM WEIGHTS" not in printed
    assert main([*arguments, "--grades", "noise=strong"]) == 1
    assert "grades cannot be read; found: noise=strong" in capsys.readouterr().err
    assert main([*arguments, "--perturbations", "fog"]) == 1
    assert "no such perturbation; found: fog" in capsys.readouterr().err


def test_extent_is_in_space(trained: Path, tmp_path: Path) -> None:
    predictor = BundlePredictor("ct_age", [describe(trained / "model.pt")])
    item = predictor.read(str(write_nifti(tmp_path / "scan.nii.gz", 50.0, seed=4)))
    assert extent_mm(item) == pytest.approx((360.0, 300.0, 480.0))
    assert tuple(predictor.prepare(item).shape) == (1, 224, 224)
