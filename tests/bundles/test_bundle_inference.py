"""inference.json: cases of a folder or of a datalist become rows of the prediction table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agezoo.data.prediction_table import COLUMNS, read_predictions
from bundle_runs import CONFIGS, command, options, run_configs
from cohort_files import TINY, Cohort, write_corrupt_nifti, write_datalist, write_dicom, write_nifti

WIDTH = TINY["trunk_width"]


def test_command_line_predicts_a_folder_of_dicom_and_nifti(trained: Path, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_dicom(scans / "ward" / "case_1", 40.0, seed=5)
    write_nifti(scans / "case_2.nii.gz", 60.0, seed=6)
    write_corrupt_nifti(scans / "case_3.nii.gz")
    done = command(
        *("-m", "monai.bundle", "run", "inferring", "--config_file", CONFIGS / "inference.json"),
        *options(dataset_dir="scans", output_dir="results", weights=trained / "model.pt", trunk_width=WIDTH),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    table = read_predictions(tmp_path / "results" / "predictions.csv").set_index("image")
    assert list(table.columns[: len(COLUMNS) - 1]) == [name for name in COLUMNS if name != "image"]
    assert set(table.index) == {"ward/case_1", "case_2.nii.gz", "case_3.nii.gz"}
    assert table.loc["ward/case_1", "age_years"] == 40.0, "the header's age belongs into the table"
    assert np.isnan(table.loc["case_2.nii.gz", "age_years"]), "NIfTI knows no age"
    failed = table.loc["case_3.nii.gz"]
    assert np.isnan(failed["predicted_age_years"])
    assert "case_3.nii.gz" in failed["error"]
    assert failed["qc"] == "fail"
    assert table.drop("case_3.nii.gz")["predicted_age_years"].notna().all()
    pictures = {path.name for path in (tmp_path / "results" / "overlays").iterdir()}
    assert pictures == {"ward_case_1.png", "case_2.png"}


def test_dicom_and_nifti_of_the_same_torso_get_the_same_age(trained: Path, tmp_path: Path) -> None:
    write_dicom(tmp_path / "scans" / "as_dicom", 40.0, seed=5)
    write_nifti(tmp_path / "scans" / "as_nifti.nii", 40.0, seed=5)
    run_configs(
        "inferring", ["inference.json"], dataset_dir=str(tmp_path / "scans"), output_dir=str(tmp_path / "results"),
        weights=str(trained / "model.pt"), trunk_width=WIDTH, overlays=False,
    )  # fmt: skip
    dicom, nifti = read_predictions(tmp_path / "results" / "predictions.csv")["predicted_age_years"]
    assert dicom == nifti
    assert not (tmp_path / "results" / "overlays").exists()


def test_datalist_rows_keep_their_ages_and_own_columns(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    run_configs(
        "inferring", ["inference.json"], datalist=str(cohort.datalist), output_dir=str(tmp_path),
        weights=str(trained / "model.pt"), trunk_width=WIDTH, overlays=False, cache_dir=str(cohort.cache),
    )  # fmt: skip
    table = read_predictions(tmp_path / "predictions.csv")
    rows = cohort.rows("test")
    assert list(table["subject_id"]) == [row["subject_id"] for row in rows]
    assert list(table["age_years"]) == [row["age_years"] for row in rows]
    assert np.allclose(table["gap_years"], table["predicted_age_years"] - table["age_years"], atol=1e-3)


def test_rows_without_an_age_are_predicted_and_get_no_gap(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    rows = [
        {"image": str(cohort.folder / row["image"]), "subject_id": row["subject_id"]} for row in cohort.rows("test")
    ]
    run_configs(
        "inferring", ["inference.json"], datalist=str(write_datalist(tmp_path / "ages_unknown.json", test=rows)),
        output_dir=str(tmp_path), weights=str(trained / "model.pt"), trunk_width=WIDTH, overlays=False,
    )  # fmt: skip
    table = read_predictions(tmp_path / "predictions.csv")
    assert table["predicted_age_years"].notna().all()
    assert table["age_years"].isna().all()
    assert table["gap_years"].isna().all()


@pytest.mark.parametrize("members", [1, 2])
def test_only_an_ensemble_has_an_epistemic_sd(cohort: Cohort, trained: Path, tmp_path: Path, members: int) -> None:
    weights = [str(trained / "model.pt")] * members
    run_configs(
        "inferring", ["inference.json"], datalist=str(cohort.datalist), output_dir=str(tmp_path),
        weights=f"${weights!r}", trunk_width=WIDTH, overlays=False, cache_dir=str(cohort.cache),
    )  # fmt: skip
    table = read_predictions(tmp_path / "predictions.csv")
    assert (table["aleatoric_sd_years"] > 0).all()
    if members == 1:
        assert table["epistemic_sd_years"].isna().all()
    else:
        assert (table["epistemic_sd_years"] == 0).all(), "equal members do not disagree"
