"""Time and memory of a brain age: the fused form of ScaleDense and TSAN against the published one, side by side.

    python benchmarks/bench_brain_network.py
    python benchmarks/bench_brain_network.py --stages 1 --threads 1

Both forms get the same random weights, with batch-norm averages as different from 0 and 1 as after a training, and the
same image on the published grid of 91 x 109 x 91 voxels. Forms take turns in fresh processes, so that other work on the
machine meets both. Memory is the peak of the resident set while ages are computed, weights included, over what the
process held once the libraries were imported.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FORMS = ("published", "fused")
TIME_LIMIT, MEMORY_LIMIT, DIFFERENCE_LIMIT_YEARS = 1 / 1.5, 1.0, 0.001
PASSES = 3


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}: this benchmark needs Linux")


def random_network(stages: int, stem_channels: int, n_blocks: int) -> Any:
    """A network in evaluation mode whose ages are about 60 years; the same at every call."""
    import torch

    from agezoo.networks import brain_age_network

    torch.manual_seed(0)
    network = brain_age_network(stages, stem_channels, n_blocks)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
        first = network if stages == 1 else network.first_stage
        first.end_fc_with_gender[1].bias.fill_(61.0)
        first.end_fc_with_gender[1].weight.mul_(15.0)
    return network.eval()


def run_worker(form: str, options: argparse.Namespace) -> None:
    """Compute ages with one form and print the measurements as JSON."""
    import torch

    from agezoo.networks import fuse

    torch.set_num_threads(options.threads)
    shape = tuple(options.size)
    image = torch.randn(options.batch, 1, *shape, generator=torch.Generator().manual_seed(1))
    before = resident_bytes("VmRSS")
    network = random_network(options.stages, options.stem_channels, options.n_blocks)
    fuse_s = 0.0
    if form == "fused":
        started = time.perf_counter()
        network = fuse(network)
        fuse_s = time.perf_counter() - started
        gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    seconds = []
    with torch.inference_mode():
        for _ in range(PASSES):
            started = time.perf_counter()
            output = network(image)
            seconds.append(time.perf_counter() - started)
    peak = resident_bytes("VmHWM") - before
    print(json.dumps({"seconds": min(seconds), "bytes": peak, "fuse_s": fuse_s, "output": output.tolist()}))


def measure(form: str, options: argparse.Namespace) -> dict[str, Any]:
    """One fresh process."""
    command = [sys.executable, __file__, "--worker", form, "--size", *map(str, options.size)]
    for name in ("stages", "stem_channels", "n_blocks", "batch", "threads"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(options: argparse.Namespace) -> None:
    """Measure both and print the table."""
    runs: dict[str, list[dict[str, Any]]] = {form: [] for form in FORMS}
    for _ in range(options.repeats):
        for form in FORMS:
            runs[form].append(measure(form, options))
    seconds = {form: min(run["seconds"] for run in runs[form]) for form in FORMS}
    peak = {form: max(run["bytes"] for run in runs[form]) for form in FORMS}
    ages = {form: [row[0] for row in runs[form][0]["output"]] for form in FORMS}
    difference = max(abs(a - b) for a, b in zip(*ages.values(), strict=True))
    name = "ScaleDense" if options.stages == 1 else "TSAN"
    size = " x ".join(map(str, options.size))
    print(f"\n{name}, {options.stem_channels} stem channels, {options.n_blocks} blocks, batch {options.batch}, {size}")
    for form in FORMS:
        print(f"  {form:<10}{seconds[form]:7.2f} s  {peak[form] / 2**20:7.0f} MiB")
    print(f"  time ratio       {verdict(seconds['fused'] / seconds['published'], TIME_LIMIT)}")
    print(f"  memory ratio     {verdict(peak['fused'] / peak['published'], MEMORY_LIMIT)}")
    print(f"  age difference   {verdict(difference, DIFFERENCE_LIMIT_YEARS)} years at {ages['published'][0]:.1f} years")
    print(f"  fusing takes     {min(run['fuse_s'] for run in runs['fused']):.2f} s, once")


def verdict(value: float, limit: float) -> str:
    """Figure, limit and whether it holds."""
    return f"{value:.2g} (limit {limit:.2g}: {'met' if value <= limit else 'NOT MET'})"


def main() -> None:
    """Parse the command line and run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, choices=(1, 2), help="1 (ScaleDense) or 2 (TSAN); both by default")
    parser.add_argument("--stem-channels", type=int, default=8)
    parser.add_argument("--n-blocks", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1, help="images at once (default 1)")
    parser.add_argument("--size", type=int, nargs=3, default=(91, 109, 91), help="voxels of the image")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default all)")
    parser.add_argument("--repeats", type=int, default=2, help="fresh processes for each form (default 2)")
    parser.add_argument("--worker", choices=FORMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        run_worker(options.worker, options)
        return
    print(f"one forward pass, {options.threads} threads, best of {PASSES} in each of {options.repeats} fresh processes")
    for stages in (options.stages,) if options.stages else (1, 2):
        options.stages = stages
        compare(options)


if __name__ == "__main__":
    main()
