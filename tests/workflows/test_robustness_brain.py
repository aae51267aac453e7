"""`agezoo robustness brain_tsan` on brains in MNI space: sex, registration and likeness; heads are kept by grade."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from agezoo.analysis.robustness import BRAIN_COLUMNS, NONE
from agezoo.networks.weights import describe, save_weights
from agezoo.networks.weights_conversion import configured_network
from agezoo.predict.cases import find_cases
from agezoo.registry import bundle_root, bundle_version
from agezoo.transforms.brain.template import mni_affine, template
from agezoo.transforms.perturb import CATALOGUES
from agezoo.workflows import robustness as workflow
from agezoo.workflows.bundle_predictor import BundlePredictor
from agezoo.workflows.robustness import Robustness, robustness
from agezoo.workflows.robustness_brain import brain_columns, brain_slices
from cohort_files import write_datalist

SETTINGS = {"stages": 1, "stem_channels": 2, "n_blocks": 2, "spacing_mm": 4.0}
GRADES = {"noise": (0.1,), "scale": (100.0,), "yaw": (5.0, 15.0), "deface": (1.0,), "orientation": (1.0,)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small first stage whose ages depend on image and sex, as if it had been trained."""
    torch.manual_seed(0)
    network = configured_network(bundle_root("brain_tsan"), SETTINGS)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # The ends alone, with a large constant, so that no age is cut off at 0.
            if name.startswith("end_fc"):
                parameter.mul_(4)
        list(network.end_fc_without_gender.parameters())[-1].fill_(50.0)
        list(network.end_fc_with_gender.parameters())[-1].fill_(50.0)
    record = {
        "origin": "trained", "bundle": "brain_tsan", "bundle_version": bundle_version(bundle_root("brain_tsan")),
        "overrides": SETTINGS,
    }  # fmt: skip
    return save_weights(network.state_dict(), tmp_path_factory.mktemp("weights") / "model.pt", record).path


def write_brain(path: Path, seed: int) -> None:
    """The template with noise and ventricles of its own, as a finished brain."""
    atlas = template(2.0)
    rng = np.random.default_rng(seed)
    voxels = np.where(atlas.mask, 500 * atlas.t1 + 100 + rng.normal(0, 10, atlas.shape), 0)
    voxels[40:51, 45 : 60 + seed, 40:45] = 50
    image = nib.Nifti1Image(np.clip(voxels, 0, None).astype(np.int16), mni_affine(2.0))
    image.set_sform(mni_affine(2.0), code="mni")
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people: a woman, a man, and one whose sex nobody knows."""
    folder = tmp_path_factory.mktemp("brains")
    rows = []
    for index, sex in enumerate(("F", "M", None)):
        name = f"sub-{index}_space-MNI152_desc-brain_T1w.nii.gz"
        write_brain(folder / name, index)
        rows.append({"image": name, "subject_id": f"sub-{index}", "age_years": 50.0 + 10 * index, "sex": sex})
    return write_datalist(folder / "listed.json", training=rows)


@pytest.fixture(scope="module")
def result(listed: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Robustness:
    out = tmp_path_factory.mktemp("robustness")
    return robustness("brain_tsan", [listed], out, weights=weights, perturbations=list(GRADES), grades=GRADES)


def test_every_brain_and_grade_is_a_row(result: Robustness) -> None:
    table = result.table
    assert len(table) == 3 * (1 + 6)
    assert list(table.columns[-len(BRAIN_COLUMNS) :]) == BRAIN_COLUMNS
    failed = table[table["predicted_age_years"].isna()]
    # A brain has no face, and is not turned further than a registration can be off.
    assert set(zip(failed["perturbation"], failed["grade"], strict=True)) == {("deface", 1.0), ("yaw", 15.0)}
    assert failed["error"].str.startswith("not applicable").all()
    assert set(table["brain_state"].dropna()) == {"mni_brain"}


def test_registration_and_likeness_stand_beside_the_ages(result: Robustness) -> None:
    table = result.table.set_index(["perturbation", "grade"]).sort_index()
    baseline = result.table[result.table["perturbation"] == NONE]
    np.testing.assert_allclose(baseline["input_correlation"], 1)
    assert (baseline["registration_overlap"] > 0.9).all()
    for name in ("scale", "orientation"):
        same = table.loc[name]
        np.testing.assert_allclose(same["input_correlation"], 1, atol=1e-5)
        np.testing.assert_allclose(same["difference_years"], 0, atol=1e-3)
    turned, noisy = table.loc[("yaw", 5.0)], table.loc[("noise", 0.1)]
    assert (turned["registration_overlap"].to_numpy() < baseline["registration_overlap"].to_numpy()).all()
    assert (noisy["input_correlation"] < 0.999).all()
    assert (turned["input_correlation"] < noisy["input_correlation"].min()).all()
    assert (turned["difference_years"].abs() > 1e-4).all()


def test_figures_and_page_are_about_brains(result: Robustness) -> None:
    figures = json.loads((result.page.parent / "robustness.json").read_text())
    assert figures == result.figures
    assert figures["brain_states"] == {"mni_brain": 3}
    turned = figures["perturbations"]["yaw"][0]
    rows = result.table[(result.table["perturbation"] == "yaw") & (result.table["grade"] == 5.0)]
    assert turned["median_input_correlation"] == pytest.approx(rows["input_correlation"].median())
    assert turned["lowest_registration_overlap"] == pytest.approx(rows["registration_overlap"].min())
    page = result.page.read_text()
    assert "3 as brains in MNI space" in page
    assert "Hounsfield" not in page
    assert CATALOGUES["brain"]["yaw"].description in page.replace("&#39;", "'")
    plots = {path.stem for path in (result.page.parent / "plots").iterdir()}
    # Nothing to draw of what was left out for all.
    assert plots == {"agreement", "error", "example", *(f"difference_{name}" for name in GRADES if name != "deface")}


def test_the_sex_reaches_the_network(listed: Path, weights: Path, result: Robustness) -> None:
    predictor = BundlePredictor("brain_tsan", [describe(weights)])
    assert predictor.uses_sex
    woman, man, unknown = find_cases([listed], modality="MR", reader="brain")
    sexes = [predictor.read_row(row)["sex"].tolist() for row in (woman, man, unknown)]
    assert sexes == [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    item = predictor.read_row(woman)
    image = predictor.prepare(item)
    ages = [
        predictor.predict([image], given)[0]["predicted_age_years"] for given in ([torch.tensor(sex)] for sex in sexes)
    ]
    assert abs(ages[0] - ages[1]) > 1e-3
    assert predictor.predict([image])[0]["predicted_age_years"] == pytest.approx(ages[2])
    first = result.table[(result.table["perturbation"] == NONE) & (result.table["subject_id"] == "sub-0")]
    assert first["predicted_age_years"].item() == pytest.approx(ages[0], abs=1e-3)


def test_a_head_is_kept_grade_by_grade(
    listed: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = BundlePredictor.prepare_item
    prepared: list[int] = []

    def as_from_a_head(self: BundlePredictor, item: Any) -> dict[str, Any]:
        if len(prepared) == 3:
            raise KeyboardInterrupt
        prepared.append(1)
        done = original(self, item)
        done["image_facts"]["brain_state"] = "head"
        return done

    monkeypatch.setattr(BundlePredictor, "prepare_item", as_from_a_head)
    # Drawing is tested above, and takes longer than all else.
    monkeypatch.setattr(workflow, "write_robustness", lambda *_, **__: {})
    options: dict[str, Any] = {
        "weights": weights,
        "limit": 1,
        "grades": {"scale": (2.0,), "noise": (0.1,), "mirror": (1.0,)},
    }
    names = list(options["grades"])
    with pytest.raises(KeyboardInterrupt):
        robustness("brain_tsan", [listed], tmp_path, perturbations=names, **options)
    # The head as it is, two grades, and then someone stopped it.
    prepared.clear()
    again = robustness("brain_tsan", [listed], tmp_path, perturbations=names, **options)
    # The head as it is once more, and the grade that was missing; the picture needs no further registration.
    assert len(prepared) == 2
    assert again.table["predicted_age_years"].notna().all()
    assert list(again.table["perturbation"]) == [NONE, *names]
    prepared.clear()
    options["grades"] = {**options["grades"], "gamma": (0.5,)}
    more = robustness("brain_tsan", [listed], tmp_path, perturbations=list(options["grades"]), **options)
    assert len(prepared) == 2
    pd.testing.assert_frame_equal(more.table.iloc[:4], again.table)


def test_likeness_by_hand() -> None:
    former, now = np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2, 2))
    former[0, 0] = [[1.0, -1.0], [2.0, -2.0]]
    now[0, 0] = [[1.0, -1.0], [2.0, 0.0]]
    now[0, 1, 0, 0] = 4.0
    columns = brain_columns({"image": now, "image_facts": {"registration_overlap": float("nan")}}, {"image": former})
    # Over the five voxels that are brain in one of them: (1, -1, 2, 0, 4) and (1, -1, 2, -2, 0).
    assert columns["input_correlation"] == pytest.approx(np.corrcoef([1, -1, 2, 0, 4], [1, -1, 2, -2, 0])[0, 1])
    assert columns["input_rms_difference"] == pytest.approx(np.sqrt((2**2 + 4**2) / 5))
    assert columns["registration_overlap"] is None
    assert columns["brain_state"] is None


def test_pictures_always_show_the_same_place() -> None:
    image = np.zeros((1, 46, 55, 46), np.float32)
    # x = 10, y = -14, z = 16 mm on the grid of 4 mm.
    image[0, 20, 28, 22] = 1
    coronal, sagittal, axial = brain_slices(image)
    assert [view.shape for view in (coronal, sagittal, axial)] == [(46, 46), (46, 55), (55, 46)]
    assert [view.max() for view in (coronal, sagittal, axial)] == [1, 1, 1]
