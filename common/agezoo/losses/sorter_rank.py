"""Ranks by a sorter that the user trained beforehand, as brain_tsan was published with."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from agezoo.errors import InputError


class SorterRanks(nn.Module):
    """Asks a pretrained differentiable sorter (SoDeep) for the ranks of the ages in a batch.

    For those who own one; :func:`agezoo.losses.soft_ranks` needs none. Such a sorter knows one batch size, and its
    ranks must be those of :func:`agezoo.losses.soft_rank.true_ranks`: 1 for the youngest, 1 / N for the oldest. It is
    kept as it is: its own parameters are not trained.

    Parameters
    ----------
    sorter
        Path of a TorchScript file, or a module or function, that turns values of shape (1, N) in years into N ranks.
    batch_size
        The N that it was trained for.

    Raises
    ------
    InputError
        If the file cannot be loaded.

    References
    ----------
    Engilberge et al., "SoDeep: a sorting deep net to learn ranking loss surrogates", CVPR 2019.
    """

    def __init__(self, sorter: str | Path | Callable[[Tensor], Tensor], batch_size: int) -> None:
        super().__init__()
        self.batch_size = int(batch_size)
        self.sorter = _loaded(Path(sorter)) if isinstance(sorter, str | Path) else sorter
        if isinstance(self.sorter, nn.Module):
            self.sorter.eval()
            for parameter in self.sorter.parameters():
                parameter.requires_grad_(False)

    def forward(self, ages_years: Tensor) -> Tensor:
        """Ranks, shape (N,), of ages of shape (N,).

        Raises
        ------
        InputError
            If N is not the sorter's batch size, or it gives another number of ranks.
        """
        n = len(ages_years)
        if n != self.batch_size:
            raise InputError(
                "the sorter was trained for another number of people in a batch",
                source="loss",
                found=f"a batch of {n}",
                expected=f"{self.batch_size}",
                remedy=f"set batch_size to {self.batch_size} and let the loader drop the last, smaller batch, or leave "
                "the sorter out",
            )
        if isinstance(self.sorter, nn.Module):
            self.sorter.to(ages_years.device)
        # Mixed precision would round years to halves; cuDNN refuses a gradient through a recurrent network at rest.
        with (
            torch.autocast(ages_years.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=False),
        ):
            ranks = self.sorter(ages_years.float()[None])
        if ranks.numel() != n:
            raise InputError(
                "the sorter does not give one rank per person",
                source="loss",
                found=f"an output of shape {tuple(ranks.shape)}",
                expected=f"{n} ranks for values of shape (1, {n})",
            )
        return ranks.reshape(-1).to(ages_years.dtype)


def _loaded(path: Path) -> nn.Module:
    if not path.is_file():
        raise InputError("no such sorter", source=path)
    # A pickled module would run whatever code it holds; TorchScript runs its own operators alone.
    if zipfile.is_zipfile(path):
        try:
            return torch.jit.load(str(path), map_location="cpu")
        except RuntimeError:
            pass
    raise InputError(
        "not a TorchScript file, or a damaged one",
        source=path,
        remedy="save the sorter with torch.jit.script(sorter).save(path)",
    )
