"""Recognising the people that something was fitted on, without keeping their names."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from agezoo.errors import InputError

# Given by read_predictions to rows of a table that names nobody.
_UNNAMED = re.compile(r"row-\d{5,}")

# Phantoms are numbered within their cohort: the name alone does not tell one cohort's from another's.
_PHANTOM = re.compile(r"phantom", re.IGNORECASE)

_SHOWN = 3

# Share of different rows below which numbers are too coarse to recognise a row by.
_TELLING = 0.9

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class ReferencePeople(BaseModel):
    """Salted hashes of the people in a reference.

    They keep names out of the file and tell people apart; they are no secret against somebody who has the list of
    names and tries each.

    Attributes
    ----------
    salt
        Stands before each name; made from the whole reference, so that the same reference gives the same file.
    people
        Hashes by ``subject_id``; of phantoms by name and age.
    rows
        Hashes of image, age, prediction and SD of the rows that name nobody; empty where these numbers are so coarse
        that they do not tell rows apart.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    people: frozenset[Hash] = frozenset()
    rows: frozenset[Hash] = frozenset()

    @classmethod
    def of(cls, table: pd.DataFrame, prediction: str) -> ReferencePeople:
        """The people of a table's rows."""
        names = _names(table)
        people = sorted({name for name in names if name is not None})
        unnamed = _values(table[[name is None for name in names]], prediction)
        salt = _hash("", "\n".join([*people, *sorted(unnamed), f"{table[prediction].sum():.4f}"]))
        if len(set(unnamed)) < _TELLING * len(unnamed):
            unnamed = []
        return cls(
            salt=salt,
            people=frozenset(_hash(salt, name) for name in people),
            rows=frozenset(_hash(salt, value) for value in unnamed),
        )

    def known(self, table: pd.DataFrame, prediction: str) -> NDArray[np.bool_]:
        """Which rows are of people in the reference.

        Rows without a name are known together or not at all: when more than half of them have the numbers of a row
        of the reference, because two people may well share rounded ones.
        """
        names = _names(table)
        there = {name: _hash(self.salt, name) in self.people for name in set(names) - {None} if name is not None}
        found = np.array([name is not None and there[name] for name in names], dtype=np.bool_)
        unnamed = np.array([name is None for name in names], dtype=np.bool_)
        if self.rows and unnamed.any():
            same = [_hash(self.salt, value) in self.rows for value in _values(table[unnamed], prediction)]
            if sum(same) > len(same) / 2:
                found[unnamed] = same
        return found

    def knows(self, subject_id: Any, age_years: float | None) -> bool:
        """Whether one person with a name is in the reference."""
        name = _name(subject_id, np.nan if age_years is None else age_years)
        return name is not None and _hash(self.salt, name) in self.people

    def refuse(self, table: pd.DataFrame, prediction: str, *, what: str) -> None:
        """Raise :class:`InputError` if any row is of a person in the reference."""
        known = self.known(table, prediction)
        if known.any():
            subjects = pd.unique(table.loc[known, "subject_id"]) if "subject_id" in table else []
            shown = ", ".join(str(subject) for subject in subjects[:_SHOWN])
            raise InputError(
                f"the {what} was fitted on people of this table, and must not be reported on them",
                source="subject_id",
                found=f"{int(known.sum())} of {len(table)} rows" + (f", e.g. of {shown}" if shown else ""),
                expected="other people than in the reference",
                remedy="fit it on another set, or cross-fit over the folds of this one; where other people merely "
                "have the same names, make the names different, e.g. by the cohort's name in front",
            )


def subject_codes(table: pd.DataFrame) -> NDArray[np.intp]:
    """Number of each row's person; a row without a name is a person of its own."""
    names = table["subject_id"] if "subject_id" in table else pd.Series([None] * len(table))
    code, known = pd.factorize(names)
    code = code.astype(np.intp)
    lone = code < 0
    code[lone] = len(known) + np.arange(int(lone.sum()))
    return code


def _names(table: pd.DataFrame) -> list[str | None]:
    if "subject_id" not in table:
        return [None] * len(table)
    ages = pd.to_numeric(table["age_years"], errors="coerce") if "age_years" in table else [np.nan] * len(table)
    return [_name(subject, float(age)) for subject, age in zip(table["subject_id"], ages, strict=True)]


def _name(subject: Any, age: float) -> str | None:
    if subject is None or pd.isna(subject) or not str(subject).strip() or _UNNAMED.fullmatch(str(subject)):
        return None
    return f"{subject}|{age:.2f}" if _PHANTOM.match(str(subject)) else str(subject)


def _values(table: pd.DataFrame, prediction: str) -> list[str]:
    columns = [name for name in ("age_years", prediction, "aleatoric_sd_years") if name in table]
    numbers = table[columns].to_numpy(dtype=np.float64, na_value=np.nan)
    images = table["image"].fillna("") if "image" in table else [""] * len(table)
    return [
        "|".join([str(image), *(f"{value:.4f}" for value in row)])
        for image, row in zip(images, numbers.tolist(), strict=True)
    ]


def _hash(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}|{text}".encode()).hexdigest()[:16]
