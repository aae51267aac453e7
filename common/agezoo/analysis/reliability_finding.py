"""The section on repeat scans."""

from __future__ import annotations

from typing import Any

import pandas as pd

from agezoo.analysis.agreement import MIN_PAIRS, evaluate_pairs
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.plots.bland_altman import plot_bland_altman
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.repeat_pairs import pairs_of_repeats
from agezoo.errors import InputError

_GAPS = {"raw gap": "gap_years", "corrected gap": "corrected_gap_years"}


def reliability_finding(table: pd.DataFrame, *, prediction: str = "predicted_age_years") -> Finding | None:
    """Agreement of first and second scan of people who were scanned again; None where fewer than three were.

    Parameters
    ----------
    table
        Prediction table with ``subject_id``, ``gap_years`` and ``corrected_gap_years``; repeats are rows of one subject
        at most half a year of age apart.
    prediction
        Column of the predicted age.

    Returns
    -------
    Finding
        Table ``repeat_scans`` and a Bland-Altman plot of the predicted ages.
    """
    subject = table["subject_id"]
    # Pairing goes through people one by one; those with a single row need not be looked at.
    repeated = table[subject.notna() & subject.duplicated(keep=False)]
    rows: list[dict[str, Any]] = []
    plot: Plot | None = None
    headline = ""
    for name, column in ({"predicted age": prediction} | _GAPS).items():
        usable = repeated[repeated[column].notna()]
        if usable.empty:
            continue
        try:
            pairs = pairs_of_repeats(usable.assign(predicted_age_years=usable[column]))
            found = evaluate_pairs(pairs["first_years"], pairs["second_years"], ddof=1)
        except InputError:
            continue
        rows.append({"measure": name, "n_pairs": found["n_pairs"], **_cells(found)})
        if plot is None:
            plot = _bland_altman(pairs, found)
            headline = (
                f"Repeat scans: {found['n_pairs']} pairs, limits of agreement {found['lower_limit_years']:+.2f} to "
                f"{found['upper_limit_years']:+.2f} years, within-subject SD "
                f"{found['within_subject_sd_years']:.2f} years"
            )
    if not rows or plot is None:
        return None
    return Finding(
        "Repeat scans",
        "First and second scan of people who were scanned again within half a year. Sessions are taken in the order of "
        "their names.",
        (
            FindingTable(
                "repeat_scans",
                "Agreement of repeat scans",
                pd.DataFrame(rows),
                "About 95 % of differences (first − second) lie between the limits (mean ∓ 1.96 SD with n − 1). "
                "ICC(2,1) is the share of the variance that is due to people; that of the predicted age is high "
                "wherever ages range widely, that of the gap tells whether the gap is a property of a person.",
            ),
        ),
        (plot,),
        (f"Fewer than {2 * MIN_PAIRS + 4} pairs say little.",) if rows[0]["n_pairs"] < 2 * MIN_PAIRS + 4 else (),
        (headline,),
    )


def _cells(found: dict[str, Any]) -> dict[str, float]:
    cells: dict[str, float] = {}
    for name in ("mean_difference_years", "lower_limit_years", "upper_limit_years", "icc_2_1"):
        value, interval = found[name], found[f"{name}_ci95"] or (None, None)
        for key, number in ((name, value), (f"{name}_low", interval[0]), (f"{name}_high", interval[1])):
            cells[key] = float("nan") if number is None else number
    return cells | {"within_subject_sd_years": found["within_subject_sd_years"]}


def _bland_altman(pairs: pd.DataFrame, found: dict[str, Any]) -> Plot:
    complete = pairs.dropna(subset=["first_years", "second_years"])
    return Plot(
        "repeat_scans",
        plot_bland_altman(
            complete["first_years"],
            complete["second_years"],
            title="First and second scan",
            second_name="second",
            ddof=1,
        ),
        f"Bland-Altman plot of {found['n_pairs']} pairs of predicted ages; mean difference "
        f"{found['mean_difference_years']:+.2f} years, limits {found['lower_limit_years']:+.2f} to "
        f"{found['upper_limit_years']:+.2f} years.",
        "About 95 % of the differences lie between the orange limits; shaded bands are the lines' 95 % intervals.",
    )
