"""The prediction table: what a row holds, what the files hold, what survives a crash."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from agezoo.data.datalist import Datalist, DatalistRow
from agezoo.data.prediction_table import (
    COLUMNS,
    PredictionTableWriter,
    as_table,
    merge_predictions,
    prediction_row,
    read_predictions,
    table_flags,
    write_predictions,
)
from agezoo.errors import InputError

KNOWN = {"image": "a.nii.gz", "subject_id": "s1", "session": "ses-1", "fold": 2, "age_years": 40.0, "sex": "F"}


def rows_of_a_datalist() -> list[dict[str, Any]]:
    """Rows as a dataset gets them: one with every fact, one with nothing but an image and a subject."""
    full = DatalistRow(
        image="a.nii.gz", subject_id="010", age_years=50, sex="M", fold=0, session="b", group="HC", site="X",
        time_years=2.5, event=1, covariates={"bmi": 22.123456, "ward": "7b", "sex": "twice"},
    )  # fmt: skip
    bare = DatalistRow(image="b.nii.gz", subject_id="9")
    return Datalist(test=[full, bare], folder=Path("/cohort")).rows("test")


def test_the_columns_are_those_of_the_contract_in_its_order() -> None:
    assert ",".join(COLUMNS) == (
        "subject_id,image,session,fold,age_years,sex,predicted_age_years,aleatoric_sd_years,epistemic_sd_years,"
        "lower_years,upper_years,corrected_age_years,gap_years,corrected_gap_years,qc,qc_reasons,error,bundle,"
        "bundle_version,weights_sha256,weights_origin"
    )


def test_gaps_are_prediction_minus_age() -> None:
    row = prediction_row(KNOWN, predicted_age_years=43.5, corrected_age_years=39.0)
    assert (row["gap_years"], row["corrected_gap_years"]) == (3.5, -1.0)
    ageless = prediction_row({**KNOWN, "age_years": math.nan}, predicted_age_years=43.5, corrected_age_years=39.0)
    assert (ageless["age_years"], ageless["gap_years"], ageless["corrected_gap_years"]) == (None, None, None)


def test_results_without_a_column_of_the_contract_follow_it_where_they_are_known() -> None:
    results = {
        "expected_age_years": 43.2, "first_stage_age_years": 41.0, "discretised_age_years": 40.0,
        "calibrated_sd_years": 5.0, "gap_z": 0.7, "interval_level": 0.8,
        "registration_overlap": 0.95, "registration_correlation": 0.9,
    }  # fmt: skip
    row = prediction_row(KNOWN, predicted_age_years=43, modality="vfa", **results)
    assert {name: row[name] for name in row if name not in COLUMNS} == {**results, "modality": "vfa"}
    assert set(prediction_row(KNOWN, predicted_age_years=43)) == set(COLUMNS)
    # A covariate of that name is another thing, whether or not the model gives its own.
    listed = {**KNOWN, "covariates": {"gap_z": 9.0, "modality": "radiograph"}}
    row = prediction_row(listed, predicted_age_years=43)
    assert (row["covariate_gap_z"], row["modality"]) == (9.0, "radiograph")


def test_a_cascade_and_its_registration_come_back_from_disk(tmp_path: Path) -> None:
    """Beside a person of whom they are not known; with the digits that mean something."""
    full = prediction_row(
        {"image": "a.nii.gz", "subject_id": "a", "age_years": 60.0}, predicted_age_years=61.25,
        first_stage_age_years=63.75, discretised_age_years=65.0,
        registration_overlap=0.95123456, registration_correlation=0.875,
    )  # fmt: skip
    bare = prediction_row({"image": "b.nii.gz", "subject_id": "b", "age_years": 60.0}, predicted_age_years=61.25)
    path = write_predictions([bare, full], tmp_path)
    names = ["first_stage_age_years", "discretised_age_years", "registration_overlap", "registration_correlation"]
    for file in (path, path.with_suffix(".parquet")):
        table = read_predictions(file)
        assert table.loc[0, names].tolist() == [63.75, 65.0, 0.9512, 0.875]
        assert table.loc[1, names].isna().all()
        assert list(table.columns[-4:]) == names


def test_stand_ins_of_a_dataset_become_empty_cells_again() -> None:
    full, bare = (prediction_row(row, predicted_age_years=60) for row in rows_of_a_datalist())
    assert full["image"] == "a.nii.gz"
    assert (full["group"], full["site"], full["time_years"], full["event"]) == ("HC", "X", 2.5, 1)
    assert (full["bmi"], full["ward"], full["covariate_sex"], full["sex"]) == (22.123456, "7b", "twice", "M")
    unknown = ("session", "fold", "age_years", "sex", "gap_years", "qc", "qc_reasons", "error", "bmi", "ward")
    assert {bare[name] for name in unknown} == {None}
    assert "group" not in bare


def test_values_from_batches_are_plain_numbers() -> None:
    batch = {**KNOWN, "age_years": torch.tensor(40.0), "fold": np.int64(2)}
    row = prediction_row(batch, predicted_age_years=torch.tensor([41.5])[0], aleatoric_sd_years=np.float32(2.5))
    assert json.loads(json.dumps(row)) == row
    assert (row["fold"], row["predicted_age_years"], row["aleatoric_sd_years"]) == (2, 41.5, 2.5)


@pytest.mark.parametrize(
    "values",
    [{}, {"predicted_age_years": math.nan}, {"predicted_age_years": 40, "error": "no"}, {"error": "no", "qc": "good"}],
)
def test_a_row_has_a_prediction_or_an_error_and_a_known_verdict(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"either a finite|qc is one of"):
        prediction_row(KNOWN, **values)


def test_csv_and_parquet_hold_the_same_rounded_sorted_table(tmp_path: Path) -> None:
    rows = [
        prediction_row(
            {**KNOWN, "subject_id": name}, predicted_age_years=40 + 1 / 3, qc="pass", weights_origin="trained"
        )
        for name in ("s10", "s9", "s1")
    ]
    rows.append(prediction_row({**KNOWN, "subject_id": "s2"}, error="slices are missing"))
    path = write_predictions(rows, tmp_path / "out")
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "s1,a.nii.gz,ses-1,2,40.0,F,40.3333,,,,,,0.3333,,pass,,,,,,trained"
    assert [line.split(",")[0] for line in lines[1:]] == ["s1", "s2", "s9", "s10"]
    csv, parquet = read_predictions(path), read_predictions(tmp_path / "out" / "predictions.parquet")
    pd.testing.assert_frame_equal(csv, parquet)
    assert csv["error"].tolist()[1] == "slices are missing"
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["predictions.csv", "predictions.parquet"]


def test_identifiers_keep_their_leading_zeros(tmp_path: Path) -> None:
    rows = [prediction_row(row, predicted_age_years=60, bundle_version="0.1") for row in rows_of_a_datalist()]
    table = read_predictions(write_predictions(rows, tmp_path))
    assert table["subject_id"].tolist() == ["9", "010"]
    assert table["bundle_version"].tolist() == ["0.1", "0.1"]
    assert list(table.columns[len(COLUMNS) :]) == [
        "group",
        "site",
        "time_years",
        "event",
        "bmi",
        "ward",
        "covariate_sex",
    ]
    assert table["fold"].isna().tolist() == [True, False]


def test_an_unknown_value_is_empty_never_zero(tmp_path: Path) -> None:
    path = write_predictions([prediction_row(rows_of_a_datalist()[1], error="unreadable")], tmp_path)
    assert path.read_text().splitlines()[1] == "9,b.nii.gz" + "," * 15 + "unreadable" + "," * 7


def test_an_empty_table_still_has_its_columns(tmp_path: Path) -> None:
    table = as_table([])
    assert tuple(table.columns) == COLUMNS
    assert str(table["age_years"].dtype) == "float64"


def test_a_crash_loses_no_row_and_a_resumed_run_keeps_them(tmp_path: Path) -> None:
    def interrupted() -> None:
        with PredictionTableWriter(tmp_path) as writer:
            writer.append(prediction_row(KNOWN, predicted_age_years=41))
            writer.append(prediction_row({**KNOWN, "subject_id": "s2"}, predicted_age_years=42))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match=r"power cut"):
        interrupted()
    assert [item.name for item in tmp_path.iterdir()] == ["predictions.partial.jsonl"]
    partial = tmp_path / "predictions.partial.jsonl"
    with partial.open("a") as stream:
        stream.write('{"subject_id": "s3", "predic')
    assert read_predictions(partial)["predicted_age_years"].tolist() == [41, 42]
    with PredictionTableWriter(tmp_path, resume=True) as writer:
        assert [row["subject_id"] for row in writer.rows] == ["s1", "s2"]
        writer.append(prediction_row({**KNOWN, "subject_id": "s0"}, predicted_age_years=43))
    assert read_predictions(tmp_path / "predictions.csv")["subject_id"].tolist() == ["s0", "s1", "s2"]
    assert not partial.exists()


def test_rows_are_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    writer = PredictionTableWriter(tmp_path)
    writer.append(prediction_row(KNOWN, predicted_age_years=41))
    assert json.loads(writer.partial.read_text())["predicted_age_years"] == 41
    writer.finish()


def test_a_new_run_sets_the_rows_of_an_interrupted_one_aside(tmp_path: Path) -> None:
    (tmp_path / "predictions.partial.jsonl").write_text('{"subject_id": "old"}\n')
    with PredictionTableWriter(tmp_path) as writer:
        writer.append(prediction_row(KNOWN, predicted_age_years=41))
    assert read_predictions(tmp_path / "predictions.csv")["subject_id"].tolist() == ["s1"]
    assert "old" in (tmp_path / "predictions.interrupted.jsonl").read_text()


def test_a_table_from_elsewhere_needs_two_columns_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("age_years;predicted_age_years;lab\n40,5;42\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"different numbers of cells"):
        read_predictions(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("age_years;predicted_age_years;lab\n40,5;42;x\n50;;y\n", encoding="utf-8")
    table = read_predictions(tmp_path / "t.csv")
    assert tuple(table.columns) == (*COLUMNS, "lab")
    assert table["gap_years"].tolist()[0] == 1.5
    assert table["gap_years"].isna().tolist() == [False, True]
    assert table["subject_id"].tolist() == ["row-00001", "row-00002"]
    assert table["aleatoric_sd_years"].isna().all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "age_years,prediction\n1,2\n", "predicted_age_years is missing.*age_years, prediction"),
        ("t.csv", "age_years,predicted_age_years\n1,2\nx,3\n", "has 1 cells that are no numbers.*'x' in data row 2"),
        ("t.csv", "age_years,predicted_age_years\ninf,3\n", "infinite"),
        ("t.csv", "age_years,predicted_age_years,gap_years\n50,53,-3\n", "minus age_years.*-3 instead of 3"),
        ("t.parquet", "no parquet", "not a Parquet file"),
        ("t.jsonl", "{}\nbroken\n{}\n", "line 2 is not JSON"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_predictions(tmp_path / name)


def test_out_of_fold_tables_join_into_one(tmp_path: Path) -> None:
    first = write_predictions([prediction_row(KNOWN, predicted_age_years=41, bundle="ct_age")], tmp_path, stem="0")
    other = {**KNOWN, "subject_id": "s0", "covariates": {"bmi": 20.0}}
    second = as_table([prediction_row(other, predicted_age_years=42, bundle="ct_age")])
    merged = merge_predictions([first, second])
    assert merged["subject_id"].tolist() == ["s0", "s1"]
    assert merged["bmi"].isna().tolist() == [False, True]
    assert merged["fold"].tolist() == [2, 2]


def test_merging_refuses_doubled_rows_and_different_bundles() -> None:
    table = as_table([prediction_row(KNOWN, predicted_age_years=41, bundle="ct_age")])
    again = as_table([prediction_row(KNOWN, predicted_age_years=44, bundle="ct_age")])
    with pytest.raises(InputError, match=r"2 rows occur more than once.*subject s1, image a.nii.gz"):
        merge_predictions([table, again])
    other = as_table([prediction_row({**KNOWN, "image": "x"}, predicted_age_years=44, bundle="spine_age")])
    with pytest.raises(InputError, match=r"different bundles.*ct_age, spine_age"):
        merge_predictions([table, other])
    with pytest.raises(InputError, match=r"no prediction tables"):
        merge_predictions([])


def test_one_phantom_row_is_enough_for_the_banner() -> None:
    rows = [
        prediction_row({**KNOWN, "subject_id": "a"}, predicted_age_years=41, weights_origin="phantom"),
        prediction_row({**KNOWN, "subject_id": "b"}, predicted_age_years=41, weights_origin="published"),
        prediction_row({**KNOWN, "subject_id": "c"}, error="unreadable"),
    ]
    flags = table_flags(as_table(rows))
    assert (flags.n_rows, flags.n_predicted, flags.n_failed, flags.n_phantom) == (3, 2, 1, 1)
    assert flags.weights_origins == ("phantom", "published", "unknown")
    assert flags.banner is not None
    assert "1 of 3 rows" in flags.banner
    assert "mean nothing for real people" in flags.banner
    assert table_flags(as_table(rows[1:])).banner is None


@pytest.mark.sample_data
def test_the_published_points_are_a_table_from_elsewhere(sample_data: Path) -> None:
    table = read_predictions(sample_data / "tables" / "ct_age_published_points.csv")
    errors = table["gap_years"].abs().groupby(table["set"]).agg(["size", "mean"]).round(3)
    assert errors.loc["cross_validation"].tolist() == [1653, 5.756]
    assert errors.loc["test"].tolist() == [422, 6.499]
    assert table["subject_id"].is_unique
