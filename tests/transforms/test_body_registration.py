"""Bodies are brought onto a template, and it is known when they are not."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from agezoo.errors import InputError
from agezoo.transforms.body import body_registration
from agezoo.transforms.body.body_registration import (
    BodyWarp,
    carried,
    inside,
    register_body,
    registration_quality,
    starting_place,
)
from agezoo.transforms.body.body_template import BodyTemplate, CoarseBody, coarse_body, read_template
from agezoo.transforms.brain.input_state import dice
from atlas_bodies import LABELS, SPACING_MM, ToyBody, toy_body

SCALE, SHIFT_MM = (1.1, 0.9, 0.93), (15.0, -10.0, 30.0)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy body needs no long search."""
    monkeypatch.setattr(body_registration, "AFFINE_ITERATIONS", 60)
    monkeypatch.setattr(body_registration, "SPLINE_ITERATIONS", 60)
    monkeypatch.setattr(body_registration, "SAMPLES", 1500)


def coarse(body: ToyBody, *, fat: bool = True) -> CoarseBody:
    return coarse_body(body.water, body.fat if fat else None, body.affine, spacing_mm=SPACING_MM)


TEMPLATE, SUBJECT = toy_body(), toy_body(SCALE, SHIFT_MM, seed=3)


def on_template(template: CoarseBody) -> np.ndarray:
    grid = np.tensordot(template.affine[:3, :3], np.indices(template.shape), axes=1)
    points = grid + template.affine[:3, 3].reshape(3, 1, 1, 1)
    return carried(TEMPLATE.labels, TEMPLATE.affine, points, order=0)


def organ_overlap(template: CoarseBody, points_mm: np.ndarray) -> dict[str, float]:
    labels, known = carried(SUBJECT.labels, SUBJECT.affine, points_mm, order=0), on_template(template)
    return {name: dice(labels == value, known == value) for name, value in LABELS.items()}


def test_organs_of_a_larger_moved_body_come_to_lie_on_the_templates() -> None:
    template, body = coarse(TEMPLATE), coarse(SUBJECT)
    warp = register_body(body, template)
    points = warp.points_mm(template)
    before = organ_overlap(template, no_registration(template))
    after = organ_overlap(template, points)
    assert min(after.values()) > 0.75
    assert all(after[name] > before[name] + 0.1 for name in LABELS)
    quality = registration_quality(body, template, points)
    assert quality.overlap > 0.95
    assert quality.correlation > 0.95


def test_the_same_body_is_registered_the_same_way_and_its_warp_survives_storage(tmp_path: Path) -> None:
    template, body = coarse(TEMPLATE), coarse(SUBJECT)
    warp = register_body(body, template)
    again = register_body(body, template)
    np.testing.assert_array_equal(warp.points_mm(template), again.points_mm(template))
    np.savez(tmp_path / "warp.npz", **warp.as_arrays())  # type: ignore[arg-type]
    with np.load(tmp_path / "warp.npz") as arrays:
        kept = BodyWarp.from_arrays({name: arrays[name] for name in arrays.files})
    assert np.abs(kept.points_mm(template) - warp.points_mm(template)).max() < 0.01


def test_water_alone_can_be_registered_to_a_template_of_both() -> None:
    template = coarse(TEMPLATE)
    warp = register_body(coarse(SUBJECT, fat=False), template)
    assert min(organ_overlap(template, warp.points_mm(template)).values()) > 0.7


def test_a_body_that_lies_right_already_stays_there() -> None:
    """At the very optimum elastix finds no slope to set its steps by, and would run away."""
    template = coarse(TEMPLATE)
    points = register_body(template, template).points_mm(template)
    assert np.linalg.norm(points - no_registration(template), axis=0)[template.mask].mean() < SPACING_MM / 2


def test_the_start_knows_size_and_place_of_a_body() -> None:
    template, body = coarse(TEMPLATE), coarse(SUBJECT)
    start = starting_place(body, template)
    assert np.diag(start)[:2] == pytest.approx(SCALE[:2], abs=0.05)
    # Where the template's middle lies in the other body.
    middle = (np.asarray(template.shape) - 1) / 2 * SPACING_MM
    found = (start @ [*middle, 1.0])[:3] - (np.asarray(body.shape) - 1) / 2 * SPACING_MM
    assert found == pytest.approx(SHIFT_MM, abs=1.5 * SPACING_MM)


def test_something_else_than_a_body_is_seen_to_lie_badly() -> None:
    template = coarse(TEMPLATE)
    ball = np.zeros(template.shape, dtype=np.float32)
    ball[10:18, 8:16, 30:38] = 1.0
    blob = coarse_body(ball, ball, template.affine, spacing_mm=SPACING_MM)
    assert registration_quality(blob, template, no_registration(template)).overlap < 0.3


def no_registration(template: CoarseBody) -> np.ndarray:
    grid = np.tensordot(template.affine[:3, :3], np.indices(template.shape), axes=1)
    return np.asarray(grid + template.affine[:3, 3].reshape(3, 1, 1, 1), dtype=np.float32)


def test_the_mask_holds_the_lungs_and_not_the_air() -> None:
    body = coarse(TEMPLATE)
    water = ndimage.gaussian_filter(TEMPLATE.water + TEMPLATE.fat, 0)
    lung = tuple(int(v) for v in np.linalg.inv(body.affine)[:3] @ [*patient_point((-88.0, 0.0, 240.0)), 1.0])
    assert body.mask[lung]
    assert not body.mask[0, 0].any()
    assert body.mask.sum() == pytest.approx((water > 20).sum(), rel=0.15)


def patient_point(array_mm: tuple[float, float, float]) -> np.ndarray:
    index = np.asarray(array_mm) / SPACING_MM + (np.asarray(TEMPLATE.water.shape) - 1) / 2
    return np.asarray((TEMPLATE.affine @ [*index, 1.0])[:3])


def test_points_outside_a_volume_are_known() -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    points = np.array([[0.0, -1.5, 18.5], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(inside((10, 10, 10), affine, points), [True, False, True])


def test_an_empty_volume_is_refused() -> None:
    zeros = np.zeros((20, 20, 20), dtype=np.float32)
    with pytest.raises(InputError, match="no body was found"):
        coarse_body(zeros, zeros, np.eye(4), spacing_mm=2.0)


def test_a_written_template_is_read_bit_by_bit_and_takes_other_labels(tmp_path: Path) -> None:
    body = coarse(TEMPLATE)
    labels = on_template(body)
    BodyTemplate(body, labels, LABELS, {"origin": "test"}).write(tmp_path / "one")
    read = read_template(tmp_path / "one")
    np.testing.assert_array_equal(read.body.water, body.water)
    np.testing.assert_array_equal(read.mask, body.mask | (labels > 0))
    assert dict(read.names) == LABELS
    read.write(tmp_path / "two")
    for name in ("water", "fat", "mask", "labels"):
        assert (tmp_path / "one" / f"{name}.nii.gz").read_bytes() == (tmp_path / "two" / f"{name}.nii.gz").read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    nib.save(nib.Nifti1Image((labels == 2).astype(np.uint8) * 7, body.affine), other / "labels.nii.gz")
    (other / "labels.json").write_text(json.dumps({"gland": 7}))
    taken = read_template(tmp_path / "one", labels=other / "labels.nii.gz")
    assert dict(taken.names) == {"gland": 7}
    assert taken.labels is not None
    np.testing.assert_array_equal(taken.labels == 7, labels == 2)


def test_a_foreign_template_is_brought_to_cubic_voxels(tmp_path: Path) -> None:
    affine = TEMPLATE.affine @ np.diag([1.0, 1.0, 0.5, 1.0])
    for name in ("water", "fat"):
        stretched = np.repeat(getattr(TEMPLATE, name), 2, axis=2)
        nib.save(nib.Nifti1Image(stretched, affine), tmp_path / f"{name}.nii.gz")
    template = read_template(tmp_path, spacing_mm=20.0)
    assert template.body.spacing_mm == pytest.approx(20.0)
    assert template.labels is None
    extent = np.asarray(template.body.shape) * 20.0
    assert extent == pytest.approx(np.asarray(TEMPLATE.water.shape) * SPACING_MM, abs=40.0)


def test_a_folder_without_water_is_no_template(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no template there.*water\.nii\.gz"):
        read_template(tmp_path)
