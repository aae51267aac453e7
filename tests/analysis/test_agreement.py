"""Agreement figures against a textbook example, hand computation and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.agreement import bland_altman, evaluate_pairs, icc_2_1
from agezoo.analysis.repeat_pairs import pairs_of_repeats, read_pairs
from agezoo.errors import InputError

# Shrout and Fleiss 1979, table 2: six targets, four judges; the paper gives ICC(2,1) = 0.29.
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def test_icc_of_the_textbook_example() -> None:
    result = icc_2_1(SHROUT_FLEISS)
    assert result["icc_2_1"] == pytest.approx(0.2898, abs=5e-5)
    # The interval that other packages print for this example.
    assert result["icc_2_1_ci95"] == pytest.approx([0.0188, 0.7611], abs=2e-4)


def test_a_constant_shift_lowers_absolute_agreement() -> None:
    # Rows 10, 20, 30 against the same + 10: MSR = 200, MSC = 150, MSE = 0 -> 200 / (200 + 2 * 150 / 3).
    result = icc_2_1(np.array([[10, 20], [20, 30], [30, 40]]))
    assert result["icc_2_1"] == pytest.approx(2 / 3)


def test_interval_of_the_icc_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(6)
    # Variances: people 9, scanners 0.01, noise 1.
    hits = 0
    for _ in range(400):
        people, scanner, noise = rng.normal(0, 3, (40, 1)), rng.normal(0, 0.1, (1, 2)), rng.normal(0, 1, (40, 2))
        low, high = icc_2_1(people + scanner + noise)["icc_2_1_ci95"]
        hits += low <= 9 / (9 + 0.01 + 1) <= high
    assert 362 <= hits <= 396


def test_bland_altman_worked_out_by_hand() -> None:
    # Differences 1, 3, -1, 1: mean 1, sum of squared deviations 8.
    figures = bland_altman([51, 43, 69, 31], [50, 40, 70, 30])
    assert figures["mean_difference_years"] == 1.0
    assert figures["sd_difference_years"] == pytest.approx(np.sqrt(2))
    assert figures["upper_limit_years"] == pytest.approx(1 + 1.96 * np.sqrt(2))
    sample = bland_altman([51, 43, 69, 31], [50, 40, 70, 30], ddof=1)
    assert sample["lower_limit_years"] == pytest.approx(1 - 1.96 * np.sqrt(8 / 3))
    # t(0.975, 3 degrees of freedom) = 3.1824; standard error sqrt(8/3) / 2
    assert figures["mean_difference_years_ci95"][1] == pytest.approx(1 + 3.18245 * np.sqrt(8 / 3) / 2, abs=1e-4)


def test_incomplete_pairs_are_left_out_and_counted() -> None:
    result = evaluate_pairs([50, 60, 70, np.nan], [51, 59, 72, 40])
    assert (result["n_pairs"], result["n_incomplete"]) == (3, 1)
    assert result["mean_difference_years"] == pytest.approx(-2 / 3)
    assert result["within_subject_sd_years"] == pytest.approx(np.sqrt((1 + 1 + 4) / 3 / 2))


def test_identical_repeats_agree_perfectly() -> None:
    result = evaluate_pairs([50, 60, 70], [50, 60, 70])
    assert result["icc_2_1"] == pytest.approx(1.0)
    assert result["icc_2_1_ci95"] is None
    assert result["lower_limit_years"] == result["upper_limit_years"] == 0.0


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(InputError, match="too few complete pairs; found: 2 complete of 3"):
        evaluate_pairs([1, 2, np.nan], [1, 2, 3])


def test_repeats_are_the_first_two_sessions_of_a_person_at_one_age() -> None:
    table = pd.DataFrame(
        {
            "subject_id": ["b", "a", "a", "a", "b", "c", "d", "d"],
            "session": ["1", "2", "1", "3", "2", "1", "1", "2"],
            "age_years": [60, 50, 50, 50, 64, 70, 40, 40],
            "predicted_age_years": [61, 52, 51, 58, 66, 71, 44, None],
            "error": [None] * 7 + ["cut file"],
        }
    )
    # b has aged four years between its scans, c has one scan, d one prediction.
    pairs = pairs_of_repeats(table)
    assert pairs[["first_years", "second_years"]].values.tolist() == [[51.0, 52.0]]


def test_table_without_repeats_is_refused(tmp_path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("subject_id,age_years,predicted_age_years\na,50,51\nb,60,61\n")
    with pytest.raises(InputError, match=r"predictions\.csv: the table holds no repeat scans"):
        read_pairs(path)


def test_table_of_something_else_is_refused(tmp_path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="not a table of pairs; found: columns x, y"):
        read_pairs(path)


@pytest.mark.sample_data
def test_published_repeat_pairs(sample_data) -> None:
    pairs = read_pairs(sample_data / "tables" / "ct_age_published_repeat_pairs.csv")
    result = evaluate_pairs(pairs["first_years"], pairs["second_years"])
    assert result["n_pairs"] == 57
    assert round(result["mean_difference_years"], 2) == 0.27
    assert round(result["lower_limit_years"], 2) == -9.39
    assert round(result["upper_limit_years"], 2) == 9.93
    assert round(result["icc_2_1"], 3) == 0.947
