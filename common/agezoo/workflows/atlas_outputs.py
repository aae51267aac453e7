"""Files of a finished atlas: tables of cases and regions, mean maps of every group, shuffled shares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agezoo.data.atomic import written_atomically
from agezoo.data.atomic_folder import folder_written_atomically
from agezoo.transforms.body.body_template import BodyTemplate, write_volume
from agezoo.workflows.atlas_shuffles import RegionShares
from agezoo.workflows.atlas_sums import AtlasSums

CASES = "cases.csv"
REGIONS = "regions.csv"
OVERLAP = "registration_overlap.csv"
FACTS = "atlas.json"
POPULATION = "population"
NULL = "null.npz"

_DECIMALS = 6


def write_atlas(
    out: Path,
    template: BodyTemplate,
    sums: AtlasSums,
    rows: Iterable[Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> pd.DataFrame:
    """Write everything that follows from the sums and the rows of the cases; give ``cases.csv``.

    Maps are float32: the mean absolute map sums to about 1 over the body, the signed one is in the same unit. A group
    without a case has no file.
    """
    names = list(template.names)
    table = _cases(rows, names)
    _write_table(table.drop(columns=["dice", "seconds", "cell_mm"]), out / CASES)
    _write_table(_overlaps(table), out / OVERLAP)
    assert template.labels is not None
    shares = RegionShares(template.labels, template.mask, list(template.names.values()))
    regions = {"region": names, "label": list(template.names.values()), "volume_share": shares.volume_shares}
    _write_table(pd.DataFrame(regions), out / REGIONS)
    _write_population(out / POPULATION, template, sums)
    content = {
        **facts,
        **_counts(table, sums),
        "map_cell_mm": _mean_cell(table),
        "seconds_per_case": _mean_seconds(table),
    }
    with written_atomically(out / FACTS) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return table


def _cases(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> pd.DataFrame:
    # A case that failed and was tried again has several rows, the last one counts.
    last = {row["key"]: row for row in rows}
    records = []
    for row in sorted(last.values(), key=lambda one: one["index"]):
        empty = [None] * len(names)
        records.append(
            {
                **row["case"],
                "registration_correlation": row["registration_correlation"],
                "registration_overlap": row["registration_overlap"],
                "error": row["error"],
                **{
                    f"share:{name}": _rounded(value) for name, value in zip(names, row.get("share", empty), strict=True)
                },
                **{
                    f"signed:{name}": _rounded(value)
                    for name, value in zip(names, row.get("signed", empty), strict=True)
                },
                "dice": row["dice"],
                "seconds": row["seconds"],
                "cell_mm": row.get("cell_mm"),
            }
        )
    return pd.DataFrame(records)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _overlaps(table: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {"subject_id": row.subject_id, "session": row.session, "region": region, "dice": value, "error": row.error}
        for row in table.itertuples()
        for region, value in row.dice.items()
    ]
    return pd.DataFrame(rows, columns=["subject_id", "session", "region", "dice", "error"])


def _write_population(folder: Path, template: BodyTemplate, sums: AtlasSums) -> None:
    groups = [group for group in sums.groups if sums.n(group)]
    with folder_written_atomically(folder) as fresh:
        for group in groups:
            for name, values in (
                ("mean", sums.mean(group).astype(np.float32)),
                ("sd", sums.sd(group).astype(np.float32)),
                ("signed_mean", sums.signed_mean(group).astype(np.float32)),
                ("count", sums.count(group).astype(np.int32)),
            ):
                volume = np.zeros(template.mask.shape, dtype=values.dtype)
                volume[template.mask] = values
                write_volume(fresh / f"{group}_{name}.nii.gz", volume, template.body.affine)
        np.savez_compressed(fresh / NULL, **{group: sums.shuffled_shares(group) for group in groups})  # type: ignore[arg-type]


def _counts(table: pd.DataFrame, sums: AtlasSums) -> dict[str, Any]:
    overlap = _overlaps(table[table["error"] == ""])
    of_regions = overlap.groupby("region", sort=False)["dice"].mean().round(4).to_dict() if len(overlap) else {}
    return {
        "cases": len(table),
        "cases_left_out": int((table["error"] != "").sum()),
        "group_sizes": {group: sums.n(group) for group in sums.groups},
        "mean_dice_of_regions": of_regions,
    }


def _mean_cell(table: pd.DataFrame) -> list[float] | None:
    """Edges of the maps' cells; None unless all maps that count have some."""
    cells = table.loc[table["error"] == "", "cell_mm"]
    if not len(cells) or cells.isna().any():
        return None
    return [round(float(edge), 2) for edge in np.mean(cells.tolist(), axis=0)]


def _mean_seconds(table: pd.DataFrame) -> dict[str, float]:
    seconds = pd.DataFrame(list(table["seconds"]))
    return {str(name): round(float(value), 2) for name, value in seconds.mean().items()}


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with written_atomically(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", lineterminator="\n")
