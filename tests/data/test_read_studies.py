"""Finding the studies in a folder of many people."""

from __future__ import annotations

import numpy as np
import pytest

from agezoo.data.read import discover_studies, read_volume
from agezoo.errors import InputError


def test_every_study_comes_back_once_with_its_chosen_series(tmp_path, make_slices, write_slices, torso_hu):
    write_slices(tmp_path / "a" / "thick", make_slices(StudyInstanceUID="1.1", PatientID="A"))
    short = make_slices(hu=torso_hu[:, :, :4], StudyInstanceUID="1.1", PatientID="A", SeriesNumber=9)
    write_slices(tmp_path / "a" / "short", short)
    write_slices(tmp_path / "a2", make_slices(StudyInstanceUID="1.2", PatientID="A", StudyDate="20250301"))
    write_slices(tmp_path / "b", make_slices(StudyInstanceUID="2.1", PatientID="B", PatientSex="M"))
    write_slices(tmp_path / "mr", make_slices(StudyInstanceUID="3.1", PatientID="C", Modality="MR"))

    first, second, third = discover_studies(tmp_path)
    assert [study.folder for study in (first, second, third)] == [
        tmp_path / "a" / "thick",
        tmp_path / "a2",
        tmp_path / "b",
    ]
    assert len(first.files) == 8
    assert [study.error for study in (first, second, third)] == [None, None, None]
    assert [study.facts.age_years for study in (first, second, third)] == [60.0, 65.0, 60.0]
    assert third.facts.sex == "M"
    assert first.facts.patient_key == second.facts.patient_key != third.facts.patient_key
    assert "2 CT series found" in first.facts.notes[0]
    np.testing.assert_array_equal(read_volume(first.files).hu, torso_hu[:, ::-1])


def test_a_faulty_study_does_not_stop_the_others(tmp_path, make_slices, write_slices):
    faulty = make_slices(PatientID="SECRET-A")
    del faulty[2]
    write_slices(tmp_path / "a", faulty)
    write_slices(tmp_path / "b", make_slices(PatientID="SECRET-B"))
    bad, good = discover_studies(tmp_path)
    assert "slices are missing" in bad.error
    assert "SECRET" not in bad.error
    assert str(tmp_path / "a") in bad.error
    assert len(bad.files) == 7
    assert bad.facts.age_years == 60.0
    assert good.error is None


def test_empty_uids_are_grouped_by_folder(tmp_path, make_slices, write_slices):
    anonymous = {"StudyInstanceUID": "", "SeriesInstanceUID": "", "PatientID": ""}
    write_slices(tmp_path / "a", make_slices(**anonymous))
    write_slices(tmp_path / "b", make_slices(**anonymous))
    studies = discover_studies(tmp_path)
    assert [study.folder.name for study in studies] == ["a", "b"]
    assert [study.error for study in studies] == [None, None]
    assert studies[0].facts.patient_key is None
    assert studies[0].facts.study_uid is None


def test_people_who_share_a_study_uid_are_kept_apart(tmp_path, make_slices, write_slices):
    uids = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"}
    write_slices(tmp_path, make_slices(PatientID="A", **uids), prefix="A")
    write_slices(tmp_path, make_slices(PatientID="B", **uids), prefix="B")
    assert [len(study.files) for study in discover_studies(tmp_path)] == [8, 8]


def test_nifti_files_count_only_when_asked_for(tmp_path, make_slices, write_slices, write_nifti):
    write_slices(tmp_path / "a", make_slices())
    good = write_nifti(tmp_path / "b.nii.gz")
    bad = write_nifti(tmp_path / "c.nii", sform_code=0, qform_code=0)
    assert len(discover_studies(tmp_path)) == 1
    dicom, first, second = discover_studies(tmp_path, include_nifti=True)
    assert dicom.folder == tmp_path / "a"
    assert (first.files, first.error) == ((good,), None)
    assert second.files == (bad,)
    assert "does not say how it lies in the body" in second.error


def test_a_folder_without_any_study_says_what_it_holds(tmp_path, make_slices, write_slices, write_nifti):
    with pytest.raises(InputError, match="no such file or folder"):
        discover_studies(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="the folder is empty"):
        discover_studies(tmp_path / "empty")
    write_slices(tmp_path / "mr", make_slices(Modality="MR"))
    with pytest.raises(InputError, match="no CT images found; found: 8 MR images"):
        discover_studies(tmp_path / "mr")
    (tmp_path / "nifti").mkdir()
    write_nifti(tmp_path / "nifti" / "scan.nii")
    assert discover_studies(tmp_path / "nifti") == []
