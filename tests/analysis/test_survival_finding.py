"""Survival findings: planted hazard ratios, tables and notes, and what poor data do to them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.cox import fit_cox
from agezoo.analysis.findings import Finding
from agezoo.analysis.gap_models import fit_gap_models
from agezoo.analysis.plan import AnalysisPlan, EndPoint
from agezoo.analysis.plots.canvas import rendered
from agezoo.analysis.survival_data import follow_up
from agezoo.analysis.survival_finding import survival_findings
from agezoo.errors import InputError, MissingExtraError
from agezoo.phantoms.spine_follow_up import HAZARD_RATIOS, simulate_follow_up

FRACTURE = EndPoint(
    name="any_fracture",
    time="time_any_fracture_years",
    event="event_any_fracture",
    competing="competing_death_any_fracture",
)
DEATH = EndPoint(name="death", time="time_death_years", event="event_death")
MODELS = {"model 1": ["age_years", "sex"], "model 2": ["age_years", "sex", "bmi", "smoking"]}


def cohort(n: int = 500, seed: int = 1) -> pd.DataFrame:
    """Predictions that make the old too young, as regression to the mean does."""
    table = simulate_follow_up(n, seed, prediction_noise_sd_years=2.0)
    shrunk = 0.3 * (table["age_years"] - 65)
    gap = table["predicted_age_years"] - table["age_years"]
    return table.assign(
        predicted_age_years=table["predicted_age_years"] - shrunk,
        gap_years=gap - shrunk,
        corrected_gap_years=gap,
        smoking=table["smoking"].map({0: "no", 1: "yes"}),
        bmi=table["bmi"].where(np.arange(n) % 50 != 7),
    )


def tables_of(findings: list[Finding]) -> dict[str, pd.DataFrame]:
    return {table.name: table.frame for finding in findings for table in finding.tables}


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    plan = AnalysisPlan(end_points=[FRACTURE, DEATH], models=MODELS, horizons_years=[3, 8])
    return survival_findings(cohort(), plan, n_bootstrap=60)


def test_no_end_point_no_finding():
    assert survival_findings(cohort(20), AnalysisPlan()) == []


def test_hazard_ratio_is_that_of_a_fit_by_hand(findings):
    table = cohort()
    ratios = tables_of(findings)["hazard_ratios"].set_index(["end_point", "model", "gap"])
    row = ratios.loc["any_fracture", "model 1", "corrected"]
    sd = table["corrected_gap_years"].std()
    by_hand = fit_cox(
        table["time_any_fracture_years"],
        table["event_any_fracture"] == 1,
        pd.DataFrame({"a": table["age_years"], "s": (table["sex"] == "M") * 1.0, "g": table["corrected_gap_years"]}),
    ).table.iloc[2]
    assert row["gap_sd_years"] == pytest.approx(sd)
    assert row["hr"] == pytest.approx(np.exp(sd * by_hand["coefficient"]))
    assert row["p"] == pytest.approx(by_hand["p"])
    assert (row["n"], row["events"]) == (500, table["event_any_fracture"].sum())
    # Beside age, a gap corrected by a straight line on age says the same.
    raw = ratios.loc["any_fracture", "model 1", "raw"]
    assert raw["p"] == pytest.approx(row["p"])
    assert raw["coefficient"] / raw["gap_sd_years"] == pytest.approx(row["coefficient"] / row["gap_sd_years"])


def test_tables_have_the_columns_that_the_page_needs(findings):
    tables = tables_of(findings)
    assert [finding.name for finding in findings] == [
        "Survival: hazard ratios",
        "Survival: discrimination",
        "Survival: curves",
    ]
    assert list(tables) == [
        "follow_up",
        "hazard_ratios",
        "cox_coefficients",
        "concordance",
        "concordance_change",
        "time_dependent_auc",
        "time_dependent_auc_change",
        "log_rank",
        "survival_by_third",
    ]
    assert len(tables["hazard_ratios"]) == 8
    assert tables["hazard_ratios"]["ph_p"].between(0, 1).all()
    model_2 = tables["hazard_ratios"].query("model == 'model 2'")
    assert (model_2["left_out"] == "bmi unknown: 10").all()
    assert (model_2["n"] == 490).all()
    assert set(tables["cox_coefficients"].query("model == 'model 2'")["covariate"]) == {
        "age_years", "sex (M)", "bmi", "smoking (yes)", "gap (per SD)"
    }  # fmt: skip
    change = tables["concordance_change"]
    assert np.allclose(change["c_with"] - change["c_without"], change["c_change"])
    assert change["c_change"].between(change["c_change_low"], change["c_change_high"]).all()
    auc = tables["time_dependent_auc"]
    assert set(auc["score"]) == {
        "age", "raw gap", "corrected gap", *MODELS, *(f"{m} + {g} gap" for m in MODELS for g in ("raw", "corrected"))
    }  # fmt: skip
    assert auc["auc"].between(auc["auc_low"], auc["auc_high"]).all()
    thirds = tables["survival_by_third"]
    fracture = thirds[thirds["end_point"] == "any_fracture"]
    # Deaths that take people away leave fewer to have the event.
    assert (fracture["incidence"] <= 1 - fracture["event_free"] + 1e-9).all()
    assert thirds[thirds["end_point"] == "death"]["incidence"].isna().all()


def test_notes_say_what_was_done(findings):
    notes = " ".join(note for finding in findings for note in finding.notes)
    assert "cause-specific" in notes
    assert "model 2: people left out of the model: bmi unknown: 10." in notes
    assert "model 2: covariate smoking: compared with “no”" in notes
    assert "490 of 500 people who have all scores" in notes
    assert "cross-fitted" in findings[1].description


def test_figures_are_drawn_and_named_apart(findings):
    plots = [plot for finding in findings for plot in finding.plots]
    names = [plot.name for plot in plots]
    assert names == [
        "forest",
        "time_dependent_auc_any_fracture",
        "time_dependent_auc_death",
        "kaplan_meier_any_fracture",
        "cumulative_incidence_any_fracture",
        "kaplan_meier_death",
    ]
    assert rendered(plots[0].figure, "png").startswith(b"\x89PNG")
    assert b"<svg" in rendered(plots[3].figure, "svg")
    assert all(plot.alt.endswith(".") and plot.reading.endswith(".") for plot in plots)


def test_equal_seeds_give_equal_findings(findings):
    plan = AnalysisPlan(end_points=[FRACTURE, DEATH], models=MODELS, horizons_years=[3, 8])
    again = tables_of(survival_findings(cohort(), plan, n_bootstrap=60))
    for name, frame in tables_of(findings).items():
        pd.testing.assert_frame_equal(frame, again[name])


def test_without_correction_only_the_raw_gap_and_a_warning():
    table = cohort(300).assign(corrected_gap_years=np.nan)
    results = survival_findings(table, AnalysisPlan(end_points=[FRACTURE], models=MODELS), n_bootstrap=0)
    tables = tables_of(results)
    assert set(tables["hazard_ratios"]["gap"]) == {"raw"}
    assert set(tables["log_rank"]["gap"]) == {"raw"}
    # Without horizons in the plan: the quartiles of the event times.
    time, event = table["time_any_fracture_years"], table["event_any_fracture"] == 1
    assert tables["time_dependent_auc"]["horizon_years"].unique() == pytest.approx(
        np.quantile(time[event], [0.25, 0.5, 0.75]), abs=1e-4
    )
    assert any("falls with age" in note for note in results[2].notes)


def test_model_without_covariates_is_compared_with_chance():
    plan = AnalysisPlan(end_points=[FRACTURE], models={"alone": []})
    results = survival_findings(cohort(300), plan, n_bootstrap=0)
    change = tables_of(results)["concordance_change"].set_index("gap")
    assert change.loc["corrected", "c_without"] == 0.5
    assert change.loc["corrected", "c_with"] > 0.5
    assert any("without age among the covariates" in note for note in results[0].notes)


def test_four_events_give_words_and_no_number():
    table = cohort(200)
    event = table["event_any_fracture"] * (table["event_any_fracture"].cumsum() <= 4)
    results = survival_findings(
        table.assign(event_any_fracture=event, competing_death_any_fracture=0),
        AnalysisPlan(end_points=[FRACTURE], models=MODELS),
        n_bootstrap=0,
    )
    ratios = tables_of(results)["hazard_ratios"]
    assert ratios["hr"].isna().all()
    assert ratios["problem"].str.contains("too few events").all()
    assert results[0].plots == ()
    assert "concordance" not in tables_of(results)
    notes = " ".join(note for finding in results for note in finding.notes)
    assert "No hazard ratio: too few events for hazard ratios; found: 4 events" in notes
    assert "4 events are too few for concordance" in notes


def test_gap_that_separates_gives_words_and_no_number():
    table = cohort(60)
    # Whoever has the larger gap has the event sooner, without exception.
    table = table.assign(gap_years=-table["time_death_years"], corrected_gap_years=np.nan, event_death=1)
    results = survival_findings(table, AnalysisPlan(end_points=[DEATH]), n_bootstrap=0)
    row = tables_of(results)["hazard_ratios"].iloc[0]
    assert np.isnan(row["hr"])
    assert "no maximum" in row["problem"]
    assert "gap (per SD)" in row["problem"]


def test_nobody_left_is_said():
    results = survival_findings(
        cohort(30).assign(gap_years=np.nan, corrected_gap_years=np.nan),
        AnalysisPlan(end_points=[FRACTURE, DEATH]),
        n_bootstrap=0,
    )
    assert "any_fracture: 0 of 30 rows are analysed" in " ".join(results[0].notes)
    assert "nobody is left to draw curves of" in " ".join(results[2].notes)


def test_small_tables_leave_cells_empty_and_raise_nothing():
    plan = AnalysisPlan(end_points=[FRACTURE, DEATH], models=MODELS)
    for n in (1, 2, 3, 5, 9, 15, 30):
        for finding in survival_findings(cohort(n, seed=n), plan, n_bootstrap=5):
            for table in finding.tables:
                json.dumps(json.loads(table.frame.to_json()))
                assert not np.isinf(table.frame.select_dtypes("number").to_numpy(float)).any()


def test_unknown_covariate_is_named():
    plan = AnalysisPlan(end_points=[DEATH], models={"m": ["age_years", "grip"]})
    with pytest.raises(InputError, match="not in the table: grip"):
        survival_findings(cohort(50), plan)


def test_without_statsmodels_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.duration", None)
    with pytest.raises(MissingExtraError, match=r"needs statsmodels.*agezoo\[analysis\]"):
        survival_findings(cohort(50), AnalysisPlan(end_points=[DEATH]))


def planted_inside(n_tables: int, n: int, end_point: EndPoint) -> int:
    """In how many simulated tables the interval of the hazard ratio holds the planted one."""
    inside = 0
    for seed in range(n_tables):
        table = simulate_follow_up(n, 10_000 + seed)
        table["gap_years"] = table["predicted_age_years"] - table["age_years"]
        follow = follow_up(table, end_point)
        (model,) = fit_gap_models(follow, {"model 1": ["age_years", "sex"]})
        row = model.fit.table.set_index("covariate").loc["gap (per SD)"]
        inside += row["hr_low"] <= HAZARD_RATIOS[end_point.name] <= row["hr_high"]
    return inside


def test_planted_hazard_ratio_is_found():
    # 95 % intervals: 38 of 40 are expected; fewer than 34 would happen once in a hundred and fifty.
    assert planted_inside(40, 400, DEATH) >= 34


@pytest.mark.slow
@pytest.mark.parametrize("end_point", [FRACTURE, DEATH], ids=lambda point: point.name)
def test_planted_hazard_ratio_is_inside_90_of_100_intervals(end_point):
    assert planted_inside(100, 1500, end_point) >= 90
