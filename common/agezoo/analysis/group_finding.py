"""The sections on groups of people and on shifts between sites."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from agezoo.analysis.counting import rows as in_rows
from agezoo.analysis.discrimination import GAPS
from agezoo.analysis.findings import Finding, FindingTable
from agezoo.analysis.groups import MIN_PER_GROUP, AdjustedMeans, Grouping, adjusted_means, grouping, hedges_g
from agezoo.analysis.multiple_testing import holm
from agezoo.analysis.person_rows import first_sessions
from agezoo.analysis.plan import AnalysisPlan
from agezoo.analysis.plots.catalogue import Plot
from agezoo.analysis.plots.intervals import IntervalRow, plot_intervals
from agezoo.analysis.report_sections import slug
from agezoo.errors import InputError

_ADJUSTED_FOR = ("age_years", "sex")


def group_finding(table: pd.DataFrame, plan: AnalysisPlan) -> Finding:
    """Compare the gap of every grouping of the plan.

    Parameters
    ----------
    table
        Prediction table with ``gap_years`` and ``corrected_gap_years`` (which may be empty).
    plan
        Groups.

    Returns
    -------
    Finding
        Table ``gap_by_group``: per group and gap n, mean, SD, Hedges' g against the reference group and the difference
        at equal age and sex; plots ``gap_by_<column>``. Groups that cannot be compared are in the table, with a note.
    """
    rows: list[dict[str, Any]] = []
    plots: list[Plot] = []
    notes: list[str] = []
    headlines: list[str] = []
    for name in dict.fromkeys(plan.groups):
        try:
            groups = grouping(table, name)
        except InputError as error:
            notes.append(f"Group {name} was not analysed: {error}.")
            continue
        notes += _left_out(table, groups)
        for gap, people, adjusted in _compared(table, groups, notes):
            rows += _rows(groups, gap, people, adjusted)
            # The corrected gap comes last and takes the place of the raw one.
            if adjusted is not None:
                plots = [plot for plot in plots if plot.name != f"gap_by_{slug(groups.column)}"]
                plots.append(_plot(groups.column, gap, adjusted, f"gap_by_{slug(groups.column)}"))
                headlines = [line for line in headlines if not line.startswith(f"{groups.column}:")]
                headlines += _headline(groups, gap, adjusted)
    tables = []
    if rows:
        frame = pd.DataFrame(rows)
        frame["p_holm"] = frame.groupby("gap", sort=False)["p"].transform(holm)
        tables.append(
            FindingTable(
                "gap_by_group",
                "Gap by group",
                frame,
                "difference: at equal age and sex, against the reference group, in years (least squares, HC3). "
                "hedges_g: difference of the plain means in SDs, age not considered; 0.2 is small, 0.8 large. p tests "
                "the difference, p_holm holds it against all comparisons of the same kind of gap (Holm).",
            )
        )
    return Finding(
        "Groups",
        "Gap by group, raw and corrected. One row per person (the first session); differences are adjusted for age and "
        "sex.",
        tuple(tables),
        tuple(plots),
        tuple(dict.fromkeys(notes)),
        tuple(headlines),
    )


def site_finding(table: pd.DataFrame, column: str) -> Finding:
    """Shifts of the gap between sites.

    Returns
    -------
    Finding
        Table ``site_shift`` with the mean gap of each site at the age and share of sexes of everybody, and its
        distance from the mean over the sites; plot ``site_shift``.

    Raises
    ------
    InputError
        If the column is absent or holds no groups.
    """
    sites = grouping(table, column)
    rows: list[dict[str, Any]] = []
    plots: list[Plot] = []
    notes = _left_out(table, sites)
    headlines: list[str] = []
    for gap, people, adjusted in _compared(table, sites, notes):
        counts = people["group"].value_counts()
        for name in (sites.reference, *sites.others):
            part = people.loc[people["group"] == name, "gap"]
            row: dict[str, Any] = {"site": name, "gap": gap, "n": int(counts.get(name, 0))}
            row |= {"mean_gap_years": part.mean(), "sd_gap_years": part.std(ddof=1)}
            if adjusted is not None and name in adjusted.means.index:
                mean = adjusted.means.loc[name]
                row |= {
                    "adjusted_mean_years": mean["mean"],
                    "adjusted_mean_years_low": mean["mean_low"],
                    "adjusted_mean_years_high": mean["mean_high"],
                    "shift_from_all_sites_years": mean["mean"] - adjusted.means["mean"].mean(),
                    "p_any_difference": adjusted.p_any,
                }
            rows.append(row)
        if adjusted is not None:
            plots = [_plot(column, gap, adjusted, "site_shift", means=True)]
            spread = adjusted.means["mean"].max() - adjusted.means["mean"].min()
            headlines = [
                f"Sites: adjusted means of the {gap} gap lie up to {spread:.2f} years apart "
                f"(p {adjusted.p_any:.2g} for any difference)"
            ]
    return Finding(
        "Sites",
        f"Mean gap by {column} at the mean age and share of sexes of everybody. One row per person (the "
        "first session).",
        (
            FindingTable(
                "site_shift",
                "Gap by site",
                pd.DataFrame(rows),
                "A site whose adjusted mean lies off the others' shifts its ages: scanner, protocol or who was scanned "
                "there. Adjust for the site, or calibrate it apart, before people of different sites are compared. "
                "p_any_difference: whether the sites differ at all (Wald test, HC3).",
            ),
        ),
        tuple(plots),
        tuple(dict.fromkeys(notes)),
        tuple(headlines),
    )


def _left_out(table: pd.DataFrame, groups: Grouping) -> list[str]:
    unknown = int((groups.values.isna() & table["gap_years"].notna()).sum())
    return [f"{groups.column}: {in_rows(unknown)} left out: group not known."] if unknown else []


def _compared(
    table: pd.DataFrame, groups: Grouping, notes: list[str]
) -> Iterator[tuple[str, pd.DataFrame, AdjustedMeans | None]]:
    """Kind of gap, people with their gap and group, and the comparison at equal age and sex where there can be one."""
    for gap, column in GAPS.items():
        usable = table[column].notna() & groups.values.notna()
        if not usable.any():
            continue
        rows = table[usable]
        people = first_sessions(rows)
        if len(people) < len(rows):
            notes.append(f"{groups.column}: {in_rows(len(rows) - len(people))} left out: later session of a person.")
        people = people.assign(gap=people[column], group=groups.values.loc[people.index])
        counts = people["group"].value_counts()
        small = [str(name) for name, n in counts.items() if n < MIN_PER_GROUP]
        if small:
            notes.append(
                f"{groups.column}: {', '.join(small)} has fewer than {MIN_PER_GROUP} people, listed but not compared."
            )
        if groups.reference in small or counts.get(groups.reference, 0) == 0:
            notes.append(f"{groups.column}: the reference group {groups.reference} is too small to compare with.")
            yield gap, people, None
            continue
        large = people[~people["group"].isin(small)]
        covariates = large[[name for name in _ADJUSTED_FOR if name in large]]
        try:
            adjusted = adjusted_means(large["gap"], large["group"], covariates, reference=groups.reference)
        except InputError as error:
            notes.append(f"{groups.column}, {gap} gap: no adjusted means: {error}.")
            yield gap, people, None
            continue
        notes += [f"{groups.column}: {note}" for note in adjusted.notes]
        yield gap, people, adjusted


def _rows(groups: Grouping, gap: str, people: pd.DataFrame, adjusted: AdjustedMeans | None) -> Iterator[dict[str, Any]]:
    reference = people.loc[people["group"] == groups.reference, "gap"]
    for name in (groups.reference, *groups.others):
        part = people[people["group"] == name]
        row: dict[str, Any] = {
            "column": groups.column,
            "group": name,
            "gap": gap,
            "n": len(part),
            "mean_age_years": part["age_years"].mean(),
            "mean_gap_years": part["gap"].mean(),
            "sd_gap_years": part["gap"].std(ddof=1),
        }
        if name == groups.reference:
            row["compared_with"] = "(reference)"
        elif len(part) >= MIN_PER_GROUP and len(reference) >= MIN_PER_GROUP:
            row |= {"compared_with": groups.reference, **hedges_g(part["gap"], reference)}
            if adjusted is not None and name in adjusted.differences.index:
                found = adjusted.differences.loc[name]
                row |= {
                    "difference_years": found["difference"],
                    "difference_years_low": found["difference_low"],
                    "difference_years_high": found["difference_high"],
                    "p": found["p"],
                }
        yield {**dict.fromkeys(_COLUMNS, float("nan")), **row}


_COLUMNS = ("column", "group", "gap", "n", "mean_age_years", "mean_gap_years", "sd_gap_years", "compared_with",
            "hedges_g", "hedges_g_low", "hedges_g_high", "difference_years", "difference_years_low",
            "difference_years_high", "p")  # fmt: skip


def _plot(column: str, gap: str, adjusted: AdjustedMeans, name: str, *, means: bool = False) -> Plot:
    found = adjusted.means.sort_index() if means else adjusted.means
    rows = [IntervalRow(str(key), row["mean"], row["mean_low"], row["mean_high"]) for key, row in found.iterrows()]
    return Plot(
        name,
        plot_intervals(
            rows, title=f"{gap.capitalize()} gap by {column}", x="Mean gap at equal age and sex (years)", none_at=0.0
        ),
        f"Mean {gap} gap by {column} with 95 % intervals, adjusted for age and sex: "
        + "; ".join(f"{row.name} {row.value:+.2f} years" for row in rows)
        + ".",
        "Right of the dashed line people look older than they are. All groups are put at the same age and "
        "share of sexes.",
    )


def _headline(groups: Grouping, gap: str, adjusted: AdjustedMeans) -> Iterator[str]:
    if not len(adjusted.differences):
        return
    parts = [
        f"{name} {row['difference']:+.2f} ({row['difference_low']:+.2f} to {row['difference_high']:+.2f})"
        for name, row in adjusted.differences.iterrows()
    ]
    shown = ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
    yield f"{groups.column}: {gap} gap against {groups.reference} at equal age and sex, years: {shown}"
