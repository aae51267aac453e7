"""Age and sex from what a header says, and a key that gives nobody away."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest

from agezoo.data.subject_facts import age_at_scan, parse_patient_age, patient_key, sex_of, years_between


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("045Y", 45.0),
        ("010M", 10 / 12),
        ("012W", 84 / 365.25),
        ("300D", 300 / 365.25),
        (" 45y ", 45.0),
        ("45", None),
        ("Y", None),
        ("0450Y", None),
        ("-45Y", None),
    ],
)
def test_age_strings(text, years):
    assert parse_patient_age(text) == (None if years is None else pytest.approx(years))


@pytest.mark.parametrize(
    ("born", "scanned", "years"),
    [
        ("1960-03-01", "2020-03-01", 60.0),
        ("1960-03-01", "2020-02-29", 59 + 365 / 366),
        ("1960-01-01", "2020-07-01", 60 + 182 / 366),
        ("2000-02-29", "2001-03-01", 1.0),
        ("2000-02-29", "2004-02-29", 4.0),
        ("2020-05-05", "2020-05-05", 0.0),
    ],
)
def test_years_are_whole_on_birthdays(born, scanned, years):
    assert years_between(date.fromisoformat(born), date.fromisoformat(scanned)) == pytest.approx(years)


def test_dates_are_preferred_because_they_have_fractions():
    assert age_at_scan("060Y", "19600301", "20200901") == (pytest.approx(60 + 184 / 365), ())
    assert age_at_scan("060Y", "", "20200901") == (60.0, ())
    assert age_at_scan("060Y", "1960.03.01", "") == (60.0, ())
    assert age_at_scan("", "", "") == (None, ())


def test_contradicting_ages_are_noted():
    age, notes = age_at_scan("050Y", "19600301", "20200301")
    assert age == 60.0
    assert "differ by more than a year" in notes[0]


@pytest.mark.parametrize(
    ("patient_age", "birth_date", "study_date", "age", "word"),
    [
        ("090Y", "", "20200301", None, "above 89"),
        ("090Y", "19291001", "20200301", pytest.approx(90.4, abs=0.1), ""),
        ("091Y", "", "", 91.0, ""),
        ("999Y", "", "", None, "impossible"),
        ("060Y", "20210301", "20200301", 60.0, "impossible"),
        ("060Y", "18500101", "20200301", 60.0, "impossible"),
        ("sixty", "", "", None, "not a DICOM age string"),
        ("060Y", "19601399", "20200301", 60.0, ""),
    ],
)
def test_capped_and_impossible_ages(patient_age, birth_date, study_date, age, word):
    found, notes = age_at_scan(patient_age, birth_date, study_date)
    assert found == age
    assert (word in notes[0]) if word else notes == ()


def test_notes_never_quote_a_date_or_a_text_of_the_header():
    _, notes = age_at_scan("Mr. Secret", "20210301", "20200301")
    assert "Secret" not in str(notes)
    assert "2021" not in str(notes)


@pytest.mark.parametrize(("text", "sex"), [("F", "F"), ("m ", "M"), ("O", None), ("", None), ("FEMALE", None)])
def test_sex(text, sex):
    assert sex_of(text) == sex


def test_patient_keys_group_inside_a_process_and_differ_between_processes():
    assert patient_key("4711", "A") == patient_key(" 4711 ", "A") != patient_key("4711", "B")
    assert patient_key("4711") != patient_key("4712")
    assert patient_key("  ") is None
    code = "from agezoo.data.subject_facts import patient_key; import sys; sys.stdout.write(patient_key('4711', 'A'))"
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert len(elsewhere) == 32
    assert elsewhere != patient_key("4711", "A")
