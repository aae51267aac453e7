"""A whole-body phantom is a body: everything is where it belongs, and only the planted regions change with age."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agezoo.phantoms.body_labels import LABELS, PLANTED_WEIGHTS
from agezoo.phantoms.body_subject import BodySubject
from agezoo.phantoms.body_volume import FIELD_OF_VIEW_MM, BodyPhantom, draw_body

SPACING_MM = (8.0, 8.0, 9.0)
MAN = BodySubject("PHANTOM-0001", (3, 1), "M", 60.0, 0.0, 174.0)
WOMAN = BodySubject("PHANTOM-0002", (3, 2), "F", 60.0, 0.0, 162.0)
PLANTED = [LABELS[region] for region in PLANTED_WEIGHTS]


@pytest.fixture(scope="module")
def man() -> BodyPhantom:
    return draw_body(MAN, SPACING_MM)


@pytest.fixture(scope="module")
def woman() -> BodyPhantom:
    return draw_body(WOMAN, SPACING_MM)


def _centre_mm(body: BodyPhantom, region: str) -> np.ndarray:
    """Centre of a region in RAS+ mm."""
    voxels = np.argwhere(body.labels == LABELS[region])
    return body.affine[:3, :3] @ voxels.mean(axis=0) + body.affine[:3, 3]


def _litres(body: BodyPhantom, region: str) -> float:
    return float((body.labels == LABELS[region]).sum() * np.prod(SPACING_MM) / 1e6)


def test_the_volume_covers_the_field_of_view_around_the_origin(man: BodyPhantom) -> None:
    assert man.water.shape == man.fat.shape == man.labels.shape == (62, 47, 121)
    assert man.water.dtype == man.fat.dtype == np.float32
    assert man.labels.dtype == np.uint8
    middle = man.affine @ [*(np.array(man.labels.shape) - 1) / 2, 1.0]
    assert middle == pytest.approx([0.0, 0.0, 0.0, 1.0])
    assert np.multiply(man.labels.shape, SPACING_MM) == pytest.approx(FIELD_OF_VIEW_MM, abs=8.0)
    assert np.diag(man.affine)[:3] == pytest.approx([-8.0, 8.0, 9.0])


def test_every_voxel_with_signal_has_a_label_and_every_region_is_there(man: BodyPhantom, woman: BodyPhantom) -> None:
    for body in (man, woman):
        signal = body.water + body.fat
        assert min(body.water.min(), body.fat.min()) >= 0.0
        assert signal.max() <= 1.0
        assert set(np.unique(body.labels)) == set(LABELS.values())
        assert np.all(signal[body.labels == 0] <= 0.5)


def test_organs_lie_where_they_do_in_people(man: BodyPhantom, woman: BodyPhantom) -> None:
    for body in (man, woman):
        centre = {region: _centre_mm(body, region) for region in LABELS if region != "background"}
        right, front, up = 0, 1, 2
        assert centre["liver"][right] > 30.0 > -20.0 > centre["spleen"][right]
        assert centre["heart"][right] < -5.0
        assert centre["aorta"][front] > centre["spine"][front] > centre["back_muscles"][front]
        assert centre["bowel"][front] > centre["kidneys"][front]
        order = ["lungs", "heart", "liver", "kidneys", "psoas", "bladder", "thigh_muscles"]
        heights = [centre[region][up] for region in order]
        assert heights == sorted(heights, reverse=True)


def test_the_body_reaches_from_the_neck_to_the_knees(man: BodyPhantom) -> None:
    inside = man.labels > 0
    across_mm = 8.0 * inside.any(axis=1).sum(axis=0)
    assert 100.0 < across_mm[-1] < 180.0, "the neck"
    assert across_mm[90:112].max() > 400.0, "the shoulders and arms"
    knees = inside[:, :, 0].any(axis=1)
    assert np.count_nonzero(np.diff(np.concatenate([[False], knees, [False]]).astype(int)) == 1) == 2


@pytest.mark.parametrize(
    ("region", "low_litres", "high_litres"),
    [("lungs", 2.0, 6.5), ("liver", 1.1, 2.8), ("spleen", 0.08, 0.4), ("kidneys", 0.15, 0.5), ("heart", 0.4, 1.4)],
)
def test_organs_have_the_size_of_those_of_people(
    man: BodyPhantom, woman: BodyPhantom, region: str, low_litres: float, high_litres: float
) -> None:
    for body in (man, woman):
        assert low_litres < _litres(body, region) < high_litres


def test_tissues_have_their_signals(man: BodyPhantom) -> None:
    def mean(volume: np.ndarray, region: str) -> float:
        return float(volume[man.labels == LABELS[region]].mean())

    assert mean(man.water, "thigh_muscles") > 0.65 > 0.2 > mean(man.fat, "thigh_muscles")
    assert mean(man.fat, "subcutaneous_fat") > 0.5
    assert mean(man.fat, "visceral_fat") > 0.6
    assert mean(man.water, "lungs") < 0.15
    assert mean(man.fat, "lungs") < 0.1
    assert mean(man.water, "liver") > 0.65
    assert mean(man.water, "bladder") > 0.7


def test_age_changes_the_planted_regions_and_nothing_else(man: BodyPhantom) -> None:
    old = draw_body(replace(MAN, age_years=80.0), SPACING_MM)
    planted = np.isin(man.labels, PLANTED) | np.isin(old.labels, PLANTED)
    change = np.abs(man.water - old.water) + np.abs(man.fat - old.fat)
    # A voxel counts to a planted region from a share of 0.05 on.
    assert change[~planted].max() < 0.1
    for label in PLANTED:
        assert change[man.labels == label].mean() > 0.05


def test_fat_people_have_more_fat_and_their_arms_leave_the_field_of_view() -> None:
    lean, fat = (draw_body(replace(MAN, fatness=size, visceral_fatness=size), SPACING_MM) for size in (-1.5, 2.0))
    for region in ("subcutaneous_fat", "visceral_fat"):
        assert _litres(fat, region) > 1.5 * _litres(lean, region)
    edge = [np.count_nonzero(body.labels[[0, -1]]) for body in (lean, fat)]
    assert edge[1] > edge[0] + 50


def test_a_body_depends_on_its_subject_alone_and_visits_differ_in_filling_and_posture(man: BodyPhantom) -> None:
    again, later = draw_body(MAN, SPACING_MM), draw_body(replace(MAN, visit=1), SPACING_MM)
    assert np.array_equal(man.water, again.water)
    assert np.array_equal(man.labels, again.labels)
    assert not np.array_equal(man.labels == LABELS["bladder"], later.labels == LABELS["bladder"])
    assert replace(MAN, visit=1).region_ages_years == MAN.region_ages_years
