"""The datalist file: its form, its rows for datasets, its hash."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from monai.data import DataLoader, Dataset

from agezoo.data.datalist import Datalist, datalist_hash, datalist_rows, load_datalist, save_datalist
from agezoo.errors import InputError

ROWS = [
    {"image": "a/ct", "subject_id": "s1", "age_years": 40, "sex": "F", "fold": 0, "covariates": {"bmi": 22.5}},
    {"image": "b.nii.gz", "subject_id": 2, "age_years": 51.5, "fold": 1, "covariates": {"ward": "x"}},
    {"image": "c.nii.gz", "subject_id": "s3", "age_years": 62, "sex": "M", "fold": 2},
]


def write(path: Path, **document: object) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_paths_start_from_the_datalists_own_folder(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", training=ROWS)
    assert [row["image"] for row in datalist_rows(path, "training")] == [
        str(tmp_path / "a" / "ct"),
        str(tmp_path / "b.nii.gz"),
        str(tmp_path / "c.nii.gz"),
    ]


def test_a_moved_cohort_keeps_its_hash_and_a_changed_age_does_not(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = datalist_hash(write(tmp_path / "d.json", training=ROWS, bundle="ct_age"))
    reordered = [dict(reversed(row.items())) for row in ROWS]
    assert datalist_hash(write(tmp_path / "other" / "e.json", bundle="ct_age", training=reordered)) == first
    older = [{**ROWS[0], "age_years": 41}, *ROWS[1:]]
    assert datalist_hash(write(tmp_path / "f.json", training=older, bundle="ct_age")) != first
    assert len(first) == 64


def test_saving_elsewhere_rewrites_paths_so_that_they_still_point_at_the_images(tmp_path: Path) -> None:
    datalist = load_datalist(write(tmp_path / "d.json", training=ROWS))
    saved = save_datalist(datalist, tmp_path / "lists" / "deep" / "d.json")
    assert json.loads(saved.read_text())["training"][0]["image"] == "../../a/ct"
    assert [r["image"] for r in datalist_rows(saved, "training")] == [r["image"] for r in datalist.rows("training")]


def test_a_row_without_a_fact_leaves_the_key_out_of_the_file(tmp_path: Path) -> None:
    saved = save_datalist(load_datalist(write(tmp_path / "d.json", training=ROWS)), tmp_path / "e.json")
    assert json.loads(saved.read_text())["training"][1] == {
        "image": "b.nii.gz",
        "subject_id": "2",
        "age_years": 51.5,
        "fold": 1,
        "covariates": {"ward": "x"},
    }


def test_folds_are_chosen_and_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", training=ROWS)
    assert [row["subject_id"] for row in datalist_rows(path, "training", fold=1)] == ["2"]
    assert [row["subject_id"] for row in datalist_rows(path, "training", exclude_fold=1)] == ["s1", "s3"]
    with pytest.raises(InputError, match=r"no rows of fold 7.*folds \[0, 1, 2\]"):
        datalist_rows(path, "training", fold=7)


def test_leaving_out_a_fold_is_refused_when_some_rows_have_none(tmp_path: Path) -> None:
    # Such rows would be trained on in every fold without anybody noticing.
    path = write(tmp_path / "d.json", training=[*ROWS, {"image": "d", "subject_id": "s4", "age_years": 5}])
    with pytest.raises(InputError, match=r"some rows .* have a fold and others none"):
        datalist_rows(path, "training", exclude_fold=0)


def test_rows_collate_into_batches_though_facts_are_missing(tmp_path: Path) -> None:
    rows = datalist_rows(write(tmp_path / "d.json", training=ROWS), "training")
    batch = next(iter(DataLoader(Dataset(rows), batch_size=3)))
    assert batch["age_years"].tolist() == [40, 51.5, 62]
    assert batch["sex"] == ["F", "", "M"]
    assert math.isnan(batch["covariates"]["bmi"][1])
    assert batch["covariates"]["ward"] == ["", "x", ""]


def test_training_rows_need_an_age_and_test_rows_do_not(tmp_path: Path) -> None:
    ageless = [{"image": "a", "subject_id": "s1"}]
    path = write(tmp_path / "d.json", training=ageless, test=ageless)
    with pytest.raises(InputError, match=r"1 of 1 rows .* have no age.*s1"):
        datalist_rows(path, "training")
    assert math.isnan(datalist_rows(path, "test")[0]["age_years"])


def test_an_empty_section_is_an_error_unless_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", training=ROWS)
    with pytest.raises(InputError, match=r"'test' has no rows"):
        datalist_rows(path, "test")
    assert datalist_rows(path, "test", allow_empty=True) == []
    with pytest.raises(InputError, match=r"no such section.*training, validation, test"):
        datalist_rows(path, "trainig")


def test_all_faults_of_form_are_told_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.json",
        training=[{"image": "a", "age_years": "old", "ages": 3}, {"image": 5, "subject_id": "s", "sex": "female"}],
        test=[{"image": "a", "subject_id": "s", "age_years": -1}, {"image": "a", "subject_id": "s", "age_years": True}],
    )
    with pytest.raises(InputError) as caught:
        load_datalist(path)
    message = str(caught.value)
    for part in (
        "7 faults",
        "training[0] subject_id: missing",
        'training[0] age_years: Input should be a valid number, unable to parse string as a number, found "old"',
        "training[0] ages: unknown key",
        "training[1] image: Input should be a valid string, found 5",
        "training[1] sex: Input should be 'F' or 'M', found \"female\"",
        "test[0] age_years: Input should be greater than or equal to 0, found -1",
        "test[1] age_years: Input should be a number, found true",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON.*line 1, column 2"),
        ("[]", "not a datalist.*list"),
        ('{"training": [], "folds": 1}', "folds: Input should be greater than or equal to 2"),
    ],
)
def test_files_that_are_no_datalist(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(InputError, match=message):
        load_datalist(tmp_path / "d.json")


def test_an_absent_datalist_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such datalist.*agezoo datalist"):
        load_datalist(tmp_path / "none.json")


def test_an_existing_file_is_kept_unless_overwriting_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text("mine")
    with pytest.raises(InputError, match=r"the file exists"):
        save_datalist(Datalist(), tmp_path / "d.json", overwrite=False)
    assert (tmp_path / "d.json").read_text() == "mine"


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_datalist(Datalist(bundle="ct_age"), tmp_path / "d.json")
    before = path.read_text()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OSError, match=r"No space"):
        save_datalist(Datalist(bundle="spine_age"), path)
    assert path.read_text() == before
    assert [item.name for item in tmp_path.iterdir()] == ["d.json"]


def test_a_list_of_slices_becomes_a_list_of_absolute_paths(tmp_path: Path) -> None:
    row = {"image": ["a/1.dcm", "a/2.dcm"], "subject_id": "s1"}
    loaded = datalist_rows(write(tmp_path / "d.json", test=[row]), "test")[0]
    assert loaded["image"] == [str(tmp_path / "a" / "1.dcm"), str(tmp_path / "a" / "2.dcm")]
    assert loaded["listed_image"] == "a/1.dcm (+1)"


def test_masks_are_found_from_the_datalists_folder_and_follow_it(tmp_path: Path) -> None:
    (tmp_path / "cohort" / "masks").mkdir(parents=True)
    (tmp_path / "cohort" / "masks" / "a.nii.gz").touch()
    rows = [
        {"image": "a.zip", "subject_id": "a", "covariates": {"mask": "masks/a.nii.gz"}},
        {"image": "b.zip", "subject_id": "b", "covariates": {"mask": "not a file"}},
        {"image": "c.zip", "subject_id": "c"},
    ]
    (tmp_path / "cohort" / "list.json").write_text(json.dumps({"test": rows}))
    original = load_datalist(tmp_path / "cohort" / "list.json")
    moved = load_datalist(save_datalist(original, tmp_path / "out" / "list.json"))
    for datalist in (original, moved):
        plain = datalist.rows("test")
        assert plain[0]["mask"] == str(tmp_path / "cohort" / "masks" / "a.nii.gz")
        assert plain[2]["mask"] == ""
    assert moved.test[0].covariates["mask"] == "../cohort/masks/a.nii.gz"
    assert moved.test[1].covariates["mask"] == "not a file", "a column that is no path stays as it is"
