"""Nobody is judged by a correction that was fitted on themselves, and how each table was corrected is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.bias_correction import BiasCorrection, cross_fitted
from agezoo.analysis.calibration import fit_calibration
from agezoo.analysis.corrected_table import corrected_table
from agezoo.analysis.plan import AnalysisPlan
from agezoo.errors import InputError

PLAN = AnalysisPlan()


def cohort(n: int, seed: int, name: str) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.uniform(40, 90, n)
    return pd.DataFrame(
        {
            "subject_id": [f"{name}-{i}" for i in range(n)],
            "age_years": age,
            "predicted_age_years": 20 + 0.7 * age + rng.normal(0, 4, n),
            "fold": pd.array([None] * n, dtype="Int64"),
            "modality": np.where(np.arange(n) % 2, "vfa", "radiograph"),
        }
    )


@pytest.fixture
def table() -> pd.DataFrame:
    return cohort(60, 0, "new")


@pytest.fixture
def reference() -> pd.DataFrame:
    return cohort(200, 1, "reference")


def test_a_reference_comes_first(table: pd.DataFrame, reference: pd.DataFrame) -> None:
    folded = table.assign(fold=np.arange(60) % 3)
    result = corrected_table(folded, PLAN, reference=reference, calibration=fit_calibration(cohort(50, 2, "c")))
    assert result.correction == BiasCorrection.fit(reference, "beheshti")
    assert "fitted on a reference of 200 rows of 200 people" in result.how
    expected = result.correction.apply(folded)
    pd.testing.assert_frame_equal(result.table, expected)


def test_several_folds_are_cross_fitted_even_where_there_is_a_calibration(table: pd.DataFrame) -> None:
    folded = table.assign(fold=np.arange(60) % 3)
    # The calibration of a cross-validation was fitted on these very rows.
    result = corrected_table(folded, PLAN, calibration=fit_calibration(folded))
    pd.testing.assert_frame_equal(result.table, cross_fitted(folded, "beheshti"))
    assert "each of 3 folds corrected by the people of the others" in result.how
    assert result.correction is None
    assert list(result.by_fold) == ["0", "1", "2"]


def test_then_the_calibration_file_which_refuses_its_own_people(table: pd.DataFrame, reference: pd.DataFrame) -> None:
    calibration = fit_calibration(reference, correction="cole")
    result = corrected_table(table, PLAN, calibration=calibration)
    assert result.correction == calibration.correction
    assert "fitted out of fold on 200 rows" in result.how
    assert result.notes[0].startswith("The plan asks for beheshti; the calibration file holds another")
    with pytest.raises(InputError, match="must not be reported on them"):
        corrected_table(reference, PLAN, calibration=calibration)


def test_then_the_corrected_ages_that_the_table_came_with(table: pd.DataFrame) -> None:
    came = table.assign(corrected_age_years=table["predicted_age_years"] + 1)
    result = corrected_table(came, PLAN)
    pd.testing.assert_frame_equal(result.table, came)
    assert "came with" in result.how
    assert "does not say" in result.notes[0]


def test_otherwise_the_columns_are_empty_and_it_says_what_to_bring(table: pd.DataFrame) -> None:
    result = corrected_table(table, PLAN)
    assert result.table[["corrected_age_years", "corrected_gap_years"]].isna().all(axis=None)
    assert result.how == "not corrected"
    for words in ("reference of other people", "calibration file", "several folds"):
        assert words in result.notes[0]
    one_fold = corrected_table(table.assign(fold=2), PLAN)
    assert one_fold.how == "not corrected"


def test_none_means_none(table: pd.DataFrame, reference: pd.DataFrame) -> None:
    came = table.assign(corrected_age_years=1.0)
    result = corrected_table(came, AnalysisPlan(correction="none"), reference=reference)
    assert result.table["corrected_age_years"].isna().all()
    assert result.how == "not corrected, as the plan says"
    assert result.notes == ()


def test_by_the_plans_column(table: pd.DataFrame, reference: pd.DataFrame) -> None:
    reference.loc[reference["modality"] == "vfa", "predicted_age_years"] += 8
    table.loc[table["modality"] == "vfa", "predicted_age_years"] += 8
    result = corrected_table(table, AnalysisPlan(by="modality"), reference=reference)
    assert "apart by modality" in result.how
    assert result.table.groupby("modality")["corrected_gap_years"].mean().to_numpy() == pytest.approx([0, 0], abs=1.5)
    few = corrected_table(table, AnalysisPlan(by="modality"), reference=reference.drop(index=range(11, 200, 2)))
    assert any(note.startswith("No correction for modality vfa: too few") for note in few.notes)
    assert "30 rows have modality vfa, which the reference lacks: not corrected." in few.notes


def test_another_column_of_predictions(table: pd.DataFrame, reference: pd.DataFrame) -> None:
    for part in (table, reference):
        part["expected_age_years"] = part["predicted_age_years"]
        part["predicted_age_years"] = part["predicted_age_years"].round()
    result = corrected_table(table, AnalysisPlan(prediction="expected_age_years"), reference=reference)
    expected = BiasCorrection.fit(reference, "beheshti", prediction="expected_age_years").apply(table)
    pd.testing.assert_frame_equal(result.table, expected)
