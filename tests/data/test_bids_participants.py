"""What participants.tsv says of people, in the spellings that data sets use."""

from __future__ import annotations

import json

import pytest

from agezoo.data.bids_participants import CAPPED, read_participants
from agezoo.data.coded_cells import are_dates, explained_groups, explained_sexes, is_capped_age, sex_codes
from agezoo.errors import InputError


def participants(folder, *lines, dictionary=None):
    path = folder / "participants.tsv"
    path.write_text("\n".join(line.replace("|", "\t") for line in lines) + "\n")
    if dictionary is not None:
        path.with_suffix(".json").write_text(json.dumps(dictionary))
    return path


@pytest.mark.parametrize(
    ("cell", "sex"),
    [("F", "F"), ("f", "F"), ("Female", "F"), ("woman", "F"), ("m", "M"), ("MALE", "M"), ("O", None), ("n/a", None)],
)
def test_every_spelling_of_a_sex_is_read(tmp_path, cell, sex):
    people = read_participants(participants(tmp_path, "participant_id|Gender", f"sub-01|{cell}"))
    assert people.faults == []
    assert people.person("sub-01").sex == sex


def test_codes_of_sex_without_an_explanation_are_a_fault_that_names_the_remedy(tmp_path):
    people = read_participants(participants(tmp_path, "participant_id|sex", "sub-01|1", "sub-02|2"))
    assert len(people.faults) == 2
    assert "line 2" in people.faults[0]
    assert "explain the code under Levels in participants.json" in people.faults[0]
    assert people.person("sub-01").sex is None


@pytest.mark.parametrize(
    "column",
    [
        {"Levels": {"1": "male", "2": "female"}},
        {"Levels": {"1": {"Description": "Male participant"}, "2": {"Description": "Female participant"}}},
        {"Description": "sex of the participant (1 = male, 2 = female)"},
        {"Description": "2: f; 1: m"},
    ],
)
def test_codes_of_sex_are_read_as_the_data_dictionary_explains_them(tmp_path, column):
    path = participants(tmp_path, "participant_id|sex", "sub-01|1", "sub-02|2.0", dictionary={"sex": column})
    people = read_participants(path)
    assert people.faults == []
    assert [people.person(name).sex for name in ("sub-01", "sub-02")] == ["M", "F"]


def test_an_explanation_that_tells_one_sex_twice_explains_nothing():
    assert sex_codes("1=m, 2=m") == {}
    assert sex_codes("SEX_ID (1=m, 2=f)") == {"1": "M", "2": "F"}
    assert explained_sexes({"Levels": {"1": "male or female"}}) == {}


@pytest.mark.parametrize("name", ["group", "diagnosis", "Dx", "DX_GROUP"])
def test_a_diagnosis_is_the_group_whatever_its_column_is_called(tmp_path, name):
    people = read_participants(participants(tmp_path, f"participant_id|{name}", "sub-01|MCI", "sub-02|n/a"))
    assert people.person("sub-01").group == "MCI"
    assert people.person("sub-02").group is None


def test_group_codes_are_explained_and_letters_stay(tmp_path):
    levels = {"diagnosis": {"Levels": {"0": "CN", "1": "AD", "2": "a long story " * 5}}}
    lines = ("participant_id|diagnosis", "sub-1|0", "sub-2|1", "sub-3|2")
    people = read_participants(participants(tmp_path, *lines, dictionary=levels))
    assert [people.person(f"sub-{n}").group for n in (1, 2, 3)] == ["CN", "AD", "2"]
    assert explained_groups({"Levels": {"CN": "cognitively normal"}}) == {}


def test_group_goes_before_dx_which_stays_a_covariate(tmp_path):
    people = read_participants(participants(tmp_path, "participant_id|dx|group", "sub-01|AD|patient"))
    assert people.person("sub-01").group == "patient"
    assert people.person("sub-01").covariates == {"dx": "AD"}


def test_an_age_that_is_a_bound_is_unknown_and_said_so(tmp_path):
    people = read_participants(
        participants(tmp_path, "participant_id|age", "sub-01|89+", "sub-02|88.5", "sub-03|n/a", "sub-04|>89")
    )
    assert [people.person(f"sub-0{n}").age_years for n in (1, 2, 3, 4)] == [None, 88.5, None, None]
    assert [people.person(f"sub-0{n}").why_no_age == CAPPED for n in (1, 3, 4)] == [True, False, True]
    assert people.faults == []
    assert any(note.startswith("2 ages given only as a bound") for note in people.notes)
    assert is_capped_age("90 and over")
    assert not is_capped_age("89")


def test_an_age_that_is_no_number_is_a_fault(tmp_path):
    people = read_participants(participants(tmp_path, "participant_id|age", "sub-01|old", "sub-02|25-30"))
    assert [fault.split(":")[0] for fault in people.faults] == [
        "participants.tsv, line 2, column age",
        "participants.tsv, line 3, column age",
    ]


@pytest.mark.parametrize(("unit", "cell", "age"), [("months", "120", 10), ("weeks", "521.8", 10), ("years", "10", 10)])
def test_ages_follow_the_unit_of_the_data_dictionary(tmp_path, unit, cell, age):
    path = participants(tmp_path, "participant_id|age", f"sub-01|{cell}", dictionary={"age": {"Units": unit}})
    assert read_participants(path).person("sub-01").age_years == pytest.approx(age, abs=0.01)


def test_the_age_of_a_session_goes_before_the_participants(tmp_path):
    path = participants(tmp_path, "participant_id|age|sex|group|iq", "sub-01|70|F|CN|110")
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text(
        "session_id\tacq_time\tage\tgroup\tmmse\nses-1\t2011-02-03T10:00:00\t70.2\tn/a\t29\nses-2\t2014-02-03\t73.2\tMCI\t27\n"
    )
    people = read_participants(path)
    first, second = people.person("sub-01", "ses-1"), people.person("sub-01", "ses-2")
    assert [(one.age_years, one.sex, one.group) for one in (first, second)] == [(70.2, "F", "CN"), (73.2, "F", "MCI")]
    assert second.covariates == {"iq": 110, "mmse": 27}
    assert people.person("sub-01", "ses-9").age_years == 70
    assert people.person("sub-01").age_years == 70


def test_a_table_may_have_one_row_per_session_and_leave_the_prefixes_out(tmp_path):
    people = read_participants(participants(tmp_path, "participant_id|session_id|age", "01|1|60", "01|2|62"))
    assert people.person("sub-01", "ses-2").age_years == 62
    assert people.person("sub-01", "ses-3") is None


def test_whoever_stands_there_twice_is_a_fault(tmp_path):
    people = read_participants(participants(tmp_path, "participant_id|age", "sub-01|60", "sub-01|61"))
    assert people.faults == ["participants.tsv, line 3: sub-01 stands in the table twice"]


def test_dates_and_names_are_never_carried_on(tmp_path):
    path = participants(
        tmp_path,
        "participant_id|age|name|date_of_birth|scan_date|visit|iq",
        "sub-01|60|Secret Person|1950-03-01|2010-04-05|05.04.2010|101",
        "sub-02|61|Other Person|n/a|n/a|06.04.2010|99",
    )
    people = read_participants(path)
    assert people.person("sub-01").covariates == {"iq": 101}
    told = " ".join(people.notes)
    assert "scan_date" in told
    assert "visit" in told
    assert "1950" not in repr(people)
    assert "Secret" not in repr(people)
    assert not are_dates(["12", "13"])
    assert not are_dates([None])


def test_a_table_without_participants_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected: a column participant_id"):
        read_participants(participants(tmp_path, "age|sex", "60|F"))


def test_a_broken_data_dictionary_is_refused(tmp_path):
    path = participants(tmp_path, "participant_id|age", "sub-01|60")
    path.with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match=r"participants\.json: not valid JSON"):
        read_participants(path)
