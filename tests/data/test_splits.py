"""Splits keep people together and parts alike."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.data.splits import assign_folds, draw_test_subjects, summarise_split
from agezoo.errors import InputError


def cohort(n: int, *, repeats: int, seed: int = 0) -> tuple[list[str], np.ndarray, list[str]]:
    """``n`` people aged 20 to 85, of whom ``repeats`` have a second scan two years later."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(20, 85, n)
    sexes = rng.choice(["F", "M"], n).tolist()
    ids = [f"s{i:04d}" for i in range(n)]
    return ids + ids[:repeats], np.concatenate([ages, ages[:repeats] + 2]), sexes + sexes[:repeats]


@pytest.mark.parametrize(("n", "repeats", "folds"), [(5, 5, 5), (23, 4, 5), (100, 30, 5), (41, 0, 2), (200, 20, 10)])
def test_nobody_is_in_two_folds_and_everybody_is_in_one(n: int, repeats: int, folds: int) -> None:
    ids, ages, sexes = cohort(n, repeats=repeats)
    fold = assign_folds(ids, ages, sexes, folds=folds, seed=3)
    assert fold.shape == (n + repeats,)
    by_subject = {subject: set(fold[np.array(ids) == subject]) for subject in ids}
    assert all(len(found) == 1 for found in by_subject.values())
    sizes = np.bincount([found.pop() for found in by_subject.values()], minlength=folds)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_alike_in_age_sex_and_number_of_images(seed: int) -> None:
    ids, ages, sexes = cohort(200, repeats=40, seed=seed)
    fold = assign_folds(ids, ages, sexes, folds=5, seed=seed)
    parts = [fold == k for k in range(5)]
    # A simple random draw of people leaves a range of about 7 years (simulated).
    assert np.ptp([ages[part].mean() for part in parts]) < 2.5
    assert np.ptp([ages[part].std() for part in parts]) < 3.0
    assert np.ptp([(np.array(sexes)[part] == "F").mean() for part in parts]) < 0.08
    assert np.ptp([part.sum() for part in parts]) <= 4


def test_the_same_seed_gives_the_same_folds_in_any_order_of_rows() -> None:
    ids, ages, sexes = cohort(60, repeats=10)
    fold = assign_folds(ids, ages, sexes, folds=5, seed=7)
    turned = assign_folds(ids[::-1], ages[::-1], sexes[::-1], folds=5, seed=7)
    assert (turned[::-1] == fold).all()
    assert (assign_folds(ids, ages, sexes, folds=5, seed=8) != fold).any()


def test_unknown_ages_and_sexes_are_spread_over_the_folds() -> None:
    ids = [f"s{i}" for i in range(40)]
    ages = [None if i < 10 else 30.0 + i for i in range(40)]
    sexes = [None if i % 4 == 0 else "F" for i in range(40)]
    fold = assign_folds(ids, ages, sexes, folds=5, seed=0)
    assert np.bincount(fold).tolist() == [8] * 5
    assert set(np.bincount(fold[:10], minlength=5)) <= {1, 2, 3}


def test_everybody_of_one_age_and_sex_can_be_split() -> None:
    assert sorted(assign_folds(list("abcd"), [50.0] * 4, ["F"] * 4, folds=4, seed=0)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("folds", "message"), [(5, "fewer subjects than folds.*4 subjects for 5 folds"), (1, "at least 2 folds")]
)
def test_impossible_folds(folds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        assign_folds(list("abcdd"), [50.0] * 5, ["F"] * 5, folds=folds, seed=0)


@pytest.mark.parametrize(("n", "fraction", "wanted"), [(100, 0.2, 20), (10, 0.25, 2), (7, 0.01, 1), (50, 0.0, 0)])
def test_the_test_set_has_its_share_of_people_with_all_their_scans(n: int, fraction: float, wanted: int) -> None:
    ids, ages, sexes = cohort(n, repeats=n // 3)
    chosen = draw_test_subjects(ids, ages, sexes, fraction=fraction, seed=1)
    test, rest = set(np.array(ids)[chosen]), set(np.array(ids)[~chosen])
    assert len(test) == wanted
    assert not test & rest


def test_the_test_set_resembles_the_rest() -> None:
    differences = []
    for seed in range(10):
        ids, ages, sexes = cohort(150, repeats=0, seed=seed)
        chosen = draw_test_subjects(ids, ages, sexes, fraction=0.2, seed=seed)
        differences.append(abs(ages[chosen].mean() - ages[~chosen].mean()))
        women = np.array(sexes) == "F"
        assert abs(women[chosen].mean() - women[~chosen].mean()) < 0.12
    # A simple random draw of 30 out of 150 with SD 19 differs by 3 years on average.
    assert np.mean(differences) < 0.5


@pytest.mark.parametrize(
    ("fraction", "message"), [(1.0, "out of range"), (-0.1, "out of range"), (0.9, "nobody for training")]
)
def test_impossible_test_fractions(fraction: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_test_subjects(["a", "b"], [40.0, 50.0], ["F", "M"], fraction=fraction, seed=0)


def test_a_summary_counts_by_hand() -> None:
    summary = summarise_split("fold 0", ["a", "a", "b"], [40.0, 50.0, None], ["F", "F", None])
    assert (summary.rows, summary.subjects) == (3, 2)
    assert summary.age_mean_years == 45
    assert summary.age_sd_years == pytest.approx(50**0.5)
    assert summary.female_share == 1
    assert str(summary) == "fold 0: 3 images of 2 subjects, age 45.0 ± 7.1 (40-50) years, 100% women"
    assert str(summarise_split("test", ["a"], [None], [None])) == (
        "test: 1 images of 1 subjects, age unknown, sex unknown"
    )
