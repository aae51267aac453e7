"""Child processes that share the machine's cores instead of fighting for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def children_with_threads(n_threads: int) -> Iterator[None]:
    """While the block runs, newly started processes use `n_threads` threads each in numerical libraries.

    Several processes with a thread pool as wide as the machine each wait for one another's threads: two trainings
    side by side then take many times longer than one after the other.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(max(1, n_threads))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
