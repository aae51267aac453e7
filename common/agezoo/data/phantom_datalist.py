"""The datalist of a phantom cohort."""

from __future__ import annotations

import os
from pathlib import Path

from agezoo.data.datalist_build import build_datalist


def ensure_phantom_datalist(cohort: str | os.PathLike[str], *, bundle: str, folds: int = 5, seed: int = 0) -> Path:
    """Build ``datalist.json`` in a phantom cohort's folder unless it is there, and return its path."""
    path = Path(cohort) / "datalist.json"
    if not path.is_file():
        build_datalist(
            bundle=bundle, images=cohort, table=Path(cohort) / "cohort.csv", out=path, folds=folds, seed=seed
        )
    return path
