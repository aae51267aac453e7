"""Which rows count for an end point, and what is said about the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agezoo.analysis.plan import EndPoint
from agezoo.analysis.survival_data import follow_up
from agezoo.errors import InputError

END_POINT = EndPoint(name="fracture", time="years", event="fractured", competing="died")


def table(**columns) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "subject_id": [f"S{i}" for i in range(6)],
            "session": [None] * 6,
            "gap_years": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "years": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            "fractured": [1, 0, 0, 1, 0, 0],
            "died": [0, 1, 0, 0, 0, 1],
        }
    )
    return frame.assign(**columns)


def test_status_tells_event_and_competing_event():
    result = follow_up(table(), END_POINT)
    assert result.status.tolist() == [1, 2, 0, 1, 0, 2]
    assert result.event.tolist() == [True, False, False, True, False, False]
    assert result.left_out == {}
    assert follow_up(table(), EndPoint(name="f", time="years", event="fractured")).status.tolist() == [1, 0, 0, 1, 0, 0]


def test_every_left_out_row_has_a_reason():
    result = follow_up(
        table(
            gap_years=[np.nan, 2, 3, 4, 5, 6],
            years=[1, np.nan, -3, 0, 5, 6],
            fractured=[1, 0, 0, 1, None, 0],
        ),
        END_POINT,
    )
    assert result.frame["subject_id"].tolist() == ["S5"]
    assert result.left_out == {
        "no gap (prediction or age unknown)": 1,
        "follow-up time unknown": 1,
        "outcome unknown": 1,
        "negative follow-up time": 1,
        "follow-up of 0 years": 1,
    }
    assert result.n_rows == 6


def test_unknown_competing_mark_matters_only_without_the_event():
    result = follow_up(table(died=[np.nan, np.nan, 0, 0, 0, 1]), END_POINT)
    assert result.frame["subject_id"].tolist() == ["S0", "S2", "S3", "S4", "S5"]
    assert result.left_out == {"outcome unknown": 1}


def test_event_and_later_death_is_an_event():
    result = follow_up(table(died=[1, 1, 0, 0, 0, 1]), END_POINT)
    assert result.status[0] == 1
    assert "1 row marked both" in result.notes[0]


def test_first_usable_session_of_a_person_counts():
    result = follow_up(
        table(
            subject_id=["A", "A", "A", "B", "B", None],
            session=["10", "2", "3", "1", "2", None],
            gap_years=[1, 2, 3, np.nan, 5, 6],
        ),
        END_POINT,
    )
    assert result.frame["gap_years"].tolist() == [2, 5, 6]
    assert result.left_out["later session or second image of a person"] == 2
    assert "first session counts" in result.notes[0]


def test_corrected_gap_alone_is_enough():
    result = follow_up(table(gap_years=np.nan, corrected_gap_years=[1, 2, 3, 4, 5, np.nan]), END_POINT)
    assert len(result.frame) == 5


def test_days_are_recognised():
    with pytest.raises(
        InputError, match=r"follow-up that no person can have; found: 2190 years.*divide days by 365\.25"
    ):
        follow_up(table(years=[365.0 * i for i in range(1, 7)]), END_POINT)


def test_marks_other_than_0_and_1_are_refused():
    with pytest.raises(InputError, match=r"column fractured marks who had the event.*found: “2”"):
        follow_up(table(fractured=[1, 0, 0, 2, 0, 0]), END_POINT)
    with pytest.raises(InputError, match=r"column years has cells that are not finite numbers.*“soon”"):
        follow_up(table(years=[1, 2, 3, 4, 5, "soon"]), END_POINT)


def test_missing_columns_are_named():
    with pytest.raises(InputError, match=r"end point fracture: columns that the plan names are missing: died"):
        follow_up(table().drop(columns="died"), END_POINT)
