"""Figures, plots and the HTML page of an evaluation, made when the evaluator has finished."""

from __future__ import annotations

from pathlib import Path

from ignite.engine import Engine, Events

from agezoo.engines.progress import torch_rank


class EvaluationReport:
    """Turns the prediction table that :class:`agezoo.engines.PredictionWriter` wrote into a report.

    Attach it behind the writer. Writes ``metrics.json``, ``plots/`` and ``report.html``.

    Parameters
    ----------
    output_dir
        Folder that holds the table and gets the report.
    title
        Heading of the page.
    stem
        File name of the table without suffix.
    """

    def __init__(self, output_dir: str | Path, title: str, stem: str = "predictions") -> None:
        self.output_dir = Path(output_dir)
        self.title = title
        self.stem = stem

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if torch_rank() > 0:
            return
        from agezoo.analysis.report import evaluate_table

        evaluate_table(self.output_dir / f"{self.stem}.csv", self.output_dir, title=self.title)
