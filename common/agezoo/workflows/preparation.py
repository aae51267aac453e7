"""Reading and preprocessing all images of a cohort once, before the first epoch."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agezoo.registry import bundle_root
from agezoo.workflows.bundle_run import config_path

logger = logging.getLogger(__name__)


def prepare_images(
    bundle: str,
    rows: Sequence[Mapping[str, Any]],
    cache_dir: str | Path,
    *,
    configs: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    workers: int = 2,
) -> dict[str, str]:
    """Fill the cache that training and prediction read from, and find the images that cannot be used.

    Parameters
    ----------
    bundle
        Name of the bundle, whose ``train.json`` holds the preprocessing.
    rows
        Datalist rows with absolute ``image`` paths.
    cache_dir
        Where the preprocessed images are kept.
    configs, overrides
        Overlays behind ``train.json`` and settings, which may change the preprocessing (the size of the canvas).
    workers
        Processes that read.

    Returns
    -------
    dict
        Image (paths joined by newlines) -> why it cannot be used. Each is also logged as a warning.
    """
    from torch.utils.data import DataLoader

    from agezoo.engines.cohort_dataset import CohortDataset
    from agezoo.engines.config_parts import config_part

    root = bundle_root(bundle)
    files: list[str | Path] = ["train.json", *(config_path(root / "configs", config) for config in configs)]
    preprocessing = config_part(root, files, "preprocessing", overrides)
    dataset = CohortDataset(rows, preprocessing, cache_dir=cache_dir, on_error="placeholder")
    loader = DataLoader(dataset, batch_size=None, num_workers=workers if len(rows) > 1 else 0)
    failures: dict[str, str] = {}
    hidden = not sys.stderr.isatty()
    for item in tqdm(loader, total=len(dataset), desc="reading and preprocessing", unit="scan", disable=hidden):
        if item["error"]:
            failures[image_key(rows[int(item["row"])])] = item["error"]
            logger.warning("left out: %s", item["error"])
    return failures


def image_key(row: Mapping[str, Any]) -> str:
    """One text per image, for looking failures up."""
    image = row["image"]
    return image if isinstance(image, str) else "\n".join(image)
