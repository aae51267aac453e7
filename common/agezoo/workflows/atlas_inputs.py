"""What an atlas stands on: checked arguments, ages predicted for the cohort, a template with regions."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agezoo.data.datalist import absolute_path
from agezoo.data.prediction_table import read_predictions, write_predictions
from agezoo.errors import InputError
from agezoo.networks.weights import WeightsFile, ensemble_sha256
from agezoo.predict.run import predict_rows
from agezoo.transforms.body.body_template import SPACING_MM, BodyTemplate, read_template
from agezoo.workflows.atlas_cases import AtlasCase
from agezoo.workflows.atlas_template import build_template

logger = logging.getLogger(__name__)

TEMPLATE = "template"
PREDICTIONS = "predictions.csv"


def ensure_template(
    folder: Path,
    cases: Sequence[AtlasCase],
    given: str | Path | None,
    *,
    labels: str | Path | None,
    spacing_mm: float | None,
    n_subjects: int,
    reference: str | None,
    workers: int,
    keep: bool,
    progress: bool,
) -> None:
    """Bring the template into the atlas' folder, once."""
    if given is not None:
        if Path(given).resolve() != folder.resolve() or labels is not None:
            read_template(given, spacing_mm=spacing_mm, labels=labels).write(folder)
        return
    if keep and (folder / "water.nii.gz").is_file():
        if labels is not None:
            read_template(folder, labels=labels).write(folder)
        return
    if labels is not None and reference is None:
        raise InputError(
            "it is not known in whose space the labels lie",
            source="labels",
            found=str(labels),
            expected="with a given template: in its space; else in the space of the scan that reference names",
            remedy="build the template first (--template-only), label its water.nii.gz, and give both",
        )
    build_template(
        cases,
        spacing_mm=spacing_mm or SPACING_MM,
        n_subjects=n_subjects,
        reference=reference,
        labels=None if labels is None else str(absolute_path(labels)),
        workers=workers,
        progress=progress,
    ).write(folder)


def labelled(template: BodyTemplate, folder: Path) -> BodyTemplate:
    """The template, if it has regions; else say how to get them."""
    if template.labels is None or not template.names:
        raise InputError(
            "the template has no regions",
            source=folder,
            found="no labels.nii.gz, and no scan with a mask",
            expected="a label volume in the template's space",
            remedy=f"label {folder / 'water.nii.gz'}, for example with TotalSegmentator's task total_mr, and run again "
            "with --labels FILE (labels.json beside it names the values)",
        )
    return template


def cohort_predictions(
    bundle: str,
    rows: Sequence[dict[str, Any]],
    out: Path,
    given: str | Path | None,
    files: Sequence[WeightsFile],
    device: str | None,
    *,
    resume: bool,
) -> pd.DataFrame:
    """The given table, brought into the folder; else the ages that the weights predict, once."""
    path = out / PREDICTIONS
    if given is not None:
        table = read_predictions(given)
        if Path(given).resolve() != path.resolve():
            write_predictions(table, out, stem=path.stem)
        return table
    if resume and path.is_file():
        table = read_predictions(path)
        named = set(table["subject_id"].astype(str))
        made = set(table["weights_sha256"].dropna())
        if {str(row["subject_id"]) for row in rows} <= named and made <= {ensemble_sha256(files)}:
            logger.info("ages predicted before are used: %s", path)
            return table
    return predict_rows(bundle, rows, out, weights=files, overlays=False, device=device)


def unpredicted(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table that knows no ages, for a template alone."""
    return pd.DataFrame({"subject_id": [str(row["subject_id"]) for row in rows]}).assign(age_years=math.nan)


def check_numbers(**numbers: int | None) -> None:
    """Numbers of at least 1, or None."""
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError("out of range", source=name, found=value, expected="at least 1")


def check_parts(
    shard: tuple[int, int] | None,
    template: str | Path | None,
    predictions: str | Path | None,
    own_maps: bool,
    workers_of_network: int,
) -> None:
    """Say what does not go together."""
    if own_maps and predictions is None:
        raise InputError("a network of one's own needs predictions", source="predictions", found="none")
    if workers_of_network:
        raise InputError("a given network works in this process alone", source="workers", found=workers_of_network)
    if shard is None:
        return
    part, n = shard
    if not 1 <= part <= n:
        raise InputError("no such shard", source="shard", found=f"{part}/{n}", expected="i/n with i from 1 to n")
    missing = [name for name, value in (("template", template), ("predictions", predictions)) if value is None]
    if missing:
        raise InputError(
            "all shards must share template and predictions",
            source="shard",
            found=f"no {' and no '.join(missing)}",
            remedy="run agezoo predict and agezoo atlas --template-only first, and give both to every shard",
        )
