"""From a folder and a table, or from headers alone, to a datalist."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from datalist_cases import nifti_cohort, write_ct_study, write_empty_nifti, write_table

from agezoo.data.datalist import load_datalist
from agezoo.data.datalist_build import BuildReport, build_datalist
from agezoo.errors import InputError


def build(folder: Path, rows: list[dict[str, object]] | None = None, **options: object) -> BuildReport:
    """Build ``list.json`` in the folder's parent from images in the folder and, if given, a table of the rows."""
    if rows is not None:
        options["table"] = write_table(folder / "table.csv", rows)
    return build_datalist(bundle="ct_age", images=folder, out=folder.parent / "list.json", **options)  # type: ignore[arg-type]


def test_a_table_becomes_five_folds_with_paths_relative_to_the_datalist(tmp_path: Path) -> None:
    report = build(tmp_path / "images", nifti_cohort(tmp_path / "images", 40), seed=3)
    datalist = load_datalist(report.path)
    assert datalist.training[0].image == "images/s000.nii.gz"
    assert (datalist.bundle, datalist.folds, datalist.seed) == ("ct_age", 5, 3)
    assert np.bincount([row.fold for row in datalist.training]).tolist() == [8] * 5
    assert [summary.name for summary in report.splits] == [f"fold {k}" for k in range(5)]
    assert "fold 0: 8 images of 8 subjects, age" in report.render()


@pytest.mark.parametrize("says", ['{"phantom": true}', '{"origin": "phantom"}'])
def test_a_phantom_cohort_keeps_its_test_rows_its_truth_and_its_origin(tmp_path: Path, says: str) -> None:
    cohort = tmp_path / "cohort"
    rows = []
    for index, row in enumerate(nifti_cohort(cohort, 12)):
        truth = {"deviation_years": -1.25, "biological_age_years": 40, "site": "A", "session": "ses-1"}
        rows.append({**row, **truth, "test": index >= 10})
    (cohort / "cohort.json").write_text(says)
    table = write_table(cohort / "cohort.csv", rows)
    build_datalist(bundle="ct_age", images=cohort, table=table, out=cohort / "datalist.json", folds=5)
    document = json.loads((cohort / "datalist.json").read_text())
    assert document["origin"] == "phantom"
    assert [row["subject_id"] for row in document["test"]] == ["s010", "s011"]
    assert {row["fold"] for row in document["training"]} == {0, 1, 2, 3, 4}
    assert not any("fold" in row for row in document["test"])
    assert document["training"][0]["covariates"] == {"deviation_years": -1.25, "biological_age_years": 40}
    assert document["training"][0]["image"] == "s000.nii.gz"


def test_masks_are_found_from_the_tables_folder_wherever_the_datalist_lies(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    rows = [{**row, "mask": f"masks/{row['subject_id']}.nii.gz"} for row in nifti_cohort(cohort, 10)]
    for row in rows[:-1]:
        write_empty_nifti(cohort / str(row["mask"]))
    table = write_table(cohort / "cohort.csv", rows)
    (tmp_path / "elsewhere").mkdir()
    out = tmp_path / "elsewhere" / "datalist.json"
    report = build_datalist(bundle="ct_age", images=cohort, table=table, out=out, folds=2)
    datalist = load_datalist(out)
    assert datalist.training[0].covariates["mask"] == "../cohort/masks/s000.nii.gz"
    assert datalist.training[-1].covariates["mask"] == "masks/s009.nii.gz"
    assert any("1 masks that the table names are not there" in note and "s009" in note for note in report.notes)


def test_a_test_fraction_is_drawn_by_subject(tmp_path: Path) -> None:
    rows = nifti_cohort(tmp_path / "images", 20)
    second = write_empty_nifti(tmp_path / "images" / "again.nii.gz")
    rows = [{**row, "session": "a"} for row in rows] + [{**rows[0], "image": second.name, "session": "b"}]
    report = build(tmp_path / "images", rows, test_fraction=0.25)
    test = {row.subject_id for row in report.datalist.test}
    assert len(test) == 5
    assert not test & {row.subject_id for row in report.datalist.training}


def test_a_test_fraction_beside_named_test_rows_is_refused(tmp_path: Path) -> None:
    rows = [{**row, "test": index < 2} for index, row in enumerate(nifti_cohort(tmp_path / "images", 12))]
    with pytest.raises(InputError, match=r"names test rows already.*2 test rows"):
        build(tmp_path / "images", rows, test_fraction=0.2)


def test_images_are_matched_by_whole_names_never_by_their_beginning(tmp_path: Path) -> None:
    images = tmp_path / "images"
    write_empty_nifti(images / "P1.nii.gz")
    write_empty_nifti(images / "P10.nii.gz")
    write_empty_nifti(images / "P2" / "thorax.nii.gz")
    write_empty_nifti(images / "sub-3" / "ses-1" / "sub-3_ses-1_ct.nii.gz")
    write_empty_nifti(images / "sub-3" / "ses-2" / "sub-3_ses-2_ct.nii.gz")
    write_empty_nifti(images / "P4_first" / "a.nii.gz")
    write_empty_nifti(images / "P4_second" / "a.nii.gz")
    rows = [
        {"subject_id": "P1", "session": "", "age": 40, "sex": "F"},
        {"subject_id": "P2", "session": "", "age": 50, "sex": "M"},
        {"subject_id": "sub-3", "session": "ses-2", "age": 60, "sex": "M"},
        {"subject_id": "P4", "session": "second", "age": 60, "sex": "M"},
    ]
    report = build(images, rows, folds=0)
    assert [row.image for row in report.datalist.training] == [
        str(images / "P1.nii.gz"),
        str(images / "P2" / "thorax.nii.gz"),
        str(images / "P4_second" / "a.nii.gz"),
        str(images / "sub-3" / "ses-2" / "sub-3_ses-2_ct.nii.gz"),
    ]
    assert report.left_out == {"image that no row of the table means": 3}


def test_all_rows_that_cannot_be_matched_are_told_at_once(tmp_path: Path) -> None:
    images = tmp_path / "images"
    for name in ("P1/a.nii.gz", "P1/b.nii.gz", "P2/a.nii.gz"):
        write_empty_nifti(images / name)
    rows = [
        {"subject_id": "P1", "age": 40, "sex": "F"},
        {"subject_id": "P2", "age": 50, "sex": "1"},
        {"subject_id": "P2", "age": 51, "sex": "F"},
        {"subject_id": "P9", "age": "young", "sex": "F"},
    ]
    with pytest.raises(InputError) as caught:
        build(images, rows)
    message = str(caught.value)
    assert "line 2: 2 images are named after subject 'P1': P1/a.nii.gz, P1/b.nii.gz" in message
    assert "line 3, column sex: '1' does not say which sex is meant" in message
    assert "line 4: P2/a.nii.gz is already meant by line 3" in message
    assert "line 5, column age: 'young' is no number" in message
    assert "line 5: no image is named after subject 'P9'" in message
    assert not (tmp_path / "list.json").exists()


def test_missing_images_and_ages_are_told_with_their_lines(tmp_path: Path) -> None:
    rows = nifti_cohort(tmp_path / "images", 6)
    rows[1]["image"] = "gone.nii.gz"
    rows[3]["age_years"] = ""
    with pytest.raises(InputError) as caught:
        build(tmp_path / "images", rows)
    assert "line 3: image 'gone.nii.gz' is neither under" in str(caught.value)
    assert "line 5: no age" in str(caught.value)


def test_a_person_in_training_and_test_stops_the_build(tmp_path: Path) -> None:
    rows = nifti_cohort(tmp_path / "images", 10)
    rows = [{**row, "test": index > 7} for index, row in enumerate(rows)]
    rows[9]["subject_id"] = rows[0]["subject_id"]
    rows[9]["sex"] = rows[0]["sex"]
    with pytest.raises(InputError, match=r"subject s000.*more than one section: training, test"):
        build(tmp_path / "images", rows)


def test_folds_of_the_table_are_kept(tmp_path: Path) -> None:
    rows = [{**row, "fold": index % 3} for index, row in enumerate(nifti_cohort(tmp_path / "images", 9))]
    datalist = build(tmp_path / "images", rows, folds=5).datalist
    assert [row.fold for row in datalist.training] == [0, 1, 2] * 3
    assert datalist.folds == 3


def test_an_existing_datalist_is_replaced_only_by_force(tmp_path: Path) -> None:
    rows = nifti_cohort(tmp_path / "images", 10)
    first = build(tmp_path / "images", rows, seed=1)
    before = first.path.read_bytes()
    with pytest.raises(InputError, match=r"the file exists.*--force"):
        build(tmp_path / "images", rows, seed=2)
    assert first.path.read_bytes() == before
    assert build(tmp_path / "images", rows, seed=2, force=True).path.read_bytes() != before


def test_identifying_columns_never_reach_the_datalist(tmp_path: Path) -> None:
    extra = {"PatientName": "Doe", "Birth Date": "1950", "MRN": "771", "bmi": 25}
    report = build(tmp_path / "images", nifti_cohort(tmp_path / "images", 10, **extra))
    text = report.path.read_text()
    assert "Doe" not in text
    assert "1950" not in text
    assert "771" not in text
    assert report.datalist.training[0].covariates == {"bmi": 25}
    assert any("PatientName, Birth Date, MRN" in note for note in report.notes)


def headers_cohort(folder: Path) -> Path:
    """Three people, the second with two studies, in folders whose order is not that of their names inside."""
    write_ct_study(folder / "a", age="060Y", sex="M", patient_id="HOSPITAL-7", seed=1)
    write_ct_study(folder / "b" / "first", age="040Y", patient_id="HOSPITAL-1", seed=2)
    write_ct_study(folder / "b" / "second", age="042Y", patient_id="HOSPITAL-1", seed=3)
    write_ct_study(folder / "c", age="055Y", sex="O", patient_id="HOSPITAL-3", seed=4)
    return folder


def test_headers_alone_give_ages_sexes_and_pseudonyms_in_a_stable_order(tmp_path: Path) -> None:
    report = build(headers_cohort(tmp_path / "dicom"), folds=3)
    rows = load_datalist(report.path).training
    assert [(row.subject_id, row.session, row.age_years, row.sex, row.image) for row in rows] == [
        ("sub-0001", None, 60, "M", "dicom/a"),
        ("sub-0002", "ses-1", 40, "F", "dicom/b/first"),
        ("sub-0002", "ses-2", 42, "F", "dicom/b/second"),
        ("sub-0003", None, 55, None, "dicom/c"),
    ]
    assert rows[1].fold == rows[2].fold
    assert "HOSPITAL" not in report.path.read_text() + report.render()
    assert "Secret" not in report.path.read_text() + report.render()


def test_the_patient_id_is_kept_only_on_request(tmp_path: Path) -> None:
    report = build(headers_cohort(tmp_path / "dicom"), folds=0, keep_patient_id=True)
    assert {row.subject_id for row in report.datalist.training} == {"HOSPITAL-1", "HOSPITAL-3", "HOSPITAL-7"}
    assert any("do not share" in note for note in report.notes)


def test_studies_without_age_or_usable_series_are_counted_not_dropped_silently(tmp_path: Path) -> None:
    folder = headers_cohort(tmp_path / "dicom")
    write_ct_study(folder / "d", age="", patient_id="X")
    broken = write_ct_study(folder / "e", patient_id="Y", n_slices=6)
    (broken / "002.dcm").unlink()
    (broken / "003.dcm").unlink()
    report = build(folder, folds=0)
    assert len(report.datalist.training) == 4
    assert report.left_out == {"no age in the header": 1, "study without a usable series": 1}


def test_studies_mixed_in_one_folder_are_listed_by_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    write_ct_study(folder, patient_id="A", prefix="x", age="030Y", seed=1)
    write_ct_study(folder, patient_id="B", prefix="y", age="070Y", seed=2)
    rows = build(folder, folds=0).datalist.training
    assert [row.age_years for row in rows] == [30, 70]
    assert rows[0].image == [str(folder / f"x{i:03d}.dcm") for i in range(4)]


def test_a_table_takes_ages_from_headers_when_it_has_no_such_column(tmp_path: Path) -> None:
    folder = headers_cohort(tmp_path / "dicom")
    rows: list[dict[str, object]] = [{"subject_id": name, "diagnosis": "none"} for name in ("a", "c", "first")]
    report = build(folder, rows, folds=0)
    assert [(row.subject_id, row.age_years, row.group) for row in report.datalist.training] == [
        ("a", 60, "none"),
        ("c", 55, "none"),
        ("first", 40, "none"),
    ]
    assert "3 ages were taken from the DICOM headers" in report.notes


def test_empty_ages_are_filled_from_headers_only_when_asked(tmp_path: Path) -> None:
    folder = headers_cohort(tmp_path / "dicom")
    rows: list[dict[str, object]] = [
        {"image": "a", "subject_id": "p", "age": "", "sex": ""},
        {"image": "c", "subject_id": "q", "age": "31,5", "sex": "f"},
    ]
    table = write_table(folder / "t.csv", rows, separator=";")
    options = {"bundle": "ct_age", "images": folder, "table": table, "out": tmp_path / "l.json", "folds": 0}
    with pytest.raises(InputError, match=r"line 2: no age"):
        build_datalist(**options)  # type: ignore[arg-type]
    report = build_datalist(**options, ages_from_headers=True)  # type: ignore[arg-type]
    assert [(row.age_years, row.sex) for row in report.datalist.training] == [(60, "M"), (31.5, "F")]
    assert any("decimal commas" in note for note in report.notes)


def test_nifti_files_alone_do_not_tell_ages(tmp_path: Path) -> None:
    nifti_cohort(tmp_path / "images", 2)
    with pytest.raises(InputError, match=r"NIfTI files do not tell the age.*bring a table"):
        build(tmp_path / "images")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bundle": "ct"}, "no such bundle.*ct_age"),
        ({"layout": "bids"}, "no such layout.*autopet"),
        ({"images": None}, "nothing to build a datalist from"),
    ],
)
def test_impossible_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_datalist(**{"bundle": "ct_age", "images": tmp_path, "out": tmp_path / "l.json", **options})  # type: ignore[arg-type]


def test_a_built_list_survives_moving_the_whole_cohort(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    report = build(tmp_path / "one" / "images", nifti_cohort(tmp_path / "one" / "images", 5))
    moved = Path(shutil.move(tmp_path / "one", tmp_path / "two")) / report.path.name
    assert all(Path(row["image"]).is_file() for row in load_datalist(moved).rows("training"))
