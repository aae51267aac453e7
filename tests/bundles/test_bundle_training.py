"""Training through MONAI's entry point: what it leaves behind, which epoch it keeps, how it goes on after a kill."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import pytest
import torch

from agezoo.errors import InputError
from agezoo.networks.weights import describe
from agezoo.workflows.bundle_run import run_bundle
from bundle_runs import CONFIGS, REPOSITORY, command, options, run_configs, training_settings
from cohort_files import TINY, Cohort

KILLER = """
import os, signal
from ignite.engine import Events

class KillInEpoch:
    def __init__(self, epoch):
        self.epoch = epoch
    def attach(self, engine):
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
    def __call__(self, engine):
        if engine.state.epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def history(folder: Path) -> list[dict[str, float]]:
    """The rows of ``training_history.csv``."""
    with (folder / "training_history.csv").open(newline="") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def test_command_line_trains_from_another_directory(cohort: Cohort, tmp_path: Path) -> None:
    # The datalist and the outputs are given relative to a directory that is neither the bundle's nor the repository's.
    done = command(
        *("-m", "monai.bundle", "run", "training", "--config_file", CONFIGS / "train.json"),
        *options(datalist=cohort.datalist, cache_dir=cohort.cache, ckpt_dir="out/models", output_dir="out", **TINY),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    state = torch.load(tmp_path / "out" / "models" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert state["conv1.weight"].shape == (TINY["trunk_width"], 1, 7, 7), "an override of the command line was lost"
    record = json.loads((tmp_path / "out" / "models" / "model.json").read_text())
    assert record["origin"] == "trained"
    assert record["fold"] == 0
    assert record["n_training"] == sum(row["fold"] != 0 for row in cohort.rows("training"))
    assert [row["epoch"] for row in history(tmp_path / "out")] == [1, 2]
    assert (tmp_path / "out" / "training.png").stat().st_size > 5000


def test_plain_run_is_training(cohort: Cohort, trained: Path, tmp_path: Path) -> None:
    run_configs(None, ["train.json"], **training_settings(cohort, tmp_path))
    assert describe(tmp_path / "model.pt").sha256 == describe(trained / "model.pt").sha256


def test_a_datalist_without_folds_is_validated_on_its_validation_section(cohort: Cohort, tmp_path: Path) -> None:
    document = json.loads(cohort.datalist.read_text())
    for row in document["training"]:
        row.pop("fold")
    document |= {"validation": document["test"], "test": []}
    document.pop("folds")
    datalist = cohort.folder / "without_folds.json"
    datalist.write_text(json.dumps(document))
    settings = training_settings(cohort, tmp_path, datalist=str(datalist), max_epochs=1)
    run_configs("training", ["train.json"], **settings)
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["n_training"] == len(document["training"])
    assert record["fold"] is None


def test_the_best_epoch_is_kept(cohort: Cohort, tmp_path: Path) -> None:
    # A learning rate far too high ruins the network behind the first epoch, whose rate is a tenth of it.
    settings = training_settings(cohort, tmp_path, max_epochs=3, learning_rate=0.1, warmup_epochs=1)
    run_configs("training", ["train.json"], **settings)
    errors = {int(row["epoch"]): row["val_mae_years"] for row in history(tmp_path)}
    best = min(errors, key=errors.__getitem__)
    assert best < 3, f"the training must get worse for this test to mean something: {errors}"
    assert errors[3] > 10 * errors[best]
    record = json.loads((tmp_path / "model.json").read_text())
    assert record["epoch"] == best
    assert record["validation"]["val_mae_years"] == errors[best]

    # The file holds that epoch's weights, not only its number.
    out = tmp_path / "evaluation"
    again = {name: value for name, value in settings.items() if name != "max_epochs"} | {"output_dir": str(out)}
    run_configs("evaluating", ["train.json", "evaluate.json"], **again)
    measured = json.loads((out / "metrics.json").read_text())["mae_years"]
    assert measured == pytest.approx(errors[best], abs=1e-3)


def test_killed_training_goes_on_as_if_nothing_had_happened(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "killer.py").write_text(KILLER)
    overlay = tmp_path / "kill.json"
    overlay.write_text(json.dumps({"+train#handlers": [{"_target_": "killer.KillInEpoch", "epoch": 3}]}))
    settings = training_settings(cohort, tmp_path / "killed", max_epochs=4, keep="last")
    done = command(
        # A plain `run`, with the config named relative to the repository as in the documentation.
        *("-m", "monai.bundle", "run", "--config_file", f"['bundles/ct_age/configs/train.json','{overlay}']"),
        *options(**settings),
        cwd=REPOSITORY,
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == -signal.SIGKILL, done.stdout
    assert [row["epoch"] for row in history(tmp_path / "killed")] == [1, 2]
    assert not (tmp_path / "killed" / "model.pt").exists()
    run_configs("training", ["train.json"], **settings)

    whole = training_settings(cohort, tmp_path / "whole", max_epochs=4, keep="last")
    run_configs("training", ["train.json"], **whole)
    resumed = torch.load(tmp_path / "killed" / "model.pt", weights_only=True)
    uninterrupted = torch.load(tmp_path / "whole" / "model.pt", weights_only=True)
    assert resumed.keys() == uninterrupted.keys()
    differing = [name for name in resumed if not torch.equal(resumed[name], uninterrupted[name])]
    assert not differing
    assert history(tmp_path / "killed") == history(tmp_path / "whole")
    assert [row["epoch"] for row in history(tmp_path / "whole")] == [1, 2, 3, 4]


def test_another_training_is_not_resumed(cohort: Cohort, trained: Path) -> None:
    before = (trained / "last.pt").read_bytes()
    with pytest.raises(InputError, match=r"belongs to another training.*seed=0.*seed=5.*--resume False"):
        run_bundle("ct_age", "training", ["train.json"], overrides=training_settings(cohort, trained, seed=5))
    assert (trained / "last.pt").read_bytes() == before


def test_images_are_preprocessed_once(cohort: Cohort, trained: Path) -> None:
    # A cache that keeps the path instead of the projection looks the same from outside, only training takes ages.
    kept = [torch.load(path, weights_only=True) for path in cohort.cache.glob("*.pt")]
    assert len(kept) >= len(cohort.rows("training"))
    assert {tuple(item["image"].shape) for item in kept} == {(1, 224, 224)}
