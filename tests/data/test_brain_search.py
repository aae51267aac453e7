"""Which T1-weighted brain scans are found in a folder, and what is passed over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datalist_cases import write_nifti

from agezoo.data.brain_search import find_brains, name_without_kind
from agezoo.data.image_search import find_scans
from agezoo.errors import InputError

N_SLICES = 40


def write_files(root: Path, *names: str) -> Path:
    for index, name in enumerate(names):
        path = root / name
        if name.endswith((".nii", ".nii.gz")):
            write_nifti(path, seed=index)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    return root


def found(root: Path) -> list[tuple[str, str | None, str]]:
    return [(brain.subject_id, brain.session, brain.listed) for brain in find_brains(root).brains]


@pytest.fixture
def mr_series(make_slices, write_slices):
    """Write one MR series of 40 slices 3 mm apart; header values by keyword."""

    def write(folder: Path, prefix: str = "IM", **header) -> Path:
        hu = np.arange(12 * 10 * N_SLICES, dtype=np.int16).reshape(12, 10, N_SLICES) % 500
        plain = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType", "ConvolutionKernel"))
        header = {"Modality": "MR", "StudyInstanceUID": "1.1", "PatientID": "SECRET-1", **plain, **header}
        slices = make_slices(hu=hu, spacing_mm=(1.0, 1.0, 3.0), intercept=0, **header)
        return write_slices(folder, slices, prefix=prefix)

    return write


def test_a_bids_dataset_gives_one_t1w_image_per_session(tmp_path):
    write_files(
        tmp_path,
        "dataset_description.json",
        "sub-01/ses-1/anat/sub-01_ses-1_run-1_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_run-2_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_T2w.nii.gz",
        "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-02/anat/sub-02_desc-brain_mask.nii.gz",
        "derivatives/fmriprep/sub-02/anat/sub-02_desc-preproc_T1w.nii.gz",
        "sourcedata/sub-02/anat/sub-02_T1w.nii.gz",
        "masks/label.nii.gz",
    )
    search = find_brains(tmp_path)
    assert [(brain.subject_id, brain.session, brain.files[0].name) for brain in search.brains] == [
        ("sub-01", "ses-1", "sub-01_ses-1_run-1_T1w.nii.gz"),
        ("sub-01", "ses-2", "sub-01_ses-2_T1w.nii"),
        ("sub-02", None, "sub-02_T1w.nii.gz"),
    ]
    assert "read sub-01_ses-1_run-1_T1w.nii.gz rather than sub-01_ses-1_run-2_T1w.nii.gz" in search.brains[0].notes[0]
    assert search.left_out == {
        "further T1w image of the same session": 1,
        "T2w image": 1,
        "bold image": 1,
        "mask image": 1,
        "image in derivatives": 1,
        "image in sourcedata": 1,
        "NIfTI file in a BIDS dataset that is not named as BIDS names images": 1,
    }


def test_finished_brains_are_found_where_the_folder_itself_is_the_derivative(tmp_path):
    folder = tmp_path / "derivatives" / "brains"
    write_files(
        folder,
        "dataset_description.json",
        "sub-01/anat/sub-01_space-MNI152_desc-brain_T1w.nii.gz",
        "sub-02_ses-1_space-MNI152_desc-brain_T1w.nii.gz",
    )
    assert [brain[:2] for brain in found(folder)] == [("sub-01", None), ("sub-02", "ses-1")]


def test_images_of_two_datasets_in_one_folder_are_kept_apart(tmp_path):
    write_files(tmp_path, "a/sub-01/anat/sub-01_T1w.nii.gz", "b/sub-01/anat/sub-01_T1w.nii.gz")
    assert len(found(tmp_path)) == 2


def test_fsl_folders_name_their_subject_and_their_other_images_are_passed_over(tmp_path):
    write_files(
        tmp_path,
        "P1/T1_to_MNI_nonlin_brain.nii.gz",
        "P1/T1_to_MNI_nonlin.nii.gz",
        "P1/T1_biascorr.nii.gz",
        "P1/first_results/T1_first.nii.gz",
        "P2.anat/T1_to_MNI_nonlin.nii.gz",
        "wave1/P3/T1/T1_brain_to_MNI.nii.gz",
    )
    assert found(tmp_path) == [
        ("P1", None, "P1/T1_to_MNI_nonlin_brain.nii.gz"),
        ("P2", None, "P2.anat/T1_to_MNI_nonlin.nii.gz"),
        ("wave1_P3", None, "wave1/P3/T1/T1_brain_to_MNI.nii.gz"),
    ]
    assert find_brains(tmp_path).left_out == {"image beside FSL's result in MNI space": 3}
    assert find_brains(tmp_path / "P1").brains[0].subject_id == "P1"
    assert find_brains(tmp_path / "P2.anat" / "T1_to_MNI_nonlin.nii.gz").brains[0].subject_id == "P2"


def test_plain_files_are_called_after_their_name_without_the_kind_of_image(tmp_path):
    write_files(
        tmp_path, "P1_T1.nii.gz", "P2_T1w_brain.nii", "x/head.nii.gz", "P3_T1.nii", "P3_T1_brain.nii", "P1_T2.nii.gz"
    )
    write_files(tmp_path, "P1_T1_mask.nii.gz", "P2_FLAIR.nii", "P4-DTI-00.nii.gz")
    assert [brain[0] for brain in found(tmp_path)] == ["P1", "P2", "P3_T1", "P3_T1_brain", "head"]
    assert find_brains(tmp_path).left_out == {
        f"image whose name ends in {word}": 1 for word in ("t2", "mask", "flair", "dti")
    }


@pytest.mark.parametrize(
    ("stem", "names"),
    [
        ("P7_T1_brain", ("P7_T1", "P7")),
        ("IXI012-HH-1211-T1_ds", ("IXI012-HH-1211-T1", "IXI012-HH-1211")),
        ("T1", ()),
        ("brainy", ()),
        ("P7", ()),
    ],
)
def test_words_for_the_kind_of_image_are_taken_off_the_end(stem, names):
    assert name_without_kind(stem) == names


def test_a_named_file_is_taken_unless_its_bids_name_says_otherwise(tmp_path):
    write_files(tmp_path, "sub-01_ses-2_T1w.nii.gz", "sub-01_T2w.nii.gz", "P1_T2.nii.gz", "sub-01_part-phase_T1w.nii")
    (brain,) = find_brains(tmp_path / "sub-01_ses-2_T1w.nii.gz").brains
    assert (brain.subject_id, brain.session) == ("sub-01", "ses-2")
    assert find_brains(tmp_path / "P1_T2.nii.gz").brains[0].subject_id == "P1_T2"
    with pytest.raises(InputError, match="no T1-weighted image by its name; found: BIDS suffix T2w"):
        find_brains(tmp_path / "sub-01_T2w.nii.gz")
    with pytest.raises(InputError, match="a phase, label or warp image"):
        find_brains(tmp_path / "sub-01_part-phase_T1w.nii")


def test_a_folder_without_brains_says_what_it_holds(tmp_path):
    write_files(tmp_path, "participants.tsv", "sub-01/anat/sub-01_T2w.nii.gz", "sub-01/anat/sub-01_FLAIR.nii.gz")
    with pytest.raises(InputError, match="no T1-weighted brain images found; found: 1 x FLAIR image, 1 x T2w image"):
        find_brains(tmp_path)


def test_other_formats_are_named_with_the_way_to_convert_them(tmp_path):
    write_files(tmp_path, "a/mri/orig.mgz", "b/T1.img", "b/T1.hdr")
    with pytest.raises(InputError, match=r"found: 2 Analyze files, 1 FreeSurfer file.*convert them to NIfTI first"):
        find_brains(tmp_path)


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(InputError, match="found: an empty folder; expected: a BIDS dataset"):
        find_brains(tmp_path)


def test_of_an_mr_study_the_t1_weighted_series_is_found_and_nobody_named(tmp_path, mr_series):
    mr_series(tmp_path / "P1" / "t2", SeriesInstanceUID="1.1.1", SeriesDescription="t2_spc_sag SECRET")
    mr_series(tmp_path / "P1" / "t1", SeriesInstanceUID="1.1.2", SeriesDescription="t1_mprage_sag SECRET")
    mr_series(tmp_path / "P2", StudyInstanceUID="2.1", SeriesDescription="FLAIR SECRET", PatientID="SECRET-2")
    write_nifti(tmp_path / "P3_T1.nii.gz")
    first, second, third = find_brains(tmp_path).brains
    assert (first.subject_id, first.listed, len(first.files), first.error) == ("P1_t1", "P1/t1", N_SLICES, None)
    assert {file.parent.name for file in first.files} == {"t1"}
    assert second.subject_id == "P2"
    assert "no T1-weighted volume found; found: 1 series FLAIR" in second.error
    assert third.subject_id == "P3"
    assert "SECRET" not in repr([first, second, third]).upper()


def test_a_folder_of_other_modalities_says_so(tmp_path, make_slices, write_slices):
    write_slices(tmp_path, make_slices())
    with pytest.raises(InputError, match="no MR images found; found: 8 CT images"):
        find_brains(tmp_path)


def test_scans_of_a_table_are_brains_with_every_name_that_a_table_may_use(tmp_path, mr_series):
    mr_series(tmp_path / "P1" / "t1", SeriesInstanceUID="1.1.2", SeriesDescription="MPRAGE")
    mr_series(tmp_path / "P2", StudyInstanceUID="2.1", SeriesInstanceUID="2.1.1", SeriesDescription="MPRAGE")
    mr_series(tmp_path / "P2", "T2", StudyInstanceUID="2.1", SeriesInstanceUID="2.1.2", SeriesDescription="T2")
    write_files(tmp_path, "P7_T1.nii.gz", "b/sub-01_ses-2_T1w.nii.gz")
    by_name = {scan.names[-1]: scan for scan in find_scans(tmp_path, modality="MR", reader="brain")}
    assert len(by_name) == 4
    assert by_name["t1"].files == (tmp_path / "P1" / "t1",)
    assert len(by_name["P2"].files) == N_SLICES
    assert by_name["P7_T1"].names == ("P7", "P7_T1")
    assert {"b", "sub-01", "ses-2", "01", "2"} < set(by_name["sub-01_ses-2_T1w"].names)
