"""Loading a scan into a MONAI pipeline: its place in the body, its dtype, facts that can be batched."""

from __future__ import annotations

import math

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch

from agezoo.data.volume import ScanFacts, Volume
from agezoo.transforms import LoadVolume, LoadVolumed
from agezoo.transforms.load import plain_facts, with_positive_strides


@pytest.fixture
def ras_file(tmp_path):
    """A CT stored R-A-S with one marker, and the marker's place in mm."""
    hu = np.full((20, 16, 12), -1000, dtype=np.int16)
    hu[4:16, 4:12, :] = 40
    hu[5, 6, 7] = 1000
    affine = np.array([[1.5, 0, 0, -15], [0, 2, 0, -16], [0, 0, 3, 10], [0, 0, 0, 1.0]])
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(hu, affine), path)
    return path, (affine @ [5, 6, 7, 1])[:3]


def test_marker_keeps_its_place_in_the_body_and_axes_are_las(ras_file):
    path, place_mm = ras_file
    image = LoadVolume()(path)
    assert image.shape == (1, 20, 16, 12)
    assert image.dtype == torch.int16
    assert nibabel.aff2axcodes(image.affine.numpy()) == ("L", "A", "S")
    index = np.unravel_index(int(image.argmax()), image.shape)[1:]
    np.testing.assert_allclose((image.affine.numpy() @ [*index, 1])[:3], place_mm)


def test_dictionary_form_adds_facts_and_notes_that_can_be_batched(ras_file):
    path, _ = ras_file
    rows = [{"image": str(path), "age_years": 50.0}, {"image": str(path), "age_years": 60.0}]
    batch = next(iter(DataLoader(Dataset(rows, LoadVolumed("image")), batch_size=2)))
    assert batch["image"].shape == (2, 1, 20, 16, 12)
    assert batch["image_facts"]["spacing_mm"].tolist() == [[1.5, 2, 3]] * 2
    assert torch.isnan(batch["image_facts"]["age_years"]).all()
    assert batch["image_facts"]["sex"] == ["", ""]
    items = decollate_batch(batch)
    assert isinstance(items[0]["image"], MetaTensor)
    assert items[1]["reading_notes"] == ""
    assert items[1]["image"].meta["filename_or_obj"] == str(path)


def test_modality_reaches_the_reader_and_notes_are_joined(monkeypatch):
    asked = []

    def reader(source, *, modality):
        asked.append((source, modality))
        return Volume(np.zeros((3, 4, 5), dtype=np.int16), np.eye(4), ScanFacts(notes=("tilt removed", f"of {source}")))

    monkeypatch.setattr("agezoo.transforms.load.read_volume", reader)
    result = LoadVolumed(["a", "b"], modality="MR")({"a": "x", "b": ["y/1.dcm", "y/2.dcm"]})
    assert asked == [("x", "MR"), (["y/1.dcm", "y/2.dcm"], "MR")]
    assert result["reading_notes"] == "tilt removed; of x; of ['y/1.dcm', 'y/2.dcm']"
    assert result["b"].meta["filename_or_obj"] == "y"
    assert set(result) == {"a", "b", "a_facts", "b_facts", "reading_notes"}


def test_facts_carry_nothing_that_identifies_a_person_and_no_none():
    facts = ScanFacts(
        modality="CT", age_years=61.5, sex="F", study_uid="1.2.3", series_uid="1.2.4", patient_key="secret", n_slices=9
    )
    known = plain_facts(Volume(np.zeros((2, 2, 2), dtype=np.int16), np.diag([1, 2, 3, 1.0]), facts))
    assert known["age_years"] == 61.5
    assert known["sex"] == "F"
    assert math.isnan(known["slice_thickness_mm"])
    assert known["kernel"] == ""
    text = repr(known)
    assert all(word not in text for word in ("1.2.3", "1.2.4", "secret", "None"))


@pytest.mark.parametrize(
    "view", [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T[::-1, :, ::-1], lambda a: a[::-1, ::-1, ::-1]]
)
def test_reversed_axes_are_put_right_in_the_same_memory(view):
    memory = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
    reversed_view = view(memory)
    expected = reversed_view.copy()
    result = with_positive_strides(reversed_view)
    np.testing.assert_array_equal(result, expected)
    assert min(result.strides) > 0
    assert np.shares_memory(result, memory)


def test_read_only_memory_is_copied_not_changed():
    memory = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    memory.flags.writeable = False
    for view in (memory, memory[::-1]):
        result = with_positive_strides(view)
        assert result.flags.writeable
        np.testing.assert_array_equal(result, view)
    assert memory[0, 0, 0] == 0


@pytest.mark.sample_data
def test_real_series_loads_with_its_spacing(sample_data):
    item = LoadVolumed("image")({"image": str(sample_data / "ct" / "totalseg_series")})
    assert item["image"].shape == (1, 512, 512, 20)
    assert item["image"].dtype == torch.int16
    assert item["image_facts"]["modality"] == "CT"
    np.testing.assert_allclose(item["image"].affine.diag().abs()[:3], item["image_facts"]["spacing_mm"], rtol=1e-5)
