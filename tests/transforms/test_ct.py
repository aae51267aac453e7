"""The whole projection: agreement with the plain float64 recipe, one implementation behind all forms."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, set_track_meta
from monai.transforms import Compose

from agezoo.errors import InputError
from agezoo.transforms import ct_projection, display_views

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STEPS = [
    {"_target_": "agezoo.transforms.LoadVolumed", "keys": "image"},
    {"_target_": "agezoo.transforms.ResampleToGridd", "keys": "image", "grid": [112, 112, 224]},
    {"_target_": "agezoo.transforms.MaskToBodyd", "keys": "image", "threshold": -600, "outside": -1024},
    {"_target_": "agezoo.transforms.CentralSlabProjectiond", "keys": "image", "thickness": 10},
    {"_target_": "agezoo.transforms.ScaleToUnitd", "keys": "image"},
]


def from_benchmarks(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    return from_benchmarks("bench_ct_projection").body_like_volume((96, 90, 60))


@pytest.fixture(scope="module")
def file(volume, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([-4.0, 4.0, 8.0, 1.0])), path)
    return path


def test_projection_agrees_with_the_plain_float64_recipe(volume):
    expected = from_benchmarks("ct_projection_reference").reference_projection(volume.astype(np.float64))
    result = ct_projection(volume)
    assert result.shape == (1, 224, 224)
    assert result.dtype == np.float32
    assert result.min() == 0
    assert result.max() == 1
    assert np.abs(result[0] - expected).mean() < 1e-6
    assert np.abs(result[0] - expected).max() < 1e-4


@pytest.mark.sample_data
def test_projection_of_a_real_scan_agrees_with_the_plain_float64_recipe(sample_data):
    reference = from_benchmarks("ct_projection_reference")
    voxels = reference.read_nifti(sample_data / "ct" / "totalseg_example_ct.nii.gz")
    result = ct_projection(voxels.astype(np.int16))[0]
    assert np.abs(result - reference.reference_projection(voxels)).mean() < 1e-6


def test_transforms_named_in_a_config_give_the_same_image(volume, file):
    parser = ConfigParser({"preprocessing": {"_target_": "Compose", "transforms": STEPS}})
    image = parser.get_parsed_content("preprocessing")({"image": str(file)})["image"]
    np.testing.assert_array_equal(image.numpy(), ct_projection(volume))


def test_images_can_be_batched_by_worker_processes(file):
    steps = Compose([ConfigParser(step).get_parsed_content() for step in STEPS])
    loader = DataLoader(Dataset([{"image": str(file)}] * 2, steps), batch_size=2, num_workers=1)
    batch = next(iter(loader))["image"]
    assert batch.shape == (2, 1, 224, 224)
    assert batch.dtype == torch.float32


def test_pipeline_works_without_meta_data(volume, file):
    steps = Compose([ConfigParser(step).get_parsed_content() for step in STEPS])
    set_track_meta(False)
    try:
        image = steps({"image": str(file)})["image"]
    finally:
        set_track_meta(True)
    np.testing.assert_array_equal(np.asarray(image), ct_projection(volume))


def test_table_leaves_no_trace_in_the_projection(volume):
    # The table is the only thing behind the body; blanking it beforehand changes nothing.
    without = volume.copy()
    behind = np.linspace(-1, 1, volume.shape[1]) < -0.7
    assert volume[:, behind].max() > 100
    without[:, behind] = -1000
    # Up to the ringing of the spline at the table, which reaches the skin with a thousandth of its amplitude.
    np.testing.assert_allclose(ct_projection(volume), ct_projection(without), atol=2e-3)


def test_displayed_views_have_the_head_up_and_the_left_side_on_the_right():
    volume = np.full((40, 36, 30), -1000, dtype=np.int16)
    volume[4:36, 4:32, :] = 0
    volume[26:29, 17:20, 24:27] = 900  # left of the middle, high up
    volume[19:22, 27:30, 4:7] = 600  # in front, low down
    coronal, sagittal = display_views(ct_projection(volume))
    assert coronal.shape == sagittal.shape == (224, 112)
    row, column = np.unravel_index(coronal.argmax(), coronal.shape)
    assert row < 112 < 2 * column
    row, column = np.unravel_index(sagittal.argmax(), sagittal.shape)
    assert row > 112
    assert column > 56


def test_display_refuses_a_batch():
    with pytest.raises(InputError, match="one plane"):
        display_views(np.zeros((2, 224, 224)))


def test_package_is_light_until_a_transform_is_used():
    code = "import sys, agezoo.transforms as t; assert 'torch' not in sys.modules and 'ScaleToUnit' in t.__all__"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name_is_an_attribute_error():
    import agezoo.transforms

    with pytest.raises(AttributeError, match="Nonsense"):
        _ = agezoo.transforms.Nonsense
