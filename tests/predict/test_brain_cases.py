"""Which brains among a user's files are cases, and what is known of their people."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from agezoo.predict.cases import find_cases


def write_head(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.int16), np.diag([-1, 1, 1, 1])), path)
    return path


def cases(*inputs: Path) -> list[dict]:
    return find_cases(inputs, modality="MR", reader="brain")


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "bids"
    for session in (1, 2):
        write_head(root / "sub-01" / f"ses-{session}" / "anat" / f"sub-01_ses-{session}_T1w.nii.gz")
    write_head(root / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    write_head(root / "sub-02" / "anat" / "sub-02_T2w.nii.gz")
    write_head(root / "sub-03" / "anat" / "sub-03_T1w.nii.gz")
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tdx\tname\nsub-01\t70\tF\tAD\tSecret\nsub-02\t89+\t1\tCN\tSecret\n"
    )
    (root / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\nses-1\t70.5\nses-2\t72.5\n")
    return root


def test_a_bids_dataset_gives_cases_with_session_age_sex_and_group(dataset):
    rows = cases(dataset)
    assert [(row["subject_id"], row.get("session"), row["listed_image"]) for row in rows] == [
        ("sub-01", "ses-1", "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"),
        ("sub-01", "ses-2", "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz"),
        ("sub-02", None, "sub-02/anat/sub-02_T1w.nii.gz"),
        ("sub-03", None, "sub-03/anat/sub-03_T1w.nii.gz"),
    ]
    assert [row.get("age_years") for row in rows] == [70.5, 72.5, None, None]
    assert [row.get("sex") for row in rows] == ["F", "F", None, None]
    assert [row.get("group") for row in rows] == ["AD", "AD", "CN", None]
    assert rows[0]["image"] == str(dataset / "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz")
    assert "error" not in rows[0]
    assert "Secret" not in repr(rows)


def test_a_subject_folder_or_file_of_a_dataset_knows_its_person_too(dataset):
    folder, file = dataset / "sub-01", dataset / "sub-01" / "ses-2" / "anat" / "sub-01_ses-2_T1w.nii.gz"
    assert [row["age_years"] for row in cases(folder)] == [70.5, 72.5]
    (row,) = cases(file)
    assert (row["subject_id"], row["session"], row["age_years"]) == ("sub-01", "ses-2", 72.5)


def test_a_broken_table_of_participants_costs_the_ages_and_nothing_else(dataset, caplog):
    (dataset / "participants.tsv").write_text("participant_id\tage\nsub-01\n")
    with caplog.at_level(logging.WARNING, logger="agezoo"):
        rows = cases(dataset)
    assert len(rows) == 4
    assert not any("age_years" in row for row in rows)
    assert "ages and sexes are not known" in caplog.text


def test_inputs_that_share_a_name_are_told_apart_and_sessions_are_not(dataset, tmp_path):
    plain = write_head(tmp_path / "a" / "P1_T1.nii.gz"), write_head(tmp_path / "b" / "P1_T1.nii.gz")
    assert [row["subject_id"] for row in cases(*plain, dataset / "sub-01")] == ["P1", "P1_2", "sub-01", "sub-01"]
    assert [row["subject_id"] for row in cases(dataset / "sub-02", dataset / "sub-02")] == ["sub-02", "sub-02_2"]


def test_a_choice_among_several_images_is_told_with_the_case(tmp_path):
    for run in (1, 2):
        write_head(tmp_path / f"sub-01_run-{run}_T1w.nii.gz")
    (row,) = cases(tmp_path)
    assert "2 T1w images of one session, read sub-01_run-1_T1w.nii.gz" in row["reading_notes"]


def test_what_is_no_brain_is_a_row_with_its_reason(tmp_path):
    t2 = write_head(tmp_path / "sub-01_T2w.nii.gz")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("nothing")
    rows = cases(t2, tmp_path / "notes", tmp_path / "absent")
    assert "is no T1-weighted image by its name" in rows[0]["error"]
    assert "no T1-weighted brain images found; found: 1 file of other kinds" in rows[1]["error"]
    assert "no such file or folder" in rows[2]["error"]


def test_rows_of_a_datalist_keep_their_names(tmp_path):
    write_head(tmp_path / "a.nii.gz")
    content = [{"image": "a.nii.gz", "subject_id": "s", "session": session} for session in ("1", "1")]
    (tmp_path / "d.json").write_text(json.dumps({"test": content}))
    assert [row["subject_id"] for row in cases(tmp_path / "d.json")] == ["s", "s"]


@pytest.mark.sample_data
def test_a_folder_of_real_heads_is_seven_cases(sample_data):
    rows = cases(sample_data / "brain")
    assert [row["subject_id"] for row in rows] == [
        "IXI012-HH-1211",
        "IXI013-HH-1212",
        "IXI034-HH-1260",
        "IXI048-HH-1326",
        "IXI051-HH-1328",
        "IXI329-HH-1908",
        "IXI533-Guys-1066",
    ]
    assert not any("error" in row for row in rows)
