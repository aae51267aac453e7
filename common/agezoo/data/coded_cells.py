"""What the codes in a table's column mean, where its heading or its data dictionary says so; and capped ages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_PAIR = re.compile(r"['\"]?(\d+)['\"]?\s*[=:\-]\s*['\"]?([^\W\d_]+)")
_FEMALE, _MALE = {"f", "female", "females", "woman", "women"}, {"m", "male", "males", "man", "men"}
_CAPPED = re.compile(r"(>|>=|≥)\s*\d+([.,]\d+)?|\d+([.,]\d+)?\s*(\+|and (over|above|older))", re.IGNORECASE)
_LONGEST_GROUP = 40


def sex_letter(words: str) -> str | None:
    """``"F"`` or ``"M"`` from a short description such as ``Female participant``; None if it tells neither or both."""
    said = set(re.findall(r"[a-z]+", words.lower()))
    is_female, is_male = bool(said & _FEMALE), bool(said & _MALE)
    if is_female == is_male:
        return None
    return "F" if is_female else "M"


def sex_codes(text: str) -> dict[str, str]:
    """Codes that a text explains: ``SEX_ID (1=m, 2=f)`` gives ``{"1": "M", "2": "F"}``; empty where it does not."""
    found = {code: letter for code, word in _PAIR.findall(text) if (letter := sex_letter(word))}
    return found if set(found.values()) == {"F", "M"} else {}


def levels_of(column: Mapping[str, Any]) -> dict[str, str]:
    """Code -> words from the ``Levels`` of a column in a BIDS data dictionary."""
    levels = column.get("Levels")
    if not isinstance(levels, Mapping):
        return {}
    words = {
        str(code): text.get("Description", "") if isinstance(text, Mapping) else text for code, text in levels.items()
    }
    return {code: text.strip() for code, text in words.items() if isinstance(text, str) and text.strip()}


def explained_sexes(column: Mapping[str, Any]) -> dict[str, str]:
    """Code -> ``"F"`` or ``"M"`` from a column's ``Levels``, or else from its ``Description``."""
    found = {code: letter for code, words in levels_of(column).items() if (letter := sex_letter(words))}
    return found or sex_codes(str(column.get("Description", "")))


def explained_groups(column: Mapping[str, Any]) -> dict[str, str]:
    """Numeric code -> its words from a column's ``Levels``; letters and long descriptions are left as they stand."""
    return {
        code: words
        for code, words in levels_of(column).items()
        if re.fullmatch(r"\d+", code) and len(words) <= _LONGEST_GROUP
    }


def is_capped_age(cell: str) -> bool:
    """Whether a cell gives a bound instead of an age, as de-identified tables do: ``89+``, ``>89``."""
    return _CAPPED.fullmatch(cell.strip()) is not None


def are_dates(cells: Iterable[str | None]) -> bool:
    """Whether the known cells are all days (``2006-04-25``, ``25.04.2006``, ``04/25/06``), with a time or without."""
    known = [cell for cell in cells if cell]
    day = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ]\d{1,2}:.*)?")
    return bool(known) and all(day.fullmatch(cell) for cell in known)
