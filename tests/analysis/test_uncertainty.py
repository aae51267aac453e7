"""Calibration figures by hand, against scipy, and on draws whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from agezoo.analysis.uncertainty import calibration_curve, coverage, spearman, total_sd_years, uncertainty_figures


def test_total_sd_is_the_root_of_the_summed_variances() -> None:
    total = total_sd_years([3.0, 3.0, np.nan], [4.0, np.nan, 1.0])
    assert total[:2] == pytest.approx([5.0, 3.0])
    assert np.isnan(total[2])


def test_figures_of_four_errors_worked_out_by_hand() -> None:
    # z = 0.5, -1, 2, 3
    figures = uncertainty_figures([1.0, -4.0, 4.0, 3.0], [2.0, 4.0, 2.0, 1.0])
    assert figures["coverage_50"][0] == 0.25  # within 0.674
    assert figures["coverage_68"][0] == 0.25  # within 0.994
    assert figures["coverage_1_sigma"][0] == 0.5
    assert figures["coverage_90"][0] == 0.5  # within 1.645
    assert figures["coverage_95"][0] == 0.5  # within 1.95996
    assert figures["coverage_1_96_sigma"][0] == 0.5
    assert figures["rms_z"][0] == pytest.approx(np.sqrt((0.25 + 1 + 4 + 9) / 4))
    # ln 2 + ln 4 + ln 2 + ln 1 = 4 ln 2
    by_hand = np.log(2) + 14.25 / 8 + 0.5 * np.log(2 * np.pi)
    assert figures["nll"][0] == pytest.approx(by_hand)
    assert figures["mean_sd_years"][0] == 2.25


def test_nll_is_the_mean_of_scipys_normal_density() -> None:
    rng = np.random.default_rng(0)
    error, sd = rng.normal(0, 5, 50), rng.uniform(2, 8, 50)
    expected = -stats.norm.logpdf(error, 0, sd).mean()
    assert uncertainty_figures(error, sd)["nll"][0] == pytest.approx(expected)


def test_an_error_at_the_edge_is_inside_despite_binary_rounding() -> None:
    error = 70.7 - 49.0
    assert error > 21.7  # the trap: decimal 70.7 - 49 is 21.700000000000003 in binary
    assert coverage([error / 21.7], [1.0])[0, 0] == 1.0


def test_calibrated_draws_lie_on_the_diagonal_and_halved_sds_do_not() -> None:
    rng = np.random.default_rng(8)
    sd = rng.uniform(2, 9, 40_000)
    error = rng.normal(0, sd)
    for level, share in calibration_curve(error, sd).items():
        assert share[0] == pytest.approx(int(level) / 100, abs=0.011)
    assert uncertainty_figures(error, sd)["rms_z"][0] == pytest.approx(1.0, abs=0.02)
    halved = uncertainty_figures(error, sd / 2)
    assert halved["rms_z"][0] == pytest.approx(2.0, abs=0.04)
    assert halved["coverage_95"][0] == pytest.approx(2 * stats.norm.cdf(1.96 / 2) - 1, abs=0.01)


def test_spearman_with_ties_agrees_with_scipy_in_every_resample() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 6, 40).astype(float), rng.integers(0, 9, 40).astype(float)
    counts = rng.integers(0, 3, (5, 40))
    ours = spearman(x, y, counts=counts)
    for value, row in zip(ours, counts, strict=True):
        assert value == pytest.approx(stats.spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic)


def test_spearman_of_a_constant_sd_is_undefined() -> None:
    assert np.isnan(spearman([4.0, 4.0, 4.0], [1.0, 2.0, 3.0])[0])
