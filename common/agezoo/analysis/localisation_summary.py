"""What a table of localisation scores says about each saliency method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from agezoo.analysis.bootstrap import FloatArray, estimate_with_intervals

WHOLE = "all_regions"
TRAINED = "trained"


def summarise_localisation(table: pd.DataFrame, *, n_bootstrap: int = 2000, seed: int = 0) -> list[dict[str, Any]]:
    """Means over cases per network, method and region, with 95 % intervals that draw whole subjects.

    Parameters
    ----------
    table
        One row per case, ``network``, ``method`` and ``region`` with ``subject_id``, ``pointing_hit``,
        ``energy_inside``, ``area_share``, ``background_share`` and ``seconds``.
    n_bootstrap, seed
        Of the intervals.

    Returns
    -------
    list of dict
        In the table's order. ``pointing_game``, ``energy_inside``, ``area_share`` (chance level of the energy) and
        ``energy_ratio`` (mean energy inside over mean area share; 1 is chance), each ``{"value", "interval"}``;
        ``n`` cases; means of ``background_share`` and ``seconds``, None where unknown.
    """
    summary = []
    for (network, method, region), rows in table.groupby(["network", "method", "region"], sort=False):

        def figures(counts: FloatArray | None, rows: pd.DataFrame = rows) -> dict[str, FloatArray]:
            mean = {
                name: _means(rows[name].to_numpy(float), counts)
                for name in ("pointing_hit", "energy_inside", "area_share")
            }
            return {
                "pointing_game": mean["pointing_hit"],
                "energy_inside": mean["energy_inside"],
                "area_share": mean["area_share"],
                "energy_ratio": mean["energy_inside"] / mean["area_share"],
            }

        estimates, intervals = estimate_with_intervals(
            figures, rows["subject_id"].to_numpy(), n_bootstrap=n_bootstrap, seed=seed
        )
        summary.append(
            {
                "network": network,
                "method": method,
                "region": region,
                "n": len(rows),
                **{name: {"value": value, "interval": intervals[name]} for name, value in estimates.items()},
                "background_share": _mean_or_none(rows["background_share"]),
                "seconds": _mean_or_none(rows["seconds"]),
            }
        )
    return summary


def compare_with(
    table: pd.DataFrame, reference: str, *, region: str = WHOLE, n_bootstrap: int = 2000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """How much more energy inside a region each method has than one of them, case by case, trained network.

    Returns
    -------
    dict
        Method -> ``value`` (mean difference) and ``interval`` (95 %, by subject); empty if the reference is absent.
    """
    rows = table[(table["network"] == TRAINED) & (table["region"] == region)]
    wide = rows.pivot(index=["subject_id", "session"], columns="method", values="energy_inside")
    if reference not in wide:
        return {}
    subjects = wide.index.get_level_values("subject_id").to_numpy()
    methods = [name for name in wide.columns if name != reference]

    def figures(counts: FloatArray | None) -> dict[str, FloatArray]:
        return {name: _means((wide[name] - wide[reference]).to_numpy(float), counts) for name in methods}

    estimates, intervals = estimate_with_intervals(figures, subjects, n_bootstrap=n_bootstrap, seed=seed)
    return {name: {"value": estimates[name], "interval": intervals[name]} for name in methods}


def best_methods(summary: list[dict[str, Any]], *, region: str = WHOLE) -> dict[str, str]:
    """The trained network's method with the most energy inside a region, and that with the most pointing hits.

    Equal pointing hits are told apart by the energy.
    """
    rows = [row for row in summary if row["network"] == TRAINED and row["region"] == region]
    if not rows:
        return {}
    energy = {row["method"]: row["energy_inside"]["value"] for row in rows}
    hits = {row["method"]: row["pointing_game"]["value"] for row in rows}
    return {
        "energy_inside": max(energy, key=lambda name: energy[name]),
        "pointing_game": max(hits, key=lambda name: (hits[name], energy[name])),
    }


def _means(values: FloatArray, counts: FloatArray | None) -> FloatArray:
    weights = np.ones((1, len(values))) if counts is None else counts
    return weights @ values / weights.sum(axis=1)


def _mean_or_none(values: pd.Series) -> float | None:
    known = values.dropna()
    return float(known.mean()) if len(known) else None
