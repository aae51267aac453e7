"""IXI's own table and file names."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from agezoo.data.datalist_build import build_datalist
from agezoo.data.ixi import is_ixi_table, ixi_name, read_ixi
from agezoo.errors import InputError

HEADING = '"IXI_ID","SEX_ID (1=m, 2=f)","HEIGHT","WEIGHT","DATE_OF_BIRTH","STUDY_DATE","AGE"'
ROWS = (
    "12,1,175,70,1966-08-20,2005-06-01,38.78",
    "13,1,182,0,1958-09-15,2005-06-01,46.71",
    "34,2,0,0,,2005-08-01,",
    "48,2,160,60,1955-01-01,2005-09-01,50.65",
    "48,2,160,60,1955-01-01,2005-09-01,50.65",
    "51,2,160,60,1980-01-01,2005-09-01,25.74",
    "51,1,180,80,1950-01-01,2005-09-01,55.74",
)


def ixi_table(folder: Path, heading: str = HEADING, rows: tuple[str, ...] = ROWS) -> Path:
    path = folder / "IXI.csv"
    path.write_text("\n".join((heading, *rows)) + "\n")
    return path


def write_heads(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        voxels = np.full((3, 3, 3), index, dtype=np.int16)
        nib.save(nib.Nifti1Image(voxels, np.diag([-1, 1, 1, 1])), folder / f"{name}.nii.gz")
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IXI012-HH-1211-T1.nii.gz", ("IXI012", "HH")),
        ("IXI533-Guys-1066-T1.nii.gz", ("IXI533", "Guys")),
        ("IXI035-IOP-0873-T1_stripped.nii", ("IXI035", "IOP")),
        ("sub-IXI012HH1211_space-MNI152_desc-brain_T1w.nii.gz", ("IXI012", "HH")),
        ("IXI002-Guys-0828/T1_to_MNI_nonlin_brain.nii.gz", ("IXI002", "Guys")),
        ("IXI1234-HH.nii", None),
        ("sub-01_T1w.nii", None),
    ],
)
def test_subject_and_site_are_read_from_the_file_or_its_folder(name, expected):
    assert ixi_name(Path(name)) == expected


def test_ages_sexes_and_measures_are_read_and_dates_are_not(tmp_path):
    people = read_ixi(ixi_table(tmp_path))
    assert people.faults == []
    first, second = people.person("IXI012"), people.person("IXI013")
    assert (first.age_years, first.sex, first.covariates) == (38.78, "M", {"height_cm": 175, "weight_kg": 70})
    assert second.covariates == {"height_cm": 182}
    assert people.person("IXI048").age_years == 50.65
    assert (people.person("IXI034").age_years, people.person("IXI051").age_years) == (None, None)
    assert "1 person left out: rows of one IXI_ID disagree in age or sex" in people.notes
    assert "1 person left out: no age in the table" in people.notes
    assert any("DATE_OF_BIRTH, STUDY_DATE" in note for note in people.notes)
    assert "1966" not in repr(people)


def test_the_codes_of_sex_are_those_of_the_heading(tmp_path):
    path = ixi_table(tmp_path, 'IXI_ID,"SEX_ID (1=f, 2=m)",AGE', ("12,1,38.78",))
    assert read_ixi(path).person("IXI012").sex == "F"
    unexplained = read_ixi(ixi_table(tmp_path, "IXI_ID,SEX_ID,AGE", ("12,1,38.78",)))
    assert "does not say which sex is meant" in unexplained.faults[0]


def test_another_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="not IXI's table; found: columns subject, age"):
        read_ixi(ixi_table(tmp_path, "subject,age", ("1,2",)))


def test_a_spreadsheet_is_read_where_pandas_can_and_otherwise_says_to_export_it(tmp_path, monkeypatch):
    path = tmp_path / "IXI.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0")
    assert is_ixi_table(path)

    def without_engine(*_args, **_options):
        raise ImportError("xlrd")

    monkeypatch.setattr(pd, "read_excel", without_engine)
    with pytest.raises(InputError, match=r"cannot be read here.*expected: a CSV file.*save as CSV"):
        read_ixi(path)
    sheet = pd.DataFrame({"IXI_ID": ["12"], "SEX_ID (1=m, 2=f)": ["2"], "AGE": ["38.78"], "WEIGHT": [np.nan]})
    monkeypatch.setattr(pd, "read_excel", lambda *_args, **_options: sheet)
    person = read_ixi(path).person("IXI012")
    assert (person.age_years, person.sex, person.covariates) == (38.78, "F", {})


def test_the_table_and_a_folder_of_images_become_a_datalist(tmp_path):
    names = ["IXI012-HH-1211-T1", "IXI013-HH-1212-T1", "IXI034-HH-1260-T1", "IXI051-HH-1328-T1", "IXI099-IOP-0001-T1"]
    images = write_heads(tmp_path / "images", *names, "IXI012-HH-1211-T2", "IXI012-HH-1211-DTI-00")
    report = build_datalist(
        bundle="brain_tsan", images=images, table=ixi_table(tmp_path), out=tmp_path / "d.json", folds=0
    )
    assert [(row.subject_id, row.site, row.age_years, row.sex) for row in report.datalist.training] == [
        ("IXI012", "HH", 38.78, "M"),
        ("IXI013", "HH", 46.71, "M"),
    ]
    assert report.left_out == {
        "image whose name ends in t2": 1,
        "image whose name ends in dti": 1,
        "no age in the table": 1,
        "rows of one IXI_ID disagree in age or sex": 1,
        "image of nobody in IXI.csv": 1,
    }
    stored = (tmp_path / "d.json").read_text()
    assert "1966" not in stored
    assert "2005" not in stored


def test_two_images_of_one_person_are_a_fault(tmp_path):
    images = write_heads(tmp_path / "images", "IXI012-HH-1211-T1", "IXI012-HH-1211-T1_ds")
    with pytest.raises(InputError, match=r"two images of IXI012: IXI012-HH-1211-T1\.nii\.gz and"):
        build_datalist(bundle="brain_tsan", images=images, table=ixi_table(tmp_path), out=tmp_path / "d.json")


def test_the_images_must_be_named_beside_the_table(tmp_path):
    with pytest.raises(InputError, match="expected: --images and --table"):
        build_datalist(bundle="brain_tsan", table=ixi_table(tmp_path), out=tmp_path / "d.json")


@pytest.mark.sample_data
def test_real_ixi_files_find_their_people(sample_data, tmp_path):
    table, images = sample_data / "tables" / "ixi_ages.csv", sample_data / "brain"
    report = build_datalist(bundle="brain_tsan", images=images, table=table, out=tmp_path / "d.json", folds=0)
    ages = {row.subject_id: row.age_years for row in report.datalist.training}
    assert ages["IXI533-Guys-1066"] == 73.6
    assert ages["IXI329-HH-1908"] == 55.66
    assert len(ages) == 7
    report = build_datalist(
        bundle="brain_tsan", images=images, table=ixi_table(tmp_path), out=tmp_path / "e.json", folds=0
    )
    assert [(row.subject_id, row.age_years) for row in report.datalist.training] == [
        ("IXI012", 38.78),
        ("IXI013", 46.71),
        ("IXI048", 50.65),
    ]
