"""Watching, validation by validation, whether a cascade's second stage collapses to one age per bin."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.utils import evenly_divisible_all_gather

from agezoo.analysis.bin_collapse import BinCollapseFigures, bin_collapse_figures
from agezoo.engines.prediction_writer import number
from agezoo.engines.progress import torch_rank

logger = logging.getLogger(__name__)

METRICS = ("within_bin_sd_years", "within_bin_correlation", "between_bin_share")


class BinCollapse:
    """Puts the figures of :mod:`agezoo.analysis.bin_collapse` among a validation's metrics, and warns of a collapse.

    Attach it to the evaluator, before the handlers that print or track metrics. It expects what
    :class:`agezoo.transforms.CascadeAged` adds to the output; of a first stage alone there is nothing to watch and
    nothing is added. ``within_bin_sd_years``, ``within_bin_correlation`` and ``between_bin_share`` go to
    ``engine.state.metrics``, as far as they are defined, once the last case is through. Where several processes
    validate, all their cases count, each once.

    Parameters
    ----------
    patience
        Validations in a row that must find a collapse before the one warning; a second stage begins close to it. Our
        choice.
    output_transform
        From a case's batch and output, two mappings, to one with ``predicted_age_years``, ``discretised_age_years``,
        ``label``, ``sex`` and ``row``, for other engines than MONAI's.

    Attributes
    ----------
    figures
        The last validation's; None before the first and of a first stage alone.
    """

    def __init__(
        self,
        patience: int = 3,
        output_transform: Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]] | None = None,
    ) -> None:
        self.patience = patience
        self.output_transform = output_transform or _case
        self.figures: BinCollapseFigures | None = None
        self._cases: dict[int, list[float]] = {}
        self._in_a_row = 0
        self._has_warned = False

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._complete)

    def _start(self, engine: Engine) -> None:
        self._cases = {}

    def _iteration(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        for case, result in zip(batch, output, strict=True):
            found = self.output_transform(case, result)
            sex = found.get("sex")
            # Whether female stands for the pair (female, male).
            is_female = math.nan if sex is None else float(torch.as_tensor(sex).flatten()[0])
            row = found.get("row")
            self._cases[len(self._cases) if row is None else int(row)] = [
                _or_nan(found.get("predicted_age_years")),
                _or_nan(found.get("discretised_age_years")),
                _or_nan(found.get("label")),
                is_female,
            ]

    def _complete(self, engine: Engine) -> None:
        rows = [[row, *values] for row, values in self._cases.items()]
        state: Any = engine.state
        table = torch.tensor(rows, dtype=torch.float32, device=state.device).reshape(-1, 5)
        gathered = evenly_divisible_all_gather(table, True).double().cpu().numpy()
        # Processes that padded their share hold a case twice.
        once = gathered[np.unique(gathered[:, 0], return_index=True)[1]]
        predicted, discretised, age, sex = once[:, 1:].T
        self.figures = bin_collapse_figures(predicted, discretised, age_years=age, sex=sex)
        for name in METRICS:
            value = math.nan if self.figures is None else float(getattr(self.figures, name))
            # A figure of the validation before must not stand for one that is not defined now.
            engine.state.metrics.pop(name, None)
            if math.isfinite(value):
                engine.state.metrics[name] = value
        self._in_a_row = self._in_a_row + 1 if self.figures is not None and self.figures.is_collapsed else 0
        if self.figures is not None and self._in_a_row >= self.patience and not self._has_warned:
            self._has_warned = True
            if torch_rank() == 0:
                logger.warning("epoch %d: %s", engine.state.epoch, self.figures.verdict)


def _case(case: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
    return {**output, "sex": case.get("sex"), "row": case.get("row")}


def _or_nan(value: Any) -> float:
    known = number(value)
    return math.nan if known is None else known
