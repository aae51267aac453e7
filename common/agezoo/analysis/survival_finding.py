"""Is the gap associated with what happens later? Hazard ratios, discrimination and curves of each end point."""

from __future__ import annotations

import pandas as pd

from agezoo.analysis.findings import Finding
from agezoo.analysis.gap_models import fit_gap_models
from agezoo.analysis.kaplan_meier import survival_library
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.survival_curves import curves_finding
from agezoo.analysis.survival_data import follow_up
from agezoo.analysis.survival_discrimination_finding import discrimination_finding
from agezoo.analysis.survival_hazards import hazard_ratio_finding
from agezoo.errors import InputError


def survival_findings(
    table: pd.DataFrame, plan: AnalysisPlan, *, seed: int = 0, n_bootstrap: int = 2000
) -> list[Finding]:
    """Everything about the plan's end points.

    Parameters
    ----------
    table
        Prediction table with ``gap_years``, ``corrected_gap_years`` (may be empty or absent), ``age_years``, ``sex``
        and the plan's columns.
    plan
        End points, models and horizons.
    seed
        Of the split into folds and of the bootstrap.
    n_bootstrap
        Resamples for the intervals of the time-dependent AUC; fewer on large tables
        (:func:`agezoo.analysis.time_dependent_auc.n_resamples`).

    Returns
    -------
    Nothing without end points; otherwise "Survival: hazard ratios", "Survival: discrimination" and "Survival: curves".

    Raises
    ------
    InputError
        If a column that the plan names is absent or holds what it cannot hold.
    MissingExtraError
        If statsmodels is not installed.
    """
    if not plan.end_points:
        return []
    survival_library()
    if "gap_years" not in table:
        raise InputError("the table has no column gap_years", remedy="read it with agezoo.data.read_predictions")
    follows = [follow_up(table, end_point) for end_point in plan.end_points]
    models = [list(fit_gap_models(follow, plan.models)) for follow in follows]
    return [
        hazard_ratio_finding(follows, models, plan),
        discrimination_finding(follows, models, plan, seed=seed, n_bootstrap=n_bootstrap),
        curves_finding(follows, plan),
    ]
