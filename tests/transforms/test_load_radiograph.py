"""Loading a radiograph into a MONAI pipeline: shape, polarity, facts that can be batched, the kept area."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from PIL import Image

from agezoo.data.volume import Volume
from agezoo.engines import CohortDataset
from agezoo.errors import InputError
from agezoo.transforms import LoadRadiograph, LoadRadiographd
from agezoo.transforms.load import plain_facts
from radiograph_files import spine_image, write_radiograph


@pytest.fixture
def radiograph_file(tmp_path):
    framed = np.zeros((260, 200), np.uint16)
    framed[12:252, 6:186] = spine_image()
    return write_radiograph(tmp_path / "lateral.dcm", framed)


def test_the_array_form_gives_one_channel_of_rows_and_columns(radiograph_file):
    image = LoadRadiograph()(radiograph_file)
    assert isinstance(image, MetaTensor)
    assert image.dtype == torch.float32
    expected = spine_image() - spine_image().min()
    np.testing.assert_array_equal(image.numpy(), expected[None].astype(np.float32))
    assert image.meta["filename_or_obj"] == str(radiograph_file)


def test_the_dictionary_form_adds_facts_with_the_keys_of_every_reader(radiograph_file):
    item = LoadRadiographd("image", kind_key="modality")({"image": str(radiograph_file), "modality": ""})
    facts = item["image_facts"]
    assert set(plain_facts(Volume(np.zeros((2, 2, 2), np.int16), np.eye(4)))) | {"kind", "area"} == set(facts)
    assert facts["kind"] == "radiograph"
    assert facts["area"].dtype == np.float32
    assert facts["area"].tolist() == [12, 6, 240, 180, 260, 200]
    # 180 columns and 240 rows of 0.2 mm; a projection adds up what lies from side to side.
    np.testing.assert_allclose(facts["field_of_view_mm"], [math.nan, 36, 48], rtol=1e-6)
    np.testing.assert_allclose(facts["spacing_mm"], [math.nan, 0.2, 0.2], rtol=1e-6)
    assert facts["age_years"] == pytest.approx(70.0)
    assert item["reading_notes"] == ""
    assert "SECRET" not in repr(item).upper()


def test_the_kind_in_the_item_wins_and_its_contradiction_is_a_reading_note(radiograph_file):
    item = LoadRadiographd("image")({"image": str(radiograph_file), "modality": "vfa"})
    assert item["image_facts"]["kind"] == "vfa"
    assert item["reading_notes"] == "taken as a vfa as asked, but Modality says 'CR'"
    without_key = LoadRadiographd("image", kind_key="type")({"image": str(radiograph_file), "modality": "vfa"})
    assert without_key["image_facts"]["kind"] == "radiograph"


def test_dicom_and_pictures_stand_in_one_batch(radiograph_file, tmp_path):
    Image.fromarray(spine_image(bits=8).astype(np.uint8)).save(tmp_path / "b.png")
    rows = [{"image": str(radiograph_file), "modality": "vfa"}, {"image": [str(tmp_path / "b.png")], "modality": ""}]
    batch = next(iter(DataLoader(Dataset(rows, LoadRadiographd("image")), batch_size=2)))
    assert batch["image"].shape == (2, 1, 240, 180)
    assert batch["image_facts"]["kind"] == ["vfa", "radiograph"]
    assert torch.isnan(batch["image_facts"]["field_of_view_mm"][1]).all()
    assert decollate_batch(batch)[1]["image_facts"]["area"].tolist() == [0, 0, 240, 180, 240, 180]


def test_the_cohort_dataset_takes_it_and_turns_refusals_into_rows(radiograph_file, tmp_path):
    frontal = write_radiograph(tmp_path / "frontal.dcm", ViewPosition="AP")
    rows = [{"image": str(radiograph_file)}, {"image": str(frontal)}]
    dataset = CohortDataset(rows, LoadRadiographd("image"), on_error="placeholder", image_shape=(1, 8, 4))
    good, bad = dataset[0], dataset[1]
    assert good["error"] == ""
    assert good["field_of_view_mm"][1:].tolist() == pytest.approx([36, 48])
    assert good["header_sex"] == "F"
    assert "is a frontal view" in bad["error"]
    assert bad["image"].shape == (1, 8, 4)


def test_other_parts_of_the_body_pass_when_asked_for(tmp_path):
    path = write_radiograph(tmp_path / "chest.dcm", BodyPartExamined="CHEST", ViewPosition="PA")
    with pytest.raises(InputError, match="another part of the body"):
        LoadRadiograph()(path)
    assert LoadRadiograph(any_body_part=True)(path).shape == (1, 240, 180)
    assert LoadRadiographd("image", any_body_part=True)({"image": str(path)})["image"].shape == (1, 240, 180)
