"""Accuracy figures against values worked out by hand and by independent libraries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from agezoo.analysis.accuracy import accuracy_figures


def test_figures_of_four_people_worked_out_by_hand() -> None:
    # Ages 20 40 60 80 predicted 26 42 56 72: errors +6 +2 -4 -8.
    figures = accuracy_figures([20, 40, 60, 80], [26, 42, 56, 72])
    assert figures["mae_years"][0] == pytest.approx(5.0)  # (6+2+4+8)/4
    assert figures["mae_sd_years"][0] == pytest.approx(np.sqrt(5.0))  # (1+9+1+9)/4
    assert figures["rmse_years"][0] == pytest.approx(np.sqrt(30.0))  # (36+4+16+64)/4
    assert figures["bias_years"][0] == pytest.approx(-1.0)
    assert figures["r2"][0] == pytest.approx(1 - 120 / 2000)
    # Sum of (age-50)*error: -30*6 - 10*2 + 10*-4 + 30*-8 = -480; sum of (age-50)^2 = 2000.
    assert figures["gap_age_slope"][0] == pytest.approx(-0.24)
    assert figures["mae_of_guessing_the_mean_years"][0] == pytest.approx(20.0)


def test_figures_agree_with_scipy_and_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    age = rng.uniform(20, 85, 300)
    predicted = 10 + 0.8 * age + rng.normal(0, 6, 300)
    figures = accuracy_figures(age, predicted)
    assert figures["mae_years"][0] == pytest.approx(sk.mean_absolute_error(age, predicted))
    assert figures["rmse_years"][0] == pytest.approx(sk.root_mean_squared_error(age, predicted))
    assert figures["r2"][0] == pytest.approx(sk.r2_score(age, predicted))
    assert figures["pcc"][0] == pytest.approx(stats.pearsonr(age, predicted).statistic)
    assert figures["gap_age_slope"][0] == pytest.approx(stats.linregress(age, predicted - age).slope)


def test_counting_a_row_twice_equals_repeating_it() -> None:
    rng = np.random.default_rng(1)
    age, predicted = rng.uniform(20, 85, 12), rng.uniform(20, 85, 12)
    counts = rng.integers(0, 4, (3, 12))
    together = accuracy_figures(age, predicted, counts=counts)
    for i, row in enumerate(counts):
        alone = accuracy_figures(np.repeat(age, row), np.repeat(predicted, row))
        for name, value in alone.items():
            assert together[name][i] == pytest.approx(value[0]), name


def test_constant_ages_leave_correlation_r2_and_slope_undefined() -> None:
    figures = accuracy_figures([50, 50, 50], [48, 50, 55])
    for name in ("pcc", "r2", "gap_age_slope"):
        assert np.isnan(figures[name][0]), name
    assert figures["mae_years"][0] == pytest.approx(7 / 3)


def test_guessing_the_mean_scores_an_r2_of_zero() -> None:
    age = np.array([20.0, 35.0, 80.0])
    figures = accuracy_figures(age, np.full(3, 45.0))
    assert figures["r2"][0] == pytest.approx(0.0, abs=1e-12)
    assert figures["mae_years"][0] == pytest.approx(figures["mae_of_guessing_the_mean_years"][0])
    assert np.isnan(figures["pcc"][0])


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        accuracy_figures([1, 2, 3], [1, 2])
