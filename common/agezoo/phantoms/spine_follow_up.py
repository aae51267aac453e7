"""Follow-up after a spine image: fractures and death whose hazards carry a known effect of the planted deviation.

Vertebral fracture, non-vertebral fracture and death are independent processes with proportional hazards. Given the
covariates, each hazard grows exponentially with age (Gompertz), so it stays proportional over the follow-up::

    h(t) = h70 * exp(growth * (age + t - 70)) * HR ** (deviation / SD) * exp(effects of sex, BMI, smoking, parents)

"Any fracture" is the earlier of the two kinds. Its hazard is their sum, ``0.6 * 1.63**z + 0.4 * 1.92**z`` times the
same rest, which follows ``1.74**z`` within half a percent for z from -1 to 1: with these shares the three published
hazard ratios agree with one another. Prevalent fracture and bone density have no effect beyond that of the deviation,
so the hazard ratio of an exactly known deviation is the same in every nested model.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agezoo.errors import InputError
from agezoo.phantoms.spine_ageing import OSTEOPOROSIS_T_SCORE, fracture_rate, t_score, trabecular_density

FloatArray = NDArray[np.float64]

HAZARD_RATIOS: dict[str, float] = {
    "any_fracture": 1.74,
    "vertebral_fracture": 1.63,
    "nonvertebral_fracture": 1.92,
    "death": 1.40,
}
"""Planted hazard ratio per SD of the deviation; those of the fractures are the paper's."""

UNIFORMS = 6
"""Uniform random numbers that one person's follow-up takes."""


@dataclass(frozen=True)
class _Process:
    """A Gompertz hazard: per year at the age of 70 for a man of BMI 26 who does not smoke, and its log effects."""

    per_year_at_70: float
    growth_per_year: float
    woman: float
    bmi_per_unit: float
    smoking: float
    parental_hip_fracture: float


_FRACTURE_EFFECTS = {"woman": 0.45, "bmi_per_unit": -0.02, "smoking": 0.25, "parental_hip_fracture": 0.35}
_VERTEBRAL = _Process(0.0072, 0.045, **_FRACTURE_EFFECTS)
_NONVERTEBRAL = _Process(0.0048, 0.045, **_FRACTURE_EFFECTS)
_DEATH = _Process(0.018, 0.090, woman=-0.40, bmi_per_unit=0.01, smoking=0.60, parental_hip_fracture=0.0)
_CENSORED_YEARS = (10.0, 12.0)
_DROPOUT_PER_YEAR = 0.012


def follow_up(people: pd.DataFrame, uniforms: FloatArray, *, deviation_sd_years: float) -> pd.DataFrame:
    """Times and events of people.

    Parameters
    ----------
    people
        Columns ``age_years``, ``deviation_years``, ``sex``, ``bmi``, ``smoking``, ``parental_hip_fracture``.
    uniforms
        Shape (people, `UNIFORMS`), values within 0 and 1.
    deviation_sd_years
        SD of the deviation, the unit of the hazard ratios; with 0 nothing depends on it.

    Returns
    -------
    pandas.DataFrame
        With the index of `people`. Per fracture end point ``time_<name>_years``, ``event_<name>`` (1 where the fracture
        ended the time, 0 where death or censoring did) and ``competing_death_<name>`` (1 where death ended it
        first); ``time_death_years`` and ``event_death``.

    Notes
    -----
    Censoring is administrative after 10 to 12 years (entry is staggered) or by drop-out at 1.2 % a year; neither
    depends on the person.
    """
    z = people["deviation_years"].to_numpy(float) / deviation_sd_years if deviation_sd_years > 0 else 0.0
    draw = np.clip(np.asarray(uniforms, dtype=np.float64), 1e-12, 1.0 - 1e-12)
    vertebral = _event_time(_VERTEBRAL, HAZARD_RATIOS["vertebral_fracture"], people, z, draw[:, 0])
    nonvertebral = _event_time(_NONVERTEBRAL, HAZARD_RATIOS["nonvertebral_fracture"], people, z, draw[:, 1])
    death = _event_time(_DEATH, HAZARD_RATIOS["death"], people, z, draw[:, 2])
    administrative = _CENSORED_YEARS[0] + (_CENSORED_YEARS[1] - _CENSORED_YEARS[0]) * draw[:, 3]
    censored = np.minimum(administrative, -np.log(draw[:, 4]) / _DROPOUT_PER_YEAR)
    end = np.minimum(death, censored)
    columns: dict[str, NDArray[np.generic]] = {}
    for name, time in (
        ("any_fracture", np.minimum(vertebral, nonvertebral)),
        ("vertebral_fracture", vertebral),
        ("nonvertebral_fracture", nonvertebral),
    ):
        columns[f"time_{name}_years"] = _rounded_time(np.minimum(time, end))
        columns[f"event_{name}"] = (time <= end).astype(np.int64)
        columns[f"competing_death_{name}"] = ((death < time) & (death <= censored)).astype(np.int64)
    columns["time_death_years"] = _rounded_time(end)
    columns["event_death"] = (death <= censored).astype(np.int64)
    return pd.DataFrame(columns, index=people.index)


def _event_time(
    process: _Process, hazard_ratio: float, people: pd.DataFrame, z: FloatArray | float, uniform: FloatArray
) -> FloatArray:
    """Invert the Gompertz survival function."""
    log_hazard = (
        math.log(process.per_year_at_70)
        + process.growth_per_year * (people["age_years"].to_numpy(float) - 70.0)
        + math.log(hazard_ratio) * z
        + process.woman * (people["sex"] == "F").to_numpy(float)
        + process.bmi_per_unit * (people["bmi"].to_numpy(float) - 26.0)
        + process.smoking * people["smoking"].to_numpy(float)
        + process.parental_hip_fracture * people["parental_hip_fracture"].to_numpy(float)
    )
    growth = process.growth_per_year
    return np.log1p(-growth * np.log(uniform) / np.exp(log_hazard)) / growth


def _rounded_time(years: FloatArray) -> FloatArray:
    # A hundredth of a day: ties stay as rare as in continuous time, and no time is 0.
    return np.maximum(np.round(years, 5), 1e-5)


def clinical_risk_factors(
    sex: pd.Series, biological_age_years: FloatArray, fatness: FloatArray, uniforms: FloatArray
) -> pd.DataFrame:
    """Baseline covariates of people: ``bmi``, ``smoking``, ``parental_hip_fracture``, ``previous_fracture``.

    Parameters
    ----------
    sex
        ``"F"`` or ``"M"``.
    biological_age_years
        Earlier fractures (not of the spine) become more frequent with it.
    fatness
        Standard normal score of the girth.
    uniforms
        Shape (people, 4).
    """
    woman = (sex == "F").to_numpy(float)
    bmi = 26.2 + 3.6 * fatness + 1.2 * (uniforms[:, 0] - 0.5) - 0.4 * woman
    previous = 1.0 / (1.0 + np.exp(-(-1.9 + 0.045 * (biological_age_years - 70.0) + 0.3 * woman)))
    return pd.DataFrame(
        {
            "bmi": np.round(np.clip(bmi, 16.0, 45.0), 1),
            "smoking": (uniforms[:, 1] < 0.22 - 0.06 * woman).astype(np.int64),
            "parental_hip_fracture": (uniforms[:, 2] < 0.12).astype(np.int64),
            "previous_fracture": (uniforms[:, 3] < previous).astype(np.int64),
        },
        index=sex.index,
    )


def simulate_follow_up(
    n: int,
    seed: int,
    *,
    deviation_sd_years: float = 3.0,
    prediction_noise_sd_years: float = 0.0,
    age_range_years: tuple[float, float] = (40.0, 90.0),
) -> pd.DataFrame:
    """Simulate a prediction table with follow-up, without drawing an image.

    Parameters
    ----------
    n
        Rows, one person each.
    seed
        Of everything.
    deviation_sd_years
        SD of biological minus chronological age.
    prediction_noise_sd_years
        SD of the model's error about biological age. With 0 the gap is exactly the planted deviation.
    age_range_years
        Chronological ages are uniform over it.

    Returns
    -------
    pandas.DataFrame
        ``subject_id``, ``age_years``, ``sex``, ``modality`` (``"radiograph"``), ``site``, ``deviation_years``,
        ``biological_age_years``, ``predicted_age_years``, the covariates of a spine cohort's table and its follow-up
        columns (see `follow_up`).

    Raises
    ------
    InputError
        If `n` is below 1 or an SD is negative.

    Notes
    -----
    With noise the hazard ratio per SD of the gap is smaller than the planted one: see `expected_hazard_ratio`.
    """
    if n < 1 or deviation_sd_years < 0 or prediction_noise_sd_years < 0:
        raise InputError(
            "a simulated cohort needs people, and SDs are not negative",
            found={"n": n, "deviation_sd_years": deviation_sd_years, "noise": prediction_noise_sd_years},
        )
    rng = np.random.default_rng([seed, 21])
    age = np.round(rng.uniform(*age_range_years, n), 2)
    deviation = deviation_sd_years * rng.standard_normal(n)
    sex = pd.Series(np.where(rng.random(n) < 0.55, "F", "M"))
    biological = age + deviation
    noise = prediction_noise_sd_years * rng.standard_normal(n)
    density = trabecular_density(biological, rng.standard_normal(n))
    score = np.round(t_score(density, sex == "F", rng.standard_normal(n)), 2)
    people = pd.DataFrame(
        {
            "subject_id": [f"SIM-{index + 1:05d}" for index in range(n)],
            "age_years": age,
            "sex": sex,
            "modality": "radiograph",
            "site": np.where(rng.random(n) < 0.2, "scanner_b", "scanner_a"),
            "deviation_years": deviation,
            "biological_age_years": biological,
            "predicted_age_years": biological + noise,
        }
    )
    risk = clinical_risk_factors(sex, biological, rng.standard_normal(n), rng.random((n, 4)))
    people = pd.concat([people, risk], axis=1)
    fractured = rng.random(n) < -np.expm1(-fracture_rate(biological, density))
    people["prevalent_vertebral_fracture"] = fractured.astype(np.int64)
    people["t_score"] = score
    people["osteoporosis"] = (score <= OSTEOPOROSIS_T_SCORE).astype(np.int64)
    outcome = follow_up(people, rng.random((n, UNIFORMS)), deviation_sd_years=deviation_sd_years)
    return pd.concat([people, outcome], axis=1)


def expected_hazard_ratio(
    planted: float, *, deviation_sd_years: float = 3.0, prediction_noise_sd_years: float = 0.0
) -> float:
    """Hazard ratio per SD of the gap that an analysis can recover.

    Parameters
    ----------
    planted
        Per SD of the deviation.
    deviation_sd_years, prediction_noise_sd_years
        The gap is deviation + independent noise.

    Returns
    -------
    float
        ``planted ** (deviation SD / gap SD)``: among people of one gap the mean deviation is the gap times the
        reliability ``deviation variance / gap variance``, and per SD of the gap that leaves its square root.

    Notes
    -----
    Regression calibration (Prentice, Biometrika 1982): exact to first order and for rare events, in a model without
    covariates that know of the deviation. What noise or left-out covariates hide acts as an unobserved frailty and
    lowers the ratio by about another hundredth at the shares of events simulated here. Prevalent fracture and
    osteoporosis follow from the deviation: beside them a noisy gap keeps a little less than this.
    """
    gap_sd = math.hypot(deviation_sd_years, prediction_noise_sd_years)
    return float(planted ** (deviation_sd_years / gap_sd)) if gap_sd > 0 else 1.0


def planted_effects() -> dict[str, object]:
    """What a cohort's description says of the planted hazards."""
    return {
        "hazard_ratio_per_sd_of_deviation": dict(HAZARD_RATIOS),
        "processes": {
            "vertebral_fracture": asdict(_VERTEBRAL),
            "nonvertebral_fracture": asdict(_NONVERTEBRAL),
            "death": asdict(_DEATH),
        },
        "processes_note": "log effects; hazard per year at 70 of a man of BMI 26; any fracture: the earlier of both",
        "censoring": {"administrative_years": list(_CENSORED_YEARS), "dropout_per_year": _DROPOUT_PER_YEAR},
    }
