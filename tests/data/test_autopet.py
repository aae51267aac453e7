"""The public set's layout gives the paper's external test list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from datalist_cases import write_empty_nifti

from agezoo.data.autopet import select_autopet
from agezoo.data.datalist_build import build_datalist
from agezoo.errors import InputError

HEADER = "Series UID,Subject ID,Study Date,Modality,File Location,diagnosis,age,sex"


def write_set(
    folder: Path, studies: list[tuple[str, str, str, str, str]], *, location: bool = True
) -> tuple[Path, Path]:
    """The set's folder and table: per study (subject, study folder, diagnosis, age, sex) three series in the table."""
    lines = [HEADER]
    for subject, study, diagnosis, age, sex in studies:
        write_empty_nifti(folder / "FDG-PET-CT-Lesions" / subject / study / "CT.nii.gz")
        write_empty_nifti(folder / "FDG-PET-CT-Lesions" / subject / study / "SUV.nii.gz")
        for series in ("CT", "PT", "SEG"):
            place = f"./FDG-PET-CT-Lesions/{subject}/{study}/{series}" if location else ""
            lines.append(f"1.2.{series},{subject},{study[:10]},{series},{place},{diagnosis},{age},{sex}")
    table = folder / "metadata.csv"
    table.write_text("\n".join(lines) + "\n")
    return folder, table


STUDIES = [
    ("PETCT_aa", "03-23-2003-NA-PET-CT with KM-1", "NEGATIVE", "045Y", "F"),
    ("PETCT_bb", "01-02-2004-NA-PET-CT with KM-2", "MELANOMA", "050Y", "M"),
    ("PETCT_cc", "01-02-2004-NA-PET-CT with KM-3", "NEGATIVE", "019Y", "M"),
    ("PETCT_dd", "01-02-2004-NA-PET-CT with KM-4", "NEGATIVE", "086Y", "M"),
    ("PETCT_ee", "01-02-2004-NA-PET-CT with KM-5", "NEGATIVE", "020Y", "M"),
    ("PETCT_ff", "01-02-2004-NA-PET-CT with KM-6", "NEGATIVE", "085Y", "F"),
    ("PETCT_gg", "12-31-2003-NA-PET-CT with KM-8", "NEGATIVE", "061Y", "F"),
    ("PETCT_gg", "01-01-2005-NA-PET-CT with KM-7", "NEGATIVE", "062Y", "F"),
    ("PETCT_hh", "12-31-2003-NA-PET-CT with KM-9", "LYMPHOMA", "070Y", "M"),
    ("PETCT_hh", "01-01-2005-NA-PET-CT with KM-0", "NEGATIVE", "071Y", "M"),
]


@pytest.mark.parametrize("location", [True, False])
def test_healthy_people_of_20_to_85_years_are_kept_and_the_rest_is_counted(tmp_path: Path, location: bool) -> None:
    images, table = write_set(tmp_path, STUDIES, location=location)
    selection = select_autopet(images, table)
    assert [(row.subject_id, row.age_years, row.sex) for row in selection.rows] == [
        ("PETCT_aa", 45, "F"),
        ("PETCT_ee", 20, "M"),
        ("PETCT_ff", 85, "F"),
        ("PETCT_gg", 61, "F"),
        ("PETCT_hh", 71, "M"),
    ]
    assert selection.left_out == {
        "diagnosis other than NEGATIVE": 2,
        "age outside 20 to 85 years": 2,
        "further study of a person already in the list": 1,
    }


def test_the_first_study_is_the_earliest_by_date_not_by_name(tmp_path: Path) -> None:
    selection = select_autopet(*write_set(tmp_path, STUDIES[6:8]))
    assert "12-31-2003" in str(selection.rows[0].image)


def test_all_studies_of_a_person_can_be_kept_as_sessions(tmp_path: Path) -> None:
    selection = select_autopet(*write_set(tmp_path, STUDIES[6:8]), all_studies=True)
    assert [(row.session, row.age_years) for row in selection.rows] == [("ses-1", 61), ("ses-2", 62)]


def test_images_and_rows_without_a_partner_are_counted(tmp_path: Path) -> None:
    images, table = write_set(tmp_path, STUDIES[:1])
    write_empty_nifti(images / "FDG-PET-CT-Lesions" / "PETCT_zz" / "x" / "CT.nii.gz")
    with table.open("a") as stream:
        stream.write("1.2.3,PETCT_yy,01-01-2001,CT,,NEGATIVE,040Y,F\n")
    assert select_autopet(images, table).left_out == {
        "people of the table without a CT.nii.gz": 1,
        "CT.nii.gz of people who are not in the table": 1,
    }


def test_a_study_that_fits_several_rows_is_not_guessed(tmp_path: Path) -> None:
    images, table = write_set(tmp_path, STUDIES[6:8], location=False)
    text = table.read_text().replace("12-31-2003", "").replace("01-01-2005", "")
    table.write_text(text)
    assert select_autopet(images, table).left_out == {"no row of the table fits the study": 2}


def test_the_built_list_has_all_rows_in_the_test_section(tmp_path: Path) -> None:
    images, table = write_set(tmp_path, STUDIES)
    report = build_datalist(bundle="ct_age", images=images, table=table, out=tmp_path / "l.json", layout="autopet")
    document = json.loads((tmp_path / "l.json").read_text())
    assert len(document["test"]) == 5
    assert document["training"] == []
    assert document["test"][0]["image"] == ("FDG-PET-CT-Lesions/PETCT_aa/03-23-2003-NA-PET-CT with KM-1/CT.nii.gz")
    assert "left out: 2 x diagnosis other than NEGATIVE" in report.render()


def test_another_table_or_an_unconverted_set_is_told(tmp_path: Path) -> None:
    images, table = write_set(tmp_path, STUDIES[:1])
    (tmp_path / "wrong.csv").write_text("Subject ID,age\nPETCT_aa,40\n")
    with pytest.raises(InputError, match=r"no column sex, diagnosis"):
        select_autopet(images, tmp_path / "wrong.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no CT.nii.gz under the folder.*NIfTI edition"):
        select_autopet(tmp_path / "empty", table)
