"""`agezoo check`: every fault of a datalist at once, and none in a sound one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from datalist_cases import nifti_cohort, write_ct_study, write_table

from agezoo.data.datalist_build import build_datalist
from agezoo.data.datalist_check import Fault, check_datalist, render_faults
from agezoo.errors import InputError


def cohort(folder: Path, n: int = 40) -> tuple[Path, dict[str, Any]]:
    """A sound datalist of ``n`` subjects in five folds with five test rows: its path and its content."""
    rows = [{**row, "test": index % 8 == 7} for index, row in enumerate(nifti_cohort(folder, n))]
    table = write_table(folder / "t.csv", rows)
    path = build_datalist(bundle="ct_age", images=folder, table=table, out=folder / "d.json").path
    return path, json.loads(path.read_text())


def check(path: Path, document: dict[str, Any], **options: Any) -> list[str]:
    path.write_text(json.dumps(document))
    return [f"{fault.severity} {fault}" for fault in check_datalist(path, **options)]


def test_a_sound_datalist_has_no_faults(tmp_path: Path) -> None:
    path, _ = cohort(tmp_path)
    assert check_datalist(path) == []
    assert render_faults([], name="d.json") == "d.json: no faults found"


def test_every_fault_is_reported_at_once(tmp_path: Path) -> None:
    path, document = cohort(tmp_path)
    training, test = document["training"], document["test"]
    training[0]["sex"] = "female"
    training[1]["image"] = "gone.nii.gz"
    training[2]["image"] = training[3]["image"]
    del training[4]["age_years"]
    training[5]["age_years"] = 91
    training[6]["ages"] = 3
    del training[7]["subject_id"]
    test[0]["subject_id"] = training[8]["subject_id"]
    test[0]["sex"] = {"F": "M", "M": "F"}[training[8]["sex"]]
    del test[1]["age_years"]
    document["comment"] = "mine"
    assert check(path, document) == [
        "warning datalist: unknown key 'comment'; it is ignored",
        "error training[0] (subject s000): sex: Input should be 'F' or 'M', found \"female\"",
        "error training[1] (subject s001): image is missing: gone.nii.gz",
        "error training[3] (subject s003): the same image as training[2] (subject s002)",
        "error training[4] (subject s004): no age, which training needs",
        "warning training[5] (subject s005): age 91 is outside the 20 to 85 years of ct_age",
        "error training[6] (subject s006): ages: unknown key (a further column of yours belongs into `covariates`)",
        "error training[7]: subject_id: missing",
        "error training[8] (subject s009): is both F and M in different rows",
        "error training[8] (subject s009): is in more than one section: training, test",
        "warning test[0] (subject s009): no session, as another row of the same subject",
        "warning test[1] (subject s015): no age: it will be predicted, but its error is not known",
    ]


def test_a_subject_in_two_folds_is_an_error(tmp_path: Path) -> None:
    path, document = cohort(tmp_path)
    first = document["training"][0]
    other = next(row for row in document["training"] if row["fold"] != first["fold"])
    other.update(subject_id=first["subject_id"], sex=first["sex"], age_years=first["age_years"], session="b")
    folds = ", ".join(map(str, sorted((first["fold"], other["fold"]))))
    assert check(path, document) == [f"error training[0] (subject s000): is in more than one fold: {folds}"]


def test_folds_that_are_missing_or_wrong(tmp_path: Path) -> None:
    path, document = cohort(tmp_path)
    fold = document["training"][0].pop("fold")
    assert check(path, document) == ["error training: 1 of 35 rows have no fold, the others do"]
    for row in document["training"]:
        row["fold"] = {0: 0, 1: 1, 2: 1, 3: 1, 4: 4}[row.get("fold", fold)]
    found = check(path, document)
    assert "error training: folds are [0, 1, 4], expected 0, 1, 2, ... without gaps, at least two" in found
    assert 'error training: 3 folds occur, but "folds" says 5' in found
    assert "warning training: folds are uneven: 7 to 21 subjects" in found
    for row in document["training"]:
        del row["fold"]
    assert check(path, document) == [
        "warning training: neither folds nor a validation section: nothing to choose the best model by"
    ]


def test_folds_of_different_ages_are_remarked_on(tmp_path: Path) -> None:
    path, document = cohort(tmp_path, 60)
    ordered = sorted(document["training"], key=lambda row: row["age_years"])
    for index, row in enumerate(ordered):
        row["fold"] = index * 5 // len(ordered)
    assert any("mean ages of the folds range from" in fault for fault in check(path, document))


def test_a_small_training_section_is_remarked_on(tmp_path: Path) -> None:
    path, document = cohort(tmp_path, 16)
    assert check(path, document) == ["warning training: only 14 subjects: too few to train a model that generalises"]


def test_copies_of_an_image_are_found_by_content(tmp_path: Path) -> None:
    path, document = cohort(tmp_path)
    rows = document["training"]
    shutil.copy(tmp_path / rows[0]["image"], tmp_path / rows[9]["image"])
    assert check(path, document) == [
        f"error training[9] (subject {rows[9]['subject_id']}): a copy of the image of training[0] (subject s000)"
    ]


def test_images_of_one_size_that_begin_with_air_are_no_copies(tmp_path: Path) -> None:
    # Uncompressed volumes of one geometry have equal sizes and equal beginnings.
    rows = []
    for index in range(2):
        values = np.full((64, 64, 40), -1024, dtype=np.int16)
        values[20:40, 20:40, 10:30] = index
        nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / f"{index}.nii")
        rows.append({"image": f"{index}.nii", "subject_id": f"s{index}", "age_years": 50})
    assert check(tmp_path / "d.json", {"test": rows}) == []
    shutil.copy(tmp_path / "0.nii", tmp_path / "1.nii")
    assert len(check(tmp_path / "d.json", {"test": rows})) == 1


def test_ages_and_sexes_are_compared_with_the_headers(tmp_path: Path) -> None:
    write_ct_study(tmp_path / "a", age="045Y", sex="F", seed=1)
    write_ct_study(tmp_path / "b", age="045Y", sex="F", seed=2)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("no scan")
    (tmp_path / "d").mkdir()
    document = {
        "test": [
            {"image": "a", "subject_id": "s1", "age_years": 45.9, "sex": "F"},
            {"image": "b", "subject_id": "s2", "age_years": 47, "sex": "M"},
            {"image": "c", "subject_id": "s3", "age_years": 47},
            {"image": "d", "subject_id": "s4", "age_years": 47},
        ]
    }
    assert check(tmp_path / "d.json", document) == [
        "warning test[1] (subject s2): age is 47 here and 45.0 in the DICOM header",
        "warning test[1] (subject s2): sex is M here and F in the DICOM header",
        "error test[2] (subject s3): neither a NIfTI file nor DICOM files",
        "error test[3] (subject s4): folder is empty: d",
    ]
    assert check(tmp_path / "d.json", document, headers=False) == ["error test[3] (subject s4): folder is empty: d"]


def test_dicom_studies_of_one_geometry_are_no_copies_unless_copied(tmp_path: Path) -> None:
    write_ct_study(tmp_path / "a", seed=1)
    write_ct_study(tmp_path / "b", seed=2)
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    rows = [{"image": name, "subject_id": f"s{name}", "age_years": 45} for name in "abc"]
    assert check(tmp_path / "d.json", {"test": rows}) == [
        "error test[2] (subject sc): a copy of the image of test[0] (subject sa)"
    ]


def test_ages_of_one_person_that_lie_far_apart(tmp_path: Path) -> None:
    path, document = cohort(tmp_path)
    rows = document["test"]
    rows[1].update(
        subject_id=rows[0]["subject_id"], sex=rows[0]["sex"], session="b", age_years=rows[0]["age_years"] + 20
    )
    low = rows[0]["age_years"]
    assert check(path, document) == [
        f"warning test[0] (subject s007): ages in different rows range from {low:g} to {low + 20:g} years"
    ]


def test_the_bundle_sets_the_range_of_ages(tmp_path: Path) -> None:
    path, document = cohort(tmp_path)
    young = sum(row["age_years"] < 40 for row in document["training"] + document["test"])
    assert sum("outside the 40 to 99 years" in fault for fault in check(path, document, bundle="spine_age")) == young
    assert check(path, {**document, "bundle": "xray"}) == [
        "error datalist: unknown bundle 'xray', expected ct_age, spine_age, brain_tsan, wholebody_mr"
    ]
    with pytest.raises(InputError, match=r"no such bundle"):
        check_datalist(path, bundle="xray")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such datalist"),
        ("{]", "not valid JSON"),
        ("{}", "it has no rows"),
        ('{"training": 3}', "training: Input should be a valid list, found 3"),
        ('{"training": [3]}', "Input should be a valid dictionary"),
    ],
)
def test_files_that_are_no_datalist_are_faults_too(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "d.json").write_text(content)
    faults = check_datalist(tmp_path / "d.json")
    assert faults
    assert all(fault.severity == "error" for fault in faults)
    assert any(message in str(fault) for fault in faults)


def test_faults_are_rendered_with_their_number_and_errors_first() -> None:
    faults = [Fault("warning", "training", None, "small"), Fault("error", "test[2]", "s1", "no image")]
    assert render_faults(faults, name="d.json").splitlines() == [
        "d.json: 1 error, 1 warning",
        "  error: test[2] (subject s1): no image",
        "  warning: training: small",
    ]
