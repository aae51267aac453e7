"""`agezoo localise` from files to figures, on torsos whose brightest tissue is the labelled spine."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from agezoo.cli import main
from agezoo.data.masked_cohort import find_masked_scans
from agezoo.errors import InputError
from agezoo.networks.weights import save_weights
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_root
from agezoo.workflows.localisation import localise
from cohort_files import torso_hu, write_corrupt_nifti, write_nifti

METHODS = ["score_cam", "score_cam_published"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two members of the smallest width, as phantom weights."""
    folder = tmp_path_factory.mktemp("weights")
    for member in range(2):
        torch.manual_seed(member)
        state = configured_network(bundle_root("ct_age"), {"trunk_width": 4}).state_dict()
        save_weights(state, folder / f"member_{member}.pt", {"origin": "phantom", "overrides": {"trunk_width": 4}})
    return folder


def write_masked_cohort(folder: Path) -> Path:
    """Two people, one scanned twice; the mask names the spine, and one of three scans is cut off."""
    rows = []
    for index, (subject, session, age_years) in enumerate([("A", "1", 25.0), ("A", "2", 25.0), ("B", "1", 40.0)]):
        image, mask = Path("images") / f"{subject}_{session}.nii.gz", Path("masks") / f"{subject}_{session}.nii.gz"
        write_nifti(folder / image, age_years, seed=index)
        affine = nib.load(folder / image).affine
        (folder / "masks").mkdir(exist_ok=True)
        spine = (torso_hu(age_years, seed=index)[::-1] > 300).astype(np.uint8)
        nib.save(nib.Nifti1Image(2 * spine, affine), folder / mask)
        rows.append((subject, session, image.as_posix(), mask.as_posix(), age_years))
    (folder / "masks" / "labels.json").write_text(json.dumps({"background": 0, "absent": 1, "spine": 2}))
    columns = ["subject_id", "session", "image", "mask", "age_years"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "cohort.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_masked_cohort(tmp_path_factory.mktemp("masked"))


@pytest.fixture(scope="module")
def measured(masked: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    localise("ct_age", masked, out, weights=weights, methods=METHODS, n_bootstrap=50, progress=False)
    return out


def test_the_labelled_spine_is_where_the_image_is_brightest(measured: Path) -> None:
    table = pd.read_csv(measured / "localisation.csv")
    bright = table[(table["method"] == "image_brightness") & (table["region"] == "spine")]
    assert len(bright) == 3
    assert (bright["pointing_hit"] == 1).all()
    # Soft tissue is about 0.6 as bright as the spine after scaling from -1024 HU to the highest value.
    assert (bright["energy_inside"] > 1.4 * bright["area_share"]).all()
    chance = table[(table["method"] == "random_map") & (table["region"] == "spine")]
    np.testing.assert_allclose(chance["energy_inside"], chance["area_share"], rtol=0.35)


def test_every_network_method_and_region_has_its_rows(measured: Path) -> None:
    table = pd.read_csv(measured / "localisation.csv")
    asked = {(network, method) for network in ("trained", "untrained") for method in METHODS}
    found = table.groupby(["network", "method", "region"]).size()
    expected = asked | {("none", "image_brightness"), ("none", "random_map")}
    # A label without a voxel in the slabs has no row.
    assert set(found.index) == {(*pair, region) for pair in expected for region in ("all_regions", "spine")}
    assert (found == 3).all()
    of_networks = table[table["network"] != "none"]
    assert of_networks["seconds"].gt(0).all()
    assert of_networks["background_share"].between(0, 1).all()


def test_summary_page_and_pictures(measured: Path) -> None:
    content = json.loads((measured / "localisation.json").read_text())
    assert (content["cases"], content["subjects"], content["members"]) == (3, 2, 2)
    assert content["weights_origin"] == "phantom"
    assert set(content["best"].values()) <= set(METHODS)
    page = (measured / "localisation.html").read_text()
    assert "Phantom weights" in page
    assert page.count("data:image/png;base64,") == 3
    assert "://" not in page
    for picture in sorted((measured / "gallery").glob("*.png")):
        with Image.open(picture) as opened:
            assert np.asarray(opened.convert("L")).std() > 10
    assert len(list((measured / "gallery").glob("*.png"))) == 3


def test_an_unusable_scan_is_left_out_and_named(masked: Path, weights: Path, tmp_path: Path) -> None:
    folder = write_masked_cohort(tmp_path / "cohort")
    cut = write_corrupt_nifti(tmp_path / "cut.nii.gz")
    cut.replace(folder / "images" / "A_1.nii.gz")
    mask = folder / "masks" / "A_2.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((10, 10, 10), np.uint8), nib.load(mask).affine), mask)
    out = tmp_path / "out"
    content = localise("ct_age", folder, out, weights=weights, methods=METHODS[:1], n_bootstrap=0, progress=False)
    assert content["skipped"] == ["A_1", "A_2"]
    assert content["cases"] == 1
    with pytest.raises(InputError, match="no scan of the cohort could be used"):
        localise("ct_age", folder, out, weights=weights, methods=METHODS[:1], limit=2, progress=False)


def test_command_line(masked: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["localise", "ct_age", str(masked), "--out", str(tmp_path), "--weights", str(weights), "--limit", "1"]
    assert main([*command, "--methods", "score_cam"]) == 0
    printed = capsys.readouterr().out
    assert "1 scans of 1 subjects" in printed
    assert "most energy inside: score_cam" in printed
    assert main([*command, "--methods", "score_cam,crystal_ball"]) == 1
    assert "found: crystal_ball" in capsys.readouterr().err


def test_a_datalist_can_name_masks(masked: Path, tmp_path: Path) -> None:
    row = {
        "image": "images/A_1.nii.gz",
        "subject_id": "A",
        "age_years": 25.0,
        "covariates": {"mask": "masks/A_1.nii.gz"},
    }
    other = {"image": "images/B_1.nii.gz", "subject_id": "B"}
    path = masked / "listed.json"
    path.write_text(json.dumps({"training": [row], "test": [other]}))
    (scan,) = find_masked_scans(path)
    assert (scan.name, scan.age_years, Path(scan.image).name) == ("A", 25.0, "A_1.nii.gz")
    assert scan.mask.resolve() == (masked / "masks" / "A_1.nii.gz").resolve()


def test_a_cohort_without_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such cohort"):
        find_masked_scans(tmp_path)
    (tmp_path / "cohort.csv").write_text("subject_id,image,mask\nA,a.nii.gz,\n")
    with pytest.raises(InputError, match="no row has a mask"):
        find_masked_scans(tmp_path)
    (tmp_path / "cohort.csv").write_text("subject_id,image,mask\nA,a.nii.gz,gone.nii.gz\n")
    with pytest.raises(InputError, match="mask is not there"):
        find_masked_scans(tmp_path)
