"""Who is in a whole-body phantom cohort and how everyone is scanned: drawn from a seed, before any voxel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from agezoo.phantoms.body_ageing import COMBINED_SD_YEARS
from agezoo.phantoms.body_subject import BodySubject
from agezoo.phantoms.dixon_settings import DixonSettings, draw_dixon_settings
from agezoo.phantoms.even_draws import even_place, falls_due

VERSION = 3
"""Changes whenever the same parameters would give other images."""


@dataclass(frozen=True)
class BodyCohortParameters:
    """What decides a whole-body phantom cohort; equal parameters give equal files.

    Attributes
    ----------
    subjects
        Number of people.
    seed
        Seed of everything.
    age_range_years
        Chronological ages are spread evenly over this range.
    deviation_sd_years
        SD of biological minus chronological age.
    repeat_fraction
        Share of the people who are scanned twice.
    second_scanner_fraction
        Share of the people scanned at ``site_b``; they are the test cohort.
    swap_fraction
        Share of the scans in which one or two stations hold fat for water and water for fat.
    quick
        A third of the resolution along every axis, for trying things out.
    version
        Version of the drawing.
    """

    subjects: int
    seed: int
    age_range_years: tuple[float, float] = (44.0, 85.0)
    deviation_sd_years: float = 3.0
    repeat_fraction: float = 0.05
    second_scanner_fraction: float = 0.2
    swap_fraction: float = 0.02
    quick: bool = False
    version: int = VERSION

    @property
    def best_possible_mae_years(self) -> float:
        """Smallest expected MAE of any prediction of chronological age; see `planted_bound_mae_years`."""
        return planted_bound_mae_years(self)


@dataclass(frozen=True)
class PlannedBody:
    """One scan of the plan; `name` is the stem of its files."""

    name: str
    subject: BodySubject
    settings: DixonSettings
    test: bool


def planted_bound_mae_years(parameters: BodyCohortParameters) -> float:
    """Return the smallest expected MAE (years) of any prediction of chronological age from a body of the cohort.

    Notes
    -----
    The best that the regions tell is the age plus a normal error whose variance is the deviation's plus that of the
    best combination of the regions' ages. Somebody who also knows the cohort's age range predicts the median of the
    normal distribution cut to that range, which is a little better at its ends; the MAE of that is returned. Far from
    the ends it is sqrt(2 / pi) times the error's SD.
    """
    sd = float(np.hypot(parameters.deviation_sd_years, COMBINED_SD_YEARS))
    low, high = parameters.age_range_years
    if high <= low:
        return 0.0

    def absolute_error(seen: float) -> float:
        """Density of what is seen times the expected error of its median."""
        a, b = norm.cdf([(low - seen) / sd, (high - seen) / sd])
        median = norm.ppf((a + b) / 2)
        ends = norm.pdf([(low - seen) / sd, median, (high - seen) / sd])
        # Mean distance of a cut normal from its median, in SDs: the mean of the upper half minus that of the lower one.
        return float(sd * ((ends[1] - ends[2]) - (ends[0] - ends[1]))) / (high - low)

    middle = (low + high) / 2
    reach = middle - low + 6.0 * sd
    return float(quad(absolute_error, middle - reach, middle + reach, limit=200)[0])


def plan_body_cohort(parameters: BodyCohortParameters) -> list[PlannedBody]:
    """Return every scan of the cohort, in the order of the people.

    Ages follow a low-discrepancy sequence within each site's people, so that even a small cohort covers the age range
    evenly; everything else is random, from one stream per person. Which scans have swapped stations is drawn for the
    whole cohort, so that their number is exact.
    """
    visits: list[tuple[BodySubject, str, date, bool]] = []
    rank = {True: 0, False: 0}
    for index in range(parameters.subjects):
        test = falls_due(index, parameters.second_scanner_fraction, 0.0)
        order = rank[test]
        rank[test] += 1
        start = np.random.default_rng([parameters.seed, 9, int(test)]).random()
        age = even_place(order, start, *parameters.age_range_years)
        rng = np.random.default_rng([parameters.seed, index, 1])
        subject = _draw_subject(parameters, index, round(age, 2), rng)
        day = date(2016, 1, 4) + timedelta(days=int(rng.integers(0, 2500)))
        visits.append((subject, "first", day, test))
        if falls_due(order, parameters.repeat_fraction, 0.5):
            visits.append((replace(subject, visit=1), "repeat", day + timedelta(days=28), test))
    shuffled = np.random.default_rng([parameters.seed, 8]).permutation(len(visits))
    swapped = set(shuffled[: round(parameters.swap_fraction * len(visits))].tolist())
    return [
        PlannedBody(
            name=f"{subject.subject_id}_{session}",
            subject=subject,
            settings=draw_dixon_settings(
                np.random.default_rng([*subject.seed, 2 + subject.visit]),
                session=session,
                site="site_b" if test else "site_a",
                study_date=day,
                quick=parameters.quick,
                swap=number in swapped,
            ),
            test=test,
        )
        for number, (subject, session, day, test) in enumerate(visits)
    ]


def _draw_subject(
    parameters: BodyCohortParameters, index: int, age_years: float, rng: np.random.Generator
) -> BodySubject:
    female = bool(rng.random() < 0.5)
    deviation, height, fatness, visceral, muscle, liver = rng.standard_normal(6)
    fatness = float(np.clip(fatness, -2.0, 2.2))
    return BodySubject(
        subject_id=f"PHANTOM-{index + 1:04d}",
        seed=(parameters.seed, index),
        sex="F" if female else "M",
        age_years=age_years,
        deviation_years=round(float(parameters.deviation_sd_years * deviation), 2),
        height_cm=round((162.5 if female else 176.0) + 6.3 * float(np.clip(height, -2.4, 2.4)), 1),
        fatness=round(fatness, 3),
        visceral_fatness=round(float(np.clip(0.6 * fatness + 0.8 * visceral, -2.0, 2.4)), 3),
        muscularity=round(float(np.clip(muscle, -2.2, 2.2)), 3),
        # Most livers hold a few per cent, some a quarter; fatter people have more.
        liver_fat_fraction=round(float(np.clip(0.045 * np.exp(0.65 * liver + 0.3 * fatness), 0.01, 0.35)), 4),
    )
