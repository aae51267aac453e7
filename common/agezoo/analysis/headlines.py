"""The main result of a section in one line each, for a terminal and the head of the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from agezoo.analysis.findings import Finding


def headlines_of(findings: Iterable[Finding]) -> list[str]:
    """The sections' own lines; of sections without any, lines read off their tables."""
    lines: list[str] = []
    for finding in findings:
        tables = {table.name: table.frame for table in finding.tables}
        lines += finding.headlines
        if not finding.headlines and "raw_and_corrected" in tables:
            lines += _accuracy(tables["raw_and_corrected"])
        if not finding.headlines and "hazard_ratios" in tables:
            lines += _hazard_ratios(tables["hazard_ratios"])
    return lines


def _accuracy(frame: pd.DataFrame) -> Iterator[str]:
    for row in frame[frame["ages"] == "raw"].head(1).to_dict("records"):
        interval = _interval(row, "mae_years", "{:.2f}")
        yield (
            f"Accuracy (raw ages): MAE {row['mae_years']:.2f} years{interval}, gap {row['gap_age_slope']:+.2f} years "
            f"per year of age, n {int(row['n'])}"
        )


def _hazard_ratios(frame: pd.DataFrame) -> Iterator[str]:
    """The first model of each end point, with the corrected gap where there is one."""
    known = frame[frame["hr"].notna()]
    for end_point, part in known.groupby("end_point", sort=False):
        first = part[part["model"] == part["model"].iloc[0]]
        row = (first[first["gap"] == "corrected"] if (first["gap"] == "corrected").any() else first).iloc[0].to_dict()
        yield (
            f"{end_point}: hazard ratio per SD of the {row['gap']} gap {row['hr']:.2f}"
            f"{_interval(row, 'hr', '{:.2f}')}, {row['model']}, {int(row['events'])} events in {int(row['n'])} people"
        )


def _interval(row: dict[str, float], name: str, form: str) -> str:
    low, high = row.get(f"{name}_low", np.nan), row.get(f"{name}_high", np.nan)
    return f" ({form.format(low)} to {form.format(high)})" if np.isfinite(low) and np.isfinite(high) else ""
