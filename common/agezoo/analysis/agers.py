"""Accelerated and decelerated agers: who they are, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from agezoo.errors import InputError

#: The groups in the order of the table.
GROUPS = ("accelerated", "average", "decelerated")

#: Fewer people than this have no SD worth dividing by.
MIN_PEOPLE = 20


@dataclass(frozen=True)
class Agers:
    """People by their gap.

    Attributes
    ----------
    group
        One of :data:`GROUPS` per person; the index of the gaps.
    mean_years, sd_years
        Of the gap: accelerated is above mean + 1 SD, decelerated below mean - 1 SD.
    """

    group: pd.Series
    mean_years: float
    sd_years: float


def agers(gap_years: pd.Series) -> Agers:
    """Divide people at 1 SD from the mean gap.

    Parameters
    ----------
    gap_years
        One complete value per person. A gap that still depends on age sorts by age: take the corrected one.

    Raises
    ------
    InputError
        If there are fewer than ``MIN_PEOPLE`` people or all have the same gap.
    """
    mean, sd = float(gap_years.mean()), float(gap_years.std(ddof=1))
    if len(gap_years) < MIN_PEOPLE or not sd > 1e-9:
        raise InputError(
            "accelerated and decelerated agers cannot be told apart",
            found=f"{len(gap_years)} people with a gap, SD {sd:.3g} years",
            expected=f"at least {MIN_PEOPLE} people with different gaps",
        )
    sorted_in = np.select([gap_years > mean + sd, gap_years < mean - sd], [GROUPS[0], GROUPS[2]], GROUPS[1])
    return Agers(pd.Series(sorted_in, index=gap_years.index), mean, sd)


def characteristics(people: pd.DataFrame, group: pd.Series, names: Sequence[str]) -> pd.DataFrame:
    """Compare the three groups in every characteristic.

    Parameters
    ----------
    people
        One row per person.
    group
        From :func:`agers`, same index.
    names
        Columns: numbers are given as mean and SD; columns of 0 and 1, and every word of a column of words, as share.

    Returns
    -------
    DataFrame with ``characteristic``, ``measure`` (``mean`` or ``share``), for each group its value and ``<group>_sd``
    (means only), ``standardised_difference`` (accelerated minus decelerated in SDs pooled over these two; for a share
    ``p`` the SD is ``sqrt(p (1 - p))``) and ``n_missing``. The first row counts people.
    """
    sizes = {name: float((group == name).sum()) for name in GROUPS}
    rows: list[dict[str, Any]] = [{"characteristic": "people", "measure": "count", **sizes, "n_missing": 0}]
    for name in names:
        values = people[name]
        n_missing = int(values.isna().sum())
        if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            numbers = values.astype("float64")
            share = bool(numbers.dropna().isin((0, 1)).all())
            rows.append(_row(name, numbers, group, share=share, n_missing=n_missing))
        else:
            words = values.astype(object)
            for level in sorted(map(str, words.dropna().unique())):
                indicator = (words.astype(str) == level).astype("float64").where(words.notna())
                rows.append(_row(f"{name}: {level}", indicator, group, share=True, n_missing=n_missing))
    columns = ["characteristic", "measure"]
    for name in GROUPS:
        columns += [name, f"{name}_sd"]
    return pd.DataFrame(rows).reindex(columns=[*columns, "standardised_difference", "n_missing"])


def _row(name: str, values: pd.Series, group: pd.Series, *, share: bool, n_missing: int) -> dict[str, Any]:
    row: dict[str, Any] = {"characteristic": name, "measure": "share" if share else "mean", "n_missing": n_missing}
    spread: dict[str, float] = {}
    for part in GROUPS:
        some = values[group == part].dropna()
        mean = float(some.mean()) if len(some) else float("nan")
        spread[part] = mean * (1 - mean) if share else float(some.var(ddof=1)) if len(some) > 1 else float("nan")
        row[part] = mean
        if not share:
            row[f"{part}_sd"] = float(np.sqrt(spread[part]))
    pooled = np.sqrt((spread[GROUPS[0]] + spread[GROUPS[2]]) / 2)
    row["standardised_difference"] = (row[GROUPS[0]] - row[GROUPS[2]]) / pooled if pooled > 1e-12 else float("nan")
    return row
