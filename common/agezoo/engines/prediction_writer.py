"""From a MONAI evaluator to the prediction table."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from agezoo.analysis.calibration import Calibration, find_calibration
from agezoo.data.prediction_table import PredictionTableWriter, prediction_row
from agezoo.engines.cohort_dataset import image_kind
from agezoo.engines.progress import torch_rank
from agezoo.networks.weights import WeightsFile, ensemble_origin, ensemble_sha256

_log = logging.getLogger(__name__)

_STATED_LEVEL = 0.9
_OF_SOME_HEADS = ("expected_age_years", "first_stage_age_years", "discretised_age_years")
_OF_SOME_IMAGES = ("registration_overlap", "registration_correlation")


class PredictionWriter:
    """Writes one row per case, safe on disk as soon as its batch is done, and the whole table at the end.

    It expects the evaluator's postprocessing to have put ``predicted_age_years``, ``aleatoric_sd_years`` and
    ``epistemic_sd_years`` beside the prediction (and ``expected_age_years``, if the head rounds,
    ``first_stage_age_years`` and ``discretised_age_years``, if it is a cascade's), and the items to come from
    :class:`agezoo.engines.CohortDataset`. The calibration file beside the weights, if there is one that was fitted
    for them, adds interval, corrected age and calibrated SD, except to people whom it was fitted on.
    In a distributed run each rank keeps its own rows and rank 0 writes them all, each case once.

    Parameters
    ----------
    rows
        The dataset's rows, to which ``row`` of an item points.
    output_dir
        Folder of ``predictions.csv`` and ``predictions.parquet``.
    bundle, bundle_version
        What predicts.
    weights
        The weight files in use, as :func:`agezoo.networks.find_weights` returns them.
    expected_coverage_mm
        Least extent of an image towards left, front and head; a smaller image gets qc ``warn`` with what was found,
        because a network answers on any image, also on one that shows too little of the body.
    stem
        File name of the table without suffix.
    calibrate
        Use the calibration file.

    Raises
    ------
    InputError
        If the calibration file is damaged.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        output_dir: str | Path,
        bundle: str,
        bundle_version: str,
        weights: Sequence[WeightsFile] = (),
        expected_coverage_mm: Sequence[float] | None = None,
        stem: str = "predictions",
        calibrate: bool = True,
    ) -> None:
        self.rows = rows
        self.output_dir = Path(output_dir)
        self.stem = stem
        self.expected_coverage_mm = expected_coverage_mm
        self.constant: dict[str, Any] = {
            "bundle": bundle,
            "bundle_version": bundle_version,
            "weights_sha256": ensemble_sha256(weights) if weights else None,
            "weights_origin": ensemble_origin(weights) if weights else None,
        }
        self.calibration: Calibration | None = find_calibration(weights) if calibrate and weights else None
        self._calibrate = calibrate
        self._n_in_reference = 0
        self._table: PredictionTableWriter | None = None
        self._collected: dict[int, dict[str, Any]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        engine.add_event_handler(Events.COMPLETED, self._complete)

    def _start(self, engine: Engine) -> None:
        self._collected = {}
        self._n_in_reference = 0
        if torch_rank() == 0:
            if self.calibration is None and self._calibrate:
                _log.info("no calibration file fits these weights: intervals and corrected ages stay empty")
            self._table = PredictionTableWriter(self.output_dir, stem=self.stem)

    def _iteration(self, engine: Engine) -> None:
        cases: Any = engine.state.batch
        outputs: Any = engine.state.output
        for case, output in zip(cases, outputs, strict=True):
            index = int(case["row"])
            if index in self._collected:
                continue
            self._collected[index] = self.case_row(case, output)
            if self._table is not None:
                self._table.append(self._collected[index])

    def case_row(self, case: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
        """The table's row of one decollated case."""
        row = dict(self.rows[int(case["row"])])
        header_age = number(case.get("header_age_years"))
        if number(row.get("age_years")) is None and header_age is not None:
            row["age_years"] = header_age
        if not row.get("sex") and case.get("header_sex"):
            row["sex"] = case["header_sex"]
        modality = self._modality(row, case)
        if case["error"]:
            error = case["error"]
            return prediction_row(
                row, error=error, qc="fail", qc_reasons="not read", modality=modality, **self.constant
            )
        predicted = number(output["predicted_age_years"])
        if predicted is None:
            error = "the network gave no finite age"
            return prediction_row(row, error=error, qc="fail", modality=modality, **self.constant)
        values: dict[str, Any] = {
            "predicted_age_years": predicted,
            **{name: number(output.get(name)) for name in _OF_SOME_HEADS},
            "aleatoric_sd_years": number(output.get("aleatoric_sd_years")),
            "epistemic_sd_years": number(output.get("epistemic_sd_years")),
            **{name: number(case.get(name)) for name in _OF_SOME_IMAGES},
            "modality": modality,
        }
        added, doubts = self._calibrated({**(row.get("covariates") or {}), **row}, values)
        notes = [str(case.get("reading_notes") or ""), self._too_small(case.get("field_of_view_mm")), *doubts]
        reasons = "; ".join(note for note in notes if note)
        return prediction_row(
            row, **values, **added, qc="warn" if reasons else "pass", qc_reasons=reasons, **self.constant
        )

    def _modality(self, row: dict[str, Any], case: Mapping[str, Any]) -> str | None:
        """Kind of image as the reader found it; None where the row's covariates have it already."""
        covariates = dict(row.get("covariates") or {})
        if not covariates.get("modality"):
            # An empty covariate of that name would stand in the way of what was found.
            covariates.pop("modality", None)
            row["covariates"] = covariates
            return image_kind(row) or str(case.get("kind") or "") or None
        return None

    def _calibrated(self, row: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What the calibration adds to a row, and its doubts."""
        if self.calibration is None:
            return {}, ()
        found = self.calibration.of_row(
            {**row, "age_years": number(row.get("age_years")), **{k: v for k, v in values.items() if v is not None}}
        )
        self._n_in_reference += found.in_reference
        added: dict[str, Any] = {name: value for name, value in found.values.items() if name != "corrected_gap_years"}
        level = self.calibration.intervals.level
        if "lower_years" in added and level != _STATED_LEVEL:
            added["interval_level"] = level
        return added, found.reasons

    def _too_small(self, extent_mm: Any) -> str:
        if self.expected_coverage_mm is None or extent_mm is None:
            return ""
        axes = ("from side to side", "from back to front", "from foot to head")
        short = [
            f"{float(found):.0f} mm {axis} (expected at least {least:.0f})"
            for axis, found, least in zip(axes, extent_mm, self.expected_coverage_mm, strict=True)
            if float(found) < least
        ]
        return "the image covers only " + ", ".join(short) if short else ""

    def _complete(self, engine: Engine) -> None:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered: list[dict[int, dict[str, Any]] | None] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(gathered, self._collected)
            for part in gathered:
                for index, row in (part or {}).items():
                    if index not in self._collected:
                        self._collected[index] = row
                        if self._table is not None:
                            self._table.append(row)
        if self._n_in_reference:
            _log.info(
                "%d of the cases are of people on whom the calibration was fitted: no interval and no corrected age",
                self._n_in_reference,
            )
        if self._table is not None:
            self._table.finish()
            self._table = None


def number(value: Any) -> float | None:
    """A finite float from a number or one-element tensor; ``None`` for anything missing, NaN or infinite."""
    if value is None:
        return None
    result = float(value.item()) if isinstance(value, torch.Tensor) else float(value)
    return result if math.isfinite(result) else None
