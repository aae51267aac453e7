"""The section on accelerated and decelerated agers."""

from __future__ import annotations

import pandas as pd

from agezoo.analysis.agers import GROUPS, agers, characteristics
from agezoo.analysis.binary_label import binary_label, column_and_value
from agezoo.analysis.discrimination import GAPS
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.person_rows import first_sessions
from agezoo.analysis.plan import AnalysisPlan
from agezoo.errors import InputError


def ager_finding(table: pd.DataFrame, plan: AnalysisPlan) -> Finding:
    """Compare people who look older with people who look younger than they are.

    Parameters
    ----------
    table
        Prediction table with ``gap_years`` and ``corrected_gap_years``; the corrected gap divides people where there is
        one.
    plan
        Its covariates, labels and groups are compared, beside age and sex.

    Raises
    ------
    InputError
        If too few people have a gap.
    """
    gap = next((name for name in ("corrected", "raw") if table[GAPS[name]].notna().any()), "raw")
    people = first_sessions(table[table[GAPS[gap]].notna()])
    divided = agers(people[GAPS[gap]])
    columns, notes = _characteristics(people, plan)
    shown = people.assign(**columns)
    if gap == "raw":
        notes.append(
            "There is no corrected gap, so the raw one divides people. It depends on age in most models: the young "
            "then seem accelerated, and the groups differ in age by construction."
        )
    counts = divided.group.value_counts()
    low, high = divided.mean_years - divided.sd_years, divided.mean_years + divided.sd_years
    return Finding(
        "Accelerated and decelerated agers",
        f"People by their {gap} gap: accelerated above {high:+.2f} years (mean + 1 SD), decelerated below {low:+.2f} "
        "years (mean − 1 SD). One row per person (the first session).",
        (
            FindingTable(
                "agers",
                "Characteristics of accelerated, average and decelerated agers",
                characteristics(shown, divided.group, ["age_years", *columns]),
                "Means with SD, or shares. standardised_difference: accelerated − decelerated in SDs; beyond ±0.1 a "
                "difference is worth a thought. No tests: the table describes.",
            ),
        ),
        notes=tuple(notes),
        headlines=(
            f"Agers by the {gap} gap: "
            + ", ".join(f"{int(counts.get(name, 0))} {name}" for name in GROUPS)
            + " people",
        ),
    )


def _characteristics(people: pd.DataFrame, plan: AnalysisPlan) -> tuple[dict[str, pd.Series], list[str]]:
    """Columns to compare by their name in the table: sex, covariates, labels, groups, each once."""
    columns: dict[str, pd.Series] = {}
    notes: list[str] = []
    if people["sex"].notna().any():
        columns["sex"] = people["sex"]
    covariates = (name for names in plan.models.values() for name in names)
    groups = (column_and_value(name, people.columns)[0] for name in plan.groups)
    for name in (*covariates, *groups):
        if name in people and name not in ("age_years", "sex") and people[name].notna().any():
            values = people[name]
            if not pd.api.types.is_numeric_dtype(values) and values.nunique() > 30:
                notes.append(f"{name} has {values.nunique()} different words and is not listed.")
                continue
            columns[name] = values
    for name in plan.labels:
        if name in columns or column_and_value(name, people.columns)[0] in columns:
            continue
        try:
            columns[name] = binary_label(people, name).values
        except InputError:
            # The section on discrimination says what is wrong with it.
            continue
    return columns, notes
