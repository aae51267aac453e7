"""Label masks of radiographs: values as saved, kinds from the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agezoo.data.masked_cohort import find_masked_scans, label_names, read_label_image
from agezoo.errors import InputError

LABELS = np.array([[0, 1, 1], [3, 0, 250]], dtype=np.uint8)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_values_come_back_as_they_were_saved(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(LABELS.astype(np.uint16) if mode == "I;16" else LABELS)
    if mode == "P":
        picture.putpalette(list(range(255, -1, -1)) * 3)
    assert picture.mode == mode
    picture.save(tmp_path / "mask.png")
    found = read_label_image(tmp_path / "mask.png")
    np.testing.assert_array_equal(found, LABELS)
    assert found.dtype.kind in "iu"
    assert label_names(tmp_path / "mask.png", found) == {"label_1": 1, "label_3": 3, "label_250": 250}


def test_a_mask_of_one_bit_has_the_label_1(tmp_path: Path) -> None:
    Image.fromarray(LABELS > 0).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_label_image(tmp_path / "mask.png"), LABELS > 0)


def test_what_is_no_label_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "colours.png")
    with pytest.raises(InputError, match=r"one channel.*colours\.png|colours\.png.*one channel"):
        read_label_image(tmp_path / "colours.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match="cannot be read as a mask"):
        read_label_image(tmp_path / "text.png")


def test_the_kind_of_image_comes_from_the_table(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"")
    (tmp_path / "cohort.csv").write_text(
        "subject_id,image,mask,modality\nA,a.dcm,m.png,vfa\nB,b.dcm,m.png,\nC,c.dcm,m.png,radiograph\n"
    )
    assert [scan.modality for scan in find_masked_scans(tmp_path)] == ["vfa", "", "radiograph"]
