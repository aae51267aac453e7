"""Time and memory of the whole-body network: measured on this machine's CPU, and computed for a GPU that is not here.

    python benchmarks/bench_whole_body_network.py
    python benchmarks/bench_whole_body_network.py --size 112 84 182 --measure forward training training_checkpointed
    python benchmarks/bench_whole_body_network.py --measure --compute

Measured: one forward pass without gradients, and one training step (forward, backward, Adam) with and without
checkpointing, each in a fresh process; memory is the peak of the resident set, libraries included. Computed: what a
training step keeps for the way back, and the peak of all its tensors (weights, their gradients, Adam's averages,
activations and their gradients), from a run on tensors without content. A GPU needs this and what its convolutions use
as working space.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

FULL_GRID = (224, 168, 363)
WORK = ("forward", "training", "training_checkpointed")


def network_for(options: argparse.Namespace, checkpointing: bool) -> Any:
    """The network that the options describe, the same at every call."""
    import torch

    from agezoo.networks import WholeBodyResNet

    torch.manual_seed(0)
    return WholeBodyResNet(options.in_channels, options.stem_channels, checkpointing=checkpointing)


def run_worker(work: str, options: argparse.Namespace) -> None:
    """Do one kind of work and print the measurements as JSON."""
    import torch

    torch.set_num_threads(options.threads)
    network = network_for(options, checkpointing=work == "training_checkpointed")
    image = torch.randn(options.batch, options.in_channels, *options.size)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    seconds = []
    for _ in range(options.steps):
        started = time.perf_counter()
        if work == "forward":
            with torch.inference_mode():
                network.eval()(image)
        else:
            optimizer.zero_grad()
            (network.train()(image) - 60.0).abs().mean().backward()
            optimizer.step()
        seconds.append(time.perf_counter() - started)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": min(seconds), "bytes": peak_bytes}))


def measure(work: str, options: argparse.Namespace) -> dict[str, Any]:
    """One kind of work in a fresh process."""
    command = [sys.executable, __file__, "--worker", work, "--size", *map(str, options.size)]
    for name in ("in_channels", "stem_channels", "batch", "threads", "steps"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def computed_bytes(options: argparse.Namespace, batch: int, mixed: bool, checkpointing: bool) -> tuple[int, int]:
    """Bytes kept between forward and backward, and the peak over a second training step; no tensor has content."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    with FakeTensorMode():
        network = network_for(options, checkpointing).train()
        image = torch.empty(batch, options.in_channels, *options.size)
        optimizer = torch.optim.Adam(network.parameters(), 1e-4)
        weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
        kept: dict[int, Any] = {}

        def keep(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                kept[storage._cdata] = storage
            return tensor

        def loss() -> Any:
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                return (network(image) - 60.0).abs().mean()

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss()
        kept_bytes = sum(storage.nbytes() for storage in kept.values())
        kept.clear()
        tracker = MemTracker()
        tracker.track_external(network, optimizer, image)
        with tracker:
            for step in range(2):
                loss().backward()
                optimizer.step()
                optimizer.zero_grad()
                if step == 0:
                    tracker.reset_mod_stats()
        (peak,) = tracker.get_tracker_snapshot("peak").values()
    return kept_bytes, peak["Total"]


def main() -> None:
    """Parse the command line, measure and compute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=FULL_GRID, help="voxels of the image")
    parser.add_argument("--in-channels", type=int, default=1)
    parser.add_argument("--stem-channels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1, help="images at once, of what is measured (default 1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads (default all)")
    parser.add_argument("--steps", type=int, default=2, help="repeats in each process; the quickest counts (default 2)")
    parser.add_argument("--measure", nargs="*", choices=WORK, default=list(WORK), help="what to measure (default all)")
    parser.add_argument("--compute", action="store_true", help="compute memory, batches of 1 and 2")
    parser.add_argument("--worker", choices=WORK, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        run_worker(options.worker, options)
        return
    size = " x ".join(map(str, options.size))
    print(f"WholeBodyResNet, {options.stem_channels} stem channels, {options.in_channels} x {size}")
    for work in options.measure:
        done = measure(work, options)
        load = os.getloadavg()[0]
        print(
            f"  {work:<24}batch {options.batch}  {done['seconds']:8.2f} s  {done['bytes'] / 2**30:6.2f} GiB  "
            f"({options.threads} threads, load {load:.1f})",
            flush=True,
        )
    if options.compute:
        print(f"  {'computed':<12}{'precision':<12}{'checkpointing':<15}{'kept':>10}{'peak':>12}")
        for batch in (1, 2):
            for mixed in (False, True):
                for checkpointing in (False, True):
                    kept, peak = computed_bytes(options, batch, mixed, checkpointing)
                    print(
                        f"  {'batch ' + str(batch):<12}{'mixed' if mixed else 'float32':<12}"
                        f"{'yes' if checkpointing else 'no':<15}{kept / 2**30:6.2f} GiB{peak / 2**30:8.2f} GiB"
                    )


if __name__ == "__main__":
    main()
