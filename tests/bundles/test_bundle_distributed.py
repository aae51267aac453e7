"""multi_gpu_train.json under torchrun; without GPUs the two processes talk through gloo."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from agezoo.data.prediction_table import read_predictions
from agezoo.networks.weights import describe
from bundle_runs import CONFIGS, command, options, training_settings
from cohort_files import TINY, Cohort

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def test_two_processes_train_one_model(cohort: Cohort, tmp_path: Path) -> None:
    models = tmp_path / "models"
    training = training_settings(cohort, models, batch_size=2)
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file"),
        f"['{CONFIGS / 'train.json'}','{CONFIGS / 'multi_gpu_train.json'}']",
        *options(**training),
        cwd=tmp_path,
        launcher=TORCHRUN,
    )
    assert done.returncode == 0, done.stdout
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("model.pt")] == ["models/model.pt"]
    # Checked against its record, and free of the prefix that DistributedDataParallel puts before each name.
    describe(models / "model.pt")
    state = torch.load(models / "model.pt", weights_only=True)
    assert state["conv1.weight"].shape == (TINY["trunk_width"], 1, 7, 7)
    history = (models / "training_history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["epoch", "1", "2"]


def test_two_processes_judge_every_case_once(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    # Three cases do not divide by two processes: padding would judge one of them twice.
    settings = training_settings(cohort, trained, output_dir=tmp_path / "evaluation", section="test", batch_size=2)
    settings.pop("max_epochs")
    done = command(
        *("-m", "monai.bundle", "run", "evaluating", "--config_file"),
        f"['{CONFIGS / 'train.json'}','{CONFIGS / 'evaluate.json'}','{CONFIGS / 'multi_gpu_train.json'}']",
        *options(**settings),
        cwd=tmp_path,
        launcher=TORCHRUN,
    )
    assert done.returncode == 0, done.stdout
    table = read_predictions(tmp_path / "evaluation" / "predictions.csv")
    assert sorted(table["image"]) == sorted(row["image"] for row in cohort.rows("test"))
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert metrics["n"] == 3
    assert abs(metrics["mae_years"] - (table["predicted_age_years"] - table["age_years"]).abs().mean()) < 1e-6
