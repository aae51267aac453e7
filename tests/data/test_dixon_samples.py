"""A real two-point Dixon scan (CHAOS, 1.5 T): both echoes under one series, told apart by their echo times."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from agezoo.data.body_search import find_bodies
from agezoo.data.dixon import read_dixon

pytestmark = pytest.mark.sample_data


@pytest.fixture(scope="module")
def chaos(sample_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chaos")
    with tarfile.open(sample_data / "mr_body" / "chaos_1_dixon.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_folder_and_zip_give_both_echoes_upright(chaos, tmp_path):
    path = tmp_path / "chaos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(chaos.rglob("*.dcm")):
            archive.writestr(file.relative_to(chaos).as_posix(), file.read_bytes())
    from_folder, from_zip = read_dixon(chaos), read_dixon(path)
    (station,) = from_folder.stations
    assert from_folder.contrasts == ("in", "opposed")
    assert station.shape == (256, 256, 35)
    assert np.allclose(np.diag(station.affine)[:3], [-1.8945, 1.8945, 5.5], atol=1e-3)
    assert from_folder.facts.notes == ("in and opposed phase told apart by their echo times",)
    for contrast, voxels in station.images.items():
        assert voxels.dtype == np.int16
        assert np.array_equal(voxels, from_zip.stations[0].images[contrast])
    # The files' own folders say which is which.
    assert np.array_equal(read_slice(chaos, "inphase"), station.images["in"][:, :, 0])
    assert np.array_equal(read_slice(chaos, "outphase"), station.images["opposed"][:, :, 0])


def read_slice(chaos: Path, phase: str) -> np.ndarray:
    from pydicom import dcmread

    lowest = min(chaos.rglob(f"{phase}/*.dcm"), key=lambda file: dcmread(file).ImagePositionPatient[2])
    return dcmread(lowest).pixel_array.T[:, ::-1]


def test_signal_cancels_where_water_and_fat_meet(chaos):
    """Most tissue is nearly all water or all fat; the rest is dark in opposed phase."""
    images = read_dixon(chaos).stations[0].images
    inside = images["in"] > 150
    ratio = images["opposed"][inside] / images["in"][inside]
    assert np.median(ratio) == pytest.approx(0.86, abs=0.03)
    assert (ratio < 0.5).mean() == pytest.approx(0.23, abs=0.03)


def test_the_folder_is_one_visit(chaos):
    (body,) = find_bodies(chaos)
    assert body.error is None
    assert body.files == (chaos / "chaos_set1",)
    assert body.name == "chaos_set1"
