"""Each correction against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.analysis.bias_methods import MIN_AT_AGE, BiasMethod, GroupCorrection, fit_group, subject_weights
from agezoo.errors import InputError

AGES = np.arange(40.0, 90.0, 2.0)


def fit(
    method: BiasMethod, age: np.ndarray, predicted: np.ndarray, subject: np.ndarray | None = None
) -> GroupCorrection:
    people = np.arange(age.size) if subject is None else subject
    return fit_group(method, age, predicted, people, name="the reference")


def test_beheshti_takes_a_line_of_the_gap_out() -> None:
    fitted = fit("beheshti", AGES, AGES + 12 - 0.2 * AGES)
    assert fitted.coefficients == pytest.approx((12.0, -0.2))
    # Predicted 58 at 50: the line says + 2 there.
    assert fitted.corrected_years(np.array([50.0]), np.array([58.0])) == pytest.approx([56.0])
    assert np.isnan(fitted.corrected_years(np.array([np.nan]), np.array([58.0]))), "it needs the true age"


def test_cole_inverts_the_line_of_predictions_and_needs_no_age() -> None:
    fitted = fit("cole", AGES, 12 + 0.8 * AGES)
    assert fitted.coefficients == pytest.approx((12.0, 0.8))
    assert fitted.corrected_years(np.array([np.nan]), np.array([60.0])) == pytest.approx([60.0])
    assert fitted.corrected_years(np.array([50.0]), np.array([68.0])) == pytest.approx([70.0])


def test_quadratic_takes_a_parabola_of_the_gap_out() -> None:
    fitted = fit("quadratic", AGES, AGES + 3 - 0.1 * AGES + 0.002 * AGES**2)
    assert fitted.coefficients == pytest.approx((3.0, -0.1, 0.002))
    assert fitted.corrected_years(AGES, AGES) == pytest.approx(AGES - 3 + 0.1 * AGES - 0.002 * AGES**2)


def test_age_level_takes_the_mean_gap_of_each_age_and_its_sd() -> None:
    # Ten people of 50 whose gaps are 1 .. 10, ten of 51 with gaps twice as large, at ages with fractions.
    gap = np.arange(1.0, 11.0)
    age = np.concatenate([np.linspace(50.0, 50.9, 10), np.linspace(51.0, 51.9, 10)])
    fitted = fit("age_level", age, age + np.concatenate([gap, 2 * gap]))
    assert [(level.age, level.n_rows, level.half_width_years) for level in fitted.levels] == [(50, 10, 0), (51, 10, 0)]
    asked = np.array([50.4, 51.4, 49.9, 52.0])
    assert fitted.corrected_years(asked, asked + 6)[:2] == pytest.approx(asked[:2] + 6 - [5.5, 11.0])
    assert np.isnan(fitted.corrected_years(asked, asked)[2:]).all(), "nothing is said of ages that were not there"
    sd = np.std(gap, ddof=1)
    assert fitted.gap_z(asked, asked + 6)[:2] == pytest.approx([(6 - 5.5) / sd, (6 - 11.0) / (2 * sd)])


def test_age_level_opens_a_window_of_neighbouring_years_where_an_age_has_few() -> None:
    # Two people a year: an age in the middle needs two years to either side for ten rows, the youngest four above it.
    age = np.repeat(np.arange(50.0, 70.0), 2) + np.tile([0.2, 0.6], 20)
    fitted = fit("age_level", age, age + np.sin(age))
    levels = {level.age: level for level in fitted.levels}
    assert levels[60].half_width_years == 2
    assert levels[60].n_rows == MIN_AT_AGE
    window = age[np.abs(np.floor(age) - 60) <= 2]
    assert levels[60].mean_gap_years == pytest.approx(np.sin(window).mean())
    assert levels[50].half_width_years == 4


def test_age_level_leaves_an_age_out_that_is_far_from_all_others() -> None:
    age = np.concatenate([np.linspace(50, 52, 30), [75.0]])
    fitted = fit("age_level", age, age + np.cos(7 * age))
    assert fitted.levels[-1].age == 56, "five years above the last ten who are near each other"
    assert fitted.covers(np.array([75.0, 75.9, 76.0, np.nan])).tolist() == [True, True, False, False]


def test_a_person_counts_once_however_often_scanned() -> None:
    rng = np.random.default_rng(1)
    predicted = 20 + 0.7 * AGES + rng.normal(0, 5, AGES.size)
    subject = np.arange(AGES.size)
    again = np.concatenate([subject, np.zeros(6, dtype=int)])
    for method in ("beheshti", "cole", "quadratic"):
        once = fit(method, AGES, predicted, subject)
        often = fit(method, AGES[again], predicted[again], again)
        assert often.coefficients == pytest.approx(once.coefficients)
        assert (often.n_rows, often.n_subjects) == (once.n_rows + 6, once.n_subjects)
    assert subject_weights(np.array([3, 3, 1, 3])) == pytest.approx([1 / 3, 1 / 3, 1, 1 / 3])


@pytest.mark.parametrize(
    ("method", "age", "predicted", "words"),
    [
        ("beheshti", AGES[:9], AGES[:9], "too few people.*9 with an age.*at least 10"),
        ("cole", np.full(20, 60.0), AGES[:20], "ages vary too little.*1 different ages"),
        ("quadratic", np.tile([50.0, 60.0], 10), AGES[:20], "ages vary too little.*2 different ages.*at least 3"),
        ("cole", AGES, 65 + 0.05 * AGES, "divide by nearly nothing.*slope 0.05"),
        ("cole", AGES, 90 - 0.5 * AGES, "divide by nearly nothing.*slope -0.5"),
        ("age_level", np.arange(30.0, 90.0, 5), np.arange(30.0, 90.0, 5), "no age has enough people"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    method: BiasMethod, age: np.ndarray, predicted: np.ndarray, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        fit(method, age, predicted)


def test_repeated_scans_do_not_make_people() -> None:
    with pytest.raises(InputError, match=r"too few people.*5 with"):
        fit("beheshti", AGES[:20], AGES[:20], np.arange(20) // 4)
