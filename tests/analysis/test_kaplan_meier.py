"""Kaplan-Meier, log-rank and cumulative incidence against textbook values and hand-computed cases."""

from __future__ import annotations

import numpy as np
import pytest
from published_survival import leukaemia

from agezoo.analysis.competing_risk import cumulative_incidence
from agezoo.analysis.kaplan_meier import gap_thirds, kaplan_meier, log_rank, median_follow_up, number_at_risk
from agezoo.analysis.plots.kaplan_meier import CurveOfGroup, plot_curves


def test_remission_curve_as_published():
    # 6-mercaptopurine; estimates and log-log limits as in the textbooks and Stata's manual.
    time, event, treated = leukaemia()
    curve = kaplan_meier(time[treated == 1], event[treated == 1])
    published = {
        6: (0.8571, 0.6197, 0.9516),
        7: (0.8067, 0.5631, 0.9228),
        10: (0.7529, 0.5032, 0.8894),
        13: (0.6902, 0.4316, 0.8491),
        16: (0.6275, 0.3675, 0.8049),
        22: (0.5378, 0.2678, 0.7468),
        23: (0.4482, 0.1881, 0.6801),
    }
    for week, values in published.items():
        assert curve.at(week) == pytest.approx(values, abs=6e-5)
    assert curve.times_years.tolist() == [0, *published]
    assert curve.at(5.9)[0] == 1.0
    assert curve.at(35)[0] == curve.at(23)[0]
    assert np.isnan(curve.at(35.1)[0])


def test_log_rank_as_published():
    # Chi-square 16.79 in every textbook.
    result = log_rank(*leukaemia())
    assert round(result.chi_square, 2) == 16.79
    assert result.df == 1
    assert result.p == pytest.approx(4.17e-5, rel=2e-3)


def test_trend_of_two_groups_is_the_log_rank_test():
    rng = np.random.default_rng(0)
    time, event, group = rng.exponential(size=200), rng.random(200) < 0.7, rng.integers(0, 2, 200)
    result = log_rank(time, event, group)
    # Without ties the score test of a Cox model with the group is the log-rank test.
    assert result.trend_chi_square == pytest.approx(result.chi_square)


def test_trend_sees_an_order_and_no_hump():
    rng = np.random.default_rng(1)
    group = np.repeat([0, 1, 2], 400)
    event = np.ones(1200, dtype=bool)
    ordered = log_rank(rng.exponential(1 / np.array([1.0, 1.25, 1.5])[group]), event, group)
    humped = log_rank(rng.exponential(1 / np.array([1.0, 1.6, 1.0])[group]), event, group)
    assert ordered.trend_p < 1e-4
    assert humped.p < 1e-4
    assert humped.trend_p > 0.01


def test_no_event_and_one_group_give_no_test():
    assert np.isnan(log_rank([1, 2, 3], [False] * 3, [0, 1, 2]).p)
    assert np.isnan(log_rank([1, 2, 3], [True] * 3, [1, 1, 1]).p)
    curve = kaplan_meier([1.0, 4.0], [False, False])
    assert curve.at(3.0) == (1.0, 1.0, 1.0)


def test_cumulative_incidence_by_hand():
    # Five people: event at 1, death at 2, event at 3, censored at 4, event at 5.
    # 1/5; then survival 4/5, death takes it to 3/5; 3/5 * 1/3 = 1/5 more; survival 2/5; at 5 the last one: 2/5 more.
    curve = cumulative_incidence([1, 2, 3, 4, 5], [1, 2, 1, 0, 1])
    assert [curve.at(t)[0] for t in (0.5, 1, 2.5, 3, 4.5, 5)] == pytest.approx([0, 0.2, 0.2, 0.4, 0.4, 0.8])
    # Censoring the death instead pretends that nobody dies: larger.
    assert 1 - kaplan_meier([1, 2, 3, 4, 5], [True, False, True, False, True]).at(3)[0] == pytest.approx(
        1 - 0.8 * 2 / 3
    )


def test_without_competing_events_incidence_is_one_minus_kaplan_meier():
    time, event, _ = leukaemia()
    curve, survival = cumulative_incidence(time, event.astype(int)), kaplan_meier(time, event)
    for week in (5, 10, 20):
        value, low, high = curve.at(week)
        free, free_low, free_high = survival.at(week)
        assert (value, low, high) == pytest.approx((1 - free, 1 - free_high, 1 - free_low), abs=1e-9)


def test_limits_of_the_incidence_cover():
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(200):
        # Event at rate 0.1, death at rate 0.2: incidence at t is (1 - exp(-0.3 t)) / 3.
        time, cause = rng.exponential(1 / 0.3, 150), np.where(rng.random(150) < 1 / 3, 1, 2)
        censored = rng.uniform(0, 10, 150)
        curve = cumulative_incidence(np.minimum(time, censored), np.where(time <= censored, cause, 0))
        _, low, high = curve.at(3.0)
        inside += low <= (1 - np.exp(-0.9)) / 3 <= high
    assert 182 <= inside <= 199  # 95 % of 200 is 190


def test_at_risk_counts_those_who_end_at_that_time():
    assert number_at_risk([1, 2, 2, 5], [0, 2, 2.1, 5, 6]).tolist() == [4, 3, 1, 1, 0]


def test_median_follow_up_by_reverse_kaplan_meier():
    # Events censor the follow-up: 3 of 4 are followed beyond 2, then half of them beyond 4.
    assert median_follow_up([1, 2, 4, 6], [True, False, False, False]) == 4
    assert np.isnan(median_follow_up([1, 2], [True, True]))


def test_thirds_of_the_gap():
    third, (low, high) = gap_thirds(np.arange(9.0))
    assert third.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (low, high) == pytest.approx((8 / 3, 16 / 3))
    assert gap_thirds([0.0] * 8 + [1.0]) is None


def test_figure_has_the_people_at_risk_below():
    rng = np.random.default_rng(3)
    groups = []
    for k, name in enumerate(("lowest third (gap ≤ −2.0 years)", "middle third", "highest third (gap > +2.0 years)")):
        time = np.minimum(rng.exponential(10 / (k + 1), 200), 8.0)
        groups.append(CurveOfGroup(name, kaplan_meier(time, time < 8), time))
    axes = plot_curves(groups, title="t", y="Without the event", remark="r").axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == "At risk"
    assert texts.count("200") == 3
    assert {"lowest", "middle", "highest"} < set(texts)
    assert len(axes.get_lines()) == 3
