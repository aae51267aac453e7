"""Pictures and maps of whole bodies: both signs, nothing on the noise, and maps that find back into the patient."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch import nn

from agezoo.errors import InputError
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.whole_body_resnet import WholeBodyResNet
from agezoo.predict import case_figures
from agezoo.predict.case_figures import CaseFigures
from agezoo.predict.original_map import write_patient_map
from agezoo.transforms.body.body_grid import body_grid
from agezoo.transforms.noise_fill import body_of
from agezoo.transforms.standardise_body import standardise_body

SHAPE = (28, 21, 45)
AFFINE = body_grid(8).affine_around((12.0, -30.0, -410.0))
OLDER, YOUNGER = (18, 12, 34), (10, 8, 10)


class Spots(nn.Module):
    """What is bright makes older in the upper half of the volume and younger in the lower half."""

    cam_layer = "cells"

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv3d(1, 1, 1, bias=False)
        nn.init.ones_(self.cells.weight)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        bright = torch.relu(self.cells(image) - 3)
        upper, lower = bright[..., 22:].mean(dim=(2, 3, 4)), bright[..., :22].mean(dim=(2, 3, 4))
        return 60 + 100 * (upper - 0.8 * lower)


def body_case(**facts: Any) -> dict[str, Any]:
    """An item whose body has two bright spots."""
    radii = np.array([10, 8, 22])[:, None, None, None]
    inside = (((np.indices(SHAPE) - np.array([14, 10, 22])[:, None, None, None]) / radii) ** 2).sum(axis=0) <= 1
    water = np.where(inside, np.random.default_rng(1).uniform(0.5, 1, SHAPE), 0)
    water[OLDER] = water[YOUNGER] = 6
    return {
        "image": torch.from_numpy(standardise_body(water[None].astype(np.float32))),
        "label": torch.tensor([60.0]),
        "row": 0,
        "error": "",
        "kind": "",
        "canvas": None,
        # Of the stitched body, which may cover less than the grid.
        "field_of_view_mm": torch.tensor([480.0, 300.0, 900.0]),
        "grid_affine": torch.from_numpy(AFFINE).float(),
        **facts,
    }


def write(out: Path, item: dict[str, Any], network: nn.Module, **options: Any) -> None:
    out.mkdir()
    rows = [{"image": "a.zip", "subject_id": "sub-01", "session": "2"}]
    figures = CaseFigures(rows, out, network, **{"saliency": "grad_cam", "reader": "body", **options})
    outputs = [{"predicted_age_years": 61.0, "aleatoric_sd_years": np.nan, "epistemic_sd_years": np.nan}]
    figures(SimpleNamespace(state=SimpleNamespace(batch=[item], output=outputs)))


def test_slices_and_montage_show_both_signs_on_black(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(case_figures, "write_case_overlay", lambda *args, **options: drawn.append((args, options)))
    item = body_case()
    write(tmp_path / "out", item, Spots(), saliency="hires_cam")
    assert [args[0].name for args, _ in drawn] == ["sub-01_2.png", "sub-01_2_montage.png"]
    (_, picture, saliency), options = drawn[0]
    body = body_of(item["image"])
    assert not picture[~body].any()
    assert not saliency[~body].any()
    assert saliency[OLDER] == 1
    # Means over 23 and 22 slices.
    assert saliency[YOUNGER] == pytest.approx(-0.8 * 23 / 22, abs=1e-4)
    assert options["signed"]
    assert options["sign_words"] == ("makes\nyounger", "makes\nolder")
    x, y, z = (AFFINE @ [*OLDER, 1])[:3]
    assert options["layout"].names == (
        f"coronal, y = {y:.0f} mm",
        f"sagittal, x = {x:.0f} mm",
        f"axial, z = {z:.0f} mm",
    )
    # The grid's own extent, not the stitched body's.
    assert options["field_of_view_mm"] == pytest.approx((500.0, 375.0, 1089.0))


def test_the_map_lies_in_the_patients_millimetres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_figures, "write_case_overlay", lambda *_, **__: None)
    write(tmp_path / "out", body_case(), AgeEnsemble([Spots()]), saliency="hires_cam", save_maps=True)
    kept = nib.load(tmp_path / "out" / "maps" / "sub-01_2.nii.gz")
    assert nib.aff2axcodes(kept.affine) == ("L", "A", "S")
    np.testing.assert_allclose(kept.affine, AFFINE, atol=1e-4)
    assert kept.header["sform_code"] == 1
    assert kept.get_data_dtype() == np.float32
    assert kept.get_fdata()[OLDER] == 1


@pytest.mark.parametrize(
    ("saliency", "signed"), [("score_cam", True), ("score_cam_published", False), ("grad_cam", True)]
)
def test_bodies_get_both_signs_wherever_the_method_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saliency: str, signed: bool
) -> None:
    drawn = []
    monkeypatch.setattr(case_figures, "write_case_overlay", lambda *_, **options: drawn.append(options["signed"]))
    write(tmp_path / "out", body_case(), Spots(), saliency=saliency)
    assert drawn == [signed, signed]
    assert CaseFigures([], tmp_path, Spots(), saliency="score_cam").signed is False


def test_a_grid_of_unknown_place_is_drawn_but_leaves_no_map(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    item = body_case(grid_affine=torch.full((4, 4), torch.nan))
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "out", item, Spots(), save_maps=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sub-01_2.png", "sub-01_2_montage.png"}
    assert "place in the patient is unknown" in caplog.text
    with pytest.raises(InputError, match="not known where"):
        write_patient_map(tmp_path / "map.nii.gz", np.zeros(SHAPE), np.full((4, 4), np.nan))


def test_the_bundles_network_is_drawn_with_several_layers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = AgeEnsemble([WholeBodyResNet(stem_channels=2).eval()])
    write(tmp_path / "out", body_case(), network, layer=["backbone.layer3", "backbone.layer4"])
    for name in ("sub-01_2.png", "sub-01_2_montage.png"):
        assert (tmp_path / "out" / name).stat().st_size > 20_000


def test_without_saliency_the_anatomy_alone_is_shown(tmp_path: Path) -> None:
    write(tmp_path / "out", body_case(), Spots(), saliency="none", save_maps=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sub-01_2.png"]


def test_a_layer_that_the_network_has_not_ends_the_run_before_its_first_case(tmp_path: Path) -> None:
    network = AgeEnsemble([WholeBodyResNet(stem_channels=2, halvings=1)])
    figures = CaseFigures([], tmp_path / "out", network, saliency="grad_cam", layer="layer5", reader="body")
    with pytest.raises(InputError, match=r"layer5.*backbone\.layer2.*backbone\.layer4"):
        figures.attach(Engine(lambda *_: None))
    CaseFigures([], tmp_path / "out", network, saliency="none", layer="layer5").attach(Engine(lambda *_: None))
