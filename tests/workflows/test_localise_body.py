"""`agezoo localise wholebody_mr`: labels in the patient's millimetres lie where the network sees the organs."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from agezoo.commands.localise import run
from agezoo.errors import InputError
from agezoo.networks.weights import save_weights
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_root
from agezoo.workflows.localisation import localise
from body_cohort_files import AFFINE, LAYOUT, body

LABELS = {"background": 0, "heart": 1, "liver": 2, "other_soft_tissue": 3}
PLANTED = {"heart": 0.75, "left_lung": 0.25}
# Labels may lie on another grid than the images.
COARSE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow network with random weights, as phantom weights."""
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.manual_seed(0)
    state = configured_network(bundle_root("wholebody_mr"), LAYOUT).state_dict()
    save_weights(state, path, {"origin": "phantom", "bundle": "wholebody_mr", "overrides": LAYOUT})
    return path


def write_volume(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bodies whose heart is the brightest part, with labels of all of the body; the second lies elsewhere."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = []
    for index, name in enumerate("AB"):
        water, _, heart = body(60.0, index)
        liver = np.zeros_like(heart)
        liver[8:14, 12:18, 40:48] = 1
        labels = np.where(heart > 0, 1, np.where(liver > 0, 2, np.where(water > 0, 3, 0))).astype(np.uint8)
        affine = AFFINE.copy()
        affine[:3, 3] += 37.0 * index
        write_volume(folder / "images" / f"{name}.nii.gz", water, affine)
        if index:
            # Each coarse voxel starts at an even one of the image.
            labels, affine = labels[::2, ::2, ::2], affine @ COARSE
        write_volume(folder / "masks" / f"{name}.nii.gz", labels, affine)
        rows.append((name, f"images/{name}.nii.gz", f"masks/{name}.nii.gz", 60.0, "FM"[index]))
    (folder / "masks" / "labels.json").write_text(json.dumps(LABELS))
    (folder / "cohort.json").write_text(json.dumps({"origin": "phantom", "planted_weights": PLANTED}))
    table = pd.DataFrame(rows, columns=["subject_id", "image", "mask", "age_years", "sex"])
    table.to_csv(folder / "cohort.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def measured(cohort: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    localise(
        "wholebody_mr", cohort, out, weights=weights, methods=["hires_cam", "grad_cam_plus_plus", "score_cam"],
        n_bootstrap=20, progress=False,
    )  # fmt: skip
    return out


def test_labels_lie_where_the_network_sees_the_organs(measured: Path) -> None:
    table = pd.read_csv(measured / "localisation.csv").set_index(["subject_id", "method", "region"]).sort_index()
    for subject in ("A", "B"):
        bright = table.loc[(subject, "image_brightness")]
        assert bright.loc["heart", "pointing_hit"] == 1
        ratio = bright["energy_inside"] / bright["area_share"]
        # Water is 550 in the heart, 300 in the lean rest and 30 in fat; labels of a coarse grid blur its edge.
        assert ratio["heart"] > 1.8
        assert 0.9 < ratio["liver"] < ratio["heart"]
        # The labels fill the body but for large voxels at its edge, less than half of which is body.
        assert bright.loc["all_regions", "area_share"] > 0.75
        assert bright.loc["planted_regions", "area_share"] == bright.loc["heart", "area_share"]


def test_maps_say_nothing_of_the_noise_and_methods_are_ranked_by_the_planted_regions(measured: Path) -> None:
    content = json.loads((measured / "localisation.json").read_text())
    assert content["told_region"] == "planted_regions"
    # As the cohort says, which has no aorta.
    assert content["planted_weights"] == PLANTED
    energy = {
        row["method"]: row["energy_inside"]["value"]
        for row in content["summary"]
        if (row["network"], row["region"]) == ("trained", "planted_regions")
    }
    assert content["best"]["energy_inside"] == max(energy, key=lambda method: energy[method])
    assert set(content["energy_inside_minus_hires_cam"]) >= {"grad_cam_plus_plus", "score_cam"}
    # 22 x 17 x 36 voxels, halved twice, and by the stem all but the first axis once more.
    assert content["cam_cells"] == [6, 3, 5]
    page = (measured / "localisation.html").read_text()
    assert "<h2>Planted regions</h2>" in page
    assert "body ages: heart, left lung" in page
    assert "ventricles" not in page
    assert "hippocampi" not in page
    assert page.count("data:image/png;base64,") == 2


def test_several_layers_are_named_with_a_comma(
    cohort: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"layer": "backbone.layer3, layer4", "methods": "grad_cam", "limit": 1, "seed": 0, "device": None}
    run(Namespace(bundle="wholebody_mr", cohort=cohort, out=tmp_path, weights=str(weights), **arguments))
    assert json.loads((tmp_path / "localisation.json").read_text())["layer"] == ["backbone.layer3", "layer4"]
    assert "planted regions:" in capsys.readouterr().out


def test_people_in_whom_nothing_was_planted_have_no_planted_regions(
    cohort: Path, weights: Path, tmp_path: Path
) -> None:
    people = tmp_path / "people"
    shutil.copytree(cohort, people)
    (people / "cohort.json").unlink()
    content = localise(
        "wholebody_mr", people, tmp_path / "out", weights=weights, methods=["grad_cam"], limit=1, n_bootstrap=20,
        progress=False,
    )  # fmt: skip
    assert "planted" not in content
    assert {row["region"] for row in content["summary"]} == {"all_regions", *LABELS} - {"background"}
    (people / "cohort.json").write_text("[]")
    with pytest.raises(InputError, match="not the description of a cohort"):
        localise("wholebody_mr", people, tmp_path / "out", weights=weights, methods=["grad_cam"], progress=False)


@pytest.mark.parametrize("layer", ["layer9", ["backbone.layer3", "layer9"]])
def test_a_layer_that_is_not_there_is_answered_with_those_that_are(
    cohort: Path, weights: Path, tmp_path: Path, layer: str | list[str]
) -> None:
    with pytest.raises(InputError, match=r"no such layer.*layer9.*backbone\.layer3.*backbone\.layer4\.1") as error:
        localise("wholebody_mr", cohort, tmp_path, weights=weights, methods=["grad_cam"], layer=layer, progress=False)
    # Not after the scans were read, each of which would have failed.
    assert "no scan" not in str(error.value)
    assert not any(tmp_path.iterdir())
