"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported: tiny networks in several test processes only wait for each other's threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """Folder of real sample files; tests that ask for it skip where it is not there."""
    folder = os.environ.get("AGEZOO_SAMPLE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("AGEZOO_SAMPLE_DATA does not point to the real sample files")
    return Path(folder)
