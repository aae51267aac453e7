"""One row per person, for statistics that count people."""

from __future__ import annotations

import pandas as pd

from agezoo.data.table_cells import natural_key


def first_sessions(frame: pd.DataFrame) -> pd.DataFrame:
    """The row of each person's first session; a row without ``subject_id`` is a person of its own.

    Sessions are ordered by name with numbers as numbers (``ses-2`` before ``ses-10``), rows without a session last;
    of several rows of one session the first in the table counts. The order of the table is kept.
    """
    if "subject_id" not in frame:
        return frame
    subject = frame["subject_id"]
    repeated = subject.notna() & subject.duplicated(keep=False)
    if not repeated.any():
        return frame
    several = frame[repeated]
    sessions = several["session"] if "session" in several else pd.Series(None, index=several.index, dtype=object)
    keys = [natural_key(None if pd.isna(value) else value) for value in sessions]
    order = sorted(range(len(several)), key=lambda i: keys[i])
    kept = several.iloc[order].drop_duplicates("subject_id").index
    return frame[~repeated | frame.index.isin(kept)]
