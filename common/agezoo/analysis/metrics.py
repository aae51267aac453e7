"""All figures of an evaluated table, with intervals, in the form of ``metrics.json``."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agezoo.analysis.accuracy import accuracy_figures
from agezoo.analysis.bin_collapse import bin_collapse_figures
from agezoo.analysis.bootstrap import Figures, estimate_with_intervals
from agezoo.analysis.cohort_truth import cohort_truth_figures
from agezoo.analysis.evaluation_rows import MIN_ROWS, EvaluationRows
from agezoo.analysis.uncertainty import calibration_curve, uncertainty_figures

FloatArray = NDArray[np.float64]

# Figures that compare with the spread of the ages.
_OF_THE_SPREAD = ("pcc", "r2", "gap_age_slope", "mae_of_guessing_the_mean_years")


def evaluate_rows(rows: EvaluationRows, *, seed: int = 0, n_bootstrap: int = 2000) -> dict[str, Any]:
    """Compute every figure of one table.

    Parameters
    ----------
    rows
        From :func:`agezoo.analysis.evaluation_rows.evaluation_rows`.
    seed, n_bootstrap
        Of the bootstrap; the same seed gives the same intervals, whatever else the table holds.

    Returns
    -------
    dict
        ``n`` (rows), ``n_subjects``, ``n_failed``, ``n_without_age``; the figures of
        :func:`~agezoo.analysis.accuracy.accuracy_figures`; where an SD is given those of
        :func:`~agezoo.analysis.uncertainty.uncertainty_figures` with ``n_with_sd`` and ``sd_kind``; where bounds are
        given ``coverage_of_interval`` and ``mean_interval_width_years``; ``ci95`` with a ``[low, high]`` per figure;
        ``by_sex`` and ``by_decade`` with the same per group; ``calibration_curve``; ``corrected`` with the accuracy
        of the corrected ages; ``cohort_truth`` for phantoms; ``second_stage`` where a cascade predicted, with the
        figures of :mod:`agezoo.analysis.bin_collapse`, their ``verdict`` and ``first_stage_mae_years``; ``provenance``
        and ``notes``. A figure that is not defined is None.
    """
    frame = rows.frame

    def block(part: pd.DataFrame, label: str) -> dict[str, Any]:
        return _block(part, seed=[seed, zlib.crc32(label.encode())], n_bootstrap=n_bootstrap)

    result: dict[str, Any] = {
        "n": len(frame),
        "n_subjects": int(frame["cluster"].nunique()),
        "n_failed": len(rows.failures),
        "n_without_age": rows.n_without_age,
        "age_min_years": float(frame["age_years"].min()),
        "age_max_years": float(frame["age_years"].max()),
        **block(frame, "all"),
        "sd_kind": rows.sd_kind,
        "interval_unit": "subject" if rows.clustered else "row",
        "n_bootstrap": n_bootstrap,
        "seed": seed,
        "by_sex": {name: block(part, f"sex {name}") for name, part in _by_sex(frame)},
        "by_decade": {name: block(part, f"decade {name}") for name, part in _by_decade(frame)},
    }
    with_sd = frame[frame["sd_years"].notna()]
    if len(with_sd):
        error, sd = with_sd["error_years"].to_numpy(), with_sd["sd_years"].to_numpy()
        result["calibration_curve"] = _with_intervals(
            lambda counts: calibration_curve(error, sd, counts=counts), with_sd, seed=seed, n_bootstrap=n_bootstrap
        )
    corrected = frame[frame["corrected_age_years"].notna()]
    if len(corrected) >= 2:
        age, value = corrected["age_years"].to_numpy(), corrected["corrected_age_years"].to_numpy()
        result["corrected"] = {
            "n": len(corrected),
            **_with_intervals(
                lambda counts: accuracy_figures(age, value, counts=counts),
                corrected,
                seed=seed,
                n_bootstrap=n_bootstrap,
            ),
        }
    truth = _cohort_truth(frame, seed=seed, n_bootstrap=n_bootstrap)
    if truth:
        result["cohort_truth"] = truth
    second_stage = _second_stage(frame)
    if second_stage:
        result["second_stage"] = second_stage
    return result | {"provenance": rows.provenance, "notes": list(rows.notes)}


def _block(part: pd.DataFrame, *, seed: list[int], n_bootstrap: int) -> dict[str, Any]:
    """Accuracy, uncertainty and interval figures of some rows, each over the rows that have what it needs."""
    result: dict[str, Any] = {"n": len(part), "n_subjects": int(part["cluster"].nunique()), "ci95": {}}

    def add(figures: Callable[[pd.DataFrame, FloatArray | None], Any], some: pd.DataFrame) -> None:
        values = _with_intervals(lambda counts: figures(some, counts), some, seed=seed, n_bootstrap=n_bootstrap)
        result["ci95"].update(values.pop("ci95"))
        result.update(values)

    add(lambda some, counts: accuracy_figures(some["age_years"], some["predicted_age_years"], counts=counts), part)
    if len(part) < MIN_ROWS:
        # Two points always lie on a line; a correlation of +-1 would be read as a finding.
        result.update(dict.fromkeys(_OF_THE_SPREAD))
    with_sd = part[part["sd_years"].notna()]
    if len(with_sd):
        result["n_with_sd"] = len(with_sd)
        add(lambda some, counts: uncertainty_figures(some["error_years"], some["sd_years"], counts=counts), with_sd)
    bounded = part[part["lower_years"].notna() & part["upper_years"].notna()]
    if len(bounded):
        result["n_with_interval"] = len(bounded)
        add(_interval_figures, bounded)
    result["ci95"] = result.pop("ci95")  # after the figures, for people who read the file
    return result


def _interval_figures(some: pd.DataFrame, counts: FloatArray | None) -> dict[str, FloatArray]:
    weight = np.ones((1, len(some))) if counts is None else counts
    age, lower, upper = (some[name].to_numpy() for name in ("age_years", "lower_years", "upper_years"))
    total = weight.sum(axis=1)
    return {
        "coverage_of_interval": weight @ ((age >= lower) & (age <= upper)) / total,
        "mean_interval_width_years": weight @ (upper - lower) / total,
    }


def _with_intervals(figures: Figures, part: pd.DataFrame, *, seed: int | list[int], n_bootstrap: int) -> dict[str, Any]:
    values, intervals = estimate_with_intervals(figures, part["cluster"], seed=seed, n_bootstrap=n_bootstrap)
    return {**values, "ci95": intervals}


def _cohort_truth(frame: pd.DataFrame, *, seed: int, n_bootstrap: int) -> dict[str, Any] | None:
    if "biological_age_years" in frame and frame["biological_age_years"].notna().any():
        biological = frame["biological_age_years"]
    elif "deviation_years" in frame and frame["deviation_years"].notna().any():
        biological = frame["age_years"] + frame["deviation_years"]
    else:
        return None
    known = frame[biological.notna()]
    age, predicted = known["age_years"].to_numpy(), known["predicted_age_years"].to_numpy()
    imaged = biological[biological.notna()].to_numpy()
    figures = _with_intervals(
        lambda counts: cohort_truth_figures(age, predicted, imaged, counts=counts),
        known,
        seed=seed,
        n_bootstrap=n_bootstrap,
    )
    return {"n": len(known), **figures}


def _second_stage(frame: pd.DataFrame) -> dict[str, Any] | None:
    """What the second stage of a cascade adds to the first."""
    if "discretised_age_years" not in frame:
        return None
    figures = bin_collapse_figures(
        frame["predicted_age_years"],
        frame["discretised_age_years"],
        age_years=frame["age_years"],
        sex=frame["sex"],
        model=frame.get("weights_sha256"),
    )
    if figures is None:
        return None
    first_stage = frame["first_stage_age_years"] if "first_stage_age_years" in frame else pd.Series(np.nan, frame.index)
    numbers = {**asdict(figures), "first_stage_mae_years": float((first_stage - frame["age_years"]).abs().mean())}
    # JSON has no word for what is not a number.
    known = {name: None if value != value else value for name, value in numbers.items()}
    return {**known, "is_collapsed": figures.is_collapsed, "verdict": figures.verdict}


def _by_sex(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if frame["sex"].notna().any():
        for name in ("F", "M"):
            part = frame[frame["sex"] == name]
            if len(part):
                yield name, part
        unknown = frame[frame["sex"].isna()]
        if len(unknown):
            yield "unknown", unknown


def _by_decade(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for decade, part in frame.groupby("decade", sort=True):
        yield f"{decade}-{int(decade) + 9}", part
