"""Write the images of a phantom cohort, in one process or in several."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
from tqdm import tqdm

from agezoo.child_processes import children_with_threads
from agezoo.phantoms.cohort_folder import row_path


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Planned = TypeVar("Planned", bound=_Named)


def write_missing(
    folder: Path,
    plan: Sequence[Planned],
    write: Callable[[Path, Planned], Any],
    *,
    workers: int,
    progress: bool,
    what: str,
) -> tuple[pd.DataFrame, int]:
    """Write the images of a plan that are not finished.

    Parameters
    ----------
    folder
        The cohort's.
    plan
        Images in the order of the table; each has a ``name``.
    write
        Function of a module (it is sent to other processes) that writes one image and, last, its row.
    workers
        Processes.
    progress, what
        Whether to show a progress bar, and its title.

    Returns
    -------
    tuple
        The rows of the whole plan, and how many images were written.
    """
    missing = [image for image in plan if not row_path(folder, image.name).is_file()]
    for _ in tqdm(
        _write_all(folder, missing, write, workers),
        total=len(missing),
        desc=what,
        unit="scan",
        disable=None if progress and missing else True,
    ):
        pass
    rows = [json.loads(row_path(folder, image.name).read_text(encoding="utf-8")) for image in plan]
    return pd.DataFrame(rows), len(missing)


def _write_all(
    folder: Path, images: Sequence[Planned], write: Callable[[Path, Planned], Any], workers: int
) -> Iterator[Any]:
    if workers <= 1 or len(images) <= 1:
        for image in images:
            yield write(folder, image)
        return
    # Spawned, not forked: the caller may have threads (torch, OpenMP), which do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with children_with_threads(1), ProcessPoolExecutor(min(workers, len(images)), mp_context=context) as pool:
        tasks = [pool.submit(write, folder, image) for image in images]
        for task in as_completed(tasks):
            yield task.result()
