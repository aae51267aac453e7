"""The section that shows raw and corrected ages side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.accuracy import accuracy_figures
from agezoo.analysis.bias_finding import bias_finding
from agezoo.analysis.conformal import cross_fitted_intervals
from agezoo.analysis.corrected_table import corrected_table
from agezoo.analysis.findings import Finding
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.canvas import rendered

PLAN = AnalysisPlan(by="modality")


def cohort(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.uniform(40, 90, n)
    vfa = np.arange(n) % 3 == 0
    return pd.DataFrame(
        {
            "subject_id": [f"s{i // 2}" for i in range(n)],
            "age_years": age,
            "predicted_age_years": 20 + 0.7 * age + 8 * vfa + rng.normal(0, 4, n),
            "fold": (np.arange(n) // 2) % 3,
            "modality": np.where(vfa, "vfa", "radiograph"),
        }
    )


def tables(finding: Finding) -> dict[str, pd.DataFrame]:
    return {table.name: table.frame for table in finding.tables}


@pytest.fixture(scope="module")
def finding() -> Finding:
    corrected = corrected_table(cross_fitted_intervals(cohort(), by="modality"), PLAN)
    return bias_finding(corrected, PLAN, seed=0, n_bootstrap=200)


def test_raw_and_corrected_stand_side_by_side_for_all_and_each_kind(finding: Finding) -> None:
    frame = tables(finding)["raw_and_corrected"].set_index(["modality", "ages"])
    assert list(frame.index) == [(kind, ages) for kind in ("all", "radiograph", "vfa") for ages in ("raw", "corrected")]
    assert frame.loc[("all", "raw"), "n"] == 300
    assert frame.loc[("all", "raw"), "n_people"] == 150
    table = cohort()
    part = table[table["modality"] == "vfa"]
    expected = accuracy_figures(part["age_years"], part["predicted_age_years"])
    vfa = frame.loc[("vfa", "raw")]
    for name, short in (("mae_years", "mae_years"), ("pcc", "r"), ("r2", "r2"), ("gap_age_slope", "gap_age_slope")):
        assert vfa[short] == pytest.approx(expected[name][0])
        assert vfa[f"{short}_low"] < vfa[short] < vfa[f"{short}_high"]
    assert vfa["bias_years"] - frame.loc[("radiograph", "raw"), "bias_years"] == pytest.approx(8, abs=1.5)
    assert frame.loc[("vfa", "corrected"), "bias_years"] == pytest.approx(0, abs=1)
    assert frame.loc[("all", "corrected"), "gap_age_slope"] == pytest.approx(0, abs=0.03)


def test_coefficients_say_where_they_were_fitted(finding: Finding) -> None:
    frame = tables(finding)["bias_coefficients"]
    assert list(frame["corrects_fold"]) == ["0", "0", "1", "1", "2", "2"]
    assert list(frame["modality"]) == ["radiograph", "vfa"] * 3
    assert frame["linear"].between(-0.4, -0.2).all()
    assert frame.groupby("modality")["fitted_on_rows"].sum().tolist() == [400, 200], "every row taught two folds"
    assert "square" not in frame


def test_coverage_of_the_tables_intervals(finding: Finding) -> None:
    frame = tables(finding)["interval_coverage"].set_index("modality")
    assert frame.loc["all", "coverage"] == pytest.approx(0.9, abs=0.05)
    assert frame.loc["all", "coverage_low"] < frame.loc["all", "coverage"] < frame.loc["all", "coverage_high"]
    (reading,) = [table.reading for table in finding.tables if table.name == "interval_coverage"]
    assert reading.startswith("Should be 90 %")
    other = corrected_table(cross_fitted_intervals(cohort(), level=0.8).assign(interval_level=0.8), PLAN)
    assert bias_finding(other, PLAN, n_bootstrap=0).tables[-1].reading.startswith("Should be 80 %")


def test_no_accuracy_is_claimed_after_age_was_taken_out(finding: Finding) -> None:
    assert any("the raw rows tell" in note and "Butler" in note and "de Lange" in note for note in finding.notes)
    assert "cross-fitted" in finding.description


def test_plots_show_both_on_the_same_scale(finding: Finding) -> None:
    assert [plot.name for plot in finding.plots] == ["gap_against_age_raw", "gap_against_age_corrected"]
    limits = [plot.figure.axes[0].get_ylim() for plot in finding.plots]
    assert limits[0] == limits[1]
    assert "slope -0.30" in finding.plots[0].alt
    for plot in finding.plots:
        assert rendered(plot.figure, "svg").startswith(b"<?xml")


def test_raw_rows_of_the_same_people_where_not_all_could_be_corrected() -> None:
    table = cohort()
    reference = table.assign(subject_id="r" + table["subject_id"])
    table.loc[table["modality"] == "vfa", "modality"] = "ct"
    finding = bias_finding(corrected_table(table, PLAN, reference=reference), PLAN, n_bootstrap=0)
    frame = tables(finding)["raw_and_corrected"]
    everybody = frame[frame["modality"] == "all"].set_index("ages")
    assert everybody["n"].to_dict() == {"raw": 300, "raw, of those corrected": 200, "corrected": 200}
    assert list(frame.loc[frame["modality"] == "ct", "ages"]) == ["raw"]
    assert any("100 rows have modality ct, which the reference lacks" in note for note in finding.notes)


def test_an_uncorrected_table_has_raw_figures_alone() -> None:
    finding = bias_finding(
        corrected_table(cohort().drop(columns="fold"), AnalysisPlan()), AnalysisPlan(), n_bootstrap=0
    )
    assert list(tables(finding)) == ["raw_and_corrected"]
    assert list(tables(finding)["raw_and_corrected"]["ages"]) == ["raw"]
    assert [plot.name for plot in finding.plots] == ["gap_against_age_raw"]
    assert not any("Butler" in note for note in finding.notes), "no caution about what was not done"


def test_rows_without_age_are_counted_and_too_few_rows_are_no_section() -> None:
    table = cohort().drop(columns="fold")
    table.loc[:9, "age_years"] = np.nan
    notes = bias_finding(corrected_table(table, AnalysisPlan()), AnalysisPlan(), n_bootstrap=0).notes
    assert any("10 of 300 rows have no age or no prediction" in note for note in notes)
    few = bias_finding(corrected_table(table.head(12), AnalysisPlan()), AnalysisPlan())
    assert few.tables == ()
    assert "2 rows have an age and a prediction; at least 3" in few.notes[-1]
