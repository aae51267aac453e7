"""Which scans of an atlas lie on the template worse than the others."""

from __future__ import annotations

import pandas as pd

#: Measures of the registration and how they are printed.
MEASURES = {
    "registration_overlap": "overlap with the template",
    "registration_correlation": "correlation with the template",
}

#: Median absolute deviations (scaled to an SD) below the median from which a scan is to be looked at.
LIMIT = 3.5


def badly_registered(cases: pd.DataFrame) -> pd.Series:
    """Whether each scan's overlap or correlation lies far below the others'.

    The limit is ``median - 3.5 * 1.4826 * MAD`` (Iglewicz B, Hoaglin DC. How to detect and handle outliers. ASQC 1993);
    where the MAD is 0 nothing is flagged. A flagged scan stays in the atlas: it is to be looked at.

    Parameters
    ----------
    cases
        With the columns of :data:`MEASURES`, as far as they are there.
    """
    flagged = pd.Series(False, index=cases.index)
    for name in MEASURES:
        values = measure(cases, name)
        deviation = values - values.median()
        scale = 1.4826 * deviation.abs().median()
        if scale > 1e-9:
            flagged |= (deviation < -LIMIT * scale).fillna(False)
    return flagged


def measure(cases: pd.DataFrame, name: str) -> pd.Series:
    """A measure as numbers, empty where the column is absent."""
    if name not in cases:
        return pd.Series(float("nan"), index=cases.index, dtype="float64")
    return pd.to_numeric(cases[name], errors="coerce").astype("float64")
