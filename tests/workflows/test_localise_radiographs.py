"""`agezoo localise spine_age` on small radiographs whose bright blocks are labelled as vertebrae."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from agezoo.cli import main
from agezoo.networks.weights import save_weights
from agezoo.networks.weights_conversion import configured_network
from agezoo.registry import bundle_root
from agezoo.workflows import localisation
from agezoo.workflows.localisation import localise
from radiograph_files import spine_image, write_radiograph

SETTINGS = {"variant": 0, "hidden": 8, "canvas_height": 128, "canvas_width": 64}
LABELS = {"background": 0, "vertebral_bodies": 1, "discs": 2, "aorta_calcification": 5}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights, as phantom weights."""
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.manual_seed(0)
    state = configured_network(bundle_root("spine_age"), SETTINGS).state_dict()
    save_weights(state, path, {"origin": "phantom", "overrides": SETTINGS})
    return path


def spine_labels(rows: int, columns: int) -> np.ndarray:
    """The blocks of :func:`radiograph_files.spine_image`, the gaps between them, and a strip beside them."""
    y, x = np.mgrid[0:rows, 0:columns].astype(float)
    y, x = y / rows, x / columns
    offset = x - (0.5 + 0.08 * np.sin(2 * np.pi * y))
    blocks = np.mod(y * 12, 1) < 0.75
    labels = np.where(np.abs(offset) < 0.12, np.where(blocks, 1, 2), 0)
    labels[(offset > 0.2) & (offset < 0.23) & (y > 0.5)] = 5
    return labels.astype(np.uint8)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two radiographs and a VFA image; the mask of one radiograph is of another size."""
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "masks").mkdir()
    rows = []
    sizes = {"A": (240, 180), "B": (260, 150), "V": (300, 140)}
    for index, (subject, size) in enumerate(sizes.items()):
        image, mask = f"images/{subject}.dcm", f"masks/{subject}.png"
        write_radiograph(folder / image, spine_image(*size, seed=index))
        labels = spine_labels(*size)
        Image.fromarray(labels if subject != "B" else labels[1:]).save(folder / mask)
        rows.append((subject, image, mask, 60.0 + index, "vfa" if subject == "V" else "radiograph"))
    (folder / "masks" / "labels.json").write_text(json.dumps(LABELS))
    columns = ["subject_id", "image", "mask", "age_years", "modality"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "cohort.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def measured(cohort: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    localise("spine_age", cohort, out, weights=weights, methods=["hires_cam"], n_bootstrap=20, progress=False)
    return out


def test_labels_lie_where_the_network_sees_the_vertebrae(measured: Path) -> None:
    table = pd.read_csv(measured / "localisation.csv").set_index(["modality", "method", "region"])
    for kind in ("radiograph", "vfa"):
        bright = table.loc[(kind, "image_brightness")]
        # Equalised bone is among the brightest of the image; gaps and strip are not.
        assert bright.loc["vertebral_bodies", "pointing_hit"] == 1
        ratio = bright["energy_inside"] / bright["area_share"]
        assert ratio["vertebral_bodies"] > 1.3
        assert ratio["vertebral_bodies"] > ratio["discs"] + 0.2
        chance = table.loc[(kind, "random_map")]
        np.testing.assert_allclose(chance["energy_inside"], chance["area_share"], rtol=0.3)


def test_the_side_crop_changes_what_share_of_a_radiograph_the_spine_covers(measured: Path) -> None:
    table = pd.read_csv(measured / "localisation.csv").set_index(["modality", "method", "region"])
    share = table.loc[pd.IndexSlice[:, "random_map", "vertebral_column"], "area_share"].droplevel([1, 2])
    # The column is 0.24 of the width as stored; 5 % of it are cut off at each side of a radiograph, none of VFA.
    assert share["radiograph"] == pytest.approx(0.24 / 0.9, rel=0.04)
    assert share["vfa"] == pytest.approx(0.24, rel=0.04)


def test_the_column_is_scored_as_a_whole_and_an_unusable_mask_is_named(measured: Path) -> None:
    content = json.loads((measured / "localisation.json").read_text())
    assert content["skipped"] == ["B"]
    assert content["cases"] == 2
    regions = [row["region"] for row in content["summary"] if row["method"] == "random_map"]
    assert regions == ["all_regions", "vertebral_column", "vertebral_bodies", "discs", "aorta_calcification"]
    # A cell of the last layer is 32 pixels wide; a quarter of it is near enough.
    assert content["cam_cells"] == [4, 2]
    assert content["tolerance_pixels"] == 8
    assert "energy_inside_minus_hires_cam" in content
    pictures = sorted((measured / "gallery").glob("*.png"))
    assert len(pictures) == 2
    page = (measured / "localisation.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "vertebral column" in page


def test_methods_that_take_long_are_left_out_unless_named(
    cohort: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("score_cam", "hires_cam")
    monkeypatch.setattr(localisation, "METHODS", asked)
    monkeypatch.setattr(localisation, "expected_seconds", lambda *_, **__: {"score_cam": 3000.0, "hires_cam": 1.0})
    command = ["localise", "spine_age", str(cohort), "--out", str(tmp_path), "--weights", str(weights), "--limit", "1"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "left out: score_cam (about 3000 s per map" in printed
    assert "vertebral column:" in printed
    assert "score_cam (about 3000 s)" in (tmp_path / "localisation.html").read_text()
    table = pd.read_csv(tmp_path / "localisation.csv")
    assert set(table["method"]) == {"hires_cam", "image_brightness", "random_map"}


def test_an_earlier_layer_can_be_chosen(cohort: Path, weights: Path, tmp_path: Path) -> None:
    content = localise(
        "spine_age", cohort, tmp_path, weights=weights, methods=["hires_cam"], layer="features._conv_stem", limit=1,
        n_bootstrap=0, progress=False,
    )  # fmt: skip
    assert content["cam_cells"] == [64, 32]
    assert content["tolerance_pixels"] == 0.5
