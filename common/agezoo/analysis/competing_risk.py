"""Cumulative incidence of an event that another event, usually death, can make impossible."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from agezoo.analysis.kaplan_meier import Curve, log_log_limits, survival_library


def cumulative_incidence(time: ArrayLike, status: ArrayLike) -> Curve:
    """Chance of having had the event by each time, when the competing event takes people away (Aalen-Johansen).

    One minus the Kaplan-Meier estimate with the competing events censored is larger: it is the chance in a world where
    nobody dies of anything else.

    Parameters
    ----------
    time
        Years of follow-up, shape ``(n,)``, at least one.
    status
        0 censored, 1 event, 2 competing event, shape ``(n,)``.

    Returns
    -------
    Curve
        95 % limits are symmetric on the scale of log(-log(1 - incidence)).

    References
    ----------
    Aalen OO, Johansen S. Scand J Stat 1978;5:141-150. Marubini E, Valsecchi MG. Analysing survival data from clinical
    trials and observational studies, 1995 (variance).
    """
    survfunc = survival_library()
    time, status = np.asarray(time, dtype=np.float64), np.asarray(status, dtype=np.int64)
    if not (status == 1).any():
        zero = np.zeros(1)
        return Curve(zero, zero, zero, zero, float(time.max()))
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = survfunc.CumIncidenceRight(time, status)
    incidence = np.asarray(estimate.cinc[0])
    steps = np.diff(incidence, prepend=0.0) > 0
    incidence = incidence[steps]
    low, high = log_log_limits(1 - incidence, np.asarray(estimate.cinc_se[0])[steps])
    return Curve(
        np.concatenate([[0.0], np.asarray(estimate.times)[steps]]),
        np.concatenate([[0.0], incidence]),
        np.concatenate([[0.0], 1 - high]),
        np.concatenate([[0.0], 1 - low]),
        float(time.max()),
    )
