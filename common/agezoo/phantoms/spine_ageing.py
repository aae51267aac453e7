"""How biological age shows in a lateral spine image: every sign that the phantom draws, as a number.

The signs follow what radiology reports of the ageing spine: trabecular bone is lost, discs lose height, endplates sink,
vertebrae become wedged and fracture, osteophytes grow, the thoracic kyphosis increases and the aorta calcifies. Slopes
are rounded from that literature; they are a plausible simulation, not measurements of people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

YOUNGEST_YEARS = 40.0
OLDEST_YEARS = 90.0
PLAQUES = 120
OSTEOPOROSIS_T_SCORE = -2.5

LEVELS = (*(f"T{number}" for number in range(2, 13)), *(f"L{number}" for number in range(1, 6)))
"""Vertebrae from the head downwards, as drawn."""

# Where vertebrae fracture: the mid-thoracic spine and the thoracolumbar junction (none above T4).
_FRACTURE_SHARES = np.array([0, 0, 2, 3, 6, 9, 10, 6, 5, 8, 16, 17, 9, 5, 3, 1], dtype=np.float64)
_HEIGHT_LOSS = (0.0, 0.24, 0.33, 0.46)


@dataclass(frozen=True)
class SpineSigns:
    """The state of every age-carrying structure of one person.

    Lengths are in mm, angles in degrees, factors relative to the drawn young adult. Arrays follow `LEVELS`; the
    individual scatter that is no part of ageing is already in the values.

    Attributes
    ----------
    trabecular_density, cortical_density
        Factors of the attenuation of trabecular bone and of cortical bone.
    disc_height_factor
        Of the disc below each vertebra, shape ``(levels,)``.
    concavity_mm
        Depth of each endplate, shape ``(levels, 2)`` (upper, lower).
    wedging
        Loss of anterior height of each body as a fraction, fractures apart, shape ``(levels,)``.
    kyphosis_deg, lordosis_deg
        Angle from T4 to T12, fractures apart, and from L1 to the sacrum.
    osteophyte_mm
        Length at each body's corners, shape ``(levels, 4)``: upper front, lower front, upper back, lower back.
    plaque_growth
        Growth of each aortic plaque, 0 (not there) to 1, shape ``(PLAQUES,)``.
    fracture_grade
        Genant's grade of each vertebra, 0 to 3, shape ``(levels,)``.
    fracture_shape
        Share of the height loss at front, middle and back, shape ``(levels, 3)``.
    """

    trabecular_density: float
    cortical_density: float
    disc_height_factor: FloatArray
    concavity_mm: FloatArray
    wedging: FloatArray
    kyphosis_deg: float
    lordosis_deg: float
    osteophyte_mm: FloatArray
    plaque_growth: FloatArray
    fracture_grade: NDArray[np.int64]
    fracture_shape: FloatArray

    @property
    def height_loss(self) -> FloatArray:
        """Fraction of height lost by fracture at front, middle and back, shape ``(levels, 3)``."""
        return np.asarray(_HEIGHT_LOSS)[self.fracture_grade][:, None] * self.fracture_shape

    @property
    def calcification(self) -> float:
        """Sum of the plaques' growth."""
        return float(self.plaque_growth.sum())


def ageing_fraction(biological_age_years: ArrayLike) -> FloatArray:
    """Biological age on a scale on which the youngest of a cohort is 0 and the oldest 1; not clipped."""
    return (np.asarray(biological_age_years, dtype=np.float64) - YOUNGEST_YEARS) / (OLDEST_YEARS - YOUNGEST_YEARS)


def trabecular_density(biological_age_years: ArrayLike, scatter: ArrayLike) -> FloatArray:
    """Density of trabecular bone relative to a young adult's.

    Parameters
    ----------
    biological_age_years
        Any shape.
    scatter
        Standard normal values, the individual part that is no ageing.
    """
    return np.clip(1.0 - 0.62 * ageing_fraction(biological_age_years) + 0.05 * np.asarray(scatter), 0.15, 1.25)


def fracture_rate(biological_age_years: ArrayLike, density: ArrayLike) -> FloatArray:
    """Expected number of prevalent vertebral fractures of a person.

    It rises with biological age and, among people of one age, with low trabecular density.
    """
    age = np.asarray(biological_age_years, dtype=np.float64)
    expected_density = 1.0 - 0.62 * ageing_fraction(age)
    lack = expected_density - np.asarray(density, dtype=np.float64)
    return np.minimum(0.22 * np.exp((age - 70.0) / 13.0) * np.exp(lack / 0.1), 3.0)


def t_score(density: ArrayLike, is_woman: ArrayLike, scatter: ArrayLike) -> FloatArray:
    """Bone mineral density as a T-score.

    Parameters
    ----------
    density
        Of trabecular bone, as `trabecular_density` gives it.
    is_woman
        Women's scores are 0.4 lower.
    scatter
        Standard normal values: error of the densitometer and bone that the spine does not show.
    """
    score = (np.asarray(density) - 0.95) / 0.17 - 0.4 * np.asarray(is_woman, dtype=np.float64)
    return score + 0.45 * np.asarray(scatter)


def spine_signs(biological_age_years: float, rng: np.random.Generator) -> SpineSigns:
    """Draw the ageing signs of a person.

    Parameters
    ----------
    biological_age_years
        The age that the spine shows. The signs depend on it and on nothing else that relates to time.
    rng
        The person's own random stream; it supplies the scatter that has nothing to do with age. Two calls with
        the same stream state differ only by the effect of age, so a person can be drawn at two ages.
    """
    fraction = float(ageing_fraction(biological_age_years))
    grown = max(fraction, -0.1)
    levels = len(LEVELS)
    scatter = rng.standard_normal(12)
    per_disc = rng.standard_normal(levels)
    per_endplate = rng.standard_normal((levels, 2))
    per_body = rng.standard_normal(levels)
    per_corner = rng.random((levels, 4))
    onset_years = 44.0 + 54.0 * rng.random(PLAQUES) ** 0.9 + 3.5 * scatter[7]
    fracture_draw, fracture_kind = rng.random((2, levels))
    density = float(trabecular_density(biological_age_years, scatter[0]))
    rates = float(fracture_rate(biological_age_years, density)) * _FRACTURE_SHARES / _FRACTURE_SHARES.sum()
    # The three grades are nested in one draw, so a person drawn older has the same fractures or worse ones.
    grade = sum((fracture_draw < -np.expm1(-rates * share)).astype(np.int64) for share in (1.0, 0.55, 0.2))
    lower_spine = np.linspace(0.0, 1.0, levels)
    # Discs wear most in the lower lumbar and the mid-thoracic spine.
    wear = 0.36 + 0.14 * lower_spine
    corner_weight = np.array([1.0, 0.85, 0.35, 0.3]) * (0.35 + 1.3 * per_corner)
    osteophyte = (7.5 * max(fraction + 0.03, 0.0) ** 1.1 + 0.45 * scatter[5]) * (0.75 + 0.35 * lower_spine)
    return SpineSigns(
        trabecular_density=density,
        cortical_density=float(np.clip(1.0 - 0.3 * fraction + 0.04 * scatter[1], 0.5, 1.15)),
        disc_height_factor=np.clip(1.0 - wear * fraction + 0.03 * scatter[2] + 0.055 * per_disc, 0.28, 1.15),
        concavity_mm=np.clip(0.7 + 1.9 * grown + 0.2 * scatter[3] + 0.3 * per_endplate, 0.2, 4.5),
        wedging=np.clip(0.01 + 0.07 * grown + 0.008 * scatter[4] + 0.018 * per_body, -0.02, 0.16),
        kyphosis_deg=float(np.clip(32.0 + 27.0 * fraction + 2.8 * scatter[6], 18.0, 72.0)),
        lordosis_deg=float(np.clip(54.0 - 9.0 * fraction + 5.0 * scatter[8], 32.0, 72.0)),
        osteophyte_mm=np.clip(osteophyte[:, None] * corner_weight - 0.7, 0.0, 13.0),
        plaque_growth=np.clip((biological_age_years - onset_years) / 24.0, 0.0, 1.0),
        fracture_grade=np.asarray(grade, dtype=np.int64),
        fracture_shape=_fracture_shapes(fracture_kind),
    )


def _fracture_shapes(kind: FloatArray) -> FloatArray:
    """Wedge fractures lose height in front, biconcave ones in the middle, crush fractures everywhere."""
    wedge, biconcave, crush = (1.0, 0.55, 0.08), (0.3, 1.0, 0.15), (1.0, 1.0, 0.8)
    choice = np.digitize(kind, [0.55, 0.88])
    return np.array([wedge, biconcave, crush])[choice]
