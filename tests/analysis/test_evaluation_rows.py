"""Which rows count, and which tables are refused with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.evaluation_rows import evaluation_rows
from agezoo.errors import InputError


def _table(**columns: object) -> pd.DataFrame:
    base = {"age_years": [30.0, 40.0, 50.0, 60.0], "predicted_age_years": [31.0, 42.0, 53.0, 64.0]}
    return pd.DataFrame({**base, **columns})


def test_failed_rows_and_rows_without_age_are_left_out_and_counted() -> None:
    table = pd.DataFrame(
        {
            "subject_id": ["a", "b", "c", "d", "e", "f"],
            "age_years": [30, 40, 50, 60, None, 70],
            "predicted_age_years": [31, 42, 53, None, 55, None],
            "error": [None, "", " ", "slices are missing", None, None],
        }
    )
    rows = evaluation_rows(table)
    assert rows.frame["subject_id"].tolist() == ["a", "b", "c"]
    assert rows.frame["error_years"].tolist() == [1.0, 2.0, 3.0]
    assert rows.n_without_age == 1
    assert rows.failures[["subject_id", "error"]].values.tolist() == [
        ["d", "slices are missing"],
        ["f", "no prediction"],
    ]


def test_total_sd_holds_the_epistemic_part_where_it_is_known() -> None:
    table = _table(aleatoric_sd_years=[3, 3, 5, None], epistemic_sd_years=[4, None, 0, 1])
    rows = evaluation_rows(table)
    assert rows.frame["sd_years"].tolist()[:3] == [5.0, 3.0, 5.0]
    assert np.isnan(rows.frame["sd_years"].iloc[3])
    assert rows.sd_kind == "aleatoric and epistemic"
    assert "1 row has no SD; the uncertainty figures leave them out." in rows.notes
    assert "1 row has an aleatoric SD only, which is taken as their total SD." in rows.notes


def test_rows_without_a_name_are_subjects_of_their_own() -> None:
    rows = evaluation_rows(_table(subject_id=["a", None, "a", None]))
    assert rows.frame["cluster"].iloc[0] == rows.frame["cluster"].iloc[2]
    assert rows.frame["cluster"].nunique() == 3


def test_a_foreign_sd_column_is_taken_by_name() -> None:
    rows = evaluation_rows(_table(sigma_years=[1, 2, 3, 4]), sd_column="sigma_years")
    assert rows.frame["sd_years"].tolist() == [1, 2, 3, 4]
    assert rows.sd_kind == "aleatoric"


def test_sex_is_understood_in_words_and_foreign_codes_are_noted() -> None:
    rows = evaluation_rows(_table(sex=["female", "m", "2", None]))
    assert rows.frame["sex"].tolist()[:2] == ["F", "M"]
    assert rows.frame["sex"].isna().tolist() == [False, False, True, True]
    assert rows.notes == ("1 row has a sex that is neither F nor M; counted as unknown.",)


def test_decades_begin_at_the_round_year() -> None:
    rows = evaluation_rows(_table(age_years=[29.99, 30.0, 39.99, 100.0]))
    assert rows.frame["decade"].tolist() == [20, 30, 30, 100]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"Age": [1], "age_years": [2]}), "columns are missing: predicted_age_years; found: columns Age"),
        (_table().iloc[:0], "the table has no rows"),
        (_table().iloc[:2], "too few rows to evaluate; found: 2 of 2 rows"),
        (_table(predicted_age_years=[None] * 4), "found: 0 of 4 rows .*4 without a prediction"),
        (_table(age_years=[None] * 4), "0 of 4 rows .*4 without an age"),
        (_table(age_years=[50, 50, 50, 50]), "all ages are equal.*50 years in all 4 rows"),
        (_table(age_years=["30", "forty", "50", "60"]), "age_years has cells .*1 such cells, the first in data row 2"),
        (_table(predicted_age_years=[1, 2, np.inf, 3]), "predicted_age_years has cells .*data row 3"),
        (_table(age_years=[360, 480, 600, 720]), "cannot be ages in years; found: 4 outside 0..125"),
        (_table(aleatoric_sd_years=[1, 0, 2, 3]), "aleatoric_sd_years has standard deviations .*1 rows"),
        (_table(aleatoric_sd_years=[1, 1, 2, 3], epistemic_sd_years=[0, 0, -1, 0]), "epistemic_sd_years has"),
    ],
)
def test_unusable_tables_say_what_is_wrong(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluation_rows(table, source="table")


def test_a_second_sd_column_is_refused() -> None:
    table = _table(aleatoric_sd_years=[1, 1, 1, 1], sigma_years=[2, 2, 2, 2])
    with pytest.raises(InputError, match="has SDs in aleatoric_sd_years already"):
        evaluation_rows(table, sd_column="sigma_years")


def test_the_callers_table_is_not_changed() -> None:
    table = _table(sex=["female", "m", None, None], subject_id=["a", "b", "c", "d"])
    before = table.copy()
    evaluation_rows(table)
    pd.testing.assert_frame_equal(table, before)


def test_phantom_weights_in_any_row_are_found() -> None:
    assert evaluation_rows(_table(weights_origin=[None, None, None, "phantom"])).phantom
    assert not evaluation_rows(_table(weights_origin=["trained"] * 4)).phantom
    # A failed row counts too: it belongs to the same run.
    table = _table(weights_origin=["phantom", None, None, None], error=["cut file", None, None, None])
    assert evaluation_rows(table).phantom
