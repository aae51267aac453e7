"""Public survival data with published results.

``rossi.csv``: 432 men released from Maryland prisons in the 1970s, followed up for 52 weeks until the first arrest
(Rossi PH, Berk RA, Lenihan KJ. Money, work, and crime, 1980), in the columns of Allison PD, Survival analysis using
SAS, 1995; numbers as distributed with lifelines (MIT licence).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

ROSSI_COVARIATES = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]


def rossi() -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Weeks, arrest, covariates."""
    frame = pd.read_csv(Path(__file__).with_name("rossi.csv"))
    return frame["week"].to_numpy(float), frame["arrest"].to_numpy() == 1, frame[ROSSI_COVARIATES].astype(float)


def leukaemia() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weeks of remission, relapse, 1 for 6-mercaptopurine and 0 for placebo, 21 children each.

    Freireich EJ et al. Blood 1963;21:699-716, the example of most textbooks.
    """
    treated = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    relapsed = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    time = np.array([*treated, *placebo], dtype=float)
    event = np.array([*relapsed, *[1] * 21], dtype=bool)
    return time, event, np.array([1] * 21 + [0] * 21)
