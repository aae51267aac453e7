"""The plan of a whole-body phantom cohort: who, how scanned, and the smallest error that anybody can reach."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.phantoms.body_plan import BodyCohortParameters, plan_body_cohort, planted_bound_mae_years


def test_plans_depend_on_the_parameters_alone() -> None:
    parameters = BodyCohortParameters(30, 5)
    assert plan_body_cohort(parameters) == plan_body_cohort(parameters)
    assert plan_body_cohort(parameters) != plan_body_cohort(BodyCohortParameters(30, 6))


def test_shares_of_test_people_repeats_and_swaps_are_as_asked() -> None:
    scans = plan_body_cohort(BodyCohortParameters(200, 1))
    first = [scan for scan in scans if scan.settings.session == "first"]
    assert len(first) == 200
    assert len(scans) == 210
    assert sum(scan.test for scan in first) == 40
    assert {scan.settings.site for scan in scans if scan.test} == {"site_b"}
    assert {scan.settings.site for scan in scans if not scan.test} == {"site_a"}
    swapped = [scan for scan in scans if scan.settings.swapped_stations]
    assert len(swapped) == 4
    assert len({scan.name for scan in scans}) == len(scans)


def test_a_repeat_is_the_same_person_on_another_day() -> None:
    scans = plan_body_cohort(BodyCohortParameters(40, 2, repeat_fraction=0.25))
    by_person: dict[str, list] = {}
    for scan in scans:
        by_person.setdefault(scan.subject.subject_id, []).append(scan)
    pairs = [pair for pair in by_person.values() if len(pair) == 2]
    assert len(pairs) == 10
    for first, repeat in pairs:
        assert first.subject.region_ages_years == repeat.subject.region_ages_years
        assert (first.subject.visit, repeat.subject.visit) == (0, 1)
        assert (repeat.settings.study_date - first.settings.study_date).days == 28
        assert first.settings.seed != repeat.settings.seed


def test_ages_cover_the_range_and_bodies_do_not_depend_on_age() -> None:
    people = [scan.subject for scan in plan_body_cohort(BodyCohortParameters(400, 4, repeat_fraction=0.0))]
    ages = np.array([person.age_years for person in people])
    assert np.histogram(ages, bins=8, range=(44.0, 85.0))[0].min() > 40
    female = np.array([person.sex == "F" for person in people])
    traits = ("deviation_years", "fatness", "visceral_fatness", "muscularity", "liver_fat_fraction")
    values = np.array([[getattr(person, trait) for trait in traits] for person in people])
    # 400 people: a correlation of 0.16 has a chance of 0.14 %.
    assert max(abs(np.corrcoef(column, ages)[0, 1]) for column in [*values.T, female]) < 0.16
    assert values[:, 0].std() == pytest.approx(3.0, rel=0.12)


def test_bound_is_the_error_of_the_best_guess_of_age() -> None:
    parameters = BodyCohortParameters(10, 0)
    rng = np.random.default_rng(1)
    age = rng.uniform(44.0, 85.0, 200_000)
    seen = age + rng.normal(0.0, np.sqrt(3.0**2 + 2.0**2), age.size)
    # An independent derivation: the best guess of people seen alike is their median age.
    order = np.argsort(seen)
    groups = np.array_split(age[order], 400)
    error = np.concatenate([np.abs(group - np.median(group)) for group in groups]).mean()
    assert planted_bound_mae_years(parameters) == pytest.approx(error, rel=0.01)
    assert planted_bound_mae_years(parameters) < np.sqrt(2 / np.pi) * np.sqrt(13.0)
    assert parameters.best_possible_mae_years == planted_bound_mae_years(parameters)


def test_bound_without_an_age_range_is_zero() -> None:
    assert planted_bound_mae_years(BodyCohortParameters(10, 0, age_range_years=(60.0, 60.0))) == 0.0
