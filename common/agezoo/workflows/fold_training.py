"""Training the folds of a cross-validation, one after the other or several side by side."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agezoo.child_processes import children_with_threads
from agezoo.engines.training_checkpoint import training_is_complete
from agezoo.errors import InputError
from agezoo.registry import bundle_facts
from agezoo.workflows.bundle_run import run_bundle, setting_value

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldTraining:
    """One fold to train: everything that a process of its own needs to know.

    Attributes
    ----------
    bundle, configs, overrides, tracking, verbose
        As for :func:`agezoo.workflows.bundle_run.run_bundle`, `configs` behind ``train.json``.
    fold
        Number of the fold that is left out.
    folder
        Where its weights, history and figures go.
    """

    bundle: str
    fold: int
    folder: Path
    configs: tuple[str, ...]
    overrides: Mapping[str, Any]
    tracking: str | None
    verbose: bool

    @property
    def is_complete(self) -> bool:
        """Whether the fold was trained to its end before."""
        return self.stages()[-1].is_complete

    def stages(self) -> list[_Stage]:
        """The trainings that make the fold's weights, one behind the other: several for a cascade."""
        overlays = bundle_facts(self.bundle).further_stages
        folders = [*(self.folder / f"stage{number}" for number, _ in enumerate(overlays, 1)), self.folder]
        stages: list[_Stage] = []
        for folder, overlay in zip(folders, (None, *overlays), strict=True):
            configs = ("train.json", *self.configs, *([overlay] if overlay else []))
            settings: dict[str, Any] = {"stage1_weights": folders[0] / "model.pt"} if overlay else {}
            if overlays and "run_name" in self.overrides:
                # MLflow goes on in a run of the same name.
                settings["run_name"] = f"{self.overrides['run_name']}, stage {len(stages) + 1}"
            stages.append(_Stage(configs, folder, settings))
        return stages

    def epochs_planned(self) -> int:
        """Epochs of all stages together."""
        return sum(
            int(setting_value(self.bundle, stage.configs, "max_epochs", self.overrides)) for stage in self.stages()
        )

    def epochs_done(self) -> int:
        """Epochs that the fold has behind it, from its histories."""
        return sum(stage.epochs_done() for stage in self.stages())


@dataclass(frozen=True)
class _Stage:
    """One run of ``training`` within a fold: its configs, its folder and the settings that it alone has."""

    configs: tuple[str, ...]
    folder: Path
    settings: Mapping[str, Any]

    @property
    def is_complete(self) -> bool:
        return (self.folder / "complete.json").is_file() and (self.folder / "model.pt").is_file()

    def epochs_done(self) -> int:
        history = self.folder / "training_history.csv"
        return max(0, len(history.read_text().splitlines()) - 1) if history.is_file() else 0


def default_jobs(n_folds: int) -> int:
    """Folds to train side by side: one on a GPU, which it fills; on CPUs one per core, which wastes the least."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, min(n_folds, os.cpu_count() or 1))


def train_folds(trainings: Sequence[FoldTraining], *, jobs: int = 1) -> None:
    """Train what is not trained yet.

    Parameters
    ----------
    trainings
        The folds.
    jobs
        How many at a time; several run in processes of their own, the cores shared between them.

    Raises
    ------
    InputError
        What a training reports about the user's data. The other folds' checkpoints stay.
    """
    todo = [training for training in trainings if not training.is_complete]
    for training in trainings:
        if training not in todo:
            logger.info("fold %d: already trained", training.fold)
    if min(jobs, len(todo)) <= 1:
        for training in todo:
            logger.info(train_fold(training))
        return
    context = multiprocessing.get_context("spawn")
    epochs = sum(training.epochs_planned() for training in todo)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with (
        tqdm(total=epochs, desc=f"training {len(todo)} folds", unit="epoch", disable=None) as bar,
        children_with_threads(threads),
        ProcessPoolExecutor(min(jobs, len(todo)), mp_context=context) as pool,
    ):
        pending: set[Future[str]] = {pool.submit(train_fold, training) for training in todo}
        try:
            while pending:
                done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
                bar.update(sum(training.epochs_done() for training in todo) - bar.n)
                for future in done:
                    logger.info(future.result())
        except BaseException:
            for future in pending:
                future.cancel()
            raise


def train_fold(training: FoldTraining) -> str:
    """Train one fold through ``monai.bundle run training``; return a line that says how it went."""
    stages = training.stages()
    for stage in stages:
        if not stage.is_complete:
            _train_stage(training, stage)
    validation = json.loads((stages[-1].folder / "complete.json").read_text())["validation"]
    return f"fold {training.fold}: " + ", ".join(f"{name} {value:.2f}" for name, value in validation.items())


def _train_stage(training: FoldTraining, stage: _Stage) -> None:
    settings: dict[str, Any] = {
        **training.overrides,
        **stage.settings,
        "fold": training.fold,
        "ckpt_dir": stage.folder,
        "output_dir": stage.folder,
    }
    run_bundle(
        training.bundle,
        "training",
        stage.configs,
        overrides=settings,
        tracking=training.tracking,
        verbose=training.verbose,
        added=("tracking_uri",),
    )
    record = json.loads((stage.folder / "model.json").read_text())
    if not training_is_complete(stage.folder, int(record["epoch"])):
        raise InputError("the training of the fold did not finish", source=stage.folder, remedy="run the command again")
    result = {"epoch": record["epoch"], "validation": record["validation"]}
    (stage.folder / "complete.json").write_text(json.dumps(result))
    (stage.folder / "last.pt").unlink()
