"""How many stations with water and fat exchanged are found, and how many false alarms there are, in a phantom cohort.

    python benchmarks/bench_body_swaps.py
    python benchmarks/bench_body_swaps.py COHORT [COHORT ...]

A cohort is a folder of ``agezoo phantom wholebody_mr``; its ``cohort.csv`` tells in which stations the scanner took fat
for water. Each scan is judged twice: as it is, and with water and fat exchanged in every station (as if the scanner had
taken fat for water from neck to knee, where no two stations disagree). Scans that are judged wrongly are named. Without
a cohort, one of 12 coarse people, half of them with swaps, is written to a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd


def count(folder: Path, limit: int | None) -> None:
    """Judge the scans of one cohort and print rates."""
    from agezoo.data.dixon import DixonStation, read_dixon
    from agezoo.transforms.body.swap import swapped_stations

    def exchanged(stations: Sequence[DixonStation]) -> list[DixonStation]:
        names = {"water": "fat", "fat": "water"}
        return [replace(s, images={names.get(name, name): image for name, image in s.images.items()}) for s in stations]

    table = pd.read_csv(folder / "cohort.csv", dtype={"swapped_stations": str}).fillna({"swapped_stations": ""})
    rows = []
    started = time.perf_counter()
    for row in table.head(limit or len(table)).itertuples():
        stations = read_dixon(folder / row.image).stations
        everything = set(range(1, len(stations) + 1))
        true = {int(number) for number in row.swapped_stations.split()}
        for kind, truth, shown in (
            ("as it is", true, stations),
            ("exchanged", everything - true, exchanged(stations)),
        ):
            found = set(swapped_stations(shown))
            rows.append(
                {
                    "kind": kind,
                    "stations": len(everything),
                    "swapped": len(truth),
                    "hit": len(found & truth),
                    "false": len(found - truth),
                }
            )
            if found != truth:
                print(f"    {Path(row.image).name}, {kind}: swapped {sorted(truth)}, found {sorted(found)}")
    seconds = (time.perf_counter() - started) / max(1, len(rows))
    result = pd.DataFrame(rows)
    for kind, part in result.groupby("kind", sort=False):
        swapped, clean = part[part["swapped"] > 0], part[part["swapped"] == 0]
        right = part["stations"] - part["swapped"]
        print(f"  {kind}: {len(part)} scans, {part['stations'].sum()} stations")
        print(f"    swapped stations found        {share(part['hit'].sum(), part['swapped'].sum())}")
        print(f"    right stations called swapped {share(part['false'].sum(), right.sum())}")
        exactly = (swapped["hit"] == swapped["swapped"]) & (swapped["false"] == 0)
        print(f"    scans with swaps, all mended  {share(exactly.sum(), len(swapped))}")
        print(f"    scans without, false alarm    {share((clean['false'] > 0).sum(), len(clean))}")
    print(f"  {seconds:.2f} s each, read and judged (load {os.getloadavg()[0]:.1f})")


def share(part: int, whole: int) -> str:
    """A count of a whole, and in percent."""
    return f"{part} of {whole}" + (f" ({part / whole:.2%})" if whole else "")


def main() -> None:
    """Parse the command line and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", type=Path, metavar="COHORT", help="folder with cohort.csv")
    parser.add_argument("--limit", type=int, help="only the first scans of each cohort")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cohorts = options.cohorts
        if not cohorts:
            from agezoo.phantoms.body_cohort import ensure_body_cohort

            cohorts = [ensure_body_cohort(Path(name) / "cohort", subjects=12, seed=0, swap_fraction=0.5)]
        for folder in cohorts:
            print(f"\nfat-water swaps in {folder}", flush=True)
            count(folder, options.limit)


if __name__ == "__main__":
    main()
