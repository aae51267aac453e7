"""Tables that people bring: spellings, separators, encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from agezoo.data.subject_table import parse_age_years, parse_section, parse_sex, read_subject_table
from agezoo.data.table_file import read_table
from agezoo.errors import InputError


@pytest.mark.parametrize(
    ("cell", "years"),
    [("45", 45), ("45.5", 45.5), ("45,5", 45.5), ("045Y", 45), ("018M", 1.5), (" 7 ", 7), ("", None), (None, None)],
)
def test_ages(cell: str | None, years: float | None) -> None:
    assert parse_age_years(cell) == years


@pytest.mark.parametrize("cell", ["abc", "-3", "126", "1.234.5", "45 years", "nan", "1e9"])
def test_what_is_no_age(cell: str) -> None:
    with pytest.raises(ValueError, match=r"is no"):
        parse_age_years(cell)


@pytest.mark.parametrize(
    ("cell", "sex"),
    [("F", "F"), ("female", "F"), ("W", "F"), (" Male ", "M"), ("männlich", "M"), ("O", None), ("", None)],
)
def test_sexes(cell: str, sex: str | None) -> None:
    assert parse_sex(cell) == sex


@pytest.mark.parametrize(("cell", "message"), [("0", "which sex"), ("1.0", "which sex"), ("fm", "no known spelling")])
def test_sexes_that_are_not_guessed(cell: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_sex(cell)


@pytest.mark.parametrize(
    ("cell", "section"),
    [("True", "test"), ("1", "test"), ("test", "test"), ("0", "training"), ("val", "validation"), ("", None)],
)
def test_sections(cell: str, section: str | None) -> None:
    assert parse_section(cell) == section


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_and_encodings_of_spreadsheets(tmp_path: Path, separator: str, encoding: str) -> None:
    lines = [["subject_id", "Age", "Gender", "städtchen"], ["007", "45", "W", "Köln"], ["", "", "", ""]]
    text = "\r\n".join(separator.join(line) for line in lines)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    table = read_subject_table(tmp_path / "t.csv")
    assert table.faults == []
    assert table.rows == [
        {"line": 2, "subject_id": "007", "age_years": 45.0, "sex": "F", "covariates": {"städtchen": "Köln"}}
    ]
    assert bool(table.notes) == (encoding in ("utf-16", "cp1252"))


def test_decimal_commas_are_understood_and_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("subject_id;age;bmi\nA;45,5;22,1\nB;50;23\n")
    table = read_subject_table(tmp_path / "t.csv")
    assert [row["age_years"] for row in table.rows] == [45.5, 50]
    assert [row["covariates"]["bmi"] for row in table.rows] == [22.1, 23]
    assert sum("decimal commas" in note for note in table.notes) == 2
    (tmp_path / "t.csv").write_text('subject_id,age\nA,"45,5"\n')
    assert read_subject_table(tmp_path / "t.csv").rows[0]["age_years"] == 45.5


def test_covariates_keep_codes_as_text_and_numbers_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("subject_id,code,n,x,flag,mixed\nA,007,3,1.5,true,1\nB,010,4,,FALSE,b\n")
    rows = read_subject_table(tmp_path / "t.csv").rows
    assert rows[0]["covariates"] == {"code": "007", "n": 3, "x": 1.5, "flag": True, "mixed": "1"}
    assert rows[1]["covariates"] == {"code": "010", "n": 4, "flag": False, "mixed": "b"}


def test_every_unclear_cell_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "subject_id,age,sex,test,fold,event,time_years\nA,old,0,maybe,-1,2,soon\n\nB,40,f,no,1,1,2.5\n"
    )
    table = read_subject_table(tmp_path / "t.csv")
    assert [fault.split(":")[0] for fault in table.faults] == [
        "line 2, column age",
        "line 2, column sex",
        "line 2, column test",
        "line 2, column fold",
        "line 2, column time_years",
        "line 2, column event",
    ]
    assert table.rows[1] == {
        "line": 4, "subject_id": "B", "age_years": 40, "sex": "F", "section": "training", "fold": 1, "event": 1,
        "time_years": 2.5, "covariates": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"PK\x03\x04", "spreadsheets are not read.*save as CSV"),
        ("t.csv", b"PK\x03\x04rest", "save as CSV"),
        ("t.csv", b"", "table is empty"),
        ("t.csv", b"subject_id,age\n", "no rows"),
        ("t.csv", b"age,age\n1,2\n", "occur twice.*age"),
        ("t.csv", b"a,b\n1,2,3,4\n1,2\n", "different numbers of cells"),
        ("t.csv", b"age,age_years\n1,2\n", "two columns could be age_years"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_subject_table(tmp_path / name)


def test_an_index_column_without_a_name_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",subject_id\n0,A\n1,B\n")
    table = read_table(tmp_path / "t.csv")
    assert list(table.frame.columns) == ["subject_id"]
    assert table.notes == ("1 column(s) without a name are left out",)
