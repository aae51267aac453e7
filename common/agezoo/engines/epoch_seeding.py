"""Every source of chance as a function of (seed, epoch), so that a resumed run repeats the uninterrupted one."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events


class EpochSeeding:
    """Seeds Python, NumPy and torch, the datasets and the samplers anew at the start of each epoch.

    Parameters
    ----------
    seed
        Seed of the run.
    followers
        Objects with ``set_epoch(epoch)``: datasets that augment, samplers that shuffle.
    """

    def __init__(self, seed: int, followers: list[Any]) -> None:
        self.seed = seed
        self.followers = followers

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        epoch = int(engine.state.epoch)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        digest = hashlib.sha256(f"{self.seed}:{epoch}:{rank}".encode()).digest()
        number = int.from_bytes(digest[:4], "little")
        random.seed(number)
        # MONAI's transforms and many libraries draw from the global generator.
        np.random.seed(number)  # noqa: NPY002
        torch.manual_seed(number)
        for follower in self.followers:
            follower.set_epoch(epoch)
