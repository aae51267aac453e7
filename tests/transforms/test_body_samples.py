"""Water and fat of a real two-point scan of an abdomen (CHAOS), judged by its anatomy."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from agezoo.transforms.body.stitched import BodyVolume, read_body

pytestmark = pytest.mark.sample_data


@pytest.fixture(scope="module")
def chaos(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> BodyVolume:
    folder = tmp_path_factory.mktemp("chaos_body")
    with tarfile.open(sample_data / "mr_body" / "chaos_1_dixon.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return read_body(folder)


def depth_mm(body: BodyVolume) -> np.ndarray:
    assert body.body is not None
    edges_mm = np.abs(np.diag(body.affine))[:2]
    slices = [ndimage.distance_transform_edt(body.body[..., z], sampling=edges_mm) for z in range(body.body.shape[2])]
    return np.stack(slices, axis=2)


def test_fat_lies_below_the_skin_all_around(chaos):
    """4 to 7 mm deep, on every side of the body; the layer is thin beside the liver."""
    assert chaos.fat is not None
    layer = (depth_mm(chaos) > 4) & (depth_mm(chaos) < 7)
    fatty = chaos.fat > chaos.water
    assert fatty[layer].mean() > 0.93
    x, y, _ = np.indices(layer.shape)
    centre = np.argwhere(layer).mean(axis=0)
    eighth = np.floor((np.arctan2(y - centre[1], x - centre[0]) + np.pi) / (np.pi / 4)).astype(int) % 8
    assert min(fatty[layer & (eighth == k)].mean() for k in range(8)) > 0.8


def test_liver_and_back_muscles_are_water(chaos):
    assert chaos.fat is not None
    # Axes grow towards left, front and head: the liver on the right, the erector muscles beside the spine.
    for place in ((slice(60, 100), slice(100, 140), slice(24, 33)), (slice(136, 146), slice(92, 100), slice(4, 12))):
        water, fat = chaos.water[place], chaos.fat[place]
        assert (water > fat).mean() > 0.98
        assert np.median(fat / (water + fat)) < 0.1


def test_no_islands_of_swap_in_one_tissue(chaos):
    """Neighbours of one brightness, both nearly pure, hold the same: where they differ, a region was exchanged."""
    assert chaos.fat is not None
    total, opposed = chaos.water + chaos.fat, np.abs(chaos.water - chaos.fat)
    pure = (opposed > 0.8 * total) & (total > 150)
    fatty = chaos.fat > chaos.water
    brightness = np.log(np.maximum(total, 1))
    for axis in (0, 1):
        alike = np.abs(brightness - np.roll(brightness, -1, axis)) < 0.15
        held = pure & np.roll(pure, -1, axis) & alike
        assert (fatty != np.roll(fatty, -1, axis))[held].mean() < 0.002


def test_the_note_tells_that_both_were_computed(chaos):
    assert any("computed from in-phase and opposed-phase" in note for note in chaos.facts.notes)
    assert chaos.swapped == ()
    assert chaos.n_stations == 1
