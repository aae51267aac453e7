"""`agezoo localise brain_tsan` on brains in MNI space with labels on their grid; heads are refused at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from agezoo.cli import main
from agezoo.data.masked_cohort import find_masked_scans
from agezoo.networks.weights import save_weights
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_root
from agezoo.transforms.brain.template import mni_affine, template
from agezoo.transforms.labels_on_grid import labels_on_grid
from agezoo.workflows import localisation
from agezoo.workflows.localisation import localise
from agezoo.workflows.localisation_cases import telling_voxel

SETTINGS = {"stages": 1, "stem_channels": 2, "n_blocks": 3, "spacing_mm": 4.0}
LABELS = {"background": 0, "ventricles": 1, "cortex": 2, "hippocampi": 3}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small first stage with random weights, as phantom weights."""
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.manual_seed(0)
    state = configured_network(bundle_root("brain_tsan"), SETTINGS).state_dict()
    save_weights(state, path, {"origin": "phantom", "bundle": "brain_tsan", "overrides": SETTINGS})
    return path


def write_volume(path: Path, voxels: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code="mni")
    nib.save(image, path)


def labelled_brain(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The template with a dark cube in the middle, a bright one on its left and a rim; labels of all three."""
    atlas = template(2.0)
    rng = np.random.default_rng(seed)
    labels = np.where((atlas.grey > 0.5) & atlas.mask, 2, 0).astype(np.uint8)
    labels[40:50, 50:60, 40:50] = 1
    labels[60:68, 48:56, 30:38] = 3
    image = np.where(atlas.mask, 600 * atlas.t1 + rng.normal(0, 5, atlas.shape) + 50, 0)
    image[labels == 1] = 60
    image[labels == 3] = 1500
    return np.clip(image, 0, None).astype(np.float32), labels


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two brains in MNI space, a woman's and a man's, and a third whose mask has the grid of a head."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = []
    for index, (subject, sex) in enumerate({"A": "F", "B": "M", "H": ""}.items()):
        image, mask = f"sub-{subject}/sub-{subject}_space-MNI152_desc-brain_T1w.nii.gz", f"masks/{subject}.nii.gz"
        voxels, labels = labelled_brain(index)
        write_volume(folder / image, voxels, mni_affine(2.0))
        write_volume(folder / mask, labels, np.diag([-1.0, 1.0, 1.0, 1.0]) if subject == "H" else mni_affine(2.0))
        rows.append((subject, image, mask, 60.0 + index, sex))
    (folder / "masks" / "labels.json").write_text(json.dumps(LABELS))
    pd.DataFrame(rows, columns=["subject_id", "image", "mask", "age_years", "sex"]).to_csv(
        folder / "cohort.csv", index=False
    )
    return folder


@pytest.fixture(scope="module")
def measured(cohort: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    localise("brain_tsan", cohort, out, weights=weights, methods=["grad_cam"], n_bootstrap=20, progress=False)
    return out


def test_labels_lie_where_the_network_sees_the_regions(measured: Path) -> None:
    table = pd.read_csv(measured / "localisation.csv").set_index(["subject_id", "method", "region"])
    for subject in ("A", "B"):
        bright = table.loc[(subject, "image_brightness")]
        assert bright.loc["hippocampi", "pointing_hit"] == 1
        ratio = bright["energy_inside"] / bright["area_share"]
        assert ratio["hippocampi"] > 3
        # Below the mean of the brain, so that nothing of it counts as bright.
        assert ratio["ventricles"] < 0.3
        chance = table.loc[(subject, "random_map")]
        np.testing.assert_allclose(chance["energy_inside"], chance["area_share"], rtol=0.35)
        # Cubes of 10 and 8 voxels of 2 mm; shares of a brain are the same at 4 mm.
        shares = bright["area_share"]
        expected = np.array([10**3, 8**3]) / template(2.0).mask.sum()
        np.testing.assert_allclose(shares[["ventricles", "hippocampi"]], expected, rtol=0.12)


def test_an_untrained_network_has_maps_too(measured: Path) -> None:
    # Its ages must not lie below 0, where the published last ReLU leaves no gradient.
    table = pd.read_csv(measured / "localisation.csv")
    whole = table[(table["network"] == "untrained") & (table["region"] == "all_regions")]
    assert len(whole) == 2
    assert (whole["energy_inside"] > 0).all()


def test_the_regions_that_change_their_extent_are_scored_together(measured: Path) -> None:
    content = json.loads((measured / "localisation.json").read_text())
    assert content["skipped"] == ["H"]
    regions = [row["region"] for row in content["summary"] if row["method"] == "random_map"]
    assert regions == ["all_regions", "fluid_spaces_and_hippocampi", "ventricles", "cortex", "hippocampi"]
    share = {r["region"]: r["area_share"]["value"] for r in content["summary"] if r["method"] == "random_map"}
    assert share["fluid_spaces_and_hippocampi"] == pytest.approx(share["ventricles"] + share["hippocampi"])
    assert len(content["cam_cells"]) == 3
    page = (measured / "localisation.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert " voxel of a region" in page or " voxels of a region" in page
    assert "iliac" not in page


def test_the_sex_reaches_the_network(
    cohort: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert [scan.sex for scan in find_masked_scans(cohort)] == ["F", "M", ""]
    seen: list[list[float]] = []
    original = localisation.explain

    def noting(*arguments: Any, others: Any, **options: Any) -> np.ndarray:
        seen.extend(other.tolist()[0] for other in others)
        return original(*arguments, others=others, **options)

    monkeypatch.setattr(localisation, "explain", noting)
    localise("brain_tsan", cohort, tmp_path, weights=weights, methods=["grad_cam"], n_bootstrap=0, progress=False)
    # By the trained network and by the untrained one.
    assert seen == [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]


def test_heads_are_refused_with_the_way_out(cohort: Path, weights: Path, tmp_path: Path, capsys) -> None:
    only = tmp_path / "heads"
    only.mkdir()
    rows = pd.read_csv(cohort / "cohort.csv")
    rows = rows[rows["subject_id"] == "H"]
    for name in ("image", "mask"):
        rows[name] = [str(cohort / path) for path in rows[name]]
    rows.to_csv(only / "cohort.csv", index=False)
    arguments = ["localise", "brain_tsan", str(only), "--out", str(tmp_path / "out"), "--weights", str(weights)]
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert "the mask does not lie in MNI space" in message
    assert "--space mni" in message


def test_larger_voxels_get_the_label_that_covers_most_of_them() -> None:
    fine = np.zeros((8, 8, 8), np.uint8)
    fine[:5] = 3
    fine[5:, :4] = 7
    affine, coarse = np.diag([1.0, 1, 1, 1]), np.diag([2.0, 2, 2, 1])
    result = labels_on_grid(fine, affine, coarse, (4, 4, 4))
    assert result.dtype == np.uint8
    # Voxel 2 is centred on voxel 4 of the fine grid, the last of label 3; beyond it, labels 7 and 0.
    assert (result[:2, :, 1:3] == 3).all()
    assert (result[3, 0, 1:3] == 7).all()
    assert (result[3, 3, 1:3] == 0).all()
    np.testing.assert_array_equal(labels_on_grid(fine, affine, affine, fine.shape), fine)


def test_slices_are_those_that_show_most_of_all_regions() -> None:
    large, small = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    large[2:18, 9:11, 2:18] = True
    large[9:11, 4:16, 5] = True
    small[5, 9:12, 12] = True
    # Across axis 1 both are largest at 9 or 10; along axis 0 the small one decides, along axis 2 too.
    assert telling_voxel({"large": large, "small": small}) == (5, 9, 12)
