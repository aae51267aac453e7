"""Harrell's C against a published value, a quadratic count and hand-made pairs."""

from __future__ import annotations

import numpy as np
import pytest
from published_survival import rossi

from agezoo.analysis.concordance import concordance_change, harrell_c
from agezoo.analysis.cox import fit_cox
from agezoo.analysis.cross_fitted_risk import cross_fitted_risk, folds_of_people


def by_pairs(time, event, risk):
    """C, its standard error and the pairs, by visiting every pair."""
    n = len(time)
    won, met = np.zeros(n), np.zeros(n)
    for i in range(n):
        for j in range(n):
            if event[i] and (time[j] > time[i] or (time[j] == time[i] and not event[j])):
                score = 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
                for k in (i, j):
                    won[k] += score
                    met[k] += 1
    pairs = met.sum() / 2
    c = won.sum() / 2 / pairs
    return c, np.sqrt((((won - c * met) / pairs) ** 2).sum()), pairs


def test_pairs_by_hand():
    # Comparable: a-b, a-c, a-d (a is first), b-c (c censored at b's time), b-d. Concordant: a-b, a-d, b-d; tied: a-c.
    result = harrell_c([1, 2, 2, 3], [True, True, False, False], [5, 4, 5, 1])
    assert result.n_pairs == 5
    assert result.c == pytest.approx(3.5 / 5)


@pytest.mark.parametrize("n", [2, 7, 64, 130])
@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_all_pairs(n, seed):
    rng = np.random.default_rng(seed)
    # Whole numbers: many ties in time and in risk.
    time, event, risk = rng.integers(1, 12, n), rng.random(n) < 0.5, rng.integers(0, 6, n)
    time[0], event[0] = 0, True
    c, se, pairs = by_pairs(time, event, risk)
    result = harrell_c(time, event, risk)
    assert (result.c, result.se, result.n_pairs) == pytest.approx((c, se, pairs))


def test_rossi_as_published():
    # R's summary of the Rossi model: concordance 0.64, se 0.027.
    time, event, covariates = rossi()
    result = harrell_c(time, event, covariates @ fit_cox(time, event, covariates).coefficients)
    assert round(result.c, 3) == 0.640
    assert round(result.se, 3) == 0.027


def test_no_comparable_pair_gives_no_number():
    result = harrell_c([1, 2], [False, True], [1, 2])
    assert result.n_pairs == 0
    assert np.isnan(result.c)


def test_change_knows_that_scores_are_alike():
    rng = np.random.default_rng(5)
    n = 800
    signal = rng.normal(size=n)
    time = rng.exponential(np.exp(-signal))
    event = rng.random(n) < 0.7
    first = harrell_c(time, event, signal + rng.normal(size=n) * 0.5)
    second = harrell_c(time, event, signal)
    change = concordance_change(first, second)
    assert change.change == pytest.approx(second.c - first.c)
    assert change.low > 0
    # Closer than if the two were independent, and as wide as the bootstrap of people says.
    assert change.se < 0.8 * np.hypot(first.se, second.se)
    noisy = signal + rng.normal(size=n) * 0.5
    draws = []
    for _ in range(200):
        rows = rng.integers(n, size=n)
        draws.append(
            harrell_c(time[rows], event[rows], signal[rows]).c - harrell_c(time[rows], event[rows], noisy[rows]).c
        )
    paired = concordance_change(harrell_c(time, event, noisy), second)
    assert paired.se == pytest.approx(np.std(draws), rel=0.2)


def test_equal_scores_change_nothing():
    rng = np.random.default_rng(6)
    time, event, risk = rng.exponential(size=50), rng.random(50) < 0.5, rng.normal(size=50)
    change = concordance_change(harrell_c(time, event, risk), harrell_c(time, event, 2 * risk + 1))
    assert (change.change, change.low, change.high) == (0, 0, 0)
    assert np.isnan(change.p)


def test_folds_share_the_events():
    event = np.arange(105) < 23
    folds = folds_of_people(event, seed=1)
    assert sorted(np.bincount(folds)) == [10] * 5 + [11] * 5
    assert set(np.bincount(folds[event])) == {2, 3}


def test_cross_fitted_risk_has_not_seen_its_own_people():
    time, event, covariates = rossi()
    folds = folds_of_people(event, seed=2)
    risk = cross_fitted_risk(time, event, covariates, folds)
    seen = folds != 4
    values = (covariates - covariates.mean()) / covariates.std(ddof=0)
    fit = fit_cox(time[seen], event[seen], values[seen])
    assert risk[~seen] == pytest.approx((values[~seen] @ fit.coefficients).to_numpy(), abs=1e-6)
    # Fitting and judging on the same people flatters.
    fitted = harrell_c(time, event, values @ fit_cox(time, event, values).coefficients)
    assert harrell_c(time, event, risk).c < fitted.c - 0.01
