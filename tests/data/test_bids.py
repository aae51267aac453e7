"""What BIDS file names say, and which of several T1-weighted images of a session is read."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from agezoo.data.bids import choose_t1, is_dataset, parse_bids_name, participants_file


def write_head(path: Path, voxel_mm: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    nib.save(nib.Nifti1Image(voxels, np.diag([-voxel_mm, 1, 1, 1])), path)
    return path


def test_subject_session_and_kind_are_read_from_the_name():
    image = parse_bids_name(Path("/d/sub-01/ses-a/anat/sub-01_ses-a_acq-hires_run-2_T1w.nii.gz"))
    assert (image.subject, image.session, image.suffix) == ("sub-01", "ses-a", "T1w")
    assert image.entities["run"] == "2"
    assert (image.is_t1, image.is_derived, image.is_finished) == (True, False, False)
    assert image.dataset == Path("/d")


@pytest.mark.parametrize(
    "name",
    ["IXI012-HH-1211-T1.nii.gz", "sub-01.nii.gz", "sub-01_ses-2.nii.gz", "T1_sub-01_T1w.nii", "sub-01_sub-02_T1w.nii"],
)
def test_other_names_are_not_bids(name):
    assert parse_bids_name(Path(name)) is None


@pytest.mark.parametrize(
    "name",
    [
        "sub-01_T2w",
        "sub-01_FLAIR",
        "sub-01_task-rest_bold",
        "sub-01_desc-brain_mask",
        "sub-01_dseg",
        "sub-01_part-phase_T1w",
        "sub-01_label-GM_probseg",
        "sub-01_label-CSF_T1w",
        "sub-01_from-T1w_to-MNI152_mode-image_xfm",
    ],
)
def test_nothing_but_the_magnitude_of_a_t1w_image_is_one(name):
    assert not parse_bids_name(Path(f"{name}.nii.gz")).is_t1


def test_finished_brains_are_known_by_their_name():
    image = parse_bids_name(Path("/out/sub-01_ses-2_space-MNI152_desc-brain_T1w.nii.gz"))
    assert image.is_finished
    assert image.dataset == Path("/out")
    assert not parse_bids_name(Path("sub-01_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii.gz")).is_finished


def chosen(folder, *names, voxel_mm=None):
    sizes = voxel_mm or {}
    images = [parse_bids_name(write_head(folder / f"sub-1_{name}.nii.gz", sizes.get(name, 1.0))) for name in names]
    image, note = choose_t1(images)
    assert (f"read {image.path.name}" in note) == (len(names) > 1)
    return image.path.name.removeprefix("sub-1_").removesuffix(".nii.gz")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["T1w"], "T1w"),
        (["run-2_T1w", "run-1_T1w", "run-10_T1w"], "run-1_T1w"),
        (["run-10_T1w", "run-9_T1w"], "run-9_T1w"),
        (["acq-mprage_run-1_T1w", "run-2_T1w"], "run-2_T1w"),
        (["rec-norm_T1w", "T1w"], "T1w"),
        (["acq-a_rec-b_T1w", "acq-b_T1w"], "acq-b_T1w"),
        (["ce-gad_T1w", "acq-pre_T1w"], "acq-pre_T1w"),
        (["space-MNI152_desc-brain_T1w", "acq-x_ce-gad_T1w"], "acq-x_ce-gad_T1w"),
        (["desc-preproc_T1w", "space-MNI152_desc-brain_T1w"], "space-MNI152_desc-brain_T1w"),
        (["space-MNI152NLin6Asym_desc-preproc_T1w", "desc-preproc_T1w"], "desc-preproc_T1w"),
    ],
)
def test_one_image_of_a_session_is_chosen_by_the_rule(tmp_path, names, expected):
    assert chosen(tmp_path, *names) == expected


def test_a_clearly_finer_image_goes_before_a_plainer_name_and_equal_ones_do_not(tmp_path):
    assert chosen(tmp_path, "T1w", "acq-iso_T1w", voxel_mm={"T1w": 4.0}) == "acq-iso_T1w"
    assert chosen(tmp_path, "run-1_T1w", "run-2_T1w", voxel_mm={"run-1_T1w": 1.1}) == "run-1_T1w"


def test_a_damaged_image_is_chosen_last(tmp_path):
    (tmp_path / "sub-1_run-1_T1w.nii.gz").write_bytes(b"no image")
    sound = write_head(tmp_path / "sub-1_run-2_T1w.nii.gz")
    image, _ = choose_t1([parse_bids_name(tmp_path / "sub-1_run-1_T1w.nii.gz"), parse_bids_name(sound)])
    assert image.path == sound


def test_a_derivative_without_a_table_takes_that_of_its_raw_dataset(tmp_path):
    derived = tmp_path / "derivatives" / "brains"
    derived.mkdir(parents=True)
    assert participants_file(derived) is None
    assert not is_dataset(tmp_path)
    (tmp_path / "participants.tsv").write_text("participant_id\n")
    assert is_dataset(tmp_path)
    assert participants_file(derived) == tmp_path / "participants.tsv"
    (derived / "participants.tsv").write_text("participant_id\n")
    assert participants_file(derived) == derived / "participants.tsv"
