"""The published ways of taking the dependence on age out of predicted ages, for one group of people.

Predicted ages are drawn to the middle of the training ages: the young come out too old and the old too young. Each
method learns that from a reference and undoes it elsewhere. A person counts once however many scans there are.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from agezoo.errors import InputError

FloatArray = NDArray[np.float64]
BiasMethod = Literal["beheshti", "cole", "quadratic", "age_level"]
METHODS: tuple[BiasMethod, ...] = get_args(BiasMethod)

#: Fewer people than this give no correction.
MIN_SUBJECTS = 10

#: Least slope of predicted on true age that Cole's correction divides by: below it errors would grow tenfold.
MIN_COLE_SLOPE = 0.1

#: Rows that an age needs for a mean and SD of its own; with fewer, neighbouring ages join in.
MIN_AT_AGE = 10

#: How many years to either side may join in.
MAX_HALF_WIDTH_YEARS = 5

_CONSTANT_YEARS = 1e-6


class AgeLevel(BaseModel):
    """Gap at one age in completed years.

    Attributes
    ----------
    age
        Completed years.
    mean_gap_years, sd_gap_years
        Of the reference's gaps (predicted - true age) in the window around that age.
    n_rows
        Rows in the window.
    half_width_years
        Years to either side that the window takes in; 0 where the age had enough rows of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    age: int
    mean_gap_years: float
    sd_gap_years: float = Field(gt=0)
    n_rows: int
    half_width_years: int


class GroupCorrection(BaseModel):
    """One method fitted on one group.

    Attributes
    ----------
    method
        ``beheshti``, ``cole``, ``quadratic`` or ``age_level``.
    n_rows, n_subjects
        What it was fitted on.
    age_min_years, age_max_years
        Ages of the reference.
    coefficients
        Of the powers of age, constant first: of the gap (``beheshti``, ``quadratic``) or of the predicted age
        (``cole``). Empty for ``age_level``.
    levels
        Ages of ``age_level`` that have a mean gap, ascending.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: BiasMethod
    n_rows: int
    n_subjects: int
    age_min_years: float
    age_max_years: float
    coefficients: tuple[float, ...] = ()
    levels: tuple[AgeLevel, ...] = ()

    def corrected_years(self, age_years: FloatArray, predicted_age_years: FloatArray) -> FloatArray:
        """Corrected ages, shape ``(n,)``; not a number where the method needs an age that is unknown or not covered."""
        if self.method == "cole":
            intercept, slope = self.coefficients
            return (predicted_age_years - intercept) / slope
        if self.method == "age_level":
            return predicted_age_years - self._at_age(age_years, "mean_gap_years")
        return predicted_age_years - np.polynomial.polynomial.polyval(age_years, self.coefficients)

    def gap_z(self, age_years: FloatArray, predicted_age_years: FloatArray) -> FloatArray:
        """Gap in SDs of the reference's gaps at that age, for ``age_level``; not a number for the other methods."""
        if self.method != "age_level":
            return np.full(age_years.shape, np.nan)
        corrected = self.corrected_years(age_years, predicted_age_years)
        return (corrected - age_years) / self._at_age(age_years, "sd_gap_years")

    def covers(self, age_years: FloatArray) -> NDArray[np.bool_]:
        """Whether ages, in completed years, lie among those of the reference; False where unknown."""
        years = np.floor(age_years)
        return (years >= np.floor(self.age_min_years)) & (years <= np.floor(self.age_max_years))

    def _at_age(self, age_years: FloatArray, what: str) -> FloatArray:
        known = np.array([level.age for level in self.levels])
        values = np.array([getattr(level, what) for level in self.levels])
        years = np.floor(age_years)
        place = np.clip(np.searchsorted(known, years), 0, len(known) - 1)
        return np.where(known[place] == years, values[place], np.nan)


def fit_group(
    method: BiasMethod, age_years: FloatArray, predicted_age_years: FloatArray, subject: NDArray[np.intp], *, name: str
) -> GroupCorrection:
    """Fit one method on one group.

    Parameters
    ----------
    method
        ``beheshti``: the gap on age, a line. ``quadratic``: the gap on age and its square. ``cole``: predicted on true
        age, a line, which is then inverted and needs no true age. ``age_level``: mean and SD of the gap per age in
        completed years; an age with fewer than :data:`MIN_AT_AGE` rows takes in as many years to both sides as it
        needs, at most :data:`MAX_HALF_WIDTH_YEARS`, and has no correction if that is not enough.
    age_years, predicted_age_years
        Shape ``(n,)``, finite.
    subject
        Number of each row's person, shape ``(n,)``; a person's rows share the weight of one.
    name
        The group in error messages.

    Raises
    ------
    InputError
        If there are fewer than :data:`MIN_SUBJECTS` people, ages do not vary enough, or Cole's line is too flat.

    References
    ----------
    Beheshti I et al. NeuroImage Clin 2019;24:102063 (``beheshti``). Cole JH et al. Mol Psychiatry 2018;23:1385-1392,
    and de Lange AMG, Cole JH. NeuroImage Clin 2020;26:102229 (``cole``). Smith SM et al. NeuroImage 2019;200:528-539
    (``quadratic``). Zhang B et al. NeuroImage Clin 2023;37:103319 (``age_level``).
    """
    n_subjects = len(np.unique(subject))
    if n_subjects < MIN_SUBJECTS:
        raise InputError(
            "too few people to fit a bias correction on",
            source=name,
            found=f"{n_subjects} with an age and a prediction",
            expected=f"at least {MIN_SUBJECTS}",
        )
    degree = 2 if method == "quadratic" else 1
    n_ages = len(np.unique(np.round(age_years, 6)))
    if np.ptp(age_years) < _CONSTANT_YEARS or n_ages <= degree:
        raise InputError(
            "the ages vary too little to fit a bias correction on",
            source=name,
            found=f"{n_ages} different ages, from {age_years.min():g} to {age_years.max():g} years",
            expected=f"at least {degree + 1} different ages",
        )
    weight = subject_weights(subject)
    coefficients: tuple[float, ...] = ()
    levels: tuple[AgeLevel, ...] = ()
    if method == "age_level":
        levels = _age_levels(age_years, predicted_age_years - age_years, weight)
        if not levels:
            raise InputError(
                "no age has enough people around it for the age-level correction",
                source=name,
                found=f"{age_years.size} rows from {age_years.min():g} to {age_years.max():g} years",
                expected=f"{MIN_AT_AGE} rows within {MAX_HALF_WIDTH_YEARS} years of an age",
                remedy="bring a larger reference, or correct by a line (beheshti)",
            )
    else:
        target = predicted_age_years if method == "cole" else predicted_age_years - age_years
        coefficients = _polynomial(age_years, target, degree, weight)
    if method == "cole" and coefficients[1] < MIN_COLE_SLOPE:
        raise InputError(
            "predicted ages hardly follow the true ages, so Cole's correction would divide by nearly nothing",
            source=name,
            found=f"slope {coefficients[1]:.3g}",
            expected=f"at least {MIN_COLE_SLOPE:g}",
            remedy="correct by the line of the gap (beheshti), or improve the model",
        )
    return GroupCorrection(
        method=method,
        n_rows=int(age_years.size),
        n_subjects=n_subjects,
        age_min_years=float(age_years.min()),
        age_max_years=float(age_years.max()),
        coefficients=coefficients,
        levels=levels,
    )


def subject_weights(subject: NDArray[np.intp]) -> FloatArray:
    """Weight of each row, so that every person's rows together weigh 1."""
    _, code, size = np.unique(subject, return_inverse=True, return_counts=True)
    return 1.0 / size[code]


def _polynomial(age: FloatArray, target: FloatArray, degree: int, weight: FloatArray) -> tuple[float, ...]:
    # Polynomial.fit maps the ages to -1..1, which keeps the square well conditioned.
    fitted = np.polynomial.Polynomial.fit(age, target, degree, w=np.sqrt(weight)).convert()
    coefficients = np.zeros(degree + 1)
    coefficients[: len(fitted.coef)] = fitted.coef
    return tuple(float(value) for value in coefficients)


def _age_levels(age: FloatArray, gap: FloatArray, weight: FloatArray) -> tuple[AgeLevel, ...]:
    years = np.floor(age)
    levels = []
    for level in range(int(years.min()), int(years.max()) + 1):
        distance = np.abs(years - level)
        for half_width in range(MAX_HALF_WIDTH_YEARS + 1):
            inside = distance <= half_width
            if inside.sum() >= MIN_AT_AGE:
                mean, sd = _weighted_mean_sd(gap[inside], weight[inside])
                if sd > 0:
                    levels.append(
                        AgeLevel(
                            age=level,
                            mean_gap_years=mean,
                            sd_gap_years=sd,
                            n_rows=int(inside.sum()),
                            half_width_years=half_width,
                        )
                    )
                break
    return tuple(levels)


def _weighted_mean_sd(values: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Mean and unbiased SD; with equal weights the ordinary ones with n - 1."""
    total = weight.sum()
    mean = float(weight @ values / total)
    freedom = total - weight @ weight / total
    return mean, float(np.sqrt(max(weight @ (values - mean) ** 2, 0.0) / freedom)) if freedom > 0 else 0.0
