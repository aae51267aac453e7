"""Sums by person give what rows give."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.analysis.accuracy import accuracy_figures, figures_of_moments, moment_terms
from agezoo.analysis.block_bootstrap import Block, resampled_rows
from agezoo.analysis.bootstrap import estimate_with_intervals


def block(age: np.ndarray, predicted: np.ndarray, person: np.ndarray, **labels: str) -> Block:
    return Block(labels, person, moment_terms(age, predicted), figures_of_moments)


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    age = rng.uniform(40, 90, 300)
    return age, 20 + 0.7 * age + rng.normal(0, 4, 300), np.arange(300) // 3


def test_figures_and_intervals_are_those_of_the_rows(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    age, predicted, person = data
    (row,) = resampled_rows([block(age, predicted, person, ages="raw")], person, seed=3, n_bootstrap=500)
    estimates, bounds = estimate_with_intervals(
        lambda counts: accuracy_figures(age, predicted, counts=counts), person, seed=3, n_bootstrap=500
    )
    assert (row["ages"], row["n"], row["n_people"]) == ("raw", 300, 100)
    for name in ("mae_years", "rmse_years", "bias_years", "pcc", "r2", "gap_age_slope"):
        assert row[name] == pytest.approx(estimates[name])
        assert [row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx(bounds[name])


def test_a_part_of_the_table_has_its_own_figures(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    age, predicted, person = data
    part, few = slice(0, 150), slice(0, 9)
    blocks = [block(age, predicted, person)] + [block(age[s], predicted[s], person[s]) for s in (part, few)]
    _, half, tiny = resampled_rows(blocks, person, seed=0, n_bootstrap=300)
    expected = accuracy_figures(age[part], predicted[part])
    assert half["mae_years"] == pytest.approx(expected["mae_years"][0])
    assert half["mae_years_low"] < half["mae_years"] < half["mae_years_high"]
    assert (tiny["n"], tiny["n_people"]) == (9, 3)
    assert np.isfinite(tiny["mae_years"])
    assert np.isnan(tiny["mae_years_low"]), "three people show no spread"


def test_without_resamples_there_are_no_intervals(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    age, predicted, person = data
    (row,) = resampled_rows([block(age, predicted, person)], person, seed=0, n_bootstrap=0)
    assert np.isfinite(row["r2"])
    assert np.isnan(row["r2_low"])
