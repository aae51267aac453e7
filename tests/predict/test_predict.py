"""`agezoo predict` from the command line's function to the files: every input one row, whatever state it is in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agezoo.cli import main
from agezoo.data.prediction_table import read_predictions
from agezoo.errors import WeightsError
from agezoo.networks.weights import describe
from agezoo.predict.run import predict
from agezoo.registry import bundle_root
from cohort_files import Cohort, write_corrupt_nifti, write_datalist, write_dicom, write_nifti


@pytest.fixture
def weights(trained: Path) -> Path:
    return trained / "model.pt"


def rows_of(out: Path) -> pd.DataFrame:
    """The table by image as it was listed."""
    table = read_predictions(out / "predictions.csv")
    assert table["image"].is_unique
    return table.set_index("image")


def test_mixed_inputs_give_one_row_each(
    cohort: Cohort, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = tmp_path / "studies"
    write_dicom(studies / "one", 40.0, seed=1)
    write_dicom(studies / "deep" / "er" / "two", 60.0, seed=2)
    for gap in ("030.dcm", "031.dcm"):
        (write_dicom(studies / "gap", 70.0, seed=3) / gap).unlink()
    single = write_nifti(tmp_path / "single.nii.gz", 50.0, seed=4)
    corrupt = write_corrupt_nifti(tmp_path / "corrupt.nii.gz")
    rows = [{**row, "image": str(cohort.folder / row["image"])} for row in cohort.rows("test")]
    datalist = write_datalist(tmp_path / "listed.json", test=rows)
    out = tmp_path / "out"
    inputs = [studies, single, corrupt, datalist, tmp_path / "nowhere"]

    status = main(["predict", "ct_age", *map(str, inputs), "--out", str(out), "--weights", str(weights)])
    printed = capsys.readouterr().out
    assert status == 0
    table = rows_of(out)
    good = ["one", "deep/er/two", "single.nii.gz", *(row["image"] for row in rows)]
    bad = {"gap": "slice", "corrupt.nii.gz": "corrupt.nii.gz", "nowhere": "no such file or folder"}
    assert set(table.index) == {*good, *bad}
    assert table.loc[good, "predicted_age_years"].between(10, 110).all()
    assert table.loc[good, "error"].isna().all()
    assert set(table.loc[good, "qc"]) == {"pass"}
    for image, words in bad.items():
        assert np.isnan(table.loc[image, "predicted_age_years"])
        assert words in table.loc[image, "error"]
        assert table.loc[image, "qc"] == "fail"
        assert f"{table.loc[image, 'subject_id']}: no age: " in printed
    assert set(table["weights_sha256"]) == {describe(weights).sha256}
    pictures = {path.stem for path in (out / "overlays").glob("*.png")}
    assert pictures == set(table.loc[good, "subject_id"])
    for picture in (out / "overlays").glob("*.png"):
        with Image.open(picture) as opened:
            assert min(opened.size) > 200
    assert not list(out.glob(".*")), "nothing of the work in between is left"
    parquet = read_predictions(out / "predictions.parquet")
    pd.testing.assert_frame_equal(parquet, read_predictions(out / "predictions.csv"), check_dtype=False)


def test_an_age_does_not_depend_on_the_company(weights: Path, tmp_path: Path) -> None:
    scans = [write_nifti(tmp_path / f"scan{i}.nii.gz", 30.0 + 10 * i, seed=i) for i in range(5)]
    bad = write_corrupt_nifti(tmp_path / "bad.nii.gz")
    together = predict("ct_age", [bad, *scans], tmp_path / "together", weights=weights, overlays=False, batch_size=4)
    alone = predict("ct_age", [scans[4]], tmp_path / "alone", weights=weights, overlays=False)
    ages = together.set_index("subject_id")["predicted_age_years"]
    assert ages["scan4"] == pytest.approx(alone["predicted_age_years"].item(), abs=2e-4)


def test_nothing_usable_is_exit_status_1(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["predict", "ct_age", str(tmp_path / "a"), "--out", str(tmp_path / "o"), "--weights", str(weights)])
    assert status == 1
    assert "a: no age: " in capsys.readouterr().out
    assert len(rows_of(tmp_path / "o")) == 1


def test_without_installed_weights_the_ways_to_get_some_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "ct_age"
    shutil.copytree(bundle_root("ct_age") / "configs", bare / "configs")
    monkeypatch.setattr("agezoo.predict.run.bundle_root", lambda name: bare)
    scan = write_nifti(tmp_path / "scan.nii.gz", 50.0, seed=0)
    status = main(["predict", "ct_age", str(scan), "--out", str(tmp_path / "out")])
    message = capsys.readouterr().err
    assert status == 1
    assert message.startswith("agezoo predict: ")
    assert "no weights are installed" in message
    for way in ("monai.bundle run training", "agezoo crossval", "--weights phantom"):
        assert way in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_phantom_weights_are_called_so_everywhere(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(weights, tmp_path / "model.pt")
    record = json.loads(weights.with_suffix(".json").read_text()) | {"origin": "phantom"}
    (tmp_path / "model.json").write_text(json.dumps(record))
    scan = write_nifti(tmp_path / "scan.nii.gz", 50.0, seed=0)
    own, marked = tmp_path / "own", tmp_path / "marked"
    for out, used in ((own, weights), (marked, tmp_path / "model.pt")):
        assert main(["predict", "ct_age", str(scan), "--out", str(out), "--weights", str(used)]) == 0
        assert ("mean nothing for real people" in capsys.readouterr().out) == (out == marked)
        assert list(rows_of(out)["weights_origin"]) == ["phantom" if out == marked else "trained"]
    # The picture carries the banner as well: it is the same picture otherwise.
    pictures = [np.asarray(Image.open(out / "overlays" / "scan.png").convert("L"), float) for out in (own, marked)]
    assert pictures[0].shape != pictures[1].shape or np.abs(pictures[0] - pictures[1]).max() > 50


def test_a_record_cannot_bring_code_along(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Weight files come from elsewhere; tensors are opened safely, and the record beside them must not be a way round.
    monkeypatch.chdir(tmp_path)
    shutil.copy(weights, tmp_path / "model.pt")
    record = json.loads(weights.with_suffix(".json").read_text())
    record["overrides"] = {"trunk_width": "$__import__('os').system('touch pwned') or 4"}
    (tmp_path / "model.json").write_text(json.dumps(record))
    scan = write_nifti(tmp_path / "scan.nii.gz", 50.0, seed=0)
    with pytest.raises(WeightsError, match=r"model\.json.*trunk_width.*is not a number"):
        predict("ct_age", [scan], tmp_path / "out", weights=tmp_path / "model.pt")
    assert not (tmp_path / "pwned").exists()


def test_altered_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    shutil.copy(weights.with_suffix(".json"), tmp_path / "model.json")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.pt").write_bytes(content)
    scan = write_nifti(tmp_path / "scan.nii.gz", 50.0, seed=0)
    with pytest.raises(WeightsError, match="not those that were recorded"):
        predict("ct_age", [scan], tmp_path / "out", weights=tmp_path)
