"""From a BIDS dataset to a datalist of brains, and what its check remarks on."""

from __future__ import annotations

import json

import numpy as np
import pytest
from datalist_cases import write_nifti, write_table

from agezoo.data.brain_rows import cohort_problems
from agezoo.data.datalist import DatalistRow
from agezoo.data.datalist_build import build_datalist
from agezoo.data.datalist_check import check_datalist
from agezoo.data.diagnosis import is_control
from agezoo.errors import InputError


@pytest.fixture
def dataset(tmp_path):
    """Six people, the last with two sessions and an age of 89+, and somebody without an image."""
    root = tmp_path / "bids"
    for number in range(1, 6):
        write_nifti(root / f"sub-{number:02d}" / "anat" / f"sub-{number:02d}_T1w.nii.gz", seed=number)
    for session in (1, 2):
        write_nifti(root / "sub-06" / f"ses-{session}" / "anat" / f"sub-06_ses-{session}_T1w.nii.gz", seed=10 + session)
    write_nifti(root / "sub-01" / "anat" / "sub-01_T2w.nii.gz", seed=20)
    lines = ["participant_id\tage\tsex\tgroup\tsite\tiq\tbirth_date"]
    lines += [
        f"sub-{n:02d}\t{50 + n}\t{'FM'[n % 2]}\t{'AD' if n == 5 else 'CN'}\tA\t100\t1950-01-01" for n in range(1, 6)
    ]
    lines += ["sub-06\t70\tn/a\tMCI\tB\tn/a\tn/a", "sub-07\t60\tF\tCN\tA\t90\tn/a"]
    (root / "participants.tsv").write_text("\n".join(lines) + "\n")
    return root


def build(root, **options):
    options = {"folds": 0, "images": root, **options}
    return build_datalist(bundle="brain_tsan", out=root.parent / "d.json", **options)


def test_a_dataset_needs_no_table_beside_its_participants(dataset):
    report = build(dataset)
    first, last = report.datalist.training[0], report.datalist.training[-1]
    assert first.model_dump(exclude_none=True) == {
        "image": str(dataset / "sub-01/anat/sub-01_T1w.nii.gz"),
        "subject_id": "sub-01",
        "age_years": 51,
        "sex": "M",
        "group": "CN",
        "site": "A",
        "covariates": {"iq": 100},
    }
    assert (last.subject_id, last.session, last.age_years, last.group) == ("sub-06", "ses-2", 70, "MCI")
    assert report.left_out == {"T2w image": 1}
    assert any(note.startswith("2 sessions of people with several take the one age") for note in report.notes)
    assert "1 people in participants.tsv have no image here that is listed" in report.notes
    assert "1950" not in (dataset.parent / "d.json").read_text()


def test_sessions_with_ages_of_their_own_are_not_remarked_on(dataset):
    (dataset / "sub-06" / "sub-06_sessions.tsv").write_text("session_id\tage\nses-1\t70.5\nses-2\t72.5\n")
    report = build(dataset)
    assert [row.age_years for row in report.datalist.training[-2:]] == [70.5, 72.5]
    assert not any("take the one age" in note for note in report.notes)


def test_nobody_without_an_age_is_trained_on_and_a_test_row_may_be(dataset):
    table = dataset / "participants.tsv"
    lines = table.read_text().splitlines()
    lines[1], lines[2] = lines[1].replace("51", "89+"), lines[2].replace("52", "n/a")
    table.write_text("\n".join(lines) + "\n")
    report = build(dataset)
    assert report.left_out["age given as a bound (such as 89+), not as an age"] == 1
    assert report.left_out["no age in the table"] == 1
    assert report.datalist.training[0].subject_id == "sub-03"
    flags = ["split", "test", "test", "train", "train", "train", "train", "train"]
    table.write_text("\n".join(f"{line}\t{flag}" for line, flag in zip(lines, flags, strict=True)) + "\n")
    assert [row.subject_id for row in build(dataset, force=True).datalist.test] == ["sub-01", "sub-02"]


def test_unclear_cells_forbid_the_datalist_with_all_reasons_at_once(dataset):
    table = dataset / "participants.tsv"
    table.write_text(table.read_text().replace("\tM\t", "\t1\t").replace("\t52\t", "\tfifty\t"))
    with pytest.raises(InputError, match="4 faults prevent a datalist") as caught:
        build(dataset)
    assert "line 3, column age: 'fifty' is no number" in str(caught.value)
    assert "explain the code under Levels in participants.json" in str(caught.value)


def test_prepared_brains_elsewhere_take_the_participants_table_by_its_name(dataset, tmp_path):
    out = tmp_path / "prepared"
    write_nifti(out / "sub-03" / "anat" / "sub-03_space-MNI152_desc-brain_T1w.nii.gz", seed=3)
    (out / "dataset_description.json").write_text("{}")
    with pytest.raises(InputError, match=r"do not tell the age.*participants\.tsv"):
        build(out)
    report = build(out, table=dataset / "participants.tsv")
    assert [(row.subject_id, row.age_years) for row in report.datalist.training] == [("sub-03", 53)]


def test_fsl_results_in_folders_of_participants_find_their_people(dataset, tmp_path):
    folder = tmp_path / "fsl"
    write_nifti(folder / "sub-02.anat" / "T1_to_MNI_nonlin_brain.nii.gz", seed=2)
    write_nifti(folder / "sub-06" / "ses-1" / "T1_to_MNI_nonlin_brain.nii.gz", seed=6)
    rows = build(folder, table=dataset / "participants.tsv").datalist.training
    assert [(row.subject_id, row.session, row.age_years) for row in rows] == [
        ("sub-02", None, 52),
        ("sub-06", "ses-1", 70),
    ]


def test_a_plain_table_finds_bids_images_with_and_without_their_prefixes(dataset):
    rows = [
        {"subject_id": "01", "session": "", "age": 41, "sex": "F"},
        {"subject_id": "sub-06", "session": "ses-2", "age": 71, "sex": "F"},
    ]
    report = build(dataset, table=write_table(dataset.parent / "t.csv", rows), format="csv")
    assert [(row.subject_id, row.age_years) for row in report.datalist.training] == [("01", 41), ("sub-06", 71)]
    assert report.datalist.training[0].image.endswith("sub-01_T1w.nii.gz")


def test_a_table_of_hyphened_names_finds_the_brains_that_were_prepared_from_them(tmp_path):
    out = tmp_path / "prepared"
    write_nifti(out / "sub-IXI012HH1211" / "anat" / "sub-IXI012HH1211_space-MNI152_desc-brain_T1w.nii.gz")
    table = write_table(tmp_path / "t.csv", [{"subject_id": "IXI012-HH-1211", "age": 38.78, "sex": "M"}])
    (row,) = build(out, table=table).datalist.training
    assert (row.subject_id, row.age_years) == ("IXI012-HH-1211", 38.78)


def test_a_phantom_cohorts_own_table_goes_before_its_participants(dataset):
    rows = [{"subject_id": "sub-01", "session": "ses-1", "image": "sub-01/anat/sub-01_T1w.nii.gz", "age_years": 33}]
    rows[0] |= {"sex": "F", "diagnosis": "CN", "site": "site_a", "test": "True", "deviation_years": 2.5}
    report = build(dataset, table=write_table(dataset / "cohort.csv", rows))
    (row,) = report.datalist.test
    assert (row.age_years, row.group, row.site, row.covariates) == (33, "CN", "site_a", {"deviation_years": 2.5})


def test_a_table_may_name_the_folder_of_an_mr_study(tmp_path, make_slices, write_slices):
    images = tmp_path / "images"
    header = {"Modality": "MR", "StudyInstanceUID": "1.1", "RescaleType": None}
    for number, (name, patient) in enumerate((("T2 tse", "P"), ("MPRAGE", "P"))):
        hu = np.full((12, 10, 40), number, np.int16)
        values = {**header, "SeriesDescription": name, "PatientID": patient, "SeriesInstanceUID": f"1.1.{number}"}
        write_slices(
            images / "P1", make_slices(hu=hu, spacing_mm=(1, 1, 3), intercept=0, **values), prefix=f"S{number}"
        )
    table = write_table(tmp_path / "t.csv", [{"image": "P1", "subject_id": "P1"}])
    (row,) = build(images, table=table).datalist.training
    assert len(row.image) == 40
    assert all("/S1" in file for file in row.image)
    assert (row.age_years, row.sex) == (60, "F")
    for name in ("a", "b"):
        write_nifti(images / "P2" / f"{name}.nii.gz")
    bad = write_table(tmp_path / "t.csv", [{"image": "P2", "subject_id": "P2", "age": 50}])
    with pytest.raises(InputError, match=r"line 2: P2 holds 2 brains: a\.nii\.gz, b\.nii\.gz"):
        build(images, table=bad, force=True)


def test_formats_are_for_brains_and_known_ones(dataset):
    with pytest.raises(InputError, match="--format bids is for brain MRI"):
        build_datalist(bundle="ct_age", images=dataset, out=dataset.parent / "d.json", format="bids")
    with pytest.raises(InputError, match="no such format of a table"):
        build(dataset, format="xml")
    (dataset / "participants.tsv").unlink()
    with pytest.raises(InputError, match=r"no participants\.tsv"):
        build(dataset, format="bids")


def test_several_datasets_are_listed_one_at_a_time(dataset, tmp_path):
    other = tmp_path / "all" / "b"
    write_nifti(other / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    (other / "participants.tsv").write_text("participant_id\tage\nsub-01\t50\n")
    dataset.rename(tmp_path / "all" / "a")
    with pytest.raises(InputError, match="holds several BIDS datasets"):
        build(tmp_path / "all")


def test_patients_are_set_aside_with_all_their_sessions_and_controls_drawn_beside_them(dataset):
    report = build(dataset, patients_to_test=True, test_fraction=0.25)
    assert {row.group for row in report.datalist.training} == {"CN"}
    assert {row.subject_id for row in report.datalist.test} >= {"sub-05", "sub-06"}
    assert len(report.datalist.test) == 4
    assert "3 images of patients moved to the test section (groups: AD, MCI)" in report.notes


@pytest.mark.parametrize("group", [None, "CN", "HC", "Healthy Control", "control", "Cognitively Normal", "NC"])
def test_usual_names_of_controls_are_known(group):
    assert is_control(group)


@pytest.mark.parametrize("group", ["AD", "MCI", "patient", "1", "0", "SCZ"])
def test_every_other_group_may_be_patients(group):
    assert not is_control(group)


def rows(*values):
    return [DatalistRow(image=f"{n}.nii", subject_id=f"s{n}", age_years=50, **one) for n, one in enumerate(values)]


def problems(training, test=()):
    return list(cohort_problems({"training": training, "validation": [], "test": list(test)}))


def test_the_check_counts_unknown_sexes_and_names_patients_in_training():
    training = rows({"sex": "F", "group": "CN"}, {"group": "AD", "sex": "M"}, {"group": "AD"}, {"group": "MCI"})
    told = problems(training, rows({"sex": "F", "group": "AD"}))
    assert [where for where, _ in told] == ["training", "training"]
    assert told[0][1].startswith("sex is unknown in 2 of 4 rows")
    assert told[1][1].startswith("holds groups that may be patients: AD (2), MCI (1)")


def test_the_check_remarks_on_sites():
    known = {"sex": "F", "group": "CN"}
    told = problems(rows({"site": "A", **known}, known), rows({"site": "B", **known}))
    assert told == [
        ("datalist", "site is unknown in 1 of 3 rows, and known in the others"),
        ("test", "holds sites that training does not: B (1)"),
    ]
    young = [DatalistRow(image="i", subject_id=f"a{n}", age_years=30 + n, site="A", sex="F") for n in range(10)]
    old = [DatalistRow(image="i", subject_id=f"b{n}", age_years=60 + n, site="B", sex="M") for n in range(10)]
    ((where, message),) = problems([*young, *old])
    assert where == "training"
    assert message.startswith("mean ages differ between sites (A 34.5, B 64.5 years)")
    assert problems([*young, *[row.model_copy(update={"age_years": row.age_years - 30}) for row in old]]) == []


def test_the_check_of_a_brain_datalist_tells_these_and_ages_outside_the_range(tmp_path):
    content = []
    for number, (age, sex) in enumerate(((17, "F"), (50, None), (98, "M"))):
        write_nifti(tmp_path / f"{number}.nii.gz", seed=number)
        content.append({"image": f"{number}.nii.gz", "subject_id": f"s{number}", "age_years": age, "sex": sex})
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"bundle": "brain_tsan", "test": content}))
    assert [str(fault) for fault in check_datalist(path)] == [
        "test: sex is unknown in 1 of 3 rows; the network, which takes it into account, gets half of each",
        "test[0] (subject s0): age 17 is outside the 18 to 97 years of brain_tsan",
        "test[2] (subject s2): age 98 is outside the 18 to 97 years of brain_tsan",
    ]
    assert [fault for fault in check_datalist(path, bundle="ct_age") if "sex" in fault.message] == []
