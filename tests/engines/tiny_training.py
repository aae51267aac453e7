"""A cohort of text files and a training on it that takes well under a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, DistributedSampler
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, MeanAbsoluteError, ValidationHandler, from_engine
from monai.optimizers import WarmupCosineSchedule
from monai.transforms import Compose, MapTransform, RandGaussianNoised, ScaleIntensityRanged
from torch import nn

from agezoo.data import prediction_table  # noqa: F401 - imports pandas now, not within a timed test
from agezoo.engines import (
    CohortDataset,
    EarlyStopping,
    EpochSeeding,
    PlateauSchedule,
    TrainingCheckpoint,
    TrainingFigure,
)
from agezoo.errors import InputError
from agezoo.losses import GaussianNLLLoss
from agezoo.networks import StandardisedHead
from agezoo.transforms.gaussian_age import GaussianAged

SHAPE = (1, 4, 4)


class ReadNumbersd(MapTransform):
    """Reads a text file of 16 numbers as an image and counts how often it did."""

    def __init__(self, keys: str = "image", scale: float = 1.0) -> None:
        super().__init__(keys)
        self.scale = scale
        self._log: list[str] = []

    @property
    def count(self) -> int:
        return len(self._log)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        path = Path(data["image"])
        self._log.append(path.name)
        if not path.is_file():
            raise InputError("no such file", source=path)
        numbers = np.loadtxt(path, dtype=np.float32)
        if numbers.size != 16:
            raise ArithmeticError("not 16 numbers")
        facts = {"age_years": 77.5, "sex": "F", "field_of_view_mm": np.array([300.0, 200.0, 400.0], np.float32)}
        image = torch.from_numpy(numbers).reshape(SHAPE) * self.scale
        return {**data, "image": image, "image_facts": facts, "reading_notes": ""}


def write_cohort(folder: Path, n: int = 12, *, seed: int = 0) -> list[dict[str, Any]]:
    """Images whose mean tells the age, and the rows that list them."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    rows = []
    for i, age in enumerate(generator.uniform(30, 80, n)):
        path = folder / f"{i:02d}.txt"
        np.savetxt(path, generator.normal(age / 50, 0.1, 16))
        rows.append({"image": str(path), "listed_image": path.name, "subject_id": f"s{i:02d}", "age_years": float(age)})
    return rows


def preprocessing(scale: float = 1.0) -> Compose:
    """Reading and scaling, nested as in a bundle's config."""
    return Compose([Compose([ReadNumbersd(scale=scale)]), ScaleIntensityRanged("image", 0, 2, 0, 1)])


@dataclass
class Training:
    """What a test looks at."""

    trainer: SupervisedTrainer
    evaluator: SupervisedEvaluator
    network: nn.Module
    dataset: CohortDataset
    checkpoint: TrainingCheckpoint

    def run(self) -> None:
        self.trainer.run()

    def weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self.network.parameters()).detach()


class HistoryAlone(TrainingFigure):
    """Draws nothing, which is most of the time that a tiny training takes."""

    def _draw(self, engine: Engine) -> None:
        pass


class Killed(Exception):
    """Stands for a kill in the middle of an epoch."""


def build_training(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    *,
    epochs: int = 4,
    workers: int = 0,
    keep: str = "best",
    resume: bool = True,
    kill_in_epoch: int | None = None,
    first_seed: int = 0,
    val_interval: int = 1,
    identity: Mapping[str, Any] | None = None,
    validated_mae: Callable[[int], float] | None = None,
    standardised: bool = False,
    draw: bool = False,
    plateau_patience: int | None = None,
    stop_patience: int | None = None,
    more_handlers: Sequence[Any] = (),
) -> Training:
    """A training with the handlers of a bundle's ``train.json``, in their order.

    `first_seed` is the state of chance at its start, which a resumed run does not share with the run that it goes on
    with. `validated_mae` replaces the validation's result by a function of the epoch. The learning rate follows the
    validation where `plateau_patience` is given, else a cosine.
    """
    torch.manual_seed(first_seed)
    dataset = CohortDataset(
        rows, preprocessing(), Compose([RandGaussianNoised("image", prob=0.7, std=0.1)]), folder / "cache", seed=5
    )
    sampler = DistributedSampler(dataset, even_divisible=True, num_replicas=1, rank=0, shuffle=True, seed=5)
    loader = DataLoader(dataset, batch_size=5, sampler=sampler, num_workers=workers)
    network: nn.Module = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 2)
    )
    if standardised:
        network = StandardisedHead(network, [row["age_years"] for row in rows], head="4")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.05)

    def metric() -> MeanAbsoluteError:
        return MeanAbsoluteError(output_transform=from_engine(["predicted_age_years", "label"]))

    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(CohortDataset(rows, preprocessing(), cache_dir=folder / "cache"), batch_size=5),
        network=network,
        postprocessing=GaussianAged("pred"),
        key_val_metric={"val_mae_years": metric()},
        metric_cmp_fn=lambda current, best: current < best,
    )
    if validated_mae is not None:

        def replace_result(engine: Engine) -> None:
            engine.state.metrics["val_mae_years"] = validated_mae(engine.state.epoch)

        evaluator.add_event_handler(Events.EPOCH_COMPLETED, replace_result)
    schedule: Any
    if plateau_patience is None:
        schedule = WarmupCosineSchedule(optimizer, warmup_steps=2, warmup_multiplier=0.1, t_total=epochs)
        follow: Any = LrScheduleHandler(lr_scheduler=schedule, print_lr=False)
    else:
        schedule = follow = PlateauSchedule(optimizer, evaluator, patience=plateau_patience)
    early_stopping = EarlyStopping(evaluator, stop_patience)
    checkpoint = TrainingCheckpoint(
        folder / "models", network, optimizer, schedule, evaluator,
        record={"origin": "trained", "fold": 0}, identity=identity or {"seed": 5, "max_epochs": epochs},
        keep=keep, resume=resume, extra={"early_stopping": early_stopping},
    )  # fmt: skip
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=loader,
        network=network,
        optimizer=optimizer,
        loss_function=GaussianNLLLoss(),
        postprocessing=GaussianAged("pred"),
        key_train_metric={"train_mae_years": metric()},
        train_handlers=[
            EpochSeeding(5, [dataset, sampler]),
            ValidationHandler(validator=evaluator, interval=val_interval, epoch_level=True),
            follow,
            early_stopping,
            (TrainingFigure if draw else HistoryAlone)(folder / "eval", evaluator),
            checkpoint,
            *more_handlers,
        ],
    )
    if kill_in_epoch is not None:

        def kill(engine: Engine) -> None:
            if engine.state.epoch == kill_in_epoch:
                raise Killed

        trainer.add_event_handler(Events.ITERATION_COMPLETED, kill)
    return Training(trainer, evaluator, network, dataset, checkpoint)
