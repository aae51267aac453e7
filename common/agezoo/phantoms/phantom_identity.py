"""What every phantom's DICOM header says of its origin: names, identifiers, dates."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

from pydicom.uid import UID

MANUFACTURER = "AgeZoo phantom"
COMMENT = "Synthetic phantom drawn by software, not a person. Its age means nothing for real people."
IMPLEMENTATION_UID = UID("2.25.252366107461312187923306374871405128127")
_UID_SPACE = uuid.UUID("5b7a8f0e-6d55-4c4d-9c57-2a5b7f4f6f10")


def phantom_uid(*names: object) -> UID:
    """UID under the UUID root (2.25) that depends on the names alone."""
    return UID(f"2.25.{uuid.uuid5(_UID_SPACE, '|'.join(map(str, names))).int}")


def birth_date(study_date: date, age_years: float) -> date:
    """The day on which somebody of that age on the study's day was born."""
    return study_date - timedelta(days=round(age_years * 365.25))
