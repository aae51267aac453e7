"""Names of files and folders are data: never code, never mixed up, and nobody's name leaves a DICOM header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from agezoo.cli import main
from agezoo.data.prediction_table import read_predictions
from agezoo.predict.cases import find_cases
from agezoo.predict.run import predict
from bundle_runs import run_configs
from cohort_files import TINY, write_corrupt_nifti, write_datalist, write_dicom, write_nifti

HOSTILE = (
    "$__import__('os').system('touch pwned')",
    "$(touch pwned)",
    "`touch pwned`",
    "@bundle_root",
    "%train.json#seed",
    "a#b::c",
    "{{ 7 * 7 }}",
    "with 'quotes\" and space",
    "=1+1",
    "-rf",
    "é日本",
)


def test_hostile_names_are_predicted_and_not_run(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(HOSTILE):
        write_nifti(tmp_path / "scans" / name / f"{name}.nii", 50.0, seed=number)
    write_dicom(tmp_path / "scans" / f"dicom {HOSTILE[0]}", 50.0, seed=90)
    given = Path("scans", HOSTILE[0])
    weights = tmp_path / "@weights#1 %$"
    weights.mkdir()
    for name in ("model.pt", "model.json"):
        (weights / name).write_bytes((trained / name).read_bytes())
    out = tmp_path / "$out @x #2 %y"
    words = ["predict", "ct_age", "scans", str(given), "--out", str(out), "--weights", str(weights)]
    status = main([*words, "--saliency", "none"])
    assert status == 0
    table = read_predictions(out / "predictions.csv")
    assert len(table) == len(HOSTILE) + 2
    assert table["predicted_age_years"].notna().all(), list(table["error"].dropna())
    assert {f"{name}/{name}.nii" for name in HOSTILE} <= set(table["image"])
    assert len(list((out / "overlays").glob("*.png"))) == len(table)
    assert not list(tmp_path.rglob("pwned"))
    capsys.readouterr()


def test_hostile_names_in_the_folder_of_the_inferring_workflow(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(HOSTILE):
        write_nifti(tmp_path / "scans" / f"{name}.nii", 50.0, seed=number)
    run_configs(
        "inferring", ["inference.json"], dataset_dir="scans", output_dir="out", overlays=False,
        weights=str(trained / "model.pt"), trunk_width=TINY["trunk_width"],
    )  # fmt: skip
    table = read_predictions(tmp_path / "out" / "predictions.csv")
    assert set(table["subject_id"]) == set(HOSTILE)
    assert table["predicted_age_years"].notna().all()
    assert not list(tmp_path.rglob("pwned"))


def test_hostile_subject_in_a_datalist(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image = write_nifti(tmp_path / "scan.nii", 50.0, seed=1)
    rows = [{"image": str(image), "subject_id": f"../{name}", "session": str(i)} for i, name in enumerate(HOSTILE)]
    datalist = write_datalist(tmp_path / "list.json", test=rows)
    table = predict("ct_age", [datalist], tmp_path / "out", weights=trained / "model.pt", saliency="none")
    assert set(table["subject_id"]) == {f"../{name}" for name in HOSTILE}
    # Every picture stays inside its folder and has a name of its own.
    assert len(list((tmp_path / "out" / "overlays").iterdir())) == len(HOSTILE)
    assert {path.name for path in tmp_path.iterdir()} == {"scan.nii", "list.json", "out"}


def test_names_that_look_alike_do_not_share_a_picture(trained: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("case 1", "case_1", "case+1")):
        write_nifti(tmp_path / "scans" / f"{name}.nii", 50.0, seed=number)
    predict("ct_age", [tmp_path / "scans"], tmp_path / "out", weights=trained / "model.pt", saliency="none")
    assert len(list((tmp_path / "out" / "overlays").glob("*.png"))) == 3


def test_studies_in_one_flat_folder_can_be_told_apart(tmp_path: Path) -> None:
    flat = tmp_path / "export"
    for number in range(2):
        folder = write_dicom(tmp_path / "parts" / str(number), 50.0, seed=number, PatientID=str(number))
        flat.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.rename(flat / f"{number}_{path.name}")
    rows = find_cases([flat])
    assert [row["listed_image"] for row in rows] == ["0_001.dcm (+79)", "1_001.dcm (+79)"]
    assert [row["subject_id"] for row in rows] == ["export", "export_2"]
    assert not any(row.get("error") for row in rows)


def test_dicom_files_called_after_their_uid_are_found_beside_nifti(tmp_path: Path) -> None:
    write_nifti(tmp_path / "scans" / "one.nii.gz", 50.0, seed=0)
    for path in write_dicom(tmp_path / "scans" / "two", 50.0, seed=1).iterdir():
        path.rename(path.with_name(f"1.2.840.{int(path.stem)}"))
    (tmp_path / "scans" / "one.json").write_text("{}")
    assert [row["subject_id"] for row in find_cases([tmp_path / "scans"])] == ["one", "two"]


def test_equal_names_of_two_folders_become_two_cases(tmp_path: Path) -> None:
    for number, folder in enumerate(("left", "right")):
        write_nifti(tmp_path / folder / "scan.nii.gz", 50.0, seed=number)
    rows = find_cases([tmp_path / "left", tmp_path / "right"])
    assert [row["subject_id"] for row in rows] == ["scan", "scan_2"]
    assert [Path(row["image"]).parent.name for row in rows] == ["left", "right"]


def test_inputs_without_any_scan_say_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "readme.txt").write_text("nothing")
    (tmp_path / "broken.json").write_text("{")
    rows = find_cases([tmp_path / name for name in ("empty", "notes", "broken.json", "absent")])
    errors = {row["subject_id"]: row["error"] for row in rows}
    assert list(errors) == ["empty", "notes", "broken.json", "absent"]
    assert "empty" in errors["empty"]
    assert "no DICOM images found" in errors["notes"]
    assert "not valid JSON" in errors["broken.json"]
    assert "no such file or folder" in errors["absent"]


def test_nobody_leaves_the_header(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secrets: dict[str, Any] = {
        "PatientName": "CANARY^NAME",
        "PatientID": "CANARY-4711",
        "OtherPatientIDs": "CANARY-OTHER",
        "PatientAddress": "CANARY STREET 1",
        "ReferringPhysicianName": "CANARY^DOCTOR",
        "InstitutionName": "CANARY HOSPITAL",
        "AccessionNumber": "CANARY-ACC",
        "StudyDescription": "CANARY DESCRIPTION",
        "PatientComments": "CANARY COMMENT",
        "PatientBirthDate": "19620731",
        "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
    }
    scans = tmp_path / "scans"
    write_dicom(scans / "good", 57.0, seed=1, **secrets)
    incomplete = write_dicom(scans / "incomplete", 57.0, seed=2, **{**secrets, "StudyInstanceUID": generate_uid()})
    (incomplete / "040.dcm").unlink()
    cut = write_dicom(scans / "cut", 57.0, seed=3, **{**secrets, "StudyInstanceUID": generate_uid()})
    (cut / "040.dcm").write_bytes((cut / "040.dcm").read_bytes()[:2000])
    write_corrupt_nifti(scans / "corrupt.nii.gz")
    out = tmp_path / "out"
    assert main(["predict", "ct_age", str(scans), "--out", str(out), "--weights", str(trained)]) == 0
    printed = capfd.readouterr()
    table = pd.read_parquet(out / "predictions.parquet")
    assert table["predicted_age_years"].notna().sum() >= 1
    assert table["error"].notna().sum() >= 2

    told = {"terminal": printed.out + printed.err, "parquet": table.to_csv()}
    for path in filter(Path.is_file, out.rglob("*")):
        told[path.name] = path.name + path.read_bytes().decode("latin-1")
        if path.suffix == ".png":
            with Image.open(path) as picture:
                told[f"text in {path.name}"] = repr(picture.info)
    assert len(told) >= 5
    marks = ["CANARY", "19620731", "1962-07-31", secrets["StudyInstanceUID"]]
    assert {(where, mark) for where, text in told.items() for mark in marks if mark in text.upper()} == set()
