"""The picture of a training: loss and validation error by epoch, and the last validation's predictions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from agezoo.engines.prediction_writer import number
from agezoo.engines.progress import torch_rank


class TrainingFigure:
    """Keeps ``training_history.csv`` up to date and draws ``training.png`` and ``validation.png`` at the end.

    The history survives a kill: a resumed training goes on in the same file.

    Parameters
    ----------
    output_dir
        Where the files go.
    evaluator
        The validation engine.
    """

    def __init__(self, output_dir: str | Path, evaluator: Engine) -> None:
        self.output_dir = Path(output_dir)
        self.evaluator = evaluator
        self.history: list[dict[str, Any]] = []
        self._losses: list[float] = []
        self._validated: list[tuple[float, float]] = []

    @property
    def history_path(self) -> Path:
        """One row per epoch: epoch, train_loss, then the metrics of training and validation."""
        return self.output_dir / "training_history.csv"

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, behind validation and before the checkpoint, behind which a kill may come."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)
        engine.add_event_handler(Events.COMPLETED, self._draw)
        self.evaluator.add_event_handler(Events.STARTED, self._validation_start)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._validation)

    def _earlier(self, epoch: int) -> list[dict[str, Any]]:
        """Rows of the epochs before a resumed one; none for a training that starts afresh."""
        if not self.history_path.is_file():
            return []
        with self.history_path.open(newline="") as stream:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(stream)]
        return [{**row, "epoch": int(row["epoch"])} for row in rows if row["epoch"] < epoch]

    def _iteration(self, engine: Engine) -> None:
        output: Any = engine.state.output
        self._losses.append(float(output[0]["loss"]))

    def _validation_start(self, engine: Engine) -> None:
        self._validated = []

    def _validation(self, engine: Engine) -> None:
        outputs: Any = engine.state.output
        for output in outputs:
            true, predicted = number(output["label"]), number(output["predicted_age_years"])
            if true is not None and predicted is not None:
                self._validated.append((true, predicted))

    def _epoch(self, engine: Engine) -> None:
        epoch = int(engine.state.epoch)
        row: dict[str, Any] = {"epoch": epoch, "train_loss": sum(self._losses) / max(len(self._losses), 1)}
        self._losses = []
        row |= {k: number(v) for k, v in engine.state.metrics.items()}
        if self.evaluator.state.epoch == epoch:
            row |= {k: number(v) for k, v in self.evaluator.state.metrics.items()}
        self.history = [*(self.history or self._earlier(epoch)), row]
        if torch_rank() > 0:
            return
        self.output_dir.mkdir(parents=True, exist_ok=True)
        names = list(dict.fromkeys(name for entry in self.history for name in entry))
        temporary = self.history_path.with_suffix(".tmp")
        with temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(self.history)
        temporary.replace(self.history_path)

    def _draw(self, engine: Engine) -> None:
        if torch_rank() > 0 or not self.history:
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        loss_axes = figure.subplots()
        error_axes = loss_axes.twinx()
        lines = self._curve(loss_axes, "train_loss", "training loss", "#999999")
        lines += self._curve(error_axes, "train_mae_years", "training MAE", "#0072B2")
        lines += self._curve(error_axes, "val_mae_years", "validation MAE", "#D55E00")
        spread = self._curve(error_axes, "within_bin_sd_years", "SD within bins", "#009E73")
        loss_axes.set(xlabel="epoch", ylabel="training loss")
        error_axes.set(ylabel="mean absolute error, SD (years)" if spread else "mean absolute error (years)")
        error_axes.set_ylim(bottom=0)
        figure.legend(handles=lines + spread, loc="outside upper center", ncols=4, frameon=False)
        figure.savefig(self.output_dir / "training.png", dpi=120)
        if self._validated:
            true, predicted = zip(*self._validated, strict=True)
            figure = Figure(figsize=(4.5, 4.5), layout="constrained")
            axes = figure.subplots()
            limits = min(*true, *predicted) - 2, max(*true, *predicted) + 2
            axes.plot(limits, limits, color="#999999", linewidth=1)
            axes.scatter(true, predicted, s=14, color="#0072B2", alpha=0.7)
            error = sum(abs(t - p) for t, p in self._validated) / len(true)
            axes.set(
                xlim=limits, ylim=limits, aspect="equal", xlabel="age (years)", ylabel="predicted age (years)",
                title=f"validation, last epoch: n {len(true)}, MAE {error:.1f} years",
            )  # fmt: skip
            figure.savefig(self.output_dir / "validation.png", dpi=120)

    def _curve(self, axes: Any, name: str, label: str, colour: str) -> list[Any]:
        points = [(row["epoch"], row[name]) for row in self.history if row.get(name) is not None]
        if not points:
            return []
        return list(axes.plot(*zip(*points, strict=True), label=label, color=colour))
