"""A cohort on disk: complete, resumable, deterministic, readable, and honest about what it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest

from agezoo.data.read import read_volume
from agezoo.errors import InputError
from agezoo.phantoms.ct_cohort import CtCohort, ensure_ct_cohort, phantom_ct_scan, write_ct_cohort
from agezoo.phantoms.ct_cohort_plan import CohortParameters, plan_ct_cohort
from agezoo.phantoms.torso_ct import phantom_volume

SMALL = {"subjects": 5, "seed": 4, "quick": True, "progress": False, "workers": 1}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CtCohort:
    return write_ct_cohort(tmp_path_factory.mktemp("phantom") / "cohort", **SMALL)  # type: ignore[arg-type]


def fingerprint(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_reader_returns_the_drawn_voxels(cohort: CtCohort) -> None:
    plan = plan_ct_cohort(cohort.parameters)
    assert {scan.settings.descending for scan in plan} == {True, False}
    for scan in (plan[0], plan[-1]):
        drawn = phantom_volume(scan.subject, scan.settings)
        volume = read_volume(cohort.folder / "images" / scan.name)
        assert np.array_equal(volume.hu, drawn.hu)
        assert volume.affine == pytest.approx(drawn.affine, abs=1e-3)
        assert volume.facts.age_years == pytest.approx(scan.subject.age_years, abs=0.01)
        assert volume.facts.sex == scan.subject.sex
        assert volume.facts.kernel == scan.settings.kernel
        assert volume.facts.notes == ()


def test_masks_lie_on_the_ct(cohort: CtCohort) -> None:
    for row in cohort.table.itertuples():
        mask = nib.load(cohort.folder / row.mask)
        volume = read_volume(cohort.folder / row.image)
        assert mask.shape == volume.hu.shape
        assert mask.affine == pytest.approx(volume.affine, abs=1e-3)
        labels = np.asarray(mask.dataobj)
        assert labels.dtype == np.uint8
        assert np.median(volume.hu[labels == 1]) > np.median(volume.hu[labels == 4]) + 15


def test_headers_are_valid_ct_and_say_phantom(cohort: CtCohort) -> None:
    uids: set[str] = set()
    files = sorted((cohort.folder / "images").glob("*/*.dcm"))
    for path in files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        uids.add(header.SOPInstanceUID)
        assert header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID
        assert header.SOPClassUID.name == "CT Image Storage"
        assert header.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert header.PatientID.startswith("PHANTOM-")
        assert str(header.PatientName).startswith("Phantom^")
        assert "phantom" in header.ImageComments.lower()
        assert header.Manufacturer == "AgeZoo phantom"
        assert int(header.PatientAge[:3]) == (int(header.StudyDate) - int(header.PatientBirthDate)) // 10000
        assert header.SliceLocation == header.ImagePositionPatient[2]
        for element in header:
            pydicom.dataelem.DataElement(element.tag, element.VR, element.value, validation_mode=pydicom.config.RAISE)
    assert len(uids) == len(files) == cohort.table["slices"].sum()
    assert all(len(uid) <= 64 for uid in uids)


def test_table_describes_every_scan(cohort: CtCohort) -> None:
    table = pd.read_csv(cohort.folder / "cohort.csv")
    assert len(table) == len(list((cohort.folder / "images").iterdir()))
    assert table["biological_age_years"].to_numpy() == pytest.approx(table["age_years"] + table["deviation_years"])
    assert (table["test"] == (table["site"] == "scanner_b")).all()
    assert table.groupby("subject_id")["test"].nunique().max() == 1
    assert table["age_years"].between(20, 85).all()


def test_description_states_bound_and_origin(cohort: CtCohort) -> None:
    description = json.loads((cohort.folder / "cohort.json").read_text())
    assert description["complete"] is True
    assert description["origin"] == "phantom"
    assert "no person" in description["what"]
    # The mean absolute value of a normal deviation with SD 3 is 3 * sqrt(2 / pi) = 2.394.
    assert description["best_possible_mae_years"] == 2.394


def test_finished_scans_are_kept_and_missing_ones_written(cohort: CtCohort) -> None:
    before = fingerprint(cohort.folder)
    victim = cohort.table["image"][1].removeprefix("images/")
    (cohort.folder / "scans" / f"{victim}.json").unlink()
    (cohort.folder / "images" / victim / "IM0003.dcm").unlink()
    (cohort.folder / "images" / f".{victim}.part").mkdir()
    again = write_ct_cohort(cohort.folder, **SMALL)  # type: ignore[arg-type]
    assert again.written == 1
    assert fingerprint(cohort.folder) == before
    assert write_ct_cohort(cohort.folder, **SMALL).written == 0  # type: ignore[arg-type]


def test_other_parameters_are_refused(cohort: CtCohort) -> None:
    with pytest.raises(InputError, match=r"other parameters.*seed 4.*seed 5.*another folder"):
        ensure_ct_cohort(cohort.folder, **{**SMALL, "seed": 5})  # type: ignore[arg-type]


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        ensure_ct_cohort(tmp_path, **SMALL)  # type: ignore[arg-type]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_parameters_out_of_range_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"subjects.*found: 0"):
        write_ct_cohort(tmp_path / "a", subjects=0, seed=1)
    with pytest.raises(InputError, match=r"age_range_years"):
        write_ct_cohort(tmp_path / "a", subjects=2, seed=1, age_range_years=(60.0, 20.0))


def test_files_do_not_depend_on_the_number_of_processes(cohort: CtCohort, tmp_path: Path) -> None:
    parallel = write_ct_cohort(tmp_path / "two", **{**SMALL, "workers": 2})  # type: ignore[arg-type]
    assert fingerprint(parallel.folder) == fingerprint(cohort.folder)


def test_smaller_cohort_is_the_beginning_of_a_larger_one() -> None:
    small, large = (plan_ct_cohort(CohortParameters(n, seed=3)) for n in (12, 60))
    assert large[: len(small)] == small
    other = plan_ct_cohort(CohortParameters(12, seed=4))
    assert [scan.subject.age_years for scan in other] != [scan.subject.age_years for scan in small]


def test_plan_covers_ages_scanners_and_repeats() -> None:
    plan = plan_ct_cohort(CohortParameters(100, seed=0))
    people = {scan.subject.subject_id: scan for scan in plan}
    assert len(people) == 100
    assert len(plan) == 110
    assert sum(scan.test for scan in people.values()) == 20
    ages = np.array([scan.subject.age_years for scan in people.values()])
    counts, _ = np.histogram(ages, bins=5, range=(20, 85))
    assert counts.min() >= 16
    deviations = np.array([scan.subject.deviation_years for scan in people.values()])
    # 99 % limits of the SD of 100 draws with SD 3 (chi-square with 99 degrees of freedom: 66.5 and 139.0).
    assert 2.46 < deviations.std(ddof=1) < 3.56
    assert abs(np.corrcoef(ages, deviations)[0, 1]) < 0.26
    for first, repeat in pairwise(plan):
        if repeat.settings.session == "repeat":
            assert repeat.subject == first.subject
            assert repeat.settings.study_date > first.settings.study_date
            assert replace(repeat.settings, session="first") != first.settings


def test_scan_in_memory_is_the_cohorts_scan(cohort: CtCohort) -> None:
    scan = phantom_ct_scan(subjects=5, seed=4, index=2)
    assert scan.subject.subject_id == cohort.table["subject_id"][2]
    assert scan.hu.shape[2] == cohort.table["slices"][2]
