"""What is planted in a brain phantom cohort: ages, deviations, diagnoses, and signs that tell the biological age."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agezoo.errors import InputError
from agezoo.phantoms.brain_ageing import (
    EXTRA_HIPPOCAMPAL_YEARS,
    SIGN_SD_YEARS,
    BrainSubject,
    brain_signs,
    sign_ages_years,
)
from agezoo.phantoms.brain_cohort_description import checked_parameters
from agezoo.phantoms.brain_discrimination import auroc_of_deviation, expected_auroc
from agezoo.phantoms.brain_plan import BrainCohortParameters, plan_brain_cohort


def person(age_years: float = 60.0, *, seed: int = 0, diagnosis: str = "CN") -> BrainSubject:
    return BrainSubject("sub-phantom0001", (3, seed), "F", age_years, 0.0, diagnosis)


def test_all_signs_together_tell_the_biological_age_but_none_alone() -> None:
    weight = np.array([sd**-2 for sd in SIGN_SD_YEARS.values()])
    errors = np.array([[age - 60.0 for age in sign_ages_years(person(seed=k)).values()] for k in range(400)])
    assert errors @ weight / weight.sum() == pytest.approx(0.0, abs=1e-9)
    assert (errors.std(axis=0) > 0.6 * np.array(list(SIGN_SD_YEARS.values()))).all()


def test_every_sign_grows_with_age_in_one_person() -> None:
    course = [brain_signs(person(age)) for age in (20.0, 35.0, 50.0, 65.0, 80.0, 95.0)]
    for name in course[0].__dataclass_fields__:
        assert (np.diff([getattr(signs, name) for signs in course]) > 0).all(), name


def test_diagnosis_adds_nothing_but_hippocampal_atrophy() -> None:
    control, patient = brain_signs(person(75.0)), brain_signs(person(75.0, diagnosis="AD"))
    assert patient.hippocampus_left > control.hippocampus_left + 0.04
    same = replace(patient, hippocampus_left=control.hippocampus_left, hippocampus_right=control.hippocampus_right)
    assert same == control
    assert EXTRA_HIPPOCAMPAL_YEARS["CN"] == 0.0


def test_expected_auroc_is_that_of_many_drawn_deviations() -> None:
    # Phi(9 / sqrt(34)) from a table of the normal distribution.
    assert expected_auroc(9.0, 5.0, 3.0) == pytest.approx(0.9386, abs=1e-4)
    assert expected_auroc(0.0, 2.0, 3.0) == 0.5
    rng = np.random.default_rng(0)
    drawn = auroc_of_deviation(rng.normal(4.5, 4.0, 2000), rng.normal(0.0, 3.0, 2000))
    assert drawn == pytest.approx(expected_auroc(4.5, 4.0, 3.0), abs=0.02)


def test_auroc_counts_ties_as_half() -> None:
    # Pairs: 1-1 tied, 1-0, 2-1 and 2-0 won.
    assert auroc_of_deviation([1.0, 2.0], [1.0, 0.0]) == 3.5 / 4
    assert np.isnan(auroc_of_deviation([], [1.0]))


def test_training_rows_are_controls_of_the_first_site_and_patients_are_all_in_the_test() -> None:
    plan = plan_brain_cohort(BrainCohortParameters(200, 0))
    people = {scan.subject.subject_id: scan for scan in plan}
    count = {name: sum(scan.subject.diagnosis == name for scan in people.values()) for name in ("CN", "MCI", "AD")}
    assert count == {"CN": 140, "MCI": 30, "AD": 30}
    for scan in plan:
        assert scan.test == (scan.subject.diagnosis != "CN" or scan.settings.site == "site_b")
        assert scan.settings.site == ("site_b" if scan.test else "site_a")
    assert sum(scan.test and scan.subject.diagnosis == "CN" for scan in people.values()) == 35


def test_ages_are_even_in_training_and_overlap_between_the_test_groups() -> None:
    plan = plan_brain_cohort(BrainCohortParameters(300, 1, repeat_fraction=0.0))
    training = np.array([scan.subject.age_years for scan in plan if not scan.test])
    counts, _ = np.histogram(training, np.arange(20, 91, 10))
    assert counts.min() > 0.8 * counts.mean()
    old = {
        name: [s.subject.age_years for s in plan if s.test and s.subject.diagnosis == name and s.subject.age_years > 55]
        for name in ("CN", "MCI", "AD")
    }
    means = [np.mean(ages) for ages in old.values()]
    assert max(means) - min(means) < 4.0
    assert min(len(ages) for ages in old.values()) >= 30


def test_deviations_follow_the_diagnosis() -> None:
    plan = plan_brain_cohort(BrainCohortParameters(3000, 2, repeat_fraction=0.0))
    for name, mean, sd in (("CN", 0.0, 3.0), ("MCI", 4.5, 4.0), ("AD", 9.0, 5.0)):
        drawn = np.array([scan.subject.deviation_years for scan in plan if scan.subject.diagnosis == name])
        assert drawn.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(len(drawn)))
        assert drawn.std() == pytest.approx(sd, rel=0.15)


def test_a_larger_cohort_begins_with_the_smaller_ones_people_and_repeats_keep_the_person() -> None:
    small = plan_brain_cohort(BrainCohortParameters(25, 4))
    large = plan_brain_cohort(BrainCohortParameters(60, 4))
    assert large[: len(small)] == small
    repeats = [scan for scan in small if scan.settings.session == "ses-2"]
    assert repeats
    for repeat in repeats:
        first = next(scan for scan in small if scan.subject == repeat.subject)
        assert first.settings.rotation_deg != repeat.settings.rotation_deg
        assert first.settings.site == repeat.settings.site


@pytest.mark.parametrize(
    ("name", "value"),
    [("subjects", 0), ("space", "body"), ("age_range_years", (80.0, 30.0)), ("ad_fraction", 0.9), ("seed", -1)],
)
def test_impossible_parameters_are_named(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        checked_parameters(replace(BrainCohortParameters(10, 0), **{name: value}))
