"""p values against chance by hand, and the correction over regions by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.analysis.atlas_null import compare_with_chance


def test_counts_by_hand() -> None:
    null = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0]])
    test = compare_with_chance(np.array([3.0, 9.0]), null)
    # 3 and 4 are as large as 3; nothing is as large as 9. 1, 2 and 3 are as small as 3, all are as small as 9.
    np.testing.assert_allclose(test.p_more, [3 / 5, 1 / 5])
    np.testing.assert_allclose(test.p_two_sided, [1.0, 2 / 5])


def test_adjusted_by_hand() -> None:
    # Both regions have the values -2, -1, 0, 0, 0, 1, 2 and so one spread: plain deviations can be compared.
    null = np.array([[-1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, -1.0], [0.0, 0.0], [-2.0, 1.0]])
    test = compare_with_chance(np.array([2.0, -2.0]), null)
    # Largest of each shuffle: 0, 2, 1, 0, 0, 1.
    np.testing.assert_allclose(test.p_more_adjusted, [2 / 7, 1.0])
    # Largest absolute one: 1, 2, 1, 1, 0, 2.
    np.testing.assert_allclose(test.p_two_sided_adjusted, [3 / 7, 3 / 7])


def test_any_false_finding_stays_below_the_level_and_the_level_is_used() -> None:
    rng = np.random.default_rng(0)
    spread = np.geomspace(0.01, 1, 12)
    n = 1500
    # The regions share a part, as regions do whose sum is 1.
    draws = (rng.normal(size=(n, 40, 12)) + rng.normal(size=(n, 40, 1))) * spread
    found = [compare_with_chance(part[0], part[1:]) for part in draws]
    one_sided = np.mean([test.p_more_adjusted.min() <= 0.05 for test in found])
    two_sided = np.mean([test.p_two_sided_adjusted.min() <= 0.05 for test in found])
    # 2 of 40 places are at or below 0.05.
    assert one_sided == pytest.approx(0.05, abs=0.017)
    assert two_sided == pytest.approx(0.05, abs=0.017)


def test_a_region_without_spread_is_never_a_finding() -> None:
    null = np.zeros((50, 2))
    null[:, 1] = np.arange(50)
    test = compare_with_chance(np.array([0.0, 100.0]), null)
    assert test.p_more[0] == test.p_more_adjusted[0] == test.p_two_sided[0] == 1
    assert test.p_more_adjusted[1] == pytest.approx(1 / 51)


def test_sums_in_another_order_are_ties() -> None:
    total = sum([0.1] * 10)
    assert total != 1.0
    np.testing.assert_allclose(compare_with_chance(np.array([1.0]), np.full((9, 1), total)).p_more, [1.0])
