"""A volume knows where its voxels lie, whichever way its axes run."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from agezoo.data.volume import ScanFacts, Volume

ALL_CODES = ["".join(code) for axes in permutations(["LR", "PA", "IS"]) for code in product(*axes)]


def test_turning_moves_no_voxel_in_the_body_and_copies_nothing():
    hu = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    affine = np.array([[0, 0, -4.0, 7], [2.0, 0, 0, -3], [0, -3.0, 0, 5], [0, 0, 0, 1]])
    volume = Volume(hu, affine)
    assert volume.axcodes == "AIL"
    assert len(set(ALL_CODES)) == 48
    for codes in ALL_CODES:
        turned = volume.to_axcodes(codes)
        assert turned.axcodes == codes
        assert np.shares_memory(turned.hu, hu)
        for index in np.ndindex(*turned.shape):
            there = np.linalg.inv(affine) @ turned.affine @ [*index, 1]
            assert turned.hu[index] == hu[tuple(np.rint(there[:3]).astype(int))]


def test_spacing_follows_the_axes():
    volume = Volume(np.zeros((2, 3, 4), np.int16), np.diag([-2.0, 3.0, 5.0, 1.0]))
    assert volume.spacing_mm == (2.0, 3.0, 5.0)
    assert volume.to_axcodes("SLA").spacing_mm == (5.0, 2.0, 3.0)


@pytest.mark.parametrize("codes", ["LA", "LAX", "LRS", "LLS", ""])
def test_impossible_axis_codes_are_refused(codes):
    with pytest.raises(ValueError, match="codes must name three"):
        Volume(np.zeros((2, 3, 4), np.int16), np.eye(4)).to_axcodes(codes)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="3 axes"):
        Volume(np.zeros((2, 3)), np.eye(4))
    with pytest.raises(ValueError, match="4x4"):
        Volume(np.zeros((2, 3, 4)), np.eye(3))


def test_the_patient_key_does_not_show_when_facts_are_printed():
    assert "0123abcd" not in repr(ScanFacts(patient_key="0123abcd"))
