"""A tiny cohort and weights trained on it, once per session, for the conftest of each folder that runs bundles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle_runs import one_thread, run_configs, training_settings
from cohort_files import Cohort, write_cohort

__all__ = ["_one_thread", "cohort", "trained"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The tiny cohort as files."""
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="session")
def trained(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished training of fold 0; read only."""
    out = tmp_path_factory.mktemp("trained")
    run_configs("training", ["train.json"], **training_settings(cohort, out))
    return out
