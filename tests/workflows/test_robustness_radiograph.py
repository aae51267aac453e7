"""`agezoo robustness spine_age` on real files: its own perturbations, unrounded ages, DICOM and PNG side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import interpolate

from agezoo.analysis.robustness import NONE
from agezoo.cli import main
from agezoo.data.prediction_table import read_predictions
from agezoo.networks import SpineAgeNet
from agezoo.networks.weights import describe, save_weights
from agezoo.predict.cases import find_cases
from agezoo.predict.run import predict_rows
from agezoo.registry import bundle_root, bundle_version
from agezoo.transforms.perturb import CATALOGUES
from agezoo.workflows.bundle_predictor import BundlePredictor
from agezoo.workflows.robustness import Robustness, robustness
from cohort_files import write_datalist
from spine_cohort_files import LAYOUT, write_png, write_radiograph

GRADES = {"noise": (0.02, 0.1), "crop_caudal": (0.3,), "pixel_size": (1.0, 3.0), "inversion": (1.0,)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose ages depend on the image, of the tiny layout, as if it had been trained."""
    torch.manual_seed(0)
    network = SpineAgeNet(variant=0, hidden=8, bn_momentum=1.0)
    with torch.no_grad():
        # Batch norm must have seen images, and the last weights be large, or all ages are alike.
        network(interpolate(torch.rand(8, 1, 6, 3), (LAYOUT["canvas_height"], LAYOUT["canvas_width"])))
        for parameter in network.logits.parameters():
            parameter.mul_(20)
    record = {
        "origin": "trained",
        "bundle": "spine_age",
        "bundle_version": bundle_version(bundle_root("spine_age")),
        "overrides": LAYOUT,
    }
    return save_weights(network.state_dict(), tmp_path_factory.mktemp("weights") / "model.pt", record).path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Radiographs of three people in two sessions and a VFA image of one of them in a datalist; a PNG in a folder."""
    folder = tmp_path_factory.mktemp("radiographs")
    rows = []
    for index in range(3):
        for number, session in enumerate(("a", "b")):
            name = f"R{index}{session}.dcm"
            write_radiograph(folder / name, 50.0 + 10 * index, 10 * index + number)
            rows.append({"image": name, "subject_id": f"R{index}", "age_years": 50.0 + 10 * index, "session": session})
    write_radiograph(folder / "V0.dcm", 50.0, 99, vfa=True)
    rows.append({"image": "V0.dcm", "subject_id": "R0", "age_years": 50.0, "session": "aa"})
    for row in rows:
        row["covariates"] = {"modality": "vfa" if row["image"] == "V0.dcm" else "radiograph"}
    write_png(folder / "png" / "P0.png", 61.0, 5)
    return [write_datalist(folder / "listed.json", training=rows), folder / "png"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("robustness")


@pytest.fixture(scope="module")
def result(inputs: list[Path], weights: Path, out: Path) -> Robustness:
    return robustness("spine_age", inputs, out, weights=weights, perturbations=list(GRADES), grades=GRADES)


def test_every_image_and_grade_is_a_row(result: Robustness, out: Path) -> None:
    table = pd.read_csv(out / "robustness.csv")
    assert len(table) == 8 * (1 + 6)
    assert set(table["modality"].dropna()) == {"radiograph", "vfa"}
    assert set(table.loc[table["perturbation"] == "noise", "unit"]) == {"of the range"}
    failed = table[table["predicted_age_years"].isna()]
    # Pixels of 1.6 mm cannot become pixels of 1 mm; the PNG's size is assumed: 430 mm over 280 rows.
    assert set(zip(failed["perturbation"], failed["grade"], strict=True)) == {("pixel_size", 1.0)}
    assert failed["error"].str.startswith("not applicable: the pixels are that large already").all()
    assert len(failed) == 8


def test_ages_are_compared_before_rounding(result: Robustness) -> None:
    table = result.table
    changed = table[(table["perturbation"] != NONE) & table["expected_age_years"].notna()]
    np.testing.assert_allclose(
        changed["difference_years"], changed["expected_age_years"] - changed["baseline_age_years"]
    )
    assert (table["predicted_age_years"].dropna() % 1 == 0).all()
    assert (changed["difference_years"] % 1 != 0).any()
    assert (changed["difference_years"].abs() > 0.01).any()
    assert result.figures["is_unrounded"]
    assert "before they are rounded" in result.page.read_text()


def test_the_unperturbed_age_is_that_of_predict(
    result: Robustness, inputs: list[Path], weights: Path, tmp_path: Path
) -> None:
    rows = find_cases(inputs, reader="radiograph")
    predict_rows("spine_age", rows, tmp_path, weights=[describe(weights)], overlays=False)
    predicted = read_predictions(tmp_path / "predictions.csv").set_index("image")
    mine = result.table[result.table["perturbation"] == NONE].set_index("image").loc[predicted.index]
    for name in ("predicted_age_years", "expected_age_years", "aleatoric_sd_years"):
        np.testing.assert_allclose(mine[name].astype(float), predicted[name].astype(float), atol=2e-3)


def test_an_image_without_pixel_size_says_what_was_assumed(result: Robustness) -> None:
    notes = result.table.set_index("image")["note"].dropna()
    assert dict(notes) == {"P0.png": "pixel size unknown: perturbed as if the longer side measured 430 mm"}
    assert result.figures["n_with_note"] == 1
    assert "1 of 8 images do not state the size of their pixels" in result.page.read_text()


def test_another_kind_of_image_is_no_repeat(result: Robustness) -> None:
    # The VFA image of R0 lies between its sessions a and b.
    assert result.figures["repeat_scans"]["n_pairs"] == 3
    first, second = (
        result.table[(result.table["perturbation"] == NONE) & (result.table["session"] == session)].set_index(
            "subject_id"
        )["expected_age_years"]
        for session in ("a", "b")
    )
    assert result.figures["repeat_scans"]["mean_difference_years"] == pytest.approx(float((first - second).mean()))


def test_page_is_about_radiographs(result: Robustness, out: Path) -> None:
    assert json.loads((out / "robustness.json").read_text()) == result.figures
    page = result.page.read_text()
    assert "Hounsfield" not in page
    assert "Black and white swapped" in page
    for name in GRADES:
        assert (out / "plots" / f"difference_{name}.png").is_file()
    assert (out / "plots" / "example.png").is_file()


def test_preparation_is_that_of_the_weights(weights: Path, inputs: list[Path]) -> None:
    predictor = BundlePredictor("spine_age", [describe(weights)])
    row = find_cases(inputs, reader="radiograph")[0]
    item = predictor.read_row(row)
    assert item["image_facts"]["kind"] == "radiograph"
    assert tuple(predictor.prepare(item).shape) == (1, LAYOUT["canvas_height"], LAYOUT["canvas_width"])
    assert predictor.batch_size == 4
    (prediction,) = predictor.predict([predictor.prepare(item)])
    assert prediction["expected_age_years"] == pytest.approx(prediction["predicted_age_years"], abs=0.5)


def test_names_are_those_of_the_bundle(weights: Path, inputs: list[Path], tmp_path, capsys) -> None:
    arguments = ["robustness", "spine_age", str(inputs[1]), "--out", str(tmp_path), "--weights", str(weights)]
    assert main([*arguments, "--perturbations", "slice_thickness"]) == 1
    assert "no such perturbation; found: slice_thickness; expected: noise, dose, blur" in capsys.readouterr().err
    assert main([*arguments, "--grades", "flip=1", "crop_sides=0.4"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("images as they are")
    assert [line[:28].split() for line in printed[2:4]] == [["flip"], ["crop_sides", "0.4"]]


def test_help_lists_the_perturbations_of_both_kinds(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["robustness", "--help"])
    ct, spine = capsys.readouterr().out.split("\nct_age:\n")[1].split("\nspine_age:\n")
    for reader, text in (("volume", ct), ("radiograph", spine)):
        listed = [line.split()[0] for line in text.split("\n\n")[0].splitlines() if line.startswith("  ")]
        assert listed == list(CATALOGUES[reader])
