"""Agreement of the ages of perturbed scans with those of the same scans as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.agreement import MIN_PAIRS, evaluate_pairs
from agezoo.analysis.repeat_pairs import pairs_of_repeats
from agezoo.analysis.uncertainty import total_sd_years
from agezoo.errors import InputError

#: What stands in the column ``perturbation`` for the scan as it is.
NONE = "none"

#: How the column ``error`` begins where a grade would change nothing of a scan.
NOT_APPLICABLE = "not applicable"

#: Columns of ``robustness.csv``, one row per case and grade. ``difference_years`` is predicted - baseline; where the
#: head rounds, both are taken before rounding (``expected_age_years``).
TABLE_COLUMNS = [
    "subject_id",
    "session",
    "image",
    "modality",
    "perturbation",
    "grade",
    "unit",
    "baseline_age_years",
    "predicted_age_years",
    "expected_age_years",
    "difference_years",
    "aleatoric_sd_years",
    "epistemic_sd_years",
    "age_years",
    "error",
    "note",
    "bundle",
    "bundle_version",
    "weights_sha256",
    "weights_origin",
]

#: Further columns of brains: how well each was registered to the template, and how far its image in MNI space differs
#: from that of the scan as it is (correlation; root mean square difference in SD of the brain's voxels).
BRAIN_COLUMNS = [
    "brain_state",
    "registration_overlap",
    "registration_correlation",
    "input_correlation",
    "input_rms_difference",
]

LARGE_CHANGE_YEARS = 5.0

#: Ages of all scans that differ less than this (SD) are as good as one age.
CONSTANT_SD_YEARS = 0.5

HUMAN_AGES_YEARS = (0.0, 120.0)
_HALF_90 = 1.6448536269514722
_NEED_PAIRS = (
    "mean_difference_years_ci95",
    "sd_difference_years",
    "lower_limit_years",
    "upper_limit_years",
    "icc_2_1",
    "icc_2_1_ci95",
)


def with_unrounded_ages(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the ages that are compared as ``predicted_age_years``: before rounding, of heads that round.

    Rounding to whole years would hide every change of less than half a year and turn others into a whole one.
    """
    if "expected_age_years" not in table:
        return table
    expected = table["expected_age_years"].astype(float)
    return table.assign(predicted_age_years=expected.fillna(table["predicted_age_years"].astype(float)))


def robustness_figures(table: pd.DataFrame) -> dict[str, Any]:
    """Figures of every perturbation and grade, and of the repeat scans.

    Parameters
    ----------
    table
        With the columns of :data:`TABLE_COLUMNS`.

    Returns
    -------
    dict
        ``n_cases`` (scans with a prediction), ``n_failed`` (scans without), ``n_with_age``, ``baseline_mae_years``;
        ``baseline_sd_years`` (of the ages of the scans as they are) and ``is_constant``: whether 3 or more scans, not
        of people of one age, got nearly the same age, so that nothing can move it and the agreement says nothing;
        ``is_unrounded``: whether ages before rounding are compared; ``n_with_note``: scans of which something had to be
        assumed; of brains ``brain_states`` (how many came as what) and ``registration``, see
        :func:`registration_figures`, of the scans as they are; ``perturbations``: name -> list of the figures of
        :func:`grade_figures` with ``grade`` and ``unit``, in the order of the table; ``repeat_scans``: see
        :func:`repeat_figures`.
    """
    is_unrounded = bool("expected_age_years" in table and table["expected_age_years"].notna().any())
    table = with_unrounded_ages(table)
    unperturbed = table[table["perturbation"] == NONE]
    usable = unperturbed[unperturbed["predicted_age_years"].notna()]
    error = (usable["predicted_age_years"] - usable["age_years"]).dropna().abs()
    spread = float(usable["predicted_age_years"].std(ddof=0)) if len(usable) else None
    perturbed = table[table["perturbation"] != NONE]
    figures: dict[str, Any] = {
        "n_cases": len(usable),
        "n_failed": len(unperturbed) - len(usable),
        "n_with_age": len(error),
        "baseline_mae_years": float(error.mean()) if len(error) else None,
        "baseline_sd_years": spread,
        "is_constant": _is_constant(usable),
        "is_unrounded": is_unrounded,
        "n_with_note": int((_words(usable["note"]) != "").sum()) if "note" in usable else 0,
        "perturbations": {
            str(name): [
                {"grade": float(grade), "unit": str(part["unit"].iloc[0]), **grade_figures(part)}
                for grade, part in rows.groupby("grade", sort=False)
            ]
            for name, rows in perturbed.groupby("perturbation", sort=False)
        },
        "repeat_scans": repeat_figures(usable),
    }
    if "brain_state" in table:
        figures["brain_states"] = {str(k): int(n) for k, n in usable["brain_state"].value_counts().items()}
        figures["registration"] = registration_figures(usable)
    return figures


def _is_constant(usable: pd.DataFrame) -> bool:
    ages = usable["age_years"].astype(float)
    if len(usable) < MIN_PAIRS or (ages.notna().all() and ages.std(ddof=0) < 4 * CONSTANT_SD_YEARS):
        return False
    return bool(usable["predicted_age_years"].astype(float).std(ddof=0) < CONSTANT_SD_YEARS)


def grade_figures(part: pd.DataFrame) -> dict[str, Any]:
    """Figures of one perturbation at one grade.

    Parameters
    ----------
    part
        Rows of :data:`TABLE_COLUMNS`, one per scan.

    Returns
    -------
    dict
        ``n``, ``n_not_applicable``, ``n_failed``; the figures of
        :func:`agezoo.analysis.agreement.evaluate_pairs` with the perturbed scan's age as first and the baseline as
        second (None for fewer than 3 scans, but for the mean difference); ``n_impossible`` (ages below 0 or above 120
        years) and ``share_changed_over_5_years``; ``n_with_sd``, ``mean_sd_years`` and ``baseline_inside_90``: the
        share of scans whose baseline age lies within the perturbed scan's predicted 90 % interval (a total SD taken as
        normal), which tells whether the model knows that it knows less; where ages are known ``n_with_age``,
        ``mae_years``, ``baseline_mae_years`` of the same scans and ``mae_change_years``.
    """
    predicted = part["predicted_age_years"].astype(float)
    known = part[predicted.notna() & part["baseline_age_years"].notna()].astype(
        {"predicted_age_years": float, "baseline_age_years": float, "age_years": float}
    )
    skipped = _words(part["error"]).str.startswith(NOT_APPLICABLE)
    figures: dict[str, Any] = {
        "n": len(known),
        "n_not_applicable": int(skipped.sum()),
        "n_failed": len(part) - len(known) - int(skipped.sum()),
    }
    altered, baseline = known["predicted_age_years"].to_numpy(), known["baseline_age_years"].to_numpy()
    if len(known) >= MIN_PAIRS:
        figures |= evaluate_pairs(altered, baseline)
    else:
        figures |= dict.fromkeys(_NEED_PAIRS)
        figures["mean_difference_years"] = float((altered - baseline).mean()) if len(known) else None
    figures["n_impossible"] = int(((altered < HUMAN_AGES_YEARS[0]) | (altered > HUMAN_AGES_YEARS[1])).sum())
    figures["share_changed_over_5_years"] = (
        float((np.abs(altered - baseline) > LARGE_CHANGE_YEARS).mean()) if len(known) else None
    )
    figures |= _interval_figures(known) | _error_figures(known)
    return figures | registration_figures(known) if "brain_state" in known else figures


def registration_figures(part: pd.DataFrame) -> dict[str, Any]:
    """Median and lowest of the overlap with the template and of the likeness to the scan as it is; None if unknown.

    Parameters
    ----------
    part
        Rows with :data:`BRAIN_COLUMNS`.
    """
    figures: dict[str, Any] = {}
    for name in ("registration_overlap", "input_correlation"):
        values = part[name].astype(float).dropna()
        figures[f"median_{name}"] = float(values.median()) if len(values) else None
        figures[f"lowest_{name}"] = float(values.min()) if len(values) else None
    return figures


def _interval_figures(known: pd.DataFrame) -> dict[str, Any]:
    sd = total_sd_years(known["aleatoric_sd_years"].astype(float), known["epistemic_sd_years"].astype(float))
    stated = np.isfinite(sd)
    if not stated.any():
        return {"n_with_sd": 0, "baseline_inside_90": None, "mean_sd_years": None}
    moved = np.abs(known["predicted_age_years"] - known["baseline_age_years"]).to_numpy()[stated]
    return {
        "n_with_sd": int(stated.sum()),
        "baseline_inside_90": float((moved <= _HALF_90 * sd[stated] + 1e-9).mean()),
        "mean_sd_years": float(sd[stated].mean()),
    }


def _error_figures(known: pd.DataFrame) -> dict[str, Any]:
    aged = known[known["age_years"].notna()]
    if not len(aged):
        return {"n_with_age": 0, "mae_years": None, "baseline_mae_years": None, "mae_change_years": None}
    mae = float((aged["predicted_age_years"] - aged["age_years"]).abs().mean())
    baseline = float((aged["baseline_age_years"] - aged["age_years"]).abs().mean())
    return {
        "n_with_age": len(aged),
        "mae_years": mae,
        "baseline_mae_years": baseline,
        "mae_change_years": mae - baseline,
    }


def repeat_pairs(unperturbed: pd.DataFrame) -> pd.DataFrame:
    """First and second prediction of people who were scanned again; an empty table when there are none.

    A radiograph and a DXA image of one person are no repeats.
    """
    named = unperturbed[unperturbed["subject_id"].notna()].assign(error=None)
    if "modality" in named:
        named["subject_id"] = named["subject_id"].astype(str) + " " + _words(named["modality"])
    try:
        return pairs_of_repeats(named.astype({"age_years": float, "predicted_age_years": float}))
    except InputError:
        return pd.DataFrame({"first_years": [], "second_years": []}, dtype=float)


def repeat_figures(unperturbed: pd.DataFrame) -> dict[str, Any]:
    """Agreement of first and repeat scans as they are; only ``n_pairs`` when there are fewer than 3 pairs."""
    pairs = repeat_pairs(unperturbed)
    if len(pairs) < MIN_PAIRS:
        return {"n_pairs": len(pairs)}
    return evaluate_pairs(pairs["first_years"], pairs["second_years"])


def _words(column: pd.Series) -> pd.Series:
    """A column of words whose empty cells are empty words."""
    return column.map(lambda cell: cell if isinstance(cell, str) else "").astype(str)
