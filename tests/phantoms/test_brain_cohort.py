"""A brain cohort on disk: complete, resumable, deterministic, in BIDS's manner, and with the planted change in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from agezoo.cli import main
from agezoo.data.datalist import load_datalist
from agezoo.data.masked_cohort import find_masked_scans, label_names, read_labels
from agezoo.data.phantom_datalist import ensure_phantom_datalist
from agezoo.data.read import read_volume
from agezoo.errors import InputError
from agezoo.phantoms.brain_cohort import BrainCohort, ensure_brain_cohort, phantom_brain_scan, write_brain_cohort
from agezoo.phantoms.brain_labels import LABELS
from agezoo.phantoms.brain_plan import BrainCohortParameters, PlannedBrainScan, plan_brain_cohort

pytest.importorskip("nilearn", reason="the brain phantom is made from nilearn's template")

SMALL = {"subjects": 7, "seed": 3, "space": "mni", "quick": True, "progress": False}
HEADS = {**SMALL, "subjects": 2, "space": "head"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> BrainCohort:
    return write_brain_cohort(tmp_path_factory.mktemp("phantom") / "cohort", **SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> BrainCohort:
    return write_brain_cohort(tmp_path_factory.mktemp("phantom") / "heads", **HEADS)  # type: ignore[arg-type]


def fingerprint(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def planned(
    space: str = "mni", *, age_years: float = 50.0, diagnosis: str = "CN", quick: bool = True
) -> PlannedBrainScan:
    scan = plan_brain_cohort(BrainCohortParameters(1, 5, space=space, quick=quick))[0]  # type: ignore[arg-type]
    return replace(scan, subject=replace(scan.subject, age_years=age_years, deviation_years=0.0, diagnosis=diagnosis))


def volumes_ml(scan: PlannedBrainScan) -> dict[str, float]:
    return measured(scan)[0]


def measured(scan: PlannedBrainScan) -> tuple[dict[str, float], float]:
    """Volume of each region, and the white matter's brightness as a share of what the scanner gives a young one's."""
    drawn = phantom_brain_scan(scan)
    voxel_ml = abs(np.linalg.det(drawn.affine[:3, :3])) / 1000
    white = float(np.median(drawn.voxels[drawn.labels == LABELS["white_matter"]]))
    volumes = {name: float((drawn.labels == value).sum() * voxel_ml) for name, value in LABELS.items()}
    return volumes, white / scan.settings.white_stored


def test_brains_lie_on_fsls_grid_with_nothing_but_zero_around(cohort: BrainCohort) -> None:
    assert len(cohort.table) >= 7
    for row in cohort.table.itertuples():
        image, mask = nib.load(cohort.folder / row.image), nib.load(cohort.folder / row.mask)
        assert image.shape == mask.shape == (46, 55, 46)
        assert image.affine.tolist() == [[-4, 0, 0, 90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]]
        voxels, labels = np.asarray(image.dataobj), np.asarray(mask.dataobj)
        assert voxels.min() == 0
        assert 1200 < (voxels > 0).sum() * 0.064 < 2300  # mL
        assert (voxels[labels > 0] > 0).all()
        assert set(np.unique(labels)) == set(LABELS.values())


def test_full_size_is_two_millimetres() -> None:
    drawn = phantom_brain_scan(planned(quick=False))
    assert drawn.voxels.shape == drawn.labels.shape == (91, 109, 91)
    assert drawn.affine.tolist() == [[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]]


def test_brain_of_the_same_person_ages() -> None:
    (young, young_white), (old, old_white) = measured(planned(age_years=25.0)), measured(planned(age_years=85.0))
    assert old_white < young_white - 0.05
    assert old["ventricles"] > 1.8 * young["ventricles"]
    assert old["sulcal_csf"] > 1.4 * young["sulcal_csf"]
    assert old["cortex"] < 0.9 * young["cortex"]
    assert old["hippocampi"] < 0.9 * young["hippocampi"]
    patient = volumes_ml(planned(age_years=85.0, diagnosis="AD"))
    assert patient["hippocampi"] < 0.95 * old["hippocampi"]
    assert patient["ventricles"] == pytest.approx(old["ventricles"], rel=0.05)


def test_heads_are_stored_as_planned_with_a_brain_inside(heads: BrainCohort) -> None:
    for scan in plan_brain_cohort(heads.parameters):
        row = heads.table.set_index("subject_id").loc[scan.subject.subject_id]
        image = nib.load(heads.folder / row["image"])
        spacing = sorted(float(step) for step in np.linalg.norm(image.affine[:3, :3], axis=0))
        assert spacing == pytest.approx(sorted(scan.settings.voxel_mm), abs=1e-4)
        assert "".join(nib.aff2axcodes(image.affine)) == scan.settings.orientation
        read, labels = read_volume(heads.folder / row["image"], modality="MR"), read_labels(heads.folder / row["mask"])
        assert read.hu.shape == labels.hu.shape
        mean = {name: read.hu[labels.hu == value].mean() for name, value in LABELS.items()}
        assert mean["white_matter"] > mean["cortex"] > mean["ventricles"]
        assert mean["ventricles"] < 0.5 * mean["white_matter"]
        # Scalp and face shine outside the brain; the corners of the scan are air.
        assert (read.hu[labels.hu == 0] > 0.6 * mean["white_matter"]).sum() > 0.03 * read.hu.size
        assert read.hu[:3, :3, -3:].mean() < 0.2 * mean["white_matter"]


def test_two_scans_of_a_head_show_the_same_brain() -> None:
    first = planned("head")
    plan = plan_brain_cohort(BrainCohortParameters(1, 6, space="head", quick=True))
    second = replace(first, settings=plan[0].settings)
    a, b = volumes_ml(first), volumes_ml(second)
    for name in ("ventricles", "cortex", "white_matter"):
        assert a[name] == pytest.approx(b[name], rel=0.04)


def test_the_folder_is_a_bids_data_set(heads: BrainCohort, cohort: BrainCohort) -> None:
    for made, kind in ((heads, "raw"), (cohort, "derivative")):
        description = json.loads((made.folder / "dataset_description.json").read_text())
        assert description["DatasetType"] == kind
        assert {"Name", "BIDSVersion"} <= set(description)
        people = pd.read_csv(made.folder / "participants.tsv", sep="\t")
        assert list(people.columns) == ["participant_id", "age", "sex", "diagnosis", "site"]
        assert list(people["participant_id"]) == list(made.table["subject_id"].drop_duplicates())
        for person, rows in made.table.groupby("subject_id"):
            sessions = pd.read_csv(made.folder / str(person) / f"{person}_sessions.tsv", sep="\t")
            assert list(sessions["session_id"]) == list(rows["session"])
    image = heads.table["image"].iloc[0]
    assert image == "sub-phantom0001/ses-1/anat/sub-phantom0001_ses-1_T1w.nii.gz"
    assert (heads.folder / image.replace(".nii.gz", ".json")).is_file()
    assert cohort.table["image"].iloc[0].endswith("sub-phantom0001_ses-1_space-MNI152_desc-brain_T1w.nii.gz")


def test_patients_get_into_the_test_section_with_their_diagnosis_as_group(cohort: BrainCohort) -> None:
    datalist = load_datalist(ensure_phantom_datalist(cohort.folder, bundle="brain_tsan", folds=2))
    assert datalist.origin == "phantom"
    assert {row.group for row in datalist.training} == {"CN"}
    assert {row.site for row in datalist.training} == {"site_a"}
    assert {"CN", "MCI", "AD"} == {row.group for row in datalist.test}
    assert {row.site for row in datalist.test} == {"site_b"}


def test_masks_are_found_with_their_names(cohort: BrainCohort) -> None:
    scans = find_masked_scans(cohort.folder)
    assert len(scans) == len(cohort.table)
    names = label_names(scans[0].mask, np.zeros(1))
    assert names == {name: value for name, value in LABELS.items() if value}


def test_description_tells_the_bounds(cohort: BrainCohort) -> None:
    content = json.loads((cohort.folder / "cohort.json").read_text())
    assert content["complete"] is True
    assert content["origin"] == "phantom"
    assert content["labels"] == LABELS
    assert content["best_possible_mae_years"] == pytest.approx(3.0 * np.sqrt(2 / np.pi), abs=1e-3)
    controls = cohort.table[cohort.table["diagnosis"] == "CN"].drop_duplicates("subject_id")
    assert content["perfect_reader_mae_years"] == pytest.approx(controls["deviation_years"].abs().mean(), abs=1e-3)
    assert content["best_possible_auroc"]["AD/CN"]["expected"] == pytest.approx(0.9386, abs=1e-4)
    test = cohort.table[cohort.table["test"]].drop_duplicates("subject_id").set_index("diagnosis")["deviation_years"]
    pairs = [float(a > c) for a in np.atleast_1d(test["AD"]) for c in np.atleast_1d(test["CN"])]
    assert content["best_possible_auroc"]["AD/CN"]["this_cohort"] == pytest.approx(np.mean(pairs))


def test_an_interrupted_cohort_is_completed_with_the_same_bytes(cohort: BrainCohort) -> None:
    before = fingerprint(cohort.folder)
    row = cohort.table.iloc[2]
    # As a kill leaves it: half an image, no row of it, no table.
    image = cohort.folder / row["image"]
    image.write_bytes(image.read_bytes()[:999])
    (cohort.folder / "scans" / f"{row['subject_id']}_{row['session']}.json").unlink()
    (cohort.folder / "cohort.csv").unlink()
    again = write_brain_cohort(cohort.folder, **SMALL)  # type: ignore[arg-type]
    assert again.written == 1
    assert fingerprint(cohort.folder) == before
    assert write_brain_cohort(cohort.folder, **SMALL).written == 0  # type: ignore[arg-type]


def test_another_cohort_is_never_overwritten(cohort: BrainCohort) -> None:
    with pytest.raises(InputError, match="deviation_sd_years"):
        ensure_brain_cohort(cohort.folder, 7, deviation_sd_years=2.0, seed=3, space="mni", quick=True)


@pytest.mark.slow
def test_workers_do_not_change_a_byte(cohort: BrainCohort, tmp_path: Path) -> None:
    write_brain_cohort(tmp_path / "again", workers=2, **SMALL)  # type: ignore[arg-type]
    assert {k: v for k, v in fingerprint(tmp_path / "again").items() if k != "datalist.json"} == {
        k: v for k, v in fingerprint(cohort.folder).items() if k != "datalist.json"
    }


def test_the_command_line_refuses_options_of_other_bundles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantom", "brain_tsan", "--vfa-subjects", "3", "--out", str(tmp_path / "c")]) != 0
    assert "--vfa-subjects" in capsys.readouterr().err
    assert main(["phantom", "ct_age", "--space", "mni", "--out", str(tmp_path / "c")]) != 0
    assert "--space" in capsys.readouterr().err
