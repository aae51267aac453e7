"""Several networks of one layout asked together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class AgeEnsemble(nn.Module):
    """Stacks what its members emit: input (B, C, ...) -> output (B, M, K) for M members that each emit (B, K).

    What is given besides the image (the sex, to networks that take it) goes to every member.

    Members are kept apart so that the age head can tell their disagreement (epistemic) from the noise that each
    predicts (aleatoric). One member alone is a valid ensemble.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise ValueError("an ensemble needs at least one member")

    def forward(self, image: Tensor, *others: Tensor) -> Tensor:
        return torch.stack([member(image, *others) for member in self.members], dim=1)
