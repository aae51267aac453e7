"""Checkpoints of a training: the weights to keep, and the state to go on from after a kill."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn

from agezoo.engines.progress import torch_rank
from agezoo.errors import InputError, TrainingDivergedError
from agezoo.networks.standardised_head import deployed_state_dict
from agezoo.networks.weights import describe, save_weights

logger = logging.getLogger(__name__)


class TrainingCheckpoint:
    """Writes ``model.pt`` (the weights to keep, with their record) and ``last.pt`` (everything needed to resume).

    Attach it as the last handler of the trainer, behind validation, learning-rate schedule and early stopping. Both
    files are replaced atomically. On start, an existing ``last.pt`` of the same run is loaded and training goes on
    behind its epoch, unless it was stopped there; together with :class:`agezoo.engines.EpochSeeding` the result equals
    that of an uninterrupted run.

    Parameters
    ----------
    folder
        Where the files go.
    network, optimizer, lr_scheduler
        What is trained. When its weights are no longer finite, :class:`agezoo.errors.TrainingDivergedError` ends the
        training.
    evaluator
        The validation engine, whose key metric decides ``keep="best"``.
    record
        Written beside ``model.pt``: origin, bundle, version, fold, datalist checksum ...
    identity
        What makes two runs the same (seed, datalist checksum, fold, epochs, batch size ...). Resuming into another
        run's folder is refused.
    keep
        ``"best"``: weights of the epoch with the best key metric; where validation never gave a number, those of the
        last epoch, and the record says ``"kept": "last"``. ``"last"``: weights of the last epoch, for
        cross-validation, where choosing the epoch on the fold that is reported would flatter the result.
    lower_is_better
        Direction of the key metric; true for an error in years.
    resume
        Whether to go on from ``last.pt``; otherwise an existing one is overwritten.
    extra
        Other objects whose state must survive a kill, by name, each with ``state_dict`` and ``load_state_dict``, e.g.
        :class:`agezoo.engines.EarlyStopping`.
    """

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: Any,
        evaluator: Engine,
        record: Mapping[str, Any],
        identity: Mapping[str, Any],
        keep: str = "best",
        lower_is_better: bool = True,
        resume: bool = True,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if keep not in ("best", "last"):
            raise InputError(
                "no such choice of weights to keep", source="keep", found=keep, expected="'best' or 'last'"
            )
        self.folder = Path(folder)
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator
        self.record = dict(record)
        self.identity = {k: str(v) for k, v in identity.items()}
        self.keep = keep
        self.lower_is_better = lower_is_better
        self.resume = resume
        self.extra = dict(extra or {})
        self.best_value: float | None = None
        self.best_epoch = 0

    @property
    def last_path(self) -> Path:
        """The file to resume from."""
        return self.folder / "last.pt"

    @property
    def model_path(self) -> Path:
        """The weights to use."""
        return self.folder / "model.pt"

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)

    def _start(self, engine: Engine) -> None:
        if not self.resume or not self.last_path.is_file():
            return
        state = read_checkpoint(self.last_path)
        if state["identity"] != self.identity:
            differing = sorted(
                k for k in state["identity"].keys() | self.identity.keys()
                if state["identity"].get(k) != self.identity.get(k)
            )  # fmt: skip
            raise InputError(
                "the checkpoint there belongs to another training",
                source=self.last_path,
                found=", ".join(f"{k}={state['identity'].get(k)}" for k in differing),
                expected=", ".join(f"{k}={self.identity.get(k)}" for k in differing),
                remedy="choose another --ckpt_dir, or start afresh with --resume False",
            )
        try:
            bare_network(self.network).load_state_dict(state["network"], strict=True)
        except RuntimeError:
            raise InputError(
                "the checkpoint there is of another network layout",
                source=self.last_path,
                remedy="go on with the config and the version that it was begun with, or --resume False",
            ) from None
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_scheduler.load_state_dict(state["lr_scheduler"])
        scaler = getattr(engine, "scaler", None)
        if scaler is not None and state["scaler"]:
            scaler.load_state_dict(state["scaler"])
        for name, part in self.extra.items():
            if name not in state.get("extra", {}):
                raise InputError(
                    f"the checkpoint there knows nothing of {name}",
                    source=self.last_path,
                    remedy="go on with the config and the version that it was begun with, or --resume False",
                )
            part.load_state_dict(state["extra"][name])
        self.best_value, self.best_epoch = state["best_value"], state["best_epoch"]
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["iteration"]
        if self.best_value is not None:
            validated: Any = self.evaluator.state
            validated.best_metric, validated.best_metric_epoch = self.best_value, self.best_epoch
        logger.info("resumed behind epoch %d of %s", state["epoch"], self.last_path)
        if state.get("is_stopped"):
            engine.terminate()

    def _epoch_completed(self, engine: Engine) -> None:
        epoch = int(engine.state.epoch)
        self._must_be_finite(epoch)
        value = self._validated_value(epoch)
        better = value is not None and (
            self.best_value is None or (value < self.best_value if self.lower_is_better else value > self.best_value)
        )
        if better:
            self.best_value, self.best_epoch = value, epoch
        if torch_rank() > 0:
            return
        is_last = bool(engine.should_terminate) or epoch >= int(engine.state.max_epochs or 0)
        if self.keep == "best" and better:
            self._save_model(epoch, value, "best")
        elif is_last and (self.keep == "last" or self.best_value is None):
            if self.keep == "best":
                logger.warning("validation never gave a number to choose by; the last epoch's weights are kept")
            self._save_model(epoch, value, "last")
        self._save_last(engine, epoch)

    def _must_be_finite(self, epoch: int) -> None:
        """Raise when the weights are no numbers any more; what was written before stays."""
        bad = [name for name, values in bare_network(self.network).named_parameters() if not values.isfinite().all()]
        if bad:
            raise TrainingDivergedError(
                "the training has diverged",
                source=self.folder,
                found=f"weights that are infinite or no numbers after epoch {epoch}: {', '.join(bad[:3])}",
                expected="finite weights",
                remedy="lower the learning rate and look for absurd values in images and ages; "
                "the checkpoint of the epoch before is kept",
            )

    def _validated_value(self, epoch: int) -> float | None:
        """The key metric, when validation ran in this epoch."""
        state: Any = self.evaluator.state
        name = state.key_metric_name
        if not name or name not in state.metrics or state.epoch != epoch:
            return None
        value = float(state.metrics[name])
        return value if math.isfinite(value) else None

    def _save_model(self, epoch: int, value: float | None, kept: str) -> None:
        state: Any = self.evaluator.state
        metric = state.key_metric_name
        validation = {} if metric is None or value is None else {metric: value}
        record = {**self.record, "epoch": epoch, "kept": kept, "validation": validation}
        save_weights(deployed_state_dict(bare_network(self.network)), self.model_path, record)

    def _save_last(self, engine: Engine, epoch: int) -> None:
        scaler = getattr(engine, "scaler", None)
        state = {
            "identity": self.identity,
            "epoch": epoch,
            "iteration": int(engine.state.iteration),
            "network": bare_network(self.network).state_dict(),
            "optimizer": plain(self.optimizer.state_dict()),
            "lr_scheduler": plain(self.lr_scheduler.state_dict()),
            "scaler": scaler.state_dict() if scaler is not None else {},
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "extra": {name: plain(part.state_dict()) for name, part in self.extra.items()},
            "is_stopped": bool(engine.should_terminate),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.last_path.with_name(f".last.{os.getpid()}.tmp")
        torch.save(state, temporary)
        temporary.replace(self.last_path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Open a ``last.pt`` without running code that may hide in it.

    Raises
    ------
    InputError
        If it is damaged or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        state = None
    if not isinstance(state, dict) or not {"identity", "epoch", "network"} <= state.keys():
        raise InputError(
            "not the checkpoint of a training, or a damaged one",
            source=path,
            remedy="delete it, choose another --ckpt_dir, or start afresh with --resume False",
        )
    return state


def training_is_complete(folder: str | Path, max_epochs: int) -> bool:
    """Whether a folder holds a training that came to its end and whose weights fit their record.

    The end is the last epoch, or the one behind which a handler stopped the training early.
    """
    last = Path(folder) / "last.pt"
    model = Path(folder) / "model.pt"
    if not last.is_file() or not model.is_file():
        return False
    try:
        state = read_checkpoint(last)
        is_over = bool(state.get("is_stopped")) or int(state["epoch"]) >= max_epochs
        return is_over and describe(model).origin != "unrecorded"
    except InputError:
        return False


def bare_network(network: nn.Module) -> nn.Module:
    """The network inside DistributedDataParallel, or the network itself."""
    return network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network


def plain(value: Any) -> Any:
    """Copy of a state without callables and NumPy values, which `weights_only` loading refuses."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items() if not callable(v)}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(v) for v in value if not callable(v))
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
