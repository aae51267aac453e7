"""Pictures of radiographs: the lateral view with the map, the stored image with the map, the map as a file."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from torch import nn

from agezoo.data.radiograph import read_radiograph
from agezoo.predict import case_figures
from agezoo.predict.case_figures import CaseFigures, shown_field_of_view_mm
from agezoo.transforms.canvas import CanvasPlacement, fit_to_canvas, place_on_canvas
from radiograph_files import spine_image, write_radiograph

HEIGHT, WIDTH = 64, 32


class UpperHalf(nn.Module):
    """Age falls with the brightness of the upper half of the canvas, read through cells of 8 x 8 pixels."""

    cam_layer = "cells"

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(1, 1, 8, stride=8, bias=False)
        nn.init.constant_(self.cells.weight, 1 / 64)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.cells(image)[:, 0, :4].flatten(1)

    def age_years(self, output: torch.Tensor) -> torch.Tensor:
        return 90 - 40 * output.mean(dim=-1)


def radiograph_case(path: Path, kind: str = "radiograph") -> tuple[dict[str, Any], dict[str, Any]]:
    """A row and the item of its image, whose left 20 columns the network does not see."""
    write_radiograph(path, spine_image(240, 180), ImagerPixelSpacing=[0.4, 0.2])
    radiograph = read_radiograph(path, kind=kind)
    assert radiograph.pixels.shape == (240, 180)
    shown = radiograph.pixels[:, 20:]
    placement = place_on_canvas(*shown.shape, height=HEIGHT, width=WIDTH, area=[0, 20, 240, 160, 240, 180])
    item = {
        "image": torch.from_numpy(fit_to_canvas(shown / shown.max(), placement))[None],
        "label": torch.tensor([63.0]),
        "row": 0,
        "error": "",
        "kind": kind,
        "canvas": torch.from_numpy(placement.as_array()),
        "field_of_view_mm": torch.tensor([torch.nan, 180 * 0.2, 240 * 0.4]),
    }
    return {"image": str(path), "subject_id": "A"}, item


def write(rows: list[dict[str, Any]], items: list[dict[str, Any]], out: Path, **options: Any) -> None:
    out.mkdir()
    figures = CaseFigures(rows, out, UpperHalf(), saliency="hires_cam", **options)
    outputs = [{"predicted_age_years": 70.0, "aleatoric_sd_years": 3.0, "epistemic_sd_years": 4.0}] * len(items)
    figures(SimpleNamespace(state=SimpleNamespace(batch=items, output=outputs)))


def test_a_radiograph_is_one_lateral_view_with_a_signed_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(case_figures, "write_case_overlay", lambda *args, **options: drawn.append((args, options)))
    row, item = radiograph_case(tmp_path / "a.dcm")
    write([row], [item], tmp_path / "out")
    ((path, image, saliency), options) = drawn[0]
    assert path.name == "A.png"
    assert options["layout"].names == ("lateral",)
    assert options["signed"]
    assert options["title_lines"] == ["A", "predicted age 70.0 ± 5.0 years (age 63.0)"]
    # Brightness makes younger, and only in the upper half: negative there, nothing below.
    assert image.shape == (1, HEIGHT, WIDTH)
    assert saliency.min() == -1
    assert saliency.max() <= 0
    assert not saliency[HEIGHT // 2 + 4 :].any()


def test_the_sign_is_shown_even_if_a_map_has_no_negative_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Brightness(UpperHalf):
        def age_years(self, output: torch.Tensor) -> torch.Tensor:
            return 40 + 40 * output.mean(dim=-1)

    monkeypatch.setattr(case_figures, "write_case_overlay", lambda *_, **options: drawn.append(options["signed"]))
    row, item = radiograph_case(tmp_path / "a.dcm")
    drawn: list[bool] = []
    for signed in (None, False):
        figures = CaseFigures([row], tmp_path, Brightness(), saliency="hires_cam", signed=signed)
        figures(SimpleNamespace(state=SimpleNamespace(batch=[item], output=[{"predicted_age_years": 70.0}])))
    assert drawn == [True, False]


def test_the_map_is_carried_back_onto_the_stored_image(tmp_path: Path) -> None:
    row, item = radiograph_case(tmp_path / "a.dcm")
    write([row], [item], tmp_path / "out", originals=True, save_maps=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"A.png", "A_original.png", "maps"}
    kept = nib.load(tmp_path / "out" / "maps" / "A.nii.gz")
    # Columns first, with the spacing of the stored image; the directions of a radiograph without orientation in ITK.
    assert kept.shape == (180, 240, 1)
    np.testing.assert_allclose(np.diag(kept.affine), [-0.2, -0.4, 1, 1])
    stored = kept.get_fdata()[:, :, 0].T
    assert kept.get_data_dtype() == np.float32
    assert not stored[:, :20].any()
    assert stored[:100, 60:140].max() < 0
    # Row 36 of the canvas, where the last cell that is read fades out, is row 140.
    assert not stored[150:].any()


def test_a_volume_has_no_map_to_carry_back_and_is_told_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    item = {
        "image": torch.rand(1, 64, 64) + 0.1,
        "label": torch.tensor([torch.nan]),
        "row": 0,
        "error": "",
        "kind": "",
        "canvas": torch.from_numpy(CanvasPlacement.unknown()),
        "field_of_view_mm": torch.tensor([300.0, 200.0, 500.0]),
    }
    with caplog.at_level(logging.WARNING):
        write([{"image": "a.nii", "subject_id": "A"}], [item], tmp_path / "out", save_maps=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"A.png"}
    assert "only maps of radiographs" in caplog.text


def test_oblong_pixels_of_vfa_are_shown_as_they_are(tmp_path: Path) -> None:
    _, item = radiograph_case(tmp_path / "a.dcm", kind="vfa")
    item["canvas"] = torch.from_numpy(place_on_canvas(240, 180, height=HEIGHT, width=WIDTH).as_array())
    _, width_mm, height_mm = shown_field_of_view_mm(item)
    assert width_mm / height_mm == pytest.approx(WIDTH * 0.2 / (HEIGHT * 0.4))
    item["field_of_view_mm"] = torch.full((3,), torch.nan)
    assert shown_field_of_view_mm(item) is None
    # The sides of a radiograph were cut after its extent was measured; its pixels are square.
    _, item = radiograph_case(tmp_path / "b.dcm")
    assert shown_field_of_view_mm(item) is None


def test_two_kinds_of_images_in_one_batch_are_each_shown_their_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = []
    original = Axes.set_title
    monkeypatch.setattr(Axes, "set_title", lambda axes, text, **kw: titles.append(text) or original(axes, text, **kw))
    row, item = radiograph_case(tmp_path / "a.dcm")
    write([row, row | {"subject_id": "B"}], [item, {**item, "row": 1, "kind": "vfa"}], tmp_path / "out")
    assert titles == ["lateral", "lateral"]
    assert (tmp_path / "out" / "B.png").stat().st_size > 10_000
