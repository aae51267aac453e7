"""Real radiographs that nobody on this project made: turned away as no spine, and with bone bright when asked for."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.data.radiograph import read_radiograph
from agezoo.errors import InputError

pytestmark = pytest.mark.sample_data


def test_a_real_chest_in_monochrome1_is_no_spine_but_has_bone_bright(sample_data):
    path = sample_data / "radiograph" / "wg04_RG1_J2KI.dcm"
    with pytest.raises(InputError, match="another part of the body; found: BodyPartExamined says 'chest'"):
        read_radiograph(path)
    radiograph = read_radiograph(path, any_body_part=True)
    assert radiograph.stored_shape == (1955, 1841)
    assert radiograph.spacing_mm is None
    assert radiograph.facts.notes == ("PixelSpacing is impossible and was not used",)
    # Places in this picture: spine behind the heart, left lung's apex, air beside the right shoulder.
    spine, lung, air = (
        radiograph.pixels[place].mean()
        for place in (np.s_[1300:1500, 850:950], np.s_[300:420, 1080:1200], np.s_[60:120, 20:120])
    )
    assert spine > 1.5 * lung
    assert lung > 2 * air


def test_a_real_modality_lookup_table_and_a_black_frame(sample_data):
    path = sample_data / "radiograph" / "fo-dicom_CR-ModalitySequenceLUT.dcm"
    with pytest.raises(InputError, match="another part of the body; found: SeriesDescription says 'teeth'"):
        read_radiograph(path)
    radiograph = read_radiograph(path, any_body_part=True)
    assert radiograph.stored_shape == (1576, 1976)
    # The frame ends at these lines of the file, counted on the screen.
    np.testing.assert_allclose(radiograph.area, (625, 75, 875, 1850), atol=8)
    assert radiograph.spacing_mm == (0.15, 0.15)
    # The brightest is metal in the teeth, not the black frame around.
    assert radiograph.pixels[450:500, 480:520].max() > 0.9 * radiograph.pixels.max()
    assert radiograph.pixels[:, :40].mean() > 0


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.51"])
def test_a_real_slice_is_no_radiograph(sample_data, syntax):
    path = next((sample_data / "ct" / "transfer_syntaxes").glob(f"*_{syntax}.dcm"))
    with pytest.raises(InputError, match="is no projection image; found: modality CT"):
        read_radiograph(path)
