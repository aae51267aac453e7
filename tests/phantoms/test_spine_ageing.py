"""The signs of the ageing spine and the bodies built from them."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.phantoms.spine_ageing import LEVELS, fracture_rate, spine_signs, t_score, trabecular_density
from agezoo.phantoms.spine_anatomy import Column, Pose, SpineSubject, build_column, subject_signs

STRAIGHT = Pose(tilt_deg=2.0, bend_deg=0.0, turn_mm=4.0, obliquity=0.3)


def person(age_years: float, seed: int = 3) -> SpineSubject:
    return SpineSubject("PHANTOM-S0001", (0, seed), "F", age_years, 0.0, stature=1.0, fatness=0.0)


def column_at(age_years: float, seed: int = 3) -> Column:
    subject = person(age_years, seed)
    return build_column(subject, subject_signs(subject), STRAIGHT)


def thoracic_kyphosis_deg(column: Column) -> float:
    """Angle between the upper endplate of T4 and the lower endplate of T12, from the drawn corners."""
    upper_front, upper_back, _, _ = column["T4"].corners()
    _, _, lower_back, lower_front = column["T12"].corners()
    lines = (upper_back - upper_front, lower_back - lower_front)
    angles = [np.rad2deg(np.arctan2(-y, x)) for x, y in lines]
    return float(angles[0] - angles[1])


def test_a_person_only_gets_older() -> None:
    young, old = (spine_signs(age, np.random.default_rng(8)) for age in (45.0, 85.0))
    assert old.trabecular_density < young.trabecular_density - 0.4
    assert (old.disc_height_factor < young.disc_height_factor).all()
    assert (old.concavity_mm >= young.concavity_mm).all()
    assert (old.osteophyte_mm >= young.osteophyte_mm).all()
    assert (old.plaque_growth >= young.plaque_growth).all()
    assert (old.fracture_grade >= young.fracture_grade).all()
    assert old.kyphosis_deg > young.kyphosis_deg + 15.0
    assert old.calcification > young.calcification + 10.0


def test_no_single_sign_tells_the_age_alone() -> None:
    ages = np.linspace(40.0, 90.0, 300)
    signs = [spine_signs(age, np.random.default_rng(index)) for index, age in enumerate(ages)]
    for values in (
        [sign.trabecular_density for sign in signs],
        [sign.disc_height_factor.mean() for sign in signs],
        [sign.kyphosis_deg for sign in signs],
        [sign.calcification for sign in signs],
        [sign.osteophyte_mm.mean() for sign in signs],
    ):
        correlation = abs(np.corrcoef(values, ages)[0, 1])
        assert 0.85 < correlation < 0.985


def test_drawn_kyphosis_is_the_sign() -> None:
    for seed in (3, 4, 5):
        subject = person(60.0, seed)
        signs = subject_signs(subject)
        if signs.fracture_grade.any():
            continue
        drawn = thoracic_kyphosis_deg(build_column(subject, signs, STRAIGHT))
        # The share of the disc below T12 (5 % / 3) lies outside the angle.
        assert drawn == pytest.approx(signs.kyphosis_deg, abs=3.0)


def test_column_stands_upright_and_stacks_without_overlap() -> None:
    for age in (42.0, 70.0, 89.0):
        column = column_at(age)
        heights = [vertebra.centre_mm[1] for vertebra in column.vertebrae]
        assert [vertebra.level for vertebra in column.vertebrae] == list(LEVELS)
        assert (np.diff(heights) > 8.0).all()
        x, y = column["T4"].centre_mm
        assert np.rad2deg(np.arctan2(-x, -y)) == pytest.approx(2.0, abs=1e-6)
    assert column_at(89.0)["T4"].centre_mm[1] > column_at(42.0)["T4"].centre_mm[1] + 15.0  # height is lost


def test_fractures_follow_age_and_density() -> None:
    assert fracture_rate(85.0, 0.45) > 5 * fracture_rate(55.0, 0.81)
    assert fracture_rate(70.0, 0.5) > fracture_rate(70.0, 0.7)
    density = trabecular_density(np.full(5, 75.0), np.array([-2, -1, 0, 1, 2]))
    assert (np.diff(t_score(density, False, 0.0)) > 0).all()
    assert t_score(0.6, True, 0.0) < t_score(0.6, False, 0.0)


def test_fractured_vertebra_is_lower() -> None:
    subject = person(88.0)
    signs = subject_signs(subject)
    grade = np.zeros(len(LEVELS), dtype=np.int64)
    grade[LEVELS.index("L1")] = 2
    sound, broken = (
        build_column(subject, type(signs)(**{**vars(signs), "fracture_grade": grades}), STRAIGHT)["L1"]
        for grades in (grade * 0, grade)
    )

    def middle(vertebra: object) -> float:
        return sum(vertebra.height_mm) / 2 - sum(vertebra.concavity_mm)  # type: ignore[attr-defined]

    lost = 1 - min(min(broken.height_mm) / min(sound.height_mm), middle(broken) / middle(sound))
    assert lost > 0.25  # Genant's grade 2 is a loss of 25 to 40 %
