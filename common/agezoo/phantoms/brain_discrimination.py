"""How well a planted deviation can tell patients from controls."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def expected_auroc(shift_years: float, patient_sd_years: float, control_sd_years: float) -> float:
    """AUROC of normally distributed deviations, as over an unlimited number of people.

    The probability that a patient's deviation exceeds a control's: Phi(shift / sqrt(sd_patients^2 + sd_controls^2)).

    Parameters
    ----------
    shift_years
        How much larger the patients' mean deviation is.
    patient_sd_years, control_sd_years
        SD of the deviation in either group; not both 0.
    """
    return float(stats.norm.cdf(shift_years / np.hypot(patient_sd_years, control_sd_years)))


def auroc_of_deviation(patients_years: ArrayLike, controls_years: ArrayLike) -> float:
    """AUROC of these people's deviations: the share of (patient, control) pairs in which the patient's is larger.

    Ties count one half. NaN if either group is empty.
    """
    patients = np.asarray(patients_years, float)[:, None]
    controls = np.asarray(controls_years, float)[None, :]
    if patients.size == 0 or controls.size == 0:
        return float("nan")
    return float(np.mean((patients > controls) + 0.5 * (patients == controls)))
