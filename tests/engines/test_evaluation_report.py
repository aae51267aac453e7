"""The report that follows an evaluation."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ignite.engine import Engine, Events

from agezoo.analysis import report as analysis_report
from agezoo.data.prediction_table import prediction_row, read_predictions, write_predictions
from agezoo.engines import EvaluationReport


def evaluation(folder: Path, report: EvaluationReport, stem: str = "predictions") -> Engine:
    """An engine whose table is written as the last thing before the report."""

    def write(engine: Engine) -> None:
        generator = np.random.default_rng(0)
        rows = [
            prediction_row(
                {"image": f"{i}.nii", "subject_id": f"s{i}", "age_years": age},
                predicted_age_years=age + generator.normal(0, 5), aleatoric_sd_years=5.0, weights_origin="phantom",
            )
            for i, age in enumerate(generator.uniform(30, 80, 12))
        ]  # fmt: skip
        write_predictions(rows, folder, stem=stem)

    engine = Engine(lambda e, batch: None)
    engine.add_event_handler(Events.COMPLETED, write)
    report.attach(engine)
    return engine


def test_report_is_made_of_the_table_that_the_writer_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the report says is tested with `agezoo.analysis.report`; here that it gets the finished table."""
    signature = inspect.signature(analysis_report.evaluate_table)
    asked: list[tuple[object, ...]] = []

    def note(*args: Any, **options: Any) -> None:
        given = signature.bind(*args, **options).arguments
        table = next(value for value in given.values() if str(value).endswith(".csv"))
        assert len(read_predictions(table)) == 12
        asked.append((args, options))

    monkeypatch.setattr(analysis_report, "evaluate_table", note)
    evaluation(tmp_path, EvaluationReport(str(tmp_path), "ct_age: validation rows", "validation"), "validation").run(
        [0]
    )
    assert asked == [((tmp_path / "validation.csv", tmp_path), {"title": "ct_age: validation rows"})]


def test_only_the_first_rank_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agezoo.engines.evaluation_report.torch_rank", lambda: 1)
    evaluation(tmp_path, EvaluationReport(tmp_path, "title")).run([0])
    assert not (tmp_path / "report.html").exists()
