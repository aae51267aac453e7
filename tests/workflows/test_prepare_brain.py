"""Preparing a cohort of brains: once, resumable, and whatever becomes of single scans.

A stand-in for the registration answers at once: the scan's largest value tells it what to do.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from brain_stand_in import CRASHES, FAILS, GOOD, KILLED, NO_ITK, POOR, always_good, die, slow, stand_in

from agezoo.cli import main
from agezoo.data.datalist import datalist_rows, load_datalist
from agezoo.data.datalist_build import build_datalist
from agezoo.errors import InputError, MissingExtraError
from agezoo.predict.cases import find_cases
from agezoo.transforms.brain.template import mni_affine
from agezoo.workflows import brain_preparation
from agezoo.workflows.brain_preparation import BrainPreparation, prepare_brains
from agezoo.workflows.brain_preparation_cases import brain_cases
from agezoo.workflows.brain_preparation_work import write_brain
from agezoo.workflows.brain_preparation_workers import WorkerDeath, in_workers


def write_scan(path: Path, order: int = GOOD, seed: int = 0) -> Path:
    """A scan of a few voxels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 10, (6, 7, 8)).astype(np.int16)
    values[3, 3, 3] = order
    nib.save(nib.Nifti1Image(values, np.diag([30.0, 30.0, 30.0, 1.0])), path)
    return path


def write_dataset(folder: Path, scans: Mapping[str, int]) -> Path:
    """A BIDS dataset; keys such as ``01`` or ``02/1`` (subject, session)."""
    for number, (name, order) in enumerate(scans.items()):
        subject, _, session = name.partition("/")
        place = f"sub-{subject}" + (f"/ses-{session}" if session else "")
        write_scan(folder / place / "anat" / f"{place.replace('/', '_')}_T1w.nii.gz", order, number + 2)
    (folder / "dataset_description.json").write_text('{"Name": "cohort", "BIDSVersion": "1.9.0"}')
    people = dict.fromkeys(name.partition("/")[0] for name in scans)
    lines = [f"sub-{name}\t{60 + number}.5\t{'FM'[number % 2]}\tCN" for number, name in enumerate(people)]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tage\tsex\tdiagnosis", *lines]) + "\n")
    return folder


def prepared(inputs: Any, out: Path, **options: Any) -> BrainPreparation:
    inputs = inputs if isinstance(inputs, list) else [inputs]
    return prepare_brains("brain_tsan", inputs, out, **{"jobs": 0, "make_brain": stand_in, **options})


def texts(out: Path) -> str:
    """Everything readable that was written."""
    kinds = (".json", ".csv", ".tsv", ".html")
    return "\n".join(path.read_text() for path in out.rglob("*") if path.suffix in kinds)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[BrainPreparation, Path]:
    """Four scans of three people; one registration fails."""
    folder = tmp_path_factory.mktemp("SECRETPLACE")
    dataset = write_dataset(folder / "bids", {"01": GOOD, "02/1": GOOD, "02/2": POOR, "03": FAILS})
    (dataset / "sub-02" / "sub-02_sessions.tsv").write_text("session_id\tage\nses-2\t63.0\n")
    return prepared(dataset, folder / "out"), folder / "out"


def test_brains_lie_where_bids_wants_them_on_the_mni_grid(cohort: tuple[BrainPreparation, Path]) -> None:
    _, out = cohort
    images = {path.relative_to(out).as_posix() for path in out.rglob("*.nii.gz")}
    assert images == {
        "sub-01/anat/sub-01_space-MNI152_desc-brain_T1w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_space-MNI152_desc-brain_T1w.nii.gz",
        "sub-02/ses-2/anat/sub-02_ses-2_space-MNI152_desc-brain_T1w.nii.gz",
    }
    image: Any = nib.load(out / min(images))
    assert image.shape == (91, 109, 91)
    assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
    np.testing.assert_array_equal(image.affine, [[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    sidecar = json.loads((out / min(images)).with_suffix("").with_suffix(".json").read_text())
    assert sidecar["SkullStripped"] is True
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "agezoo"


def test_a_brain_on_disk_is_the_brain(tmp_path: Path) -> None:
    """Faint voxels stay brain, the background stays exactly 0, and a vessel's brightness costs no visible contrast."""
    rng = np.random.default_rng(0)
    voxels = np.where(rng.random((12, 13, 14)) < 0.5, rng.uniform(0.001, 300, (12, 13, 14)), 0).astype(np.float32)
    voxels[0, 0, 0] = 3000.0
    write_brain(voxels, mni_affine(2.0), tmp_path / "brain.nii.gz")
    image: Any = nib.load(tmp_path / "brain.nii.gz")
    assert image.get_data_dtype() == np.int16
    again = np.asarray(image.dataobj, dtype=np.float32)
    np.testing.assert_array_equal(again > 0, voxels > 0)
    assert (again[voxels == 0] == 0).all()
    # Half a step is 1/65534 of the largest value; a voxel fainter than that becomes one step.
    assert np.abs(again - voxels).max() <= 3000 / 32767 * 1.001
    assert np.abs(again - voxels)[voxels > 0.1].max() <= 3000 / 65534 * 1.01


def test_every_case_has_a_row_and_a_failed_one_its_reason(cohort: tuple[BrainPreparation, Path]) -> None:
    result, out = cohort
    table = pd.read_csv(out / "preparation.csv").set_index("case")
    assert list(table.index) == ["sub-01", "sub-02_ses-1", "sub-02_ses-2", "sub-03"]
    assert list(table["qc"]) == ["pass", "pass", "warn", "fail"]
    assert table.loc["sub-02_ses-2", "registration_overlap"] == 0.88
    assert "overlap with the template 0.880 (expected at least 0.92)" in table.loc["sub-02_ses-2", "qc_reasons"]
    assert table.loc["sub-03", "error"] == (
        "sub-03/anat/sub-03_T1w.nii.gz: the registration failed; found: overlap 0.41; expected: at least 0.8"
    )
    assert pd.isna(table.loc["sub-03", "image"])
    assert (result.n_made, result.n_kept, result.n_failed) == (3, 0, 1)
    assert table.loc["sub-01", "source"] == "sub-01/anat/sub-01_T1w.nii.gz"


def test_the_datalist_of_a_dataset_has_ages_sexes_and_groups_and_names_who_is_left_out(
    cohort: tuple[BrainPreparation, Path],
) -> None:
    result, out = cohort
    rows = datalist_rows(result.datalist, "training")
    assert [(row["subject_id"], row["session"]) for row in rows] == [
        ("sub-01", ""), ("sub-02", "ses-1"), ("sub-02", "ses-2"),
    ]  # fmt: skip
    assert [row["age_years"] for row in rows] == [60.5, 61.5, 63.0]
    assert {(row["sex"], row["group"]) for row in rows} == {("F", "CN"), ("M", "CN")}
    assert all(Path(row["image"]).is_file() for row in rows)
    document = json.loads(result.datalist.read_text())
    assert list(document["left_out"]) == ["sub-03"]
    participants = pd.read_csv(out / "participants.tsv", sep="\t")
    assert list(participants["participant_id"]) == ["sub-01", "sub-02"]
    assert list(participants["group"]) == ["CN", "CN"]
    sessions = pd.read_csv(out / "sub-02" / "sub-02_sessions.tsv", sep="\t")
    assert list(sessions["session_id"]) == ["ses-1", "ses-2"]
    assert list(sessions["age"]) == [61.5, 63.0]


def test_finished_brains_are_found_as_cases_of_the_bundle(cohort: tuple[BrainPreparation, Path]) -> None:
    _, out = cohort
    cases = find_cases([out], modality="MR", reader="brain")
    assert [(case["subject_id"], case.get("session")) for case in cases] == [
        ("sub-01", None), ("sub-02", "ses-1"), ("sub-02", "ses-2"),
    ]  # fmt: skip


def test_a_datalist_with_folds_can_be_made_from_the_finished_brains(
    cohort: tuple[BrainPreparation, Path], tmp_path: Path
) -> None:
    """They are a BIDS dataset with its people's ages, so nothing has to be registered or looked up again."""
    _, out = cohort
    report = build_datalist(bundle="brain_tsan", images=out, out=tmp_path / "list.json", folds=2)
    rows = report.datalist.training
    assert [(row.subject_id, row.session, row.age_years, row.group) for row in rows] == [
        ("sub-01", None, 60.5, "CN"), ("sub-02", "ses-1", 61.5, "CN"), ("sub-02", "ses-2", 63.0, "CN"),
    ]  # fmt: skip


def test_page_and_pictures_show_the_worst_first_and_the_failed(cohort: tuple[BrainPreparation, Path]) -> None:
    result, out = cohort
    page = result.page.read_text()
    assert page.count("data:image/jpeg") == 3
    order = re.findall(r"<figcaption>(\S+):", page)
    assert order == ["sub-02_ses-2", "sub-01", "sub-02_ses-1"]
    assert "the registration failed" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#|overlays/)""", page), "nothing is asked for from outside"
    for name in order:
        assert (out / "overlays" / f"{name}.png").is_file()
        assert f'href="overlays/{name}.png"' in page


def test_nothing_written_tells_where_the_scans_lie(cohort: tuple[BrainPreparation, Path], tmp_path: Path) -> None:
    _, out = cohort
    assert "SECRETPLACE" not in texts(out)
    write_scan(tmp_path / "SECRETPLACE" / "a" / "one.nii.gz", CRASHES)
    cut_off = write_scan(tmp_path / "SECRETPLACE" / "a" / "two.nii.gz")
    cut_off.write_bytes(cut_off.read_bytes()[:-4])
    inputs = [tmp_path / "SECRETPLACE" / "a", tmp_path / "SECRETPLACE" / "absent.nii"]
    result = prepared(inputs, tmp_path / "SECRETPLACE" / "out")
    assert result.n_failed == 3
    found = texts(tmp_path / "SECRETPLACE" / "out")
    assert "SECRETPLACE" not in found
    assert str(Path.home()) + "/" not in found
    assert "cut off or damaged" in found
    assert "FloatingPointError: no such luck with file.nii" in found


def test_only_new_and_changed_scans_are_prepared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    for name in ("a", "b", "c"):
        write_scan(scans / f"{name}.nii.gz")
    write_scan(scans / "d.nii.gz", FAILS)

    def made(**options: Any) -> set[str]:
        before = {path: path.stat().st_mtime_ns for path in (out / "cases").glob("*.json")}
        time.sleep(0.01)
        prepared(scans, out, pictures=False, **options)
        after = {path: path.stat().st_mtime_ns for path in (out / "cases").glob("*.json")}
        return {path.stem for path, at in after.items() if before.get(path) != at}

    assert made() == {"sub-a", "sub-b", "sub-c", "sub-d"}
    assert made() == set(), "a failed registration is not repeated either: nothing has changed"
    write_scan(scans / "b.nii.gz", seed=5)
    assert made() == {"sub-b"}
    (out / "sub-c" / "anat" / "sub-c_space-MNI152_desc-brain_T1w.nii.gz").unlink()
    assert made() == {"sub-c"}
    write_scan(scans / "d.nii.gz", GOOD)
    assert made() == {"sub-d"}
    assert made(limit=2, force=True) == {"sub-a", "sub-b"}
    (out / "cases" / "sub-a.json").write_text('{"case": "sub-a"')
    assert made() == {"sub-a"}, "half a record is none"
    monkeypatch.setattr(brain_preparation, "RECIPE_VERSION", "another recipe")
    assert made() == {"sub-a", "sub-b", "sub-c", "sub-d"}


def test_pictures_left_out_are_drawn_later_without_preparing_again(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "a.nii.gz")
    prepared(scan, tmp_path / "out", pictures=False)
    assert not (tmp_path / "out" / "overlays").exists()
    result = prepared(scan, tmp_path / "out")
    assert (result.n_made, result.n_kept) == (0, 1)
    assert (tmp_path / "out" / "overlays" / "sub-a.png").is_file()


def test_rows_of_a_datalist_keep_their_section_fold_and_columns(tmp_path: Path) -> None:
    images = tmp_path / "images"
    for name in ("x", "y", "z", "w"):
        write_scan(images / f"{name}.nii.gz", FAILS if name == "w" else GOOD)
    row = {"subject_id": "P_1", "age_years": 71.25, "sex": "F", "session": "first", "group": "AD", "site": "north"}
    document = {
        "bundle": "brain_tsan", "origin": "phantom", "folds": 2, "seed": 3,
        "training": [
            {**row, "image": "images/x.nii.gz", "fold": 1, "covariates": {"mmse": 24}},
            {**row, "image": "images/y.nii.gz", "session": "second", "age_years": 73.5, "fold": 1},
            {"image": "images/w.nii.gz", "subject_id": "P_3", "age_years": 50.0, "fold": 0},
        ],
        "test": [{"image": "images/z.nii.gz", "subject_id": "P_2"}],
    }  # fmt: skip
    (tmp_path / "list.json").write_text(json.dumps(document))
    result = prepared(tmp_path / "list.json", tmp_path / "out", pictures=False)
    found = load_datalist(result.datalist)
    assert (found.origin, found.folds, found.seed) == ("phantom", 2, 3)
    first, second = found.training
    given = load_datalist(tmp_path / "list.json").training
    assert first == given[0].model_copy(update={"image": first.image})
    assert second == given[1].model_copy(update={"image": second.image})
    assert first.image == "sub-P1/ses-first/anat/sub-P1_ses-first_space-MNI152_desc-brain_T1w.nii.gz"
    assert [(row.subject_id, row.age_years) for row in found.test] == [("P_2", None)]
    assert "Phantom cohort" in result.page.read_text()


def test_scans_that_would_share_a_name_are_told_apart() -> None:
    rows = [
        {"image": "1", "subject_id": subject, "session": session, "listed_image": "x"}
        for subject, session in (("p_1", ""), ("P1", ""), ("p1", "ses-1"), ("p1", "1"), ("--", ""))
    ]
    assert [case.name for case in brain_cases(rows, recipe="1")] == [
        "sub-p1", "sub-P1_run-2", "sub-p1_ses-1", "sub-p1_ses-1_run-2", "sub-unnamed",
    ]  # fmt: skip


def test_what_lies_in_the_output_folder_is_no_input(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    write_scan(scans / "a.nii.gz")
    prepared(scans, scans / "prepared", pictures=False)
    again = prepared(scans, scans / "prepared", pictures=False)
    assert list(again.table["case"]) == ["sub-a"]
    with pytest.raises(InputError, match="no scan to prepare"):
        prepared(scans / "prepared", scans / "prepared", pictures=False)


def test_a_killed_worker_costs_its_case_alone(tmp_path: Path) -> None:
    """As the kernel does when memory runs out; the case is tried again next time."""
    scans = tmp_path / "scans"
    for name, order in {"a": GOOD, "b": KILLED, "c": GOOD}.items():
        write_scan(scans / f"{name}.nii.gz", order)
    result = prepared(scans, tmp_path / "out", jobs=2, pictures=False)
    table = result.table.set_index("case")
    assert list(table["qc"]) == ["pass", "fail", "pass"]
    assert "SIGKILL, most likely for lack of memory" in table.loc["sub-b", "error"]
    assert not multiprocessing.active_children()
    # The file is left as it is: only what the worker dies of is gone.
    again = prepared(scans, tmp_path / "out", pictures=False, make_brain=always_good)
    assert (again.n_made, again.n_kept, again.n_failed) == (1, 2, 0)


def test_workers_are_ended_when_the_caller_is_interrupted() -> None:
    started = time.monotonic()

    def interrupted() -> None:
        for _ in in_workers(slow, [0.0, 600.0, 600.0], jobs=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not multiprocessing.active_children()
    assert time.monotonic() - started < 60


def test_each_task_gets_its_own_outcome() -> None:
    outcomes = dict(in_workers(die, [3, 0], jobs=1))
    assert outcomes[3] == WorkerDeath(3)
    assert outcomes[0] is None
    assert str(WorkerDeath(3)) == "the process ended without a word (exit status 3)"


def test_missing_libraries_end_the_run(tmp_path: Path) -> None:
    """No other scan would fare better, and a table of failures would hide the one cause."""
    with pytest.raises(MissingExtraError, match=r"pip install 'agezoo\[brain\]'"):
        prepared(write_scan(tmp_path / "a.nii.gz", NO_ITK), tmp_path / "out")


@pytest.mark.parametrize(("options", "match"), [({"jobs": -1}, "jobs"), ({"limit": 0}, "limit")])
def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, int], match: str) -> None:
    with pytest.raises(InputError, match=match):
        prepared(write_scan(tmp_path / "a.nii.gz"), tmp_path / "out", **options)
    with pytest.raises(InputError, match="reads no brains"):
        prepare_brains("ct_age", [tmp_path], tmp_path / "out")


def test_the_command_fails_only_if_every_scan_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("agezoo.workflows.brain_preparation_work._brain_to_mni", lambda: stand_in)
    scans = tmp_path / "scans"
    write_scan(scans / "a.nii.gz", FAILS)
    words = ["prepare", "brain_tsan", str(scans), "--out", str(tmp_path / "out"), "--jobs", "0", "--no-pictures"]
    assert main(words) == 1
    assert "failed: sub-a: a.nii.gz: the registration failed" in capsys.readouterr().out
    write_scan(scans / "b.nii.gz")
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 scans prepared (1 now, 0 before)" in printed
    assert "overlap with the template: median 0.960" in printed
