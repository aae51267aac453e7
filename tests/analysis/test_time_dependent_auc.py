"""Time-dependent AUC against hand-computed cases and the plain AUROC."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from agezoo.analysis.time_dependent_auc import n_resamples, time_dependent_auc


def auc(time, status, score, horizon, **options):
    return time_dependent_auc(time, status, {"s": score}, [horizon], n_bootstrap=0, **options)["s", horizon]


def test_censoring_by_hand():
    # At 3.5 years the cases are the events at 1 and 3, the controls those at 4, 5 and 6. One of the five at risk at 2
    # is censored there, so G(3-) = 0.8 and the case at 3 counts 1.25. The case at 1 beats all controls; the case at 3
    # beats one and ties with one: (1 * 3 + 1.25 * 1.5) / (2.25 * 3).
    result = auc([1, 2, 3, 4, 5, 6], [1, 0, 1, 0, 1, 1], [0.9, 0.8, 0.4, 0.5, 0.4, 0.2], 3.5)
    assert result.value == pytest.approx(4.875 / 6.75)
    assert (result.n_cases, result.n_controls) == (2, 3)
    assert np.isnan(result.low)


def test_event_at_the_time_of_a_censoring_comes_first():
    # The person censored at 2 outlives the event at 2: of the three others one is censored, G(3-) = 2/3.
    result = auc([2, 2, 3, 9, 9], [1, 0, 1, 0, 0], [5, 0, 1, 2, 0], 4.0)
    assert result.value == pytest.approx((1 * 2 + 4 / 3 * 1) / ((1 + 4 / 3) * 2))


def test_without_censoring_it_is_the_auroc():
    rng = np.random.default_rng(0)
    time, score = rng.exponential(5, 300), rng.integers(0, 20, 300)
    result = auc(time, np.ones(300, dtype=int), score, 4.0)
    assert result.value == pytest.approx(roc_auc_score(time <= 4.0, score))


def test_competing_events_are_neither_cases_nor_controls():
    # The third person dies at 2 and has no place in the comparison at 3, whatever the score.
    for score in (-9.0, 9.0):
        result = auc([1, 5, 2, 6], [1, 0, 2, 0], [3, 1, score, 4], 3.0)
        assert (result.value, result.n_cases, result.n_controls) == (0.5, 1, 2)


def test_weighting_undoes_censoring_that_depends_on_time_only():
    rng = np.random.default_rng(4)
    n = 20_000
    score = rng.normal(size=n)
    time = rng.exponential(6 / np.exp(score))
    censored = rng.exponential(5, n)
    full = roc_auc_score(time <= 5, score)
    seen = auc(np.minimum(time, censored), (time <= censored).astype(int), score, 5.0)
    assert seen.value == pytest.approx(full, abs=0.01)
    # Without the weights, early cases would count too much.
    cases, controls = (time <= 5) & (time <= censored), np.minimum(time, censored) > 5
    naive = roc_auc_score(np.r_[np.ones(cases.sum()), np.zeros(controls.sum())], np.r_[score[cases], score[controls]])
    assert abs(naive - full) > abs(seen.value - full)


def test_horizon_beyond_follow_up_gives_no_number():
    result = auc([1, 2, 3], [1, 0, 1], [3, 2, 1], 8.0)
    assert np.isnan(result.value)
    assert result.n_controls == 0


def test_intervals_and_paired_difference():
    rng = np.random.default_rng(2)
    n = 400
    signal = rng.normal(size=n)
    time = rng.exponential(5 / np.exp(signal))
    status = (rng.random(n) < 0.7).astype(int)
    scores = {"good": signal, "same": 3 * signal, "worse": signal + rng.normal(size=n)}
    differences = {"gain": ("good", "worse"), "nothing": ("good", "same")}
    options = {"differences": differences, "n_bootstrap": 300, "seed": 7}
    result = time_dependent_auc(time, status, scores, [2.0, 4.0], **options)
    good, worse, gain = (result[name, 4.0] for name in ("good", "worse", "gain"))
    assert good.low < good.value < good.high
    assert gain.value == pytest.approx(good.value - worse.value)
    # Paired: narrower than the two intervals together.
    assert gain.high - gain.low < np.hypot(good.high - good.low, worse.high - worse.low)
    assert gain.low > 0
    assert (result["nothing", 2.0].low, result["nothing", 2.0].high) == (0, 0)
    assert time_dependent_auc(time, status, scores, [2.0, 4.0], **options) == result


def test_large_tables_take_fewer_resamples():
    assert n_resamples(500, 2000) == 2000
    assert n_resamples(40_000, 2000) == 200
    assert n_resamples(40_000, 50) == 50
