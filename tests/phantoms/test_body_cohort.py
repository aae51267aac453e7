"""A whole-body cohort on disk: complete, resumable, deterministic, readable, and honest about what it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from agezoo.cli import main
from agezoo.data.dixon import read_dixon
from agezoo.errors import InputError
from agezoo.phantoms.body_cohort import BodyCohort, ensure_body_cohort, phantom_body_scan, write_body_cohort
from agezoo.phantoms.body_labels import LABELS, PLANTED_WEIGHTS
from agezoo.phantoms.body_plan import plan_body_cohort

SMALL = {
    "subjects": 3,
    "seed": 4,
    "second_scanner_fraction": 0.34,
    "repeat_fraction": 0.0,
    "swap_fraction": 0.34,
    "progress": False,
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> BodyCohort:
    return write_body_cohort(tmp_path_factory.mktemp("phantom") / "cohort", **SMALL)  # type: ignore[arg-type]


def fingerprint(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_reader_returns_the_drawn_stations(cohort: BodyCohort) -> None:
    scan = plan_body_cohort(cohort.parameters)[0]
    drawn = phantom_body_scan(scan)
    found = read_dixon(cohort.folder / "images" / f"{scan.name}.zip")
    assert len(found.stations) == 6
    for one, other in zip(drawn.stations, found.stations, strict=True):
        assert set(other.images) == {"water", "fat", "in", "opposed"}
        for name, image in one.images.items():
            assert np.array_equal(image, other.images[name])
        assert other.affine == pytest.approx(one.affine, abs=1e-3)
    assert found.facts.age_years == pytest.approx(scan.subject.age_years, abs=0.01)
    assert found.facts.sex == scan.subject.sex


def test_masks_lie_on_the_anatomy(cohort: BodyCohort) -> None:
    for row in cohort.table.itertuples():
        mask = nib.load(cohort.folder / row.mask)
        labels = np.asarray(mask.dataobj)
        assert labels.dtype == np.uint8
        assert nib.aff2axcodes(mask.affine) == ("L", "A", "S")
        values: dict[tuple[str, str], list[np.ndarray]] = {}
        for number, station in enumerate(read_dixon(cohort.folder / row.image).stations, start=1):
            to_mask = np.linalg.inv(mask.affine) @ station.affine
            shape = station.images["water"].shape
            seen = ndimage.affine_transform(labels, to_mask[:3, :3], to_mask[:3, 3], output_shape=shape, order=0)
            swapped = str(number) in row.swapped_stations.split()
            for contrast in ("water", "fat"):
                stored = {"water": "fat", "fat": "water"}[contrast] if swapped else contrast
                for name in ("lungs", "heart", "liver", "subcutaneous_fat", "background"):
                    core = ndimage.binary_erosion(seen == LABELS[name])
                    values.setdefault((name, contrast), []).append(station.images[stored][core])
        median = {key: float(np.median(np.concatenate(some))) for key, some in values.items()}
        assert median["background", "water"] == median["background", "fat"] == 0
        assert median["lungs", "water"] < 0.5 * median["liver", "water"]
        assert median["lungs", "water"] < 0.5 * median["heart", "water"]
        assert median["subcutaneous_fat", "fat"] > 4 * median["subcutaneous_fat", "water"]
        assert median["subcutaneous_fat", "fat"] > 2 * median["liver", "fat"]


def test_table_and_description_agree_with_the_plan(cohort: BodyCohort) -> None:
    table = pd.read_csv(cohort.folder / "cohort.csv")
    assert len(table) == len(list((cohort.folder / "images").iterdir())) == 3
    assert table["biological_age_years"].to_numpy() == pytest.approx(table["age_years"] + table["deviation_years"])
    assert (table["test"] == (table["site"] == "site_b")).all()
    assert table["test"].sum() == 1
    assert table["swapped_stations"].notna().sum() == 1
    for scan, ours in zip(plan_body_cohort(cohort.parameters), table.itertuples(), strict=True):
        assert (ours.subject_id, ours.height_cm) == (scan.subject.subject_id, scan.subject.height_cm)
        assert ours.heart_age_years == pytest.approx(scan.subject.region_ages_years["heart"], abs=0.01)
    description = json.loads((cohort.folder / "cohort.json").read_text())
    assert description["complete"] is True
    assert description["origin"] == "phantom"
    assert "no person" in description["what"]
    assert description["planted_weights"] == PLANTED_WEIGHTS
    assert sum(description["planted_weights"].values()) == pytest.approx(1)
    assert description["best_possible_mae_years"] == pytest.approx(cohort.parameters.best_possible_mae_years, abs=1e-3)
    assert description["scans_with_swapped_stations"] == 1
    assert json.loads((cohort.folder / "masks" / "labels.json").read_text()) == LABELS


def test_finished_scans_are_kept_and_missing_ones_written_the_same(cohort: BodyCohort) -> None:
    before = fingerprint(cohort.folder)
    victim = plan_body_cohort(cohort.parameters)[1].name
    (cohort.folder / "scans" / f"{victim}.json").unlink()
    (cohort.folder / "images" / f"{victim}.zip").unlink()
    again = write_body_cohort(cohort.folder, **SMALL)  # type: ignore[arg-type]
    assert again.written == 1
    assert fingerprint(cohort.folder) == before
    assert write_body_cohort(cohort.folder, **SMALL).written == 0  # type: ignore[arg-type]


def test_other_parameters_and_values_out_of_range_are_refused(cohort: BodyCohort, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"other parameters.*seed 4.*seed 5.*another folder"):
        ensure_body_cohort(cohort.folder, **{**SMALL, "seed": 5})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"swap_fraction.*found: 1.5"):
        write_body_cohort(tmp_path / "a", subjects=2, seed=1, swap_fraction=1.5)
    with pytest.raises(InputError, match=r"age_range_years"):
        write_body_cohort(tmp_path / "a", subjects=2, seed=1, age_range_years=(60.0, 20.0))
    assert not (tmp_path / "a").exists()


def test_command_writes_the_cohort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cohort"
    words = ["phantom", "wholebody_mr", "--subjects", "1", "--seed", "4", "--quick", "--workers", "1"]
    assert main([*words, "--swap-fraction", "1", "--out", str(out)]) == 0
    assert str(out / "cohort.csv") in capsys.readouterr().out
    table = pd.read_csv(out / "cohort.csv", dtype={"swapped_stations": str})
    assert table["swapped_stations"].notna().all()
    assert json.loads((out / "cohort.json").read_text())["parameters"]["quick"] is True
    assert main([*words, "--space", "mni", "--out", str(tmp_path / "b")]) == 1
    assert "--space" in capsys.readouterr().err
    assert main(["phantom", "ct_age", "--swap-fraction", "0.1", "--out", str(tmp_path / "b")]) == 1
    assert "--swap-fraction" in capsys.readouterr().err
