"""The assembled figures: groups, intervals, planted truth, and the published table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.evaluation_rows import evaluation_rows
from agezoo.analysis.metrics import evaluate_rows


def _cohort(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    age = rng.uniform(20, 80, n)
    deviation = rng.normal(0, 4, n)
    return pd.DataFrame(
        {
            "subject_id": [f"s{i}" for i in range(n)],
            "age_years": age,
            "sex": np.where(np.arange(n) % 2, "F", "M"),
            "predicted_age_years": age + deviation + rng.normal(0, 2, n),
            "aleatoric_sd_years": np.full(n, np.sqrt(20.0)) + rng.uniform(-0.1, 0.1, n),
            "lower_years": age - np.where(np.arange(n) < 90, 1, -1),
            "upper_years": age + 10,
            "corrected_age_years": age + 1.5,
            "deviation_years": deviation,
        }
    )


def test_groups_are_evaluated_on_their_own_rows() -> None:
    table = _cohort()
    metrics = evaluate_rows(evaluation_rows(table), n_bootstrap=50)
    women = table[table["sex"] == "F"]
    error = women["predicted_age_years"] - women["age_years"]
    assert metrics["by_sex"]["F"]["n"] == 60
    assert metrics["by_sex"]["F"]["mae_years"] == pytest.approx(error.abs().mean())
    assert list(metrics["by_decade"]) == ["20-29", "30-39", "40-49", "50-59", "60-69", "70-79"]
    assert sum(group["n"] for group in metrics["by_decade"].values()) == 120
    forties = table[table["age_years"].between(40, 50, inclusive="left")]
    assert metrics["by_decade"]["40-49"]["bias_years"] == pytest.approx(
        (forties["predicted_age_years"] - forties["age_years"]).mean()
    )


def test_every_figure_lies_in_its_interval_and_is_json() -> None:
    metrics = evaluate_rows(evaluation_rows(_cohort()), n_bootstrap=500)
    for name in ("mae_years", "rmse_years", "bias_years", "pcc", "r2", "gap_age_slope", "coverage_90", "rms_z", "nll"):
        low, high = metrics["ci95"][name]
        assert low < metrics[name] < high, name
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_the_interval_of_a_group_does_not_depend_on_other_groups() -> None:
    table = _cohort()
    alone = evaluate_rows(evaluation_rows(table[table["sex"] == "F"]), n_bootstrap=50)
    both = evaluate_rows(evaluation_rows(table), n_bootstrap=50)
    assert alone["by_sex"]["F"] == both["by_sex"]["F"]


def test_planted_deviation_gives_the_best_possible_error() -> None:
    table = _cohort()
    truth = evaluate_rows(evaluation_rows(table), n_bootstrap=50)["cohort_truth"]
    assert truth["best_possible_mae_years"] == pytest.approx(table["deviation_years"].abs().mean())
    gap = table["predicted_age_years"] - table["age_years"]
    assert truth["pcc_gap_deviation"] == pytest.approx(np.corrcoef(gap, table["deviation_years"])[0, 1])
    imaged = table["age_years"] + table["deviation_years"]
    assert truth["mae_biological_years"] == pytest.approx((table["predicted_age_years"] - imaged).abs().mean())
    named = evaluate_rows(evaluation_rows(table.assign(biological_age_years=imaged)), n_bootstrap=50)["cohort_truth"]
    assert named["mae_biological_years"] == pytest.approx(truth["mae_biological_years"])


def test_given_bounds_and_corrected_ages_are_evaluated_apart() -> None:
    metrics = evaluate_rows(evaluation_rows(_cohort()), n_bootstrap=50)
    # 90 of 120 rows have a lower bound below the age.
    assert metrics["coverage_of_interval"] == 0.75
    assert metrics["corrected"]["bias_years"] == pytest.approx(1.5)
    assert metrics["bias_years"] != pytest.approx(1.5)


def test_no_sd_no_uncertainty_figures() -> None:
    table = _cohort().drop(columns=["aleatoric_sd_years", "lower_years", "corrected_age_years", "deviation_years"])
    metrics = evaluate_rows(evaluation_rows(table), n_bootstrap=0)
    absent = ("coverage_90", "rms_z", "nll", "calibration_curve", "corrected", "cohort_truth", "coverage_of_interval")
    for name in absent:
        assert name not in metrics
    assert metrics["sd_kind"] is None
    assert metrics["ci95"]["mae_years"] is None


def test_two_people_of_a_decade_get_no_correlation() -> None:
    table = pd.DataFrame({"age_years": [21, 22, 55, 65], "predicted_age_years": [30, 20, 50, 60]})
    metrics = evaluate_rows(evaluation_rows(table), n_bootstrap=20)
    twenties = metrics["by_decade"]["20-29"]
    assert twenties["mae_years"] == pytest.approx(5.5)
    for name in ("pcc", "r2", "gap_age_slope", "mae_of_guessing_the_mean_years"):
        assert twenties[name] is None


@pytest.mark.sample_data
def test_published_points(sample_data) -> None:
    table = pd.read_csv(sample_data / "tables" / "ct_age_published_points.csv")
    parts = {
        name: evaluate_rows(evaluation_rows(part, sd_column="sigma_years"), n_bootstrap=0)
        for name, part in table.groupby("set")
    }
    cross_validation = {
        "mae_years": 5.756, "rmse_years": 7.737, "bias_years": -0.524, "pcc": 0.918, "r2": 0.842,
        "rms_z": 1.523, "nll": 3.655, "coverage_1_sigma": 0.535, "coverage_1_96_sigma": 0.829,
    }  # fmt: skip
    test = {
        "mae_years": 6.499, "mae_sd_years": 5.175, "rmse_years": 8.307, "bias_years": -3.004, "pcc": 0.858,
        "r2": 0.677, "rms_z": 1.264, "coverage_1_sigma": 0.557, "coverage_1_96_sigma": 0.886,
    }  # fmt: skip
    assert (parts["cross_validation"]["n"], parts["test"]["n"]) == (1653, 422)
    for expected, metrics in ((cross_validation, parts["cross_validation"]), (test, parts["test"])):
        assert {name: round(metrics[name], 3) for name in expected} == expected
    assert round(parts["cross_validation"]["mae_sd_years"], 2) == 5.17
    assert round(parts["cross_validation"]["gap_age_slope"], 4) == -0.1456
