"""Time and memory of reading one whole-body visit and putting its stations together, at UK Biobank's resolution.

    python benchmarks/bench_body_stitching.py
    python benchmarks/bench_body_stitching.py --file visit.zip --file other_visit.zip

Reading goes straight from the zip of DICOM. Each measurement is a fresh process; memory is the peak of the resident
set, libraries included. ``read`` gives the stations of all contrasts, ``stitch`` the body from these, ``load`` is both
and more, as a training has it, on the network's grid. Without ``--file`` a phantom's visit is written to a temporary
folder; how long that took is told too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIME_LIMIT_S, MEMORY_LIMIT_GIB = 10.0, 2.0


def run_worker(source: str) -> None:
    """Read, stitch and load one visit; print the measurements as JSON."""
    from agezoo.data.dixon import read_dixon
    from agezoo.transforms import LoadBodyd
    from agezoo.transforms.body.stitched import stitch

    load = LoadBodyd("image", channels=("water", "fat_fraction"))
    start = time.perf_counter()
    scan = read_dixon(source)
    read_s = time.perf_counter() - start
    start = time.perf_counter()
    body = stitch(scan.stations, scan.facts)
    stitch_s = time.perf_counter() - start
    stitched_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    shape, notes = body.water.shape, body.facts.notes
    del scan, body
    start = time.perf_counter()
    load({"image": source})
    figures = {
        "read_s": read_s,
        "stitch_s": stitch_s,
        "load_s": time.perf_counter() - start,
        "stitched_bytes": stitched_bytes,
        "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "shape": shape,
        "notes": notes,
    }
    print(json.dumps(figures))


def measure(source: Path, repeats: int) -> None:
    """Run fresh processes on one visit and print the quickest."""
    runs = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--worker", "--file", str(source)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    best = min(runs, key=lambda run: run["read_s"] + run["stitch_s"])
    seconds, gib = best["read_s"] + best["stitch_s"], best["stitched_bytes"] / 2**30
    size = source.stat().st_size / 1e6 if source.is_file() else 0.0
    print(f"\n{source.name}: {size:.0f} MB, stitched {' x '.join(map(str, best['shape']))} voxels")
    print(f"  read               {best['read_s']:6.2f} s")
    print(f"  stitch             {best['stitch_s']:6.2f} s")
    print(f"  read and stitch    {verdict(seconds, TIME_LIMIT_S, 's')}")
    print(f"  peak memory        {verdict(gib, MEMORY_LIMIT_GIB, 'GiB')}")
    print(f"  load, two channels {best['load_s']:6.2f} s, peak of the process {best['bytes'] / 2**30:.2f} GiB")
    for note in best["notes"]:
        print(f"  note: {note}")


def verdict(value: float, limit: float, unit: str) -> str:
    """Figure, limit and whether it holds."""
    return f"{value:6.2f} {unit} (limit {limit:g} {unit}: {'met' if value <= limit else 'NOT MET'})"


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", action="append", help="visit to use instead of the phantom's (repeatable)")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes; the quickest counts (default 3)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        run_worker(options.file[0])
        return
    print(f"whole-body stitching, {os.cpu_count()} CPU cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as name:
        files = [Path(file) for file in options.file or []]
        if not files:
            from agezoo.phantoms.body_cohort import write_body_cohort

            cohort = write_body_cohort(
                Path(name) / "cohort", subjects=1, seed=7, repeat_fraction=0.0, quick=False, progress=False
            )
            files = [cohort.folder / image for image in cohort.table["image"]]
            print(f"a phantom's visit at full resolution was written in {cohort.seconds:.1f} s")
        for file in files:
            measure(file, options.repeats)


if __name__ == "__main__":
    main()
