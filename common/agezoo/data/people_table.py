"""A table of people, one row per person, and what it says of a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agezoo.data.subject_table import SubjectTable

KNOWN = ("age_years", "sex", "group", "site", "section", "fold", "time_years", "event")
NO_AGE = "no age in the table"


@dataclass(frozen=True)
class Person:
    """What a table says of a person, or of a person at one session; None where it says nothing.

    Attributes
    ----------
    section
        ``"training"``, ``"validation"`` or ``"test"``.
    why_no_age
        Why ``age_years`` is None, in a few words.
    """

    age_years: float | None = None
    sex: str | None = None
    group: str | None = None
    site: str | None = None
    section: str | None = None
    fold: int | None = None
    time_years: float | None = None
    event: int | None = None
    covariates: Mapping[str, Any] = field(default_factory=dict)
    why_no_age: str = NO_AGE

    def updated(self, other: Person) -> Person:
        """This person with what `other` knows put first."""
        known = {name: value for name in KNOWN if (value := getattr(other, name)) is not None}
        why = other.why_no_age if other.why_no_age != NO_AGE else self.why_no_age
        return replace(self, **known, covariates={**self.covariates, **other.covariates}, why_no_age=why)


@dataclass
class PeopleTable:
    """People by subject, and by subject and session where the table goes so far.

    Attributes
    ----------
    path
        The table.
    people
        ``(subject, session)`` -> what is known; session None for what holds at every session.
    notes
        What was repaired or left out, in words for the user.
    faults
        What could not be understood, one sentence each.
    """

    path: Path
    people: dict[tuple[str, str | None], Person] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def person(self, subject: str, session: str | None = None) -> Person | None:
        """What is known of a person at a session; None for somebody whom the table does not hold."""
        base, visit = self.people.get((subject, None)), self.people.get((subject, session))
        if base is None:
            return visit
        return base if visit is None or session is None else base.updated(visit)

    def add(
        self, table: SubjectTable, subjects: Sequence[str | None], sessions: Sequence[str | None], why_no_age: list[str]
    ) -> None:
        """Take over the rows of an understood table; a person (at one session) who stands there twice is a fault."""
        for row, subject, session, why in zip(table.rows, subjects, sessions, why_no_age, strict=True):
            where = f"{table.path.name}, line {row['line']}"
            if subject is None:
                self.faults.append(f"{where}: no participant")
            elif (subject, session) in self.people:
                who = subject if session is None else f"{subject}, {session}"
                self.faults.append(f"{where}: {who} stands in the table twice")
            else:
                known: dict[str, Any] = {name: row.get(name) for name in KNOWN}
                self.people[subject, session] = Person(**known, covariates=row["covariates"], why_no_age=why)
