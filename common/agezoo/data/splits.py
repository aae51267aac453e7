"""Who is trained on, validated with and tested on: splits that keep people together and ages alike.

All draws are by person, never by image. People are put in order by sex, by having repeat scans and by age; every run
of ``folds`` neighbours in that order is dealt out over the folds at random (a randomised block design), so that folds
differ in size by at most one person. Of a thousand such draws the one is kept whose folds are most alike in
age, spread of age, sex and number of images (rerandomisation: Morgan and Rubin, Ann. Statist. 2012, 40(2):1263-1282).
The same is done for a test set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agezoo.errors import InputError

_DRAWS = 1000

Ages = Sequence[float | None] | np.ndarray


@dataclass(frozen=True)
class _Person:
    """One subject with what the draw looks at."""

    subject_id: str
    age_years: float
    sex: str
    rows: int


def assign_folds(
    subject_ids: Sequence[str],
    age_years: Ages,
    sex: Sequence[str | None],
    *,
    folds: int,
    seed: int,
) -> np.ndarray:
    """Draw a cross-validation fold for every row.

    Parameters
    ----------
    subject_ids
        Whose row it is; all rows of a subject get the same fold.
    age_years
        Age per row; None or NaN where unknown. A subject counts with the mean of its ages.
    sex
        ``"F"``, ``"M"`` or None per row.
    folds
        Number of folds, at least 2.
    seed
        The same seed gives the same folds, in whatever order the rows come.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), integers from 0 to ``folds`` - 1; every fold occurs.

    Raises
    ------
    InputError
        If there are fewer subjects than folds, or ``folds`` is below 2.
    """
    people = _people_in_order(subject_ids, age_years, sex, np.random.default_rng(seed))
    if folds < 2:
        raise InputError("cross-validation needs at least 2 folds", found=folds)
    if len(people) < folds:
        raise InputError(
            "fewer subjects than folds",
            found=f"{len(people)} subjects for {folds} folds",
            remedy="ask for fewer folds (--folds), or bring more subjects",
        )
    rng = np.random.default_rng([seed, folds])
    n_blocks = -(-len(people) // folds)
    draws = rng.permuted(np.tile(np.arange(folds), (_DRAWS, n_blocks, 1)), axis=-1)
    draws = draws.reshape(_DRAWS, n_blocks * folds)[:, : len(people)]
    features = _features(people)
    images = np.array([float(person.rows) for person in people])
    best = min(draws, key=lambda draw: _imbalance(features, images, draw, folds))
    fold_of = {person.subject_id: int(fold) for person, fold in zip(people, best, strict=True)}
    return np.array([fold_of[subject] for subject in subject_ids], dtype=int)


def draw_test_subjects(
    subject_ids: Sequence[str],
    age_years: Ages,
    sex: Sequence[str | None],
    *,
    fraction: float,
    seed: int,
) -> np.ndarray:
    """Draw the rows of a test set, by subject and spread evenly over age and sex.

    People in order are cut into as many equal stretches as test subjects are wanted, and one of each is drawn.

    Returns
    -------
    numpy.ndarray
        Shape (rows,), True for test rows. ``fraction`` of the subjects (rounded, at least one when above 0).

    Raises
    ------
    InputError
        If ``fraction`` is not from 0 to below 1, or would leave nobody for training.
    """
    if not 0 <= fraction < 1:
        raise InputError("the test fraction is out of range", found=fraction, expected="0 to below 1, e.g. 0.2")
    rng = np.random.default_rng([seed, 1])
    people = _people_in_order(subject_ids, age_years, sex, rng)
    if fraction == 0:
        return np.zeros(len(subject_ids), dtype=bool)
    wanted = max(1, round(fraction * len(people)))
    if wanted >= len(people):
        raise InputError("the test set would leave nobody for training", found=f"{len(people)} subjects")
    edges = np.linspace(0, len(people), wanted + 1).round().astype(int)
    features = _features(people)
    draws = np.zeros((_DRAWS, len(people)), dtype=int)
    for draw in draws:
        draw[[rng.integers(low, high) for low, high in pairwise(edges)]] = 1
    images = np.array([float(person.rows) for person in people])
    best = min(draws, key=lambda draw: _imbalance(features, images, draw, 2))
    chosen = {person.subject_id for person, is_test in zip(people, best, strict=True) if is_test}
    return np.array([subject in chosen for subject in subject_ids], dtype=bool)


def _features(people: Sequence[_Person]) -> np.ndarray:
    """What the parts should agree in, one standardised column each: age, its square, sex, number of images."""
    ages = np.array([person.age_years for person in people])
    known = np.isfinite(ages)
    ages = np.where(known, ages, ages[known].mean() if known.any() else 0.0)
    images = np.array([float(person.rows) for person in people])
    centred = ages - np.average(ages, weights=images)
    columns = [
        centred,
        centred**2,
        np.array([person.sex == "F" for person in people], dtype=float),
        images,
    ]
    varying = [column for column in columns if column.std() > 1e-9]
    standardised = [(column - np.average(column, weights=images)) / column.std() for column in varying]
    return np.stack(standardised, axis=1) if standardised else np.zeros((len(people), 1))


def _imbalance(features: np.ndarray, weights: np.ndarray, parts: np.ndarray, n_parts: int) -> float:
    """Sum over features and parts of the squared distance between the part's mean over images and the mean of all."""
    members = np.eye(n_parts)[parts] * weights[:, None]
    means = members.T @ features / members.sum(axis=0)[:, None]
    return float((means**2).sum())


def _people_in_order(
    subject_ids: Sequence[str], age_years: Ages, sex: Sequence[str | None], rng: np.random.Generator
) -> list[_Person]:
    if not len(subject_ids) == len(age_years) == len(sex):
        raise ValueError("subject_ids, age_years and sex must have the same length")
    rows: dict[str, list[int]] = {}
    for index, subject in enumerate(subject_ids):
        rows.setdefault(subject, []).append(index)
    ages = np.array([np.nan if age is None else float(age) for age in age_years], dtype=float)
    people = []
    for subject in sorted(rows):
        known = ages[rows[subject]][~np.isnan(ages[rows[subject]])]
        sexes = [value for value in (sex[index] for index in rows[subject]) if value]
        people.append(
            _Person(
                subject_id=subject,
                age_years=float(known.mean()) if known.size else np.inf,
                sex=sexes[0] if sexes else "?",
                rows=len(rows[subject]),
            )
        )
    # A random order first, so that people of equal age are not dealt by the alphabet.
    people = [people[index] for index in rng.permutation(len(people))]
    strata = sorted({(person.sex, person.rows > 1) for person in people})
    ordered: list[_Person] = []
    for number, stratum in enumerate(strata):
        members = [person for person in people if (person.sex, person.rows > 1) == stratum]
        # Every other stratum runs downwards, so that a block across a border joins people of like age.
        ordered += sorted(members, key=lambda person: person.age_years, reverse=number % 2 == 1)
    return ordered


@dataclass(frozen=True)
class SplitSummary:
    """Who is in one part of a split.

    Attributes
    ----------
    name
        ``"fold 0"``, ``"test"`` and so on.
    rows, subjects
        Images and people.
    age_mean_years, age_sd_years, age_min_years, age_max_years
        Over the rows with a known age; NaN when there is none.
    female_share
        Share of women among the rows with a known sex; NaN when there is none.
    """

    name: str
    rows: int
    subjects: int
    age_mean_years: float
    age_sd_years: float
    age_min_years: float
    age_max_years: float
    female_share: float

    def __str__(self) -> str:
        age = (
            f"age {self.age_mean_years:.1f} ± {self.age_sd_years:.1f} "
            f"({self.age_min_years:.0f}-{self.age_max_years:.0f}) years"
            if np.isfinite(self.age_mean_years)
            else "age unknown"
        )
        sex = f"{self.female_share:.0%} women" if np.isfinite(self.female_share) else "sex unknown"
        return f"{self.name}: {self.rows} images of {self.subjects} subjects, {age}, {sex}"


def summarise_split(name: str, subject_ids: Sequence[str], age_years: Ages, sex: Sequence[str | None]) -> SplitSummary:
    """Describe one part of a split from its rows; the SD is the sample's (0 for a single age)."""
    ages = np.array([np.nan if age is None else float(age) for age in age_years], dtype=float)
    ages = ages[~np.isnan(ages)]
    sexes = [value for value in sex if value]
    nan = float("nan")
    return SplitSummary(
        name=name,
        rows=len(subject_ids),
        subjects=len(set(subject_ids)),
        age_mean_years=float(ages.mean()) if ages.size else nan,
        age_sd_years=(float(ages.std(ddof=1)) if ages.size > 1 else 0.0) if ages.size else nan,
        age_min_years=float(ages.min()) if ages.size else nan,
        age_max_years=float(ages.max()) if ages.size else nan,
        female_share=sum(value == "F" for value in sexes) / len(sexes) if sexes else nan,
    )
