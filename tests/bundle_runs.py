"""Running a bundle as a user does, for the tests: in this process or as a command."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from agezoo.registry import bundle_root
from cohort_files import TINY, Cohort

BUNDLE = bundle_root("ct_age")
CONFIGS = BUNDLE / "configs"
REPOSITORY = BUNDLE.parent.parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
"""One thread per process: on a machine that runs several tests at once more threads only wait for each other."""


@contextmanager
def one_thread() -> Iterator[None]:
    """The same within this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def training_settings(cohort: Cohort, out: Path, **overrides: Any) -> dict[str, Any]:
    """Overrides of train.json for the tiny cohort that write everything into `out`."""
    own = {"datalist": cohort.datalist, "cache_dir": cohort.cache, "ckpt_dir": out, "output_dir": out}
    return {**{name: str(path) for name, path in own.items()}, **TINY, **overrides}


def run_configs(run_id: str | None, configs: Sequence[str | Path], **overrides: Any) -> None:
    """``monai.bundle.run`` in this process; bare names are the bundle's configs."""
    import monai.bundle

    # MONAI gives its loggers handlers and levels of their own; errors show as exceptions anyway.
    logging.getLogger("monai").setLevel(logging.ERROR)
    identifier = {} if run_id is None else {"run_id": run_id}
    files = [str(CONFIGS / config) for config in configs]
    monai.bundle.run(**identifier, config_file=files, logging_file=False, **overrides)


def command(
    *arguments: str | Path, cwd: Path, launcher: Sequence[str] = (sys.executable,), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ...`` and wait for it; standard output and error together in ``stdout``."""
    return subprocess.run(
        [*launcher, *map(str, arguments)],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )


def options(**settings: Any) -> list[str]:
    """Settings as they stand on a command line."""
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]


def another_second() -> None:
    """Wait until the clock shows another second, because run names hold the time in seconds."""
    time.sleep(1.01 - time.time() % 1)
