"""AUROC and DeLong's variance against counting by hand, a quadratic computation and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from agezoo.analysis.auroc import auroc, delong, paired_difference


def quadratic(label: NDArray, scores: NDArray) -> tuple[NDArray, NDArray]:
    """DeLong's structural components, every pair of people looked at."""
    positive, negative = scores[:, label == 1], scores[:, label == 0]
    wins = (positive[:, :, None] > negative[:, None, :]) + 0.5 * (positive[:, :, None] == negative[:, None, :])
    m, n = positive.shape[1], negative.shape[1]
    value = wins.mean(axis=(1, 2))
    v10 = wins.mean(axis=2) - value[:, None]
    v01 = wins.mean(axis=1) - value[:, None]
    return value, v10 @ v10.T / (m - 1) / m + v01 @ v01.T / (n - 1) / n


def test_a_case_with_a_tie_worked_out_by_hand() -> None:
    # With the label 3, 2, 2, without 1, 2. Wins of 3: 1, 1; of 2: 1, 1/2; of 2: 1, 1/2 -> 5 of 6.
    # Components of the three: 1, 3/4, 3/4 (variance 1/48); of the two: 1, 2/3 (variance 1/18).
    result = auroc([1, 1, 1, 0, 0], [3, 2, 2, 1, 2])
    assert result.value == pytest.approx(5 / 6)
    assert result.variance == pytest.approx(1 / 48 / 3 + 1 / 18 / 2)
    # logit(5/6) = ln 5, and the SD on that scale is the SD / (5/6 * 1/6).
    half = 1.959964 * np.sqrt(1 / 144 + 1 / 36) / (5 / 36)
    assert result.low == pytest.approx(1 / (1 + np.exp(-(np.log(5) - half))), abs=1e-6)
    assert result.high == pytest.approx(1 / (1 + np.exp(-(np.log(5) + half))), abs=1e-6)
    assert (result.n_positive, result.n_negative) == (3, 2)


@pytest.mark.parametrize("decimals", [0, 6], ids=["many ties", "no ties"])
def test_mid_ranks_give_what_all_pairs_give(decimals: int) -> None:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, 90)
    scores = np.round(rng.normal(0, 2, (3, 90)) + label * np.array([[0.0], [1.0], [3.0]]), decimals)
    value, covariance = delong(label, scores)
    expected, expected_covariance = quadratic(label, scores)
    np.testing.assert_allclose(value, expected, atol=1e-12)
    np.testing.assert_allclose(covariance, expected_covariance, atol=1e-12)
    assert value[2] == pytest.approx(roc_auc_score(label, scores[2]))


def test_perfect_separation_has_a_value_and_no_interval() -> None:
    result = auroc([1, 1, 1, 0, 0, 0], [7, 8, 9, 1, 2, 3])
    assert (result.value, result.variance, result.low, result.high) == (1.0, 0.0, None, None)
    assert auroc([0, 0, 1, 1], [5, 6, 1, 2]).value == 0.0


def test_a_constant_score_tells_nothing() -> None:
    result = auroc([1, 0, 1, 0], [4, 4, 4, 4])
    assert (result.value, result.low) == (0.5, None)


def test_one_person_with_the_label_gives_no_interval() -> None:
    result = auroc([1, 0, 0, 0], [3, 1, 2, 4])
    assert result.value == pytest.approx(2 / 3)
    assert result.low is None


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [
        ([1, 1], [1, 2], "with and without"),
        ([0, 2], [1, 2], "0 or 1"),
        ([0, 1], [1, np.nan], "finite"),
        ([0, 1, 1], [1, 2], "fit together"),
    ],
)
def test_what_cannot_be_ranked_is_refused(label: list, score: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auroc(label, score)


def test_paired_difference_is_the_one_of_the_components() -> None:
    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, 60)
    scores = rng.normal(0, 1, (2, 60)) + label * np.array([[0.8], [0.2]])
    value, covariance = quadratic(label, scores)
    sd = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    result = paired_difference(label, *scores)
    assert result.value == pytest.approx(value[0] - value[1])
    assert result.z == pytest.approx((value[0] - value[1]) / sd)
    assert result.p == pytest.approx(2 * (1 - norm.cdf(abs(result.z))))
    assert (result.low, result.high) == pytest.approx((result.value - 1.959964 * sd, result.value + 1.959964 * sd))
    swapped = paired_difference(label, scores[1], scores[0])
    assert (swapped.value, swapped.p) == pytest.approx((-result.value, result.p))


def test_scores_that_rank_everyone_alike_do_not_differ() -> None:
    score = np.array([3.0, 1.0, 2.0, 5.0, 0.5])
    result = paired_difference([1, 0, 1, 1, 0], score, np.exp(score))
    assert (result.value, result.z, result.p, result.low) == (0.0, None, None, None)


def test_intervals_and_test_keep_their_promise() -> None:
    # Binormal: two scores of equal true AUROC Phi(1 / sqrt 2), correlated 0.6.
    rng = np.random.default_rng(5)
    truth = norm.cdf(1 / np.sqrt(2))
    label = np.repeat([1, 0], [30, 50])
    noise = np.linalg.cholesky(np.array([[1, 0.6], [0.6, 1]]))
    inside = rejected = 0
    for _ in range(1000):
        scores = noise @ rng.normal(size=(2, 80)) + label
        one = auroc(label, scores[0])
        inside += one.low <= truth <= one.high
        rejected += paired_difference(label, *scores).p < 0.05
    assert 930 <= inside <= 970
    assert 30 <= rejected <= 75


def test_forty_thousand_people_take_no_time() -> None:
    rng = np.random.default_rng(6)
    label = rng.integers(0, 2, 40_000)
    score = rng.normal(size=40_000) + label
    # The quadratic form would need 400 million comparisons; the interval is about 1 % wide.
    result = auroc(label, score)
    assert result.high - result.low < 0.01
    assert result.value == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.01)
