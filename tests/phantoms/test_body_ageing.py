"""What a whole-body phantom tells of age: the planted regions in the order of their weights, the others nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from agezoo.phantoms.body_ageing import COMBINED_SD_YEARS, REGION_SD_YEARS
from agezoo.phantoms.body_labels import LABELS, PLANTED_WEIGHTS
from agezoo.phantoms.body_plan import BodyCohortParameters, plan_body_cohort
from agezoo.phantoms.body_subject import BodySubject
from agezoo.phantoms.body_volume import draw_body

PEOPLE = 48


def test_weights_are_shares_of_the_information_on_biological_age() -> None:
    information = {region: 1.0 / sd**2 for region, sd in REGION_SD_YEARS.items()}
    total = sum(information.values())
    assert total == pytest.approx(1.0 / COMBINED_SD_YEARS**2)
    assert {region: value / total for region, value in information.items()} == pytest.approx(PLANTED_WEIGHTS)
    assert sum(PLANTED_WEIGHTS.values()) == pytest.approx(1.0)


def test_region_ages_scatter_around_the_biological_age_as_the_weights_say() -> None:
    person = BodySubject("PHANTOM-0001", (), "F", 60.0, 2.0)
    off = np.array([list(replace(person, seed=(5, n)).region_ages_years.values()) for n in range(1500)]) - 62.0
    assert off.mean(axis=0) == pytest.approx(np.zeros(4), abs=0.5)
    assert off.std(axis=0) == pytest.approx(list(REGION_SD_YEARS.values()), rel=0.08)
    assert np.abs(np.corrcoef(off.T) - np.eye(4)).max() < 0.1


@pytest.fixture(scope="module")
def cohort() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean water and fat of every region, shape (people, labels, 2); region ages; biological ages."""
    people = [
        scan.subject for scan in plan_body_cohort(BodyCohortParameters(PEOPLE, 3, repeat_fraction=0.0, quick=True))
    ]
    signals = np.zeros((PEOPLE, len(LABELS), 2))
    for number, person in enumerate(people):
        body = draw_body(person, (11.0, 11.0, 13.0))
        for channel, volume in enumerate((body.water, body.fat)):
            sums = np.bincount(body.labels.ravel(), volume.ravel(), len(LABELS))
            signals[number, :, channel] = sums / np.bincount(body.labels.ravel(), minlength=len(LABELS))
    # The error of a mean signal that a scanner would leave.
    signals += np.random.default_rng(0).normal(0.0, 0.01, signals.shape)
    ages = np.array([list(person.region_ages_years.values()) for person in people])
    return signals, ages, np.array([person.biological_age_years for person in people])


def _predicted(signals: np.ndarray, truth: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 3, 9)))
    return np.asarray(cross_val_predict(model, signals.reshape(len(signals), -1), truth, cv=10))


def test_each_planted_region_shows_its_age(cohort: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    signals, region_ages, _ = cohort
    for place, region in enumerate(PLANTED_WEIGHTS):
        truth = region_ages[:, place]
        predicted = _predicted(signals[:, LABELS[region]], truth)
        # Mean signals leave out shapes, in which the spine shows part of its age.
        assert np.corrcoef(predicted, truth)[0, 1] > (0.8 if region == "spine" else 0.95), region


def test_the_planted_regions_together_reach_the_planted_error(
    cohort: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    signals, _, biological = cohort
    planted = [LABELS[region] for region in PLANTED_WEIGHTS]
    together = np.std(_predicted(signals[:, planted], biological) - biological)
    alone = [np.std(_predicted(signals[:, label], biological) - biological) for label in planted]
    assert together < 1.6 * COMBINED_SD_YEARS
    assert together < min(alone)
    assert alone[0] < alone[3], "the heart tells more than the back muscles"


def test_no_other_region_tells_the_age(cohort: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    signals, _, biological = cohort
    others = [label for region, label in LABELS.items() if label and region not in PLANTED_WEIGHTS]
    for label in others:
        for channel in (0, 1):
            # 48 people: a correlation of 0.42 has a chance of 0.3 %.
            assert abs(np.corrcoef(signals[:, label, channel], biological)[0, 1]) < 0.42, label
