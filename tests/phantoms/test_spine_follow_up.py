"""Simulated follow-up carries the hazards that were planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.hazard_regression import PHReg

from agezoo.errors import InputError
from agezoo.phantoms.spine_follow_up import (
    HAZARD_RATIOS,
    UNIFORMS,
    expected_hazard_ratio,
    follow_up,
    simulate_follow_up,
)


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    return simulate_follow_up(12_000, 11)


def hazard_ratio(table: pd.DataFrame, end_point: str) -> tuple[float, float]:
    """Log hazard ratio per SD of the gap, adjusted for age and sex, and its standard error."""
    gap = (table["predicted_age_years"] - table["age_years"]).to_numpy()
    design = np.column_stack([gap / gap.std(), table["age_years"], table["sex"] == "F"]).astype(float)
    fit = PHReg(table[f"time_{end_point}_years"], design, status=table[f"event_{end_point}"], ties="breslow").fit()
    return float(fit.params[0]), float(fit.bse[0])


@pytest.mark.parametrize("end_point", list(HAZARD_RATIOS))
def test_cox_finds_the_planted_hazard_ratio(exact: pd.DataFrame, end_point: str) -> None:
    estimate, error = hazard_ratio(exact, end_point)
    assert abs(estimate - np.log(HAZARD_RATIOS[end_point])) < 2.6 * error
    assert error < 0.04


def test_noise_in_the_prediction_attenuates_as_stated() -> None:
    noisy = simulate_follow_up(12_000, 12, prediction_noise_sd_years=4.0)
    expected = expected_hazard_ratio(1.74, prediction_noise_sd_years=4.0)
    # A gap SD of 5 from a deviation SD of 3: three fifths of the log hazard ratio are left.
    assert expected == pytest.approx(1.74**0.6)
    estimate, error = hazard_ratio(noisy, "any_fracture")
    assert abs(estimate - np.log(expected)) < 2.6 * error
    assert estimate < np.log(1.74) - 4 * error


def test_gap_is_the_deviation_without_noise(exact: pd.DataFrame) -> None:
    gap = exact["predicted_age_years"] - exact["age_years"]
    assert np.allclose(gap, exact["deviation_years"])
    assert abs(np.corrcoef(exact["age_years"], gap)[0, 1]) < 0.03


def test_times_and_events_agree_with_one_another(exact: pd.DataFrame) -> None:
    any_time = exact["time_any_fracture_years"]
    kinds = exact[["time_vertebral_fracture_years", "time_nonvertebral_fracture_years"]].min(axis=1)
    assert np.allclose(any_time, kinds)
    either = exact["event_vertebral_fracture"] | exact["event_nonvertebral_fracture"]
    # A person with both kinds has the earlier time, one with none is followed to death or censoring.
    assert (exact["event_any_fracture"] == either).all()
    for name in ("any_fracture", "vertebral_fracture", "nonvertebral_fracture"):
        event, competing = exact[f"event_{name}"], exact[f"competing_death_{name}"]
        assert (event + competing <= 1).all()
        ended = exact[competing == 1]
        assert (ended["event_death"] == 1).all()
        assert np.allclose(ended[f"time_{name}_years"], ended["time_death_years"])
    assert exact["time_death_years"].between(0, 12, inclusive="right").all()


def test_event_counts_are_realistic(exact: pd.DataFrame) -> None:
    shares = exact[["event_any_fracture", "event_vertebral_fracture", "event_death"]].mean()
    assert 0.10 < shares["event_any_fracture"] < 0.22
    assert shares["event_vertebral_fracture"] < shares["event_any_fracture"]
    assert 0.15 < shares["event_death"] < 0.35
    older = exact["age_years"] > 75
    assert exact.loc[older, "event_any_fracture"].mean() > 1.5 * exact.loc[~older, "event_any_fracture"].mean()


def test_survival_of_one_kind_of_person_is_gompertz() -> None:
    n = 20_000
    people = pd.DataFrame(
        {"age_years": 80.0, "deviation_years": 0.0, "sex": "M", "bmi": 26.0, "smoking": 0, "parental_hip_fracture": 0},
        index=range(n),
    )
    uniforms = np.random.default_rng(2).random((n, UNIFORMS))
    uniforms[:, 4] = 1e-12  # nobody drops out
    outcome = follow_up(people, uniforms, deviation_sd_years=3.0)
    # Hazard 0.018 exp(0.09 (80 + t - 70)): survival to 8 years is exp(-0.018 e^0.9 (e^0.72 - 1) / 0.09) = 0.597.
    alive = (outcome["time_death_years"] > 8.0).mean()
    assert alive == pytest.approx(0.597, abs=0.011)  # three standard errors


def test_same_seed_same_table_and_large_tables_are_quick() -> None:
    pd.testing.assert_frame_equal(simulate_follow_up(50, 3), simulate_follow_up(50, 3))
    assert not simulate_follow_up(50, 3)["age_years"].equals(simulate_follow_up(50, 4)["age_years"])


def test_impossible_simulations_are_refused() -> None:
    with pytest.raises(InputError, match="needs people"):
        simulate_follow_up(0, 1)
    assert expected_hazard_ratio(1.5, deviation_sd_years=0.0) == 1.0
