"""How well the gap tells who has the event earlier: Harrell's C and time-dependent AUC, with and without the gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agezoo.analysis.concordance import Concordance, concordance_change, harrell_c
from agezoo.analysis.cross_fitted_risk import cross_fitted_risk, folds_of_people
from agezoo.analysis.gap_models import GAPS, GapModel
from agezoo.analysis.survival_data import FollowUp
from agezoo.analysis.time_dependent_auc import HorizonAuc, time_dependent_auc

Rows = list[dict[str, Any]]

# A model whose covariates have all been dropped gives everybody the same score.
_NO_COVARIATE = "no covariate"


class RiskScores:
    """Scores of one end point's people: age, gaps, and each fitted model without and with the gap.

    Model scores are cross-fitted: each person's comes from a fit on the other nine tenths of the people.

    Attributes
    ----------
    pairs
        ``(model, gap)`` -> the model, its people's scores without and with the gap.
    problems
        What could not be cross-fitted.
    """

    def __init__(self, follow: FollowUp, models: Sequence[GapModel], *, seed: int) -> None:
        self.follow = follow
        self.pairs: dict[tuple[str, str], tuple[GapModel, np.ndarray, np.ndarray]] = {}
        self.problems: list[str] = []
        # One split of all people: the models' scores of a person then rest on the same others.
        folds = folds_of_people(follow.event, seed=seed)
        known: dict[tuple[Any, ...], np.ndarray | None] = {}
        for model in models:
            if model.fit is None:
                continue
            time, event = follow.time[model.people], follow.event[model.people]
            # Raw and corrected gap usually share people and covariates, and so the scores without the gap.
            key = (model.model, tuple(model.others.columns), model.people.tobytes())
            if key not in known:
                known[key] = (
                    cross_fitted_risk(time, event, model.others, folds[model.people])
                    if model.others.shape[1]
                    else np.zeros(len(time))
                )
            without = known[key]
            with_ = cross_fitted_risk(time, event, model.covariates, folds[model.people])
            if without is None or with_ is None:
                self.problems.append(
                    f"{model.end_point}, {model.model} with the {model.gap} gap: too few events for cross-fitting; no "
                    "concordance and no time-dependent AUC."
                )
            else:
                self.pairs[model.model, model.gap] = (model, without, with_)

    def simple(self) -> dict[str, np.ndarray]:
        """Age and gaps of all people, not a number where unknown."""
        columns = {"age": "age_years", **{f"{gap} gap": column for gap, column in GAPS.items()}}
        frame = self.follow.frame
        return {
            name: frame[column].to_numpy(np.float64)
            for name, column in columns.items()
            if column in frame and frame[column].notna().any()
        }


def concordance_rows(scores: RiskScores) -> tuple[Rows, Rows]:
    """Harrell's C of each score, and its change when the gap joins a model; rows of two tables."""
    follow, name = scores.follow, scores.follow.end_point.name
    singles: Rows = []
    changes: Rows = []
    for score, values in scores.simple().items():
        known = np.isfinite(values)
        single = harrell_c(follow.time[known], follow.event[known], values[known])
        singles.append(_c_row(name, score, single, int(known.sum()), int(follow.event[known].sum())))
    done: set[tuple[str, bytes]] = set()
    for (model, gap), (fitted, without, with_) in scores.pairs.items():
        time, event = follow.time[fitted.people], follow.event[fitted.people]
        n, n_events = len(time), int(event.sum())
        first, second = harrell_c(time, event, without), harrell_c(time, event, with_)
        if fitted.others.shape[1] and (model, without.tobytes()) not in done:
            done.add((model, without.tobytes()))
            singles.append(_c_row(name, model, first, n, n_events))
        singles.append(_c_row(name, f"{model} + {gap} gap", second, n, n_events))
        change = concordance_change(first, second)
        changes.append(
            {
                "end_point": name,
                "model": model,
                "gap": gap,
                "c_without": first.c,
                "c_without_low": first.low,
                "c_without_high": first.high,
                "c_with": second.c,
                "c_with_low": second.low,
                "c_with_high": second.high,
                "c_change": change.change,
                "c_change_low": change.low,
                "c_change_high": change.high,
                "p": change.p,
                "n": n,
                "events": n_events,
            }
        )
    return singles, changes


def _c_row(end_point: str, score: str, c: Concordance, n: int, events: int) -> dict[str, Any]:
    return {
        "end_point": end_point,
        "score": score,
        "c": c.c,
        "c_low": c.low,
        "c_high": c.high,
        "n": n,
        "events": events,
    }


def horizons_of(follow: FollowUp, planned: Sequence[float] | None) -> list[float]:
    """The plan's horizons, or the quartiles of the event times."""
    if planned is not None:
        return [float(years) for years in planned]
    if not follow.event.any():
        return []
    return sorted({round(float(t), 4) for t in np.quantile(follow.time[follow.event], [0.25, 0.5, 0.75])})


def auc_rows(scores: RiskScores, horizons: Sequence[float], *, n_bootstrap: int, seed: int) -> tuple[Rows, Rows, int]:
    """Time-dependent AUC of each score, its change when the gap joins a model, and the number of people.

    All scores are compared on the people who have them all.
    """
    follow, name = scores.follow, scores.follow.end_point.name
    columns = scores.simple()
    differences: dict[str, tuple[str, str]] = {}
    described: dict[str, tuple[str, str]] = {}
    for (model, gap), (fitted, without, with_) in scores.pairs.items():
        names = (model if fitted.others.shape[1] else _NO_COVARIATE, f"{model} + {gap} gap")
        spread = {column: np.full(len(follow.frame), np.nan) for column in names}
        for column, values in zip(names, (without, with_), strict=True):
            spread[column][fitted.people] = values
        if names[0] in columns and not np.array_equal(columns[names[0]], spread[names[0]], equal_nan=True):
            # Raw and corrected gap are known for different people, so that the fits without the gap differ too.
            names = (f"{names[0]} (people with a {gap} gap)", names[1])
            spread = dict(zip(names, spread.values(), strict=True))
        columns |= spread
        differences[f"change {model} {gap}"] = (names[1], names[0])
        described[f"change {model} {gap}"] = (model, gap)
    people = np.all([np.isfinite(values) for values in columns.values()], axis=0)
    if not people.any():
        return [], [], 0
    results = time_dependent_auc(
        follow.time[people],
        follow.status[people],
        {column: values[people] for column, values in columns.items()},
        horizons,
        differences=differences,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    singles = [
        {"end_point": name, "horizon_years": horizon, "score": column, **_auc_cells(results[column, horizon], "auc")}
        for horizon in horizons
        for column in columns
        if not column.startswith(_NO_COVARIATE)
    ]
    changes = [
        {
            "end_point": name,
            "horizon_years": horizon,
            "model": model,
            "gap": gap,
            "auc_without": results[differences[key][1], horizon].value,
            "auc_with": results[differences[key][0], horizon].value,
            **_auc_cells(results[key, horizon], "auc_change"),
        }
        for horizon in horizons
        for key, (model, gap) in described.items()
    ]
    return singles, changes, int(people.sum())


def _auc_cells(auc: HorizonAuc, name: str) -> dict[str, Any]:
    return {
        name: auc.value,
        f"{name}_low": auc.low,
        f"{name}_high": auc.high,
        "cases": auc.n_cases,
        "controls": auc.n_controls,
    }
