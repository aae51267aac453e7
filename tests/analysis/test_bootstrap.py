"""Bootstrap by subject: what is drawn, and whether the intervals are as wide as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.analysis.bootstrap import MIN_SUBJECTS, estimate_with_intervals, resample_counts


def _mean(values: np.ndarray):
    def figures(counts: np.ndarray | None) -> dict[str, np.ndarray]:
        weight = np.ones((1, len(values))) if counts is None else counts
        return {"mean": weight @ values / weight.sum(axis=1)}

    return figures


def test_rows_of_a_subject_are_drawn_together_and_as_many_subjects_as_there_are() -> None:
    subjects = ["b", "a", "b", "c", "a", "b"]
    counts = np.concatenate(list(resample_counts(subjects, n_bootstrap=50, rng=np.random.default_rng(0))))
    assert counts.shape == (50, 6)
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 0] == counts[:, 5]).all()
    assert (counts[:, 1] == counts[:, 4]).all()
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert counts[:, 3].max() >= 2
    assert counts[:, 3].min() == 0


def test_interval_of_a_mean_matches_normal_theory() -> None:
    values = np.random.default_rng(3).normal(10, 4, 400)
    _, intervals = estimate_with_intervals(_mean(values), np.arange(400), n_bootstrap=4000, seed=1)
    low, high = intervals["mean"]
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_four_copies_of_each_scan_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(4).normal(0, 1, 100)
    subjects = np.arange(100)
    once = estimate_with_intervals(_mean(values), subjects, seed=2)[1]["mean"]
    copied = estimate_with_intervals(_mean(np.tile(values, 4)), np.tile(subjects, 4), seed=2)[1]["mean"]
    as_rows = estimate_with_intervals(_mean(np.tile(values, 4)), np.arange(400), seed=2)[1]["mean"]
    assert np.diff(copied) == pytest.approx(np.diff(once), rel=0.1)
    assert np.diff(as_rows) == pytest.approx(np.diff(once) / 2, rel=0.1)


def test_intervals_cover_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(11)
    hits = 0
    for trial in range(300):
        values = rng.normal(5, 3, 60)
        low, high = estimate_with_intervals(_mean(values), np.arange(60), n_bootstrap=400, seed=trial)[1]["mean"]
        hits += low <= 5 <= high
    # Expected 282 (94 %); the bounds are four standard errors away.
    assert 265 <= hits <= 298


def test_same_seed_same_interval_and_other_seed_another() -> None:
    values = np.random.default_rng(5).normal(0, 1, 30)
    first, again, other = (
        estimate_with_intervals(_mean(values), np.arange(30), n_bootstrap=200, seed=seed)[1]["mean"]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_too_few_subjects_get_an_estimate_and_no_interval() -> None:
    values = np.arange(20.0)
    subjects = np.arange(20) % (MIN_SUBJECTS - 1)
    estimates, intervals = estimate_with_intervals(_mean(values), subjects)
    assert estimates == {"mean": 9.5}
    assert intervals == {"mean": None}


def test_undefined_figure_is_none_with_no_interval() -> None:
    def undefined(counts: np.ndarray | None) -> dict[str, np.ndarray]:
        return {"figure": np.full(1 if counts is None else len(counts), np.nan)}

    assert estimate_with_intervals(undefined, np.arange(10)) == ({"figure": None}, {"figure": None})
