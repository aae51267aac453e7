"""Cox models of an end point on the gap, for each set of covariates, with the raw and with the corrected gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from agezoo.analysis.covariate_design import Design, covariate_design
from agezoo.analysis.cox import CoxFit, fit_cox, proportional_hazards_test
from agezoo.analysis.survival_data import CORRECTED, RAW, FollowUp
from agezoo.errors import InputError

#: Gap columns by the word that tables and figures use.
GAPS = {"raw": RAW, "corrected": CORRECTED}

#: Name of the gap, in SDs, among the covariates.
GAP_TERM = "gap (per SD)"


@dataclass(frozen=True)
class GapModel:
    """One end point, one set of covariates, one kind of gap.

    Attributes
    ----------
    end_point, model
        Names.
    gap
        ``"raw"`` or ``"corrected"``.
    gap_sd_years
        SD of the gap among all people of the end point who have one: the unit of the hazard ratio, the same in every
        model.
    people
        Index of the people in the model in the follow-up's frame.
    covariates
        Of these people, the gap (in SDs, named :data:`GAP_TERM`) last.
    fit
        The fitted model, None where there is none.
    proportional_hazards
        Table of :func:`agezoo.analysis.cox.proportional_hazards_test`, None without a fit.
    problem
        Why there is no fit.
    left_out
        Reason -> number of people left out.
    notes
        What must be said about the model.
    """

    end_point: str
    model: str
    gap: str
    gap_sd_years: float
    people: np.ndarray
    covariates: pd.DataFrame
    fit: CoxFit | None
    proportional_hazards: pd.DataFrame | None
    problem: str | None
    left_out: dict[str, int]
    notes: tuple[str, ...]

    @property
    def others(self) -> pd.DataFrame:
        """The covariates beside the gap."""
        return self.covariates.drop(columns=GAP_TERM)


def fit_gap_models(follow: FollowUp, models: Mapping[str, Sequence[str]]) -> Iterator[GapModel]:
    """Fit every model of an end point, with the raw gap and, where the table has it, the corrected one.

    Raises
    ------
    InputError
        If a covariate is not in the table or cannot be used as one.
    """
    for name, columns in models.items():
        designs: dict[bytes, Design] = {}
        for gap, column in GAPS.items():
            if column not in follow.frame or not (has_gap := follow.frame[column].notna()).any():
                continue
            # Usually the same people have both gaps.
            key = has_gap.to_numpy().tobytes()
            if key not in designs:
                designs[key] = covariate_design(follow.frame[has_gap], columns)
            yield _fit(follow, name, designs[key], gap, column)


def _fit(follow: FollowUp, name: str, design: Design, gap: str, column: str) -> GapModel:
    frame = follow.frame
    sd = float(frame[column].std(ddof=1))
    has_gap = frame[column].notna()
    left_out = dict(design.left_out)
    if not has_gap.all():
        left_out = {f"no {gap} gap": int((~has_gap).sum()), **left_out}
    notes = list(design.notes)
    covariates = design.matrix
    people = covariates.index.to_numpy()
    fit = hazards = problem = None
    values = frame.loc[people, column]
    if len(values) < 2 or not np.isfinite(sd) or values.std() < 1e-9:
        problem = "the gap is the same in everybody, or too few people have all covariates"
    else:
        covariates = covariates.assign(**{GAP_TERM: values / sd})
        time, event = follow.time[people], follow.event[people]
        try:
            fit = fit_cox(time, event, covariates)
        except InputError as error:
            problem = str(error)
        if fit is not None and GAP_TERM not in set(fit.table["covariate"]):
            fit, problem = None, "the gap is the same in everybody whose hazard can be compared"
        if fit is not None:
            hazards = proportional_hazards_test(time, event, covariates, fit)
            notes += fit.notes
            if not fit.rows.all():
                left_out["covariate without events on one side"] = int((~fit.rows).sum())
            people, covariates = people[fit.rows], covariates.loc[fit.rows, list(fit.table["covariate"])]
    return GapModel(
        end_point=follow.end_point.name,
        model=name,
        gap=gap,
        gap_sd_years=sd,
        people=people,
        covariates=covariates,
        fit=fit,
        proportional_hazards=hazards,
        problem=problem,
        left_out=left_out,
        notes=tuple(notes),
    )
