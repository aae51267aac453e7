"""Age, sex and an anonymous grouping key from what a DICOM header says of the person."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import date

# Random for every process and never stored, so that a key cannot be compared between runs or tried out by
# hashing all possible patient numbers.
_PROCESS_KEY = secrets.token_bytes(32)

_YEARS_PER_UNIT = {"Y": 1.0, "M": 1.0 / 12.0, "W": 7.0 / 365.25, "D": 1.0 / 365.25}

# HIPAA's safe harbour lets de-identifiers write every age above 89 as 90.
_CAPPED_AGE_YEARS = 90.0
_OLDEST_PLAUSIBLE_YEARS = 120.0


def parse_patient_age(text: str) -> float | None:
    """Years from a DICOM age string such as ``045Y``, ``010M``, ``012W`` or ``300D``; None if it is not one.

    A month counts as 1/12 year, a week as 7/365.25 and a day as 1/365.25 year (DICOM PS3.5, value
    representation AS). A number without a unit is not an age string.
    """
    match = re.fullmatch(r"\s*(\d{1,3})([DWMY])\s*", text.upper())
    if match is None:
        return None
    return int(match.group(1)) * _YEARS_PER_UNIT[match.group(2)]


def parse_dicom_date(text: str) -> date | None:
    """Date from ``YYYYMMDD`` or the old ``YYYY.MM.DD``; None if it is neither or no real day."""
    digits = text.strip().replace(".", "")[:8]
    if re.fullmatch(r"\d{8}", digits) is None:
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def years_between(earlier: date, later: date) -> float:
    """Years from one day to another: whole birthdays, and the elapsed share of the running year."""

    def anniversary(year: int) -> date:
        # 29 February is kept on 1 March in years that lack it.
        is_leap_day = earlier.month == 2 and earlier.day == 29
        try:
            return earlier.replace(year=year)
        except ValueError:
            return date(year, 3, 1) if is_leap_day else earlier

    whole = later.year - earlier.year - (anniversary(later.year) > later)
    last, following = anniversary(earlier.year + whole), anniversary(earlier.year + whole + 1)
    return whole + (later - last).days / (following - last).days


def age_at_scan(patient_age: str, birth_date: str, study_date: str) -> tuple[float | None, tuple[str, ...]]:
    """Age in years at the scan and notes for the user.

    The age computed from birth and study date is preferred because it has fractions of a year; PatientAge serves
    where a date is absent. Where both exist and differ by more than a year, a note says so. An age that is
    impossible, or a PatientAge of 90 years without a birth date (de-identified headers write every age above 89
    like that), is unknown.

    Parameters
    ----------
    patient_age, birth_date, study_date
        The header's texts; empty when absent.
    """
    notes: list[str] = []
    stated = parse_patient_age(patient_age) if patient_age.strip() else None
    if patient_age.strip() and stated is None:
        notes.append("PatientAge is not a DICOM age string such as 045Y and was not used")
    born, scanned = parse_dicom_date(birth_date), parse_dicom_date(study_date)
    computed = years_between(born, scanned) if born is not None and scanned is not None else None

    if computed is not None and not 0.0 <= computed <= _OLDEST_PLAUSIBLE_YEARS:
        notes.append("birth and study date give an impossible age and were not used")
        computed = None
    if stated is not None and stated > _OLDEST_PLAUSIBLE_YEARS:
        notes.append("PatientAge is impossible and was not used")
        stated = None

    if computed is not None:
        # PatientAge counts completed units, so up to one year more is agreement.
        if stated is not None and not -1.0 <= computed - stated <= 2.0:
            notes.append(
                "PatientAge and the age from birth and study date differ by more than a year; the dates were used"
            )
        return computed, tuple(notes)
    if stated == _CAPPED_AGE_YEARS:
        notes.append("PatientAge is 090Y, which de-identified headers write for every age above 89: age unknown")
        stated = None
    return stated, tuple(notes)


def sex_of(text: str) -> str | None:
    """``"F"`` or ``"M"`` from PatientSex; None for O (other), empty or anything else."""
    letter = text.strip().upper()
    return letter if letter in {"F", "M"} else None


def patient_key(patient_id: str, issuer: str = "") -> str | None:
    """A key that is equal for equal patient identifiers inside this process; None without an identifier."""
    if not patient_id.strip():
        return None
    message = f"{patient_id.strip()}\0{issuer.strip()}".encode()
    return hashlib.blake2b(message, key=_PROCESS_KEY, digest_size=16).hexdigest()
