"""A visit brought to the network's grid: channels, places, facts and notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from synthetic_stations import make_stations

from agezoo.data.dixon import DixonScan
from agezoo.data.volume import ScanFacts
from agezoo.errors import InputError
from agezoo.transforms import LoadBodyd
from agezoo.transforms.body import stitched
from agezoo.transforms.body.body_grid import body_grid, centre_mm
from agezoo.transforms.body.stitched import stitch

FACTOR = 4.0


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> str:
    """A visit whose second station is swapped, read without files."""
    scan = DixonScan(tuple(make_stations(swapped=(2,))), ScanFacts(modality="MR", age_years=61.0, sex="F"))
    monkeypatch.setattr(stitched, "read_dixon", lambda source: scan)
    return "visit.zip"


def test_the_body_lies_in_the_middle_of_the_grid(visit):
    image = LoadBodyd("image", spacing_factor=FACTOR)({"image": visit})["image"]
    grid = body_grid(FACTOR)
    assert image.shape == (1, *grid.shape)
    assert image.dtype == torch.float32
    body = stitch(make_stations(), ScanFacts())
    apart = centre_mm(np.asarray(image.affine), grid.shape) - centre_mm(body.affine, body.water.shape)
    assert np.abs(apart).max() < 1e-3
    inside = np.asarray(image[0]) > 0
    assert 0.15 < inside.mean() < 0.6
    # The arms are as wide as the field of view; front to back there is room.
    assert not inside[:, :4].any()
    assert not inside[:, -4:].any()


def test_channels_come_in_their_order_and_fractions_sum_to_one(visit):
    names = ("fat_fraction", "water", "water_fraction", "fat")
    image = np.asarray(LoadBodyd("image", names, FACTOR)({"image": visit})["image"])
    fat_share, water, water_share, fat = image
    held = fat_share + water_share > 0
    np.testing.assert_allclose((fat_share + water_share)[held], 1, atol=1e-5)
    bright = water + fat > 300
    np.testing.assert_allclose(fat_share[bright], (fat / (water + fat))[bright], atol=1e-4)
    one = np.asarray(LoadBodyd("image", ("water",), FACTOR)({"image": visit})["image"])
    np.testing.assert_array_equal(one[0], water)


def test_facts_and_notes_travel_with_the_image(visit):
    result = LoadBodyd("image", spacing_factor=FACTOR)({"image": visit})
    assert "station 2 (counted from the head); exchanged" in result["reading_notes"]
    facts = result["image_facts"]
    assert facts["age_years"] == 61.0
    np.testing.assert_allclose(facts["grid_affine"], np.asarray(result["image"].affine), rtol=1e-6)


def test_water_alone_gives_water_and_no_other_channel(tmp_path: Path):
    body = stitch(make_stations(), ScanFacts())
    path = tmp_path / "water.nii.gz"
    nib.save(nib.Nifti1Image(body.water, body.affine), path)
    assert LoadBodyd("image", spacing_factor=FACTOR)({"image": str(path)})["image"].shape[0] == 1
    message = r"water\.nii\.gz.*'fat_fraction' cannot be had.*found: water alone.*add the fat"
    with pytest.raises(InputError, match=message):
        LoadBodyd("image", ("water", "fat_fraction"), FACTOR)({"image": str(path)})


@pytest.mark.parametrize("channels", [("muscle",), (), ("water", "water")])
def test_unknown_channels_are_refused_at_once(channels):
    with pytest.raises(InputError, match=r"channels.*expected: water, fat"):
        LoadBodyd("image", channels)


def test_air_stays_where_it_was_asked_for(visit):
    kept = LoadBodyd("image", spacing_factor=FACTOR, mask_air=False)({"image": visit})["image"]
    masked = LoadBodyd("image", spacing_factor=FACTOR)({"image": visit})["image"]
    assert (kept > 0).sum() > 1.3 * (masked > 0).sum()
    # Well inside the body nothing changes.
    held = np.asarray(masked) > 300
    apart = np.abs(np.asarray(kept)[held] / np.asarray(masked)[held] - 1)
    assert np.percentile(apart, 99) < 0.02


def test_a_gap_is_told_with_the_name_of_the_visit(visit, monkeypatch):
    scan = stitched.read_dixon(visit)
    monkeypatch.setattr(
        stitched, "read_dixon", lambda source: replace(scan, stations=scan.stations[:2] + scan.stations[3:])
    )
    with pytest.raises(InputError, match=r"visit\.zip.*gap along the body"):
        LoadBodyd("image", spacing_factor=FACTOR)({"image": visit})
