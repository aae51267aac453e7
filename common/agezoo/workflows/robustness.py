"""How far a predicted age moves when the scan or radiograph is perturbed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from agezoo.analysis.robustness import BRAIN_COLUMNS, TABLE_COLUMNS
from agezoo.analysis.robustness_page import write_robustness
from agezoo.data.atomic import written_atomically
from agezoo.engines.cohort_dataset import image_fingerprint
from agezoo.errors import InputError
from agezoo.networks.weights import WeightsFile, ensemble_origin, ensemble_sha256, find_weights
from agezoo.predict.cases import find_cases
from agezoo.registry import bundle_facts, bundle_root, bundle_version
from agezoo.transforms.perturb.catalogue import CATALOGUES, chosen_perturbations
from agezoo.workflows.bundle_predictor import BundlePredictor
from agezoo.workflows.bundle_run import quiet
from agezoo.workflows.robustness_case import Chosen, case_lines, case_name
from agezoo.workflows.robustness_example import example_views
from agezoo.workflows.robustness_parts import CaseParts


@dataclass(frozen=True)
class Robustness:
    """What a robustness run found.

    Attributes
    ----------
    table
        Content of ``robustness.csv``: one row per case and grade, and one per case for the scan as it is.
    figures
        Content of ``robustness.json``.
    page
        The HTML page.
    """

    table: pd.DataFrame
    figures: dict[str, Any]
    page: Path


def robustness(
    bundle: str,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    weights: str | Path = "installed",
    perturbations: Sequence[str] | None = None,
    grades: Mapping[str, Sequence[float]] | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str | None = None,
    batch_size: int | None = None,
) -> Robustness:
    """Perturb every scan in graded ways, predict again and report the agreement with the unperturbed prediction.

    A volume is perturbed in HU, a radiograph as it was read (bone bright, its own grey values), a T1 in its scanner's
    units, before the bundle's own preprocessing. So every altered head is registered to the template anew, which takes
    10 to 30 seconds each; brains that lie in MNI space already are not. One image and one altered copy of it are in
    memory at a time. Each finished case is kept in ``out/cases``, so that a run that was stopped goes on where it was
    and one that is asked for more inputs does only these; a changed image, model, choice or seed is done anew.

    Parameters
    ----------
    bundle
        Name of the bundle.
    inputs
        DICOM folders, image files or datalists; see :func:`agezoo.predict.cases.find_cases`. With a datalist ages and
        sessions are known: the report then has errors by grade and the agreement of repeat scans.
    out
        Folder of ``robustness.csv``, ``robustness.json``, ``robustness.html`` and ``plots/``.
    weights
        As in :func:`agezoo.networks.weights.find_weights`.
    perturbations
        Names, or what several names begin with; None for all that
        :data:`agezoo.transforms.perturb.catalogue.CATALOGUES` has for the bundle's kind of image.
    grades
        Own grades by name.
    limit
        At most so many cases, spread evenly over those that were found.
    seed
        Seed of what is left to chance.
    device
        As in :func:`agezoo.predict.run.predict`.
    batch_size
        Images asked together; by default as many as ``inference.json`` does.

    Raises
    ------
    InputError
        For unknown perturbations or weights, or when not one case could be predicted. A case that fails is a row with
        its reason, never the end of the others.
    """
    facts = bundle_facts(bundle)
    chosen = chosen_perturbations(perturbations, grades, reader=facts.reader)
    files = find_weights(bundle_root(bundle), weights)
    rows = _limited(find_cases(inputs, modality=facts.modalities[0], reader=facts.reader), limit)
    out = Path(out)
    (out / "cases").mkdir(parents=True, exist_ok=True)
    with quiet():
        predictor = BundlePredictor(bundle, files, device=device, batch_size=batch_size)
        provenance = _provenance(bundle, files)
        identity = [predictor.version, provenance, seed]

        def parts_of(row: Mapping[str, Any]) -> CaseParts:
            return CaseParts(out / "cases" / _fingerprint(row, identity))

        table = _table(rows, predictor, chosen, out / "cases", seed=seed, provenance=provenance, parts_of=parts_of)
        with written_atomically(out / "robustness.csv") as temporary:
            table.to_csv(temporary, index=False)
        if table["predicted_age_years"].isna().all():
            raise InputError(
                "no case could be predicted",
                source=out / "robustness.csv",
                found=next(iter(table["error"].dropna()), "no case"),
            )
        example, views = example_views(rows, table, predictor, chosen, seed=seed, parts_of=parts_of)
    figures = write_robustness(
        table,
        out,
        bundle=bundle,
        reader=facts.reader,
        seed=seed,
        texts={name: (p.title, p.description) for name, p in CATALOGUES[facts.reader].items()},
        example=example,
        views=views,
    )
    return Robustness(table, figures, out / "robustness.html")


def _provenance(bundle: str, files: Sequence[WeightsFile]) -> dict[str, str]:
    return {
        "bundle": bundle,
        "bundle_version": bundle_version(bundle_root(bundle)),
        "weights_sha256": ensemble_sha256(files),
        "weights_origin": ensemble_origin(files),
    }


def _limited(rows: list[dict[str, Any]], limit: int | None) -> list[dict[str, Any]]:
    if limit is None or limit >= len(rows):
        return rows
    if limit < 1:
        raise InputError("at least one case is needed", source="limit", found=limit)
    return [rows[int(i)] for i in np.linspace(0, len(rows) - 1, limit).round()]


def _table(
    rows: Sequence[Mapping[str, Any]],
    predictor: BundlePredictor,
    chosen: Chosen,
    kept: Path,
    *,
    seed: int,
    provenance: Mapping[str, str],
    parts_of: Callable[[Mapping[str, Any]], CaseParts],
) -> pd.DataFrame:
    identity = [predictor.version, dict(provenance), {name: list(g) for name, g in chosen.items()}, seed]
    lines: list[dict[str, Any]] = []
    hidden = not sys.stderr.isatty()
    total = len(rows) * (1 + sum(map(len, chosen.values())))
    with tqdm(total=total, desc="perturbing", unit="image", disable=hidden) as bar:
        for row in rows:
            path = kept / f"{_fingerprint(row, identity)}.json"
            before = bar.n
            found = _kept_case(path)
            if found is None:
                found, final = case_lines(row, predictor, chosen, seed=seed, step=bar.update, parts=parts_of(row))
                if final:
                    with written_atomically(path) as temporary:
                        temporary.write_text(json.dumps(found))
            bar.update(before + total // len(rows) - bar.n)
            lines += found
    columns = [*TABLE_COLUMNS, *(BRAIN_COLUMNS if predictor.reader == "brain" else ())]
    table = pd.DataFrame([{**line, **provenance} for line in lines], columns=columns)
    is_number = re.compile(r"grade|.*_years|registration_.*|input_.*").fullmatch
    numbers = [name for name in columns if is_number(name)]
    return table.astype(dict.fromkeys(numbers, "float64"))


def _fingerprint(row: Mapping[str, Any], identity: Sequence[Any]) -> str:
    return image_fingerprint(row["image"], json.dumps([*identity, case_name(row)]))


def _kept_case(path: Path) -> list[dict[str, Any]] | None:
    if not path.is_file():
        return None
    lines: list[dict[str, Any]] = json.loads(path.read_text())
    return lines
