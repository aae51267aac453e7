"""A collapsing second stage is seen in every validation, by all processes together, and told once."""

from __future__ import annotations

import csv
import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedEvaluator
from tiny_training import build_training, write_cohort
from torch import Tensor, nn

from agezoo.analysis.bin_collapse import bin_collapse_figures
from agezoo.engines import BinCollapse
from agezoo.transforms.cascade_age import CascadeAged

METRICS = ["within_bin_sd_years", "within_bin_correlation", "between_bin_share"]


class PassOn(nn.Module):
    """The image is the output."""

    def forward(self, image: Tensor) -> Tensor:
        return image


def cases(n: int = 12, spread: float = 1.0) -> list[dict[str, Any]]:
    """People of two bins, whose ages within a bin differ by `spread`."""
    return [
        {
            "image": torch.tensor([60.0 + 5 * (i % 2) + spread * (i // 2), 60.0 + 5 * (i % 2), 61.0]),
            "label": torch.tensor([60.0 + i]),
            "sex": torch.tensor([1.0, 0.0]),
            "row": i,
        }
        for i in range(n)
    ]


def batches(items: list[dict[str, Any]], size: int = 5) -> list[dict[str, Any]]:
    return [
        {key: torch.stack([torch.as_tensor(item[key]) for item in items[i : i + size]]) for key in items[0]}
        for i in range(0, len(items), size)
    ]


def evaluator(items: list[dict[str, Any]], handler: BinCollapse, stages: int = 2) -> SupervisedEvaluator:
    if stages == 1:
        items = [{**item, "image": item["image"][:1]} for item in items]
    return SupervisedEvaluator(
        device=torch.device("cpu"), val_data_loader=batches(items), network=PassOn(),
        postprocessing=CascadeAged("pred"), val_handlers=[handler],
    )  # fmt: skip


def expected(items: list[dict[str, Any]]) -> list[float]:
    pred = torch.stack([item["image"] for item in items]).numpy()
    ages = [float(item["label"]) for item in items]
    figures = bin_collapse_figures(pred[:, 0], pred[:, 1], age_years=ages, sex=[str(item["sex"]) for item in items])
    return [getattr(figures, name) for name in METRICS]


def test_figures_of_all_cases_are_among_the_metrics() -> None:
    """Three batches, the last a smaller one."""
    engine = evaluator(cases(), BinCollapse())
    engine.run()
    assert [engine.state.metrics[name] for name in METRICS] == pytest.approx(expected(cases()), rel=1e-6)


def test_each_validation_counts_anew_and_what_is_not_defined_is_absent() -> None:
    items = cases()
    handler = BinCollapse()
    engine = evaluator(items, handler)
    engine.run()
    engine.data_loader = batches(cases(spread=0.0))
    engine.run()
    assert engine.state.metrics["within_bin_sd_years"] == 0
    assert engine.state.metrics["between_bin_share"] == 1
    assert "within_bin_correlation" not in engine.state.metrics, "not that of the validation before"


def test_a_first_stage_alone_adds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    handler = BinCollapse(patience=1)
    engine = evaluator(cases(spread=0.0), handler, stages=1)
    engine.run()
    assert not engine.state.metrics
    assert handler.figures is None
    assert not caplog.records


def test_a_collapse_is_told_once_and_only_when_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    handler = BinCollapse(patience=2)
    engine = evaluator(cases(), handler)
    told = []
    with caplog.at_level(logging.WARNING, logger="agezoo"):
        for epoch, spread in enumerate([0.0, 1.0, 0.01, 0.02, 0.0], start=1):
            engine.data_loader = batches(cases(spread=spread))
            engine.run(global_epoch=epoch)
            told.append(len(caplog.records))
    assert told == [0, 0, 0, 1, 1]
    message = caplog.records[0].getMessage()
    assert message.startswith("epoch 4: the second stage has collapsed: people whom the first stage puts into the same")
    assert "SD 0.037 years within 2 bins of 12 people" in message


def test_the_sex_of_the_batch_is_taken_into_account() -> None:
    """Two ages per bin, one of each sex: still no look at the image."""
    items = cases(16, spread=0.0)
    for i, item in enumerate(items):
        is_male = i // 2 % 2
        item["sex"] = torch.tensor([1.0 - is_male, float(is_male)])
        item["image"][0] += 3 * is_male
    handler = BinCollapse()
    evaluator(items, handler).run()
    assert handler.figures is not None
    assert handler.figures.is_collapsed
    assert handler.figures.n_bins == 4


def test_cases_of_all_processes_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process had the second half, and the first case once more to fill its last batch."""
    items = cases()
    other = [[item["row"], *item["image"][:2].tolist(), float(item["label"]), 1.0] for item in [*items[6:], items[0]]]
    monkeypatch.setattr(
        "agezoo.engines.bin_collapse.evenly_divisible_all_gather",
        lambda table, concat: torch.cat([table, torch.tensor(other)]),
    )
    engine = evaluator(items[:6], BinCollapse())
    engine.run()
    assert [engine.state.metrics[name] for name in METRICS] == pytest.approx(expected(items), rel=1e-6)


def test_other_engines_are_watched_through_a_transform() -> None:
    def of_pair(case: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, Any]:
        return {"predicted_age_years": output["age"], "discretised_age_years": output["bin"], "label": case["true"]}

    def iteration(engine: Engine, batch: list[dict[str, float]]) -> list[dict[str, float]]:
        return [{"age": case["true"] / 2, "bin": 30.0} for case in batch]

    engine = Engine(iteration)
    engine.state.device = None  # type: ignore[attr-defined]
    BinCollapse(output_transform=of_pair).attach(engine)
    engine.run([[{"true": 58.0}, {"true": 60.0}], [{"true": 62.0}]])
    assert engine.state.metrics["within_bin_sd_years"] == pytest.approx(1.0)
    assert engine.state.metrics["within_bin_correlation"] == pytest.approx(1.0)


def test_the_figures_reach_the_history(tmp_path: Path) -> None:
    training = build_training(tmp_path, write_cohort(tmp_path / "cohort"), epochs=2)

    def as_cascade(case: Mapping[Hashable, Any], output: Mapping[Hashable, Any]) -> dict[str, Any]:
        return {**output, "discretised_age_years": 60.0, "row": case["row"]}  # type: ignore[dict-item]

    handler = BinCollapse(output_transform=as_cascade)
    handler.attach(training.evaluator)
    training.run()
    with (tmp_path / "eval" / "training_history.csv").open(newline="") as stream:
        history = list(csv.DictReader(stream))
    assert handler.figures is not None
    assert (len(history), handler.figures.n, handler.figures.n_bins) == (2, 12, 1)
    assert float(history[1]["within_bin_sd_years"]) == pytest.approx(handler.figures.within_bin_sd_years)
    assert history[0]["within_bin_sd_years"] != history[1]["within_bin_sd_years"]
