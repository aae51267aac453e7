"""Which rows of a prediction table tell something about an end point, one row per person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agezoo.analysis.person_rows import first_sessions
from agezoo.analysis.plan import EndPoint
from agezoo.errors import InputError

#: Nobody is followed up longer than this; larger numbers are days or months.
MAX_FOLLOW_UP_YEARS = 100.0

RAW, CORRECTED = "gap_years", "corrected_gap_years"


@dataclass(frozen=True)
class FollowUp:
    """People whose follow-up for one end point is known.

    Attributes
    ----------
    end_point
        The end point.
    frame
        One row per person, index 0..n-1: the table's columns and ``follow_up_years`` (above 0), ``status`` (0 censored,
        1 the event, 2 the competing event).
    n_rows
        Rows of the table.
    left_out
        Reason -> number of rows left out for it.
    notes
        What a reader must know about the selection.
    """

    end_point: EndPoint
    frame: pd.DataFrame
    n_rows: int
    left_out: dict[str, int]
    notes: tuple[str, ...]

    @property
    def time(self) -> np.ndarray:
        """Years of follow-up, shape ``(n,)``."""
        return self.frame["follow_up_years"].to_numpy(np.float64)

    @property
    def event(self) -> np.ndarray:
        """Whether the event ended the follow-up, shape ``(n,)``."""
        return self.frame["status"].to_numpy() == 1

    @property
    def status(self) -> np.ndarray:
        """0 censored, 1 event, 2 competing event, shape ``(n,)``."""
        return self.frame["status"].to_numpy(np.int64)


def follow_up(table: pd.DataFrame, end_point: EndPoint) -> FollowUp:
    """Select the rows of a prediction table that can be analysed for an end point.

    A row counts when it has a gap (raw or corrected), a follow-up above 0 years and a known outcome. A person with
    several such rows counts once, with the first session. A follow-up of exactly 0 years is left out: that person has
    been at risk at no time. Where event and competing event are both marked, the event ended the follow-up.

    Parameters
    ----------
    table
        Prediction table with the end point's columns.
    end_point
        Names of the columns.

    Raises
    ------
    InputError
        If a column is absent, a time is no number or longer than ``MAX_FOLLOW_UP_YEARS``, or a mark is not 0 or 1.
    """
    wanted = [end_point.time, end_point.event, *([end_point.competing] if end_point.competing else [])]
    _need_columns(table, wanted, f"end point {end_point.name}")
    frame = table.reset_index(drop=True)
    time = _years(frame[end_point.time], end_point)
    event = _marks(frame[end_point.event], end_point.event)
    outcome_known = event.notna()
    status = event.fillna(0).astype(np.int64)
    notes = []
    if end_point.competing:
        competing = _marks(frame[end_point.competing], end_point.competing)
        both = int(((event == 1) & (competing == 1)).sum())
        if both:
            notes.append(
                f"{end_point.name}: {_rows(both)} marked both with the event and with the competing event; "
                "the event is taken to have come first."
            )
        outcome_known &= (event == 1) | competing.notna()
        status = status.where((event == 1) | (competing != 1), 2)
    has_gap = frame[[name for name in (RAW, CORRECTED) if name in frame]].notna().any(axis=1)
    left_out: dict[str, int] = {}
    kept = pd.Series(True, index=frame.index)
    for reason, good in (
        ("no gap (prediction or age unknown)", has_gap),
        ("follow-up time unknown", time.notna()),
        ("outcome unknown", outcome_known),
        ("negative follow-up time", ~(time < 0)),
        ("follow-up of 0 years", ~(time == 0)),
    ):
        lost = int((kept & ~good).sum())
        if lost:
            left_out[reason] = lost
        kept &= good
    frame = frame.assign(follow_up_years=time, status=status)[kept]
    first = first_sessions(frame)
    if len(first) < len(frame):
        left_out["later session or second image of a person"] = len(frame) - len(first)
        notes.append(f"{end_point.name}: of people with several rows the first session counts.")
    return FollowUp(
        end_point=end_point,
        frame=first.reset_index(drop=True),
        n_rows=len(table),
        left_out=left_out,
        notes=tuple(notes),
    )


def _years(values: pd.Series, end_point: EndPoint) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = (numbers.isna() & values.notna()) | np.isinf(numbers)
    if bad.any():
        raise InputError(
            f"column {end_point.time} has cells that are not finite numbers",
            source=f"end point {end_point.name}",
            found=f"“{values[bad].iloc[0]}” and so on in {_rows(int(bad.sum()))}",
            expected="years of follow-up, or an empty cell where they are not known",
        )
    if numbers.max() > MAX_FOLLOW_UP_YEARS:
        raise InputError(
            f"column {end_point.time} has a follow-up that no person can have",
            source=f"end point {end_point.name}",
            found=f"{numbers.max():g} years",
            expected=f"years, at most {MAX_FOLLOW_UP_YEARS:g}",
            remedy="divide days by 365.25 and months by 12",
        )
    return numbers


def _marks(values: pd.Series, name: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    bad = values.notna() & ~numbers.isin([0, 1])
    if bad.any():
        raise InputError(
            f"column {name} marks who had the event, but has cells other than 0 and 1",
            found=f"“{values[bad].iloc[0]}” and so on in {_rows(int(bad.sum()))}",
            expected="1 where the event ended the follow-up, 0 where it did not, empty where it is not known",
        )
    return numbers


def _need_columns(table: pd.DataFrame, names: Sequence[str], source: str) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise InputError(
            "columns that the plan names are missing: " + ", ".join(missing),
            source=source,
            found="columns " + ", ".join(map(str, table.columns)),
            remedy="correct the names in the plan, or add the columns to the table",
        )


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"
