"""Pictures of brains: orthogonal slices, a montage, and the map as a file in MNI space."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.networks.age_ensemble import AgeEnsemble
from agezoo.networks.fused_brain import fuse
from agezoo.networks.tsan import TSAN
from agezoo.predict import case_figures
from agezoo.predict.case_figures import CaseFigures
from agezoo.predict.original_map import write_mni_map
from agezoo.predict.run import predict_rows

SHAPE = (46, 55, 46)
# A voxel at the patient's left, front and head.
SPOT = (32, 40, 30)


class EitherSide(nn.Module):
    """Age from the brightness of the patient's right half for women, of the left half for men."""

    uses_sex = True
    cam_layer = "cells"

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv3d(1, 1, 3, padding=1, bias=False)
        nn.init.zeros_(self.cells.weight)
        self.cells.weight.data[0, 0, 1, 1, 1] = 1

    def forward(self, image: torch.Tensor, sex: torch.Tensor) -> torch.Tensor:
        assert sex.shape == (len(image), 2)
        cells = self.cells(image)
        sides = torch.stack([half.flatten(1).mean(1) for half in (cells[:, :, :23], cells[:, :, 23:])], dim=1)
        return 50 + (sides * sex).sum(dim=1, keepdim=True)


def brain_case(sex: tuple[float, float] = (0.0, 1.0), shape: tuple[int, ...] = SHAPE) -> dict[str, Any]:
    """An item whose brain has a bright spot at the patient's left, front and head."""
    brain = np.zeros((1, *shape), dtype=np.float32)
    middle = tuple(slice(size // 6, size - size // 6) for size in shape)
    brain[(0, *middle)] = np.random.default_rng(2).uniform(-0.2, 0.2, brain[(0, *middle)].shape)
    if shape == SHAPE:
        brain[(0, *SPOT)] = 9
    return {
        "image": torch.from_numpy(brain),
        "label": torch.tensor([60.0]),
        "sex": torch.tensor(sex),
        "row": 0,
        "error": "",
        "kind": "",
        "canvas": None,
        "field_of_view_mm": torch.tensor([182.0, 218.0, 182.0]),
    }


def write(out: Path, item: dict[str, Any], network: nn.Module, **options: Any) -> None:
    out.mkdir()
    rows = [{"image": "a.nii.gz", "subject_id": "sub-01", "session": "ses-1"}]
    figures = CaseFigures(rows, out, network, **{"saliency": "hires_cam", **options})
    outputs = [{"predicted_age_years": 61.0, "aleatoric_sd_years": np.nan, "epistemic_sd_years": np.nan}]
    figures(SimpleNamespace(state=SimpleNamespace(batch=[item], output=outputs)))


def test_a_brain_gets_slices_through_its_strongest_point_and_a_montage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(case_figures, "write_case_overlay", lambda *args, **options: drawn.append((args, options)))
    write(tmp_path / "out", brain_case(), EitherSide())
    (slices, montage) = drawn
    assert [args[0].name for args, _ in drawn] == ["sub-01_ses-1.png", "sub-01_ses-1_montage.png"]
    assert slices[1]["layout"].names == ("coronal, y = 34 mm", "sagittal, x = -38 mm", "axial, z = 48 mm")
    assert len(montage[1]["layout"].names) == 21
    assert slices[1]["field_of_view_mm"] == (182.0, 218.0, 182.0)
    assert slices[1]["title_lines"][1] == "predicted age 61.0 years (age 60.0)"


@pytest.mark.parametrize(("sex", "expected"), [((1.0, 0.0), 0.0), ((0.0, 1.0), 1.0)])
def test_the_map_is_that_of_the_cases_sex_and_lies_in_mni_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sex: tuple[float, float], expected: float
) -> None:
    monkeypatch.setattr(case_figures, "write_case_overlay", lambda *_, **__: None)
    write(tmp_path / "out", brain_case(sex), AgeEnsemble([EitherSide()]), save_maps=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["maps"]
    kept = nib.load(tmp_path / "out" / "maps" / "sub-01_ses-1_space-MNI152.nii.gz")
    assert nib.aff2axcodes(kept.affine) == ("L", "A", "S")
    assert kept.header["sform_code"] == kept.header["qform_code"] == 4
    values = kept.get_fdata()
    # Only men's age comes from the left side, where the spot is: x < 0 in MNI space.
    assert values[SPOT] == expected
    assert (kept.affine @ [*SPOT, 1])[:3] == pytest.approx([-38, 34, 48])


def test_the_cascade_in_its_inference_form_is_drawn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cascade = TSAN(stem_channels=2, n_blocks=4)
    cascade.first_stage.end_fc_with_gender[1].bias.data.fill_(60.0)
    write(tmp_path / "out", brain_case(), fuse(AgeEnsemble([cascade])), saliency="grad_cam")
    for name in ("sub-01_ses-1.png", "sub-01_ses-1_montage.png"):
        assert (tmp_path / "out" / name).stat().st_size > 20_000


def test_without_saliency_the_anatomy_alone_is_shown(tmp_path: Path) -> None:
    write(tmp_path / "out", brain_case(), EitherSide(), saliency="none", save_maps=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sub-01_ses-1.png"]


def test_a_volume_that_is_not_in_mni_space_is_drawn_but_leaves_no_map(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Brightness(nn.Module):
        cam_layer = "cells"

        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.Conv3d(1, 1, 3, padding=1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.cells(image).mean(dim=(2, 3, 4))

    with caplog.at_level(logging.WARNING):
        write(tmp_path / "out", brain_case(shape=(30, 20, 40)), Brightness(), save_maps=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sub-01_ses-1.png", "sub-01_ses-1_montage.png"}
    assert "carried back" in caplog.text
    with pytest.raises(InputError, match="MNI space"):
        write_mni_map(tmp_path / "map.nii.gz", np.zeros((30, 20, 40)))


def test_maps_of_cts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="maps are written of radiographs, brains"):
        predict_rows("ct_age", [], tmp_path, weights=[SimpleNamespace(record={}, path=tmp_path)], save_maps=True)
