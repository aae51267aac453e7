"""From a T1 to a brain on the MNI152 grid: phantom heads whose anatomy is known, and real heads."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

pytest.importorskip("nilearn")
pytest.importorskip("itk")

from agezoo.errors import InputError
from agezoo.phantoms.brain_cohort import phantom_brain_scan
from agezoo.phantoms.brain_labels import LABELS as BRAIN_LABELS
from agezoo.phantoms.brain_plan import BrainCohortParameters, plan_brain_cohort
from agezoo.phantoms.brain_scan import BrainScan
from agezoo.transforms.brain.template import mni_affine, mni_shape, template
from agezoo.transforms.brain_to_mni import BrainToMNId, MNIBrain, brain_to_mni
from agezoo.transforms.load import LoadVolume


@pytest.fixture(scope="module")
def phantom() -> BrainScan:
    """A phantom head with skull, tilted, with a bias field."""
    plan = plan_brain_cohort(BrainCohortParameters(subjects=1, seed=4, space="head", quick=True))
    return phantom_brain_scan(plan[0])


@pytest.fixture(scope="module")
def head(phantom: BrainScan) -> tuple[np.ndarray, np.ndarray]:
    """Its voxels and affine."""
    return np.asarray(phantom.voxels, dtype=np.float32), np.asarray(phantom.affine, dtype=float)


@pytest.fixture(scope="module")
def registered(head: tuple[np.ndarray, np.ndarray]) -> MNIBrain:
    return brain_to_mni(*head)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    both = (one > 0) & (other > 0)
    return float(np.corrcoef(one[both], other[both])[0, 1])


def test_a_raw_head_becomes_a_brain_on_the_grid(registered: MNIBrain) -> None:
    assert registered.state == "head"
    assert registered.voxels.shape == (91, 109, 91)
    assert registered.voxels.dtype == np.float32
    assert np.array_equal(registered.affine, mni_affine(2.0))
    assert np.array_equal(registered.voxels > 0, registered.mask)
    assert registered.overlap > 0.93
    assert registered.correlation > 0.6
    assert registered.notes == ()


def test_left_stays_left(phantom: BrainScan, head: tuple[np.ndarray, np.ndarray], registered: MNIBrain) -> None:
    # A mirrored brain would pass every figure of likeness: a dark ball in white matter tells the sides apart.
    voxels, affine = head
    ras_mm = (affine[:3, :3] @ np.indices(voxels.shape).reshape(3, -1) + affine[:3, 3:]).reshape(3, *voxels.shape)
    white = np.asarray(phantom.labels) == BRAIN_LABELS["white_matter"]
    left = white & (ras_mm[0] < np.median(ras_mm[0][white]) - 15)
    centre = ras_mm[:, left].mean(axis=1).reshape(3, 1, 1, 1)
    ball = np.linalg.norm(ras_mm - centre, axis=0) < 10
    marked = brain_to_mni(np.where(ball, 0.3 * voxels, voxels), affine)
    darkened = registered.mask & marked.mask & (marked.voxels < 0.6 * registered.voxels)
    # Axis 0 grows towards the left, its middle is voxel 45. A ball of 10 mm has 524 voxels of 2 mm.
    assert darkened[48:].sum() > 150
    assert darkened[:43].sum() < 0.1 * darkened[48:].sum()


def test_the_same_scan_gives_the_same_brain(head: tuple[np.ndarray, np.ndarray], registered: MNIBrain) -> None:
    again = brain_to_mni(*head)
    assert np.array_equal(again.voxels, registered.voxels)


def test_storage_orientation_does_not_matter(head: tuple[np.ndarray, np.ndarray], registered: MNIBrain) -> None:
    voxels, affine = head
    turned = np.ascontiguousarray(voxels[::-1].transpose(2, 0, 1))
    to_old = np.array([[0, -1, 0, voxels.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=float)
    assert likeness(brain_to_mni(turned, affine @ to_old).voxels, registered.voxels) > 0.999


def test_intensity_scale_does_not_matter(head: tuple[np.ndarray, np.ndarray], registered: MNIBrain) -> None:
    voxels, affine = head
    assert likeness(brain_to_mni(voxels * 0.01, affine).voxels, registered.voxels) > 0.999


def test_a_finished_brain_is_taken_as_it_is(registered: MNIBrain) -> None:
    again = brain_to_mni(registered.voxels, registered.affine)
    assert again.state == "mni_brain"
    assert np.array_equal(again.voxels, registered.voxels)
    assert again.overlap == pytest.approx(registered.overlap)
    coarse = brain_to_mni(registered.voxels, registered.affine, spacing_mm=5.0)
    assert coarse.voxels.shape == mni_shape(5.0)
    assert np.array_equal(coarse.affine, mni_affine(5.0))
    volume_ml = [float(b.mask.sum()) * mm**3 / 1000 for b, mm in ((registered, 2.0), (coarse, 5.0))]
    assert volume_ml[1] == pytest.approx(volume_ml[0], rel=0.03)


def test_a_stripped_brain_keeps_its_own_mask(registered: MNIBrain) -> None:
    # The brain alone, 12 mm off and turned by 8 degrees: no longer on the template's grid.
    angle = np.deg2rad(8)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[:3, 3] = (12, -7, 9)
    brain = brain_to_mni(registered.voxels, turn @ registered.affine)
    assert brain.state == "stripped"
    assert brain.overlap > 0.93
    assert likeness(brain.voxels, registered.voxels) > 0.95


def test_errors_cross_processes_and_facts_travel(registered: MNIBrain) -> None:
    image = MetaTensor(torch.from_numpy(registered.voxels)[None], affine=torch.from_numpy(registered.affine))
    item = BrainToMNId("image")({"image": image, "image_facts": {"sex": "F"}, "reading_notes": "one note"})
    assert item["image"].shape == (1, 91, 109, 91)
    assert item["image_facts"]["sex"] == "F"
    assert item["image_facts"]["brain_state"] == "mni_brain"
    assert list(item["image_facts"]["field_of_view_mm"]) == [182, 218, 182]
    assert item["image_facts"]["registration_overlap"] == pytest.approx(registered.overlap)
    assert item["reading_notes"] == "one note"
    with pytest.raises(InputError) as caught:
        brain_to_mni(np.zeros((60, 60, 60)), np.diag([3.0, 3, 3, 1]), source="scan.nii")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


GRID = np.diag([3.0, 3.0, 3.0, 1.0])


@pytest.mark.parametrize(
    ("voxels", "affine", "message"),
    [
        (np.zeros((60, 60, 60)), GRID, "blank"),
        (np.ones((60, 60)), GRID, "3D volume"),
        (np.random.default_rng(0).normal(size=(60, 60, 3)), GRID, "too small or too coarse"),
        (np.random.default_rng(0).normal(size=(20, 20, 20)), GRID, "too small or too coarse"),
        (np.full((60, 60, 60), np.nan), GRID, "not finite"),
        (np.random.default_rng(0).normal(-700, 300, size=(60, 70, 60)), GRID, "CT"),
        (np.random.default_rng(0).normal(size=(60, 70, 60)), np.zeros((4, 4)), "affine"),
    ],
    ids=["blank", "2D", "slab", "small", "NaN", "CT", "affine"],
)
def test_what_can_be_no_head_is_refused(voxels: np.ndarray, affine: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        brain_to_mni(voxels, affine, source="scan.nii")
    assert caught.value.source == "scan.nii"
    assert caught.value.remedy


def test_noise_is_no_brain() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError) as caught:
        brain_to_mni(rng.uniform(0, 100, size=(64, 72, 64)).astype(np.float32), GRID, source="noise.nii")
    assert "noise.nii" in str(caught.value)


def test_half_a_head_is_refused(head: tuple[np.ndarray, np.ndarray]) -> None:
    voxels, affine = head
    half = voxels.shape[2] // 2
    with pytest.raises(InputError):
        brain_to_mni(voxels[:, :, :half], affine)


def test_template_lies_on_fsls_grid() -> None:
    brain = template(2.0)
    assert brain.shape == (91, 109, 91)
    assert np.array_equal(brain.affine, [[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    assert not brain.t1[~brain.mask].any()
    # About 1.9 litres: the MNI152 brain is larger than a person's.
    assert 1.7 < brain.mask.sum() * 8e-6 < 2.1
    assert mni_shape(4.0) == (46, 55, 46)
    with pytest.raises(InputError, match="spacing"):
        template(40.0)


@pytest.mark.sample_data
@pytest.mark.parametrize("name", ["IXI012-HH-1211-T1_ds.nii.gz", "IXI329-HH-1908-T1_stripped.nii.gz"])
def test_real_scans_reach_the_template(sample_data: Path, name: str) -> None:
    image = LoadVolume("MR")(sample_data / "brain" / name)
    brain = brain_to_mni(np.asarray(image)[0], np.asarray(image.affine))
    assert brain.state == ("stripped" if "stripped" in name else "head")
    assert brain.overlap >= 0.95
    assert brain.correlation > 0.6
