"""Networks that take more than the image: the further inputs of one case, held fixed while its image is explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.network_state import network_device
from agezoo.networks.age_ensemble import AgeEnsemble


class Conditioned(nn.Module):
    """A network of the image alone: whatever else it takes is the same for every image.

    Parameters
    ----------
    network
        Called with the image and the others; not copied.
    others
        Further inputs of one case, each of shape (1, ...), repeated for every image of a batch.

    Raises
    ------
    InputError
        If one of the others is not of one case.
    """

    def __init__(self, network: nn.Module, others: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.network = network
        self.n_others = len(others)
        for index, other in enumerate(others):
            if other.ndim < 1 or other.shape[0] != 1:
                raise InputError(
                    "what a network takes besides the image must be of one case",
                    source="others",
                    found=f"shape {tuple(other.shape)}",
                    expected="a first axis of 1, (1, 2) for the sex",
                )
            kept = other.detach().as_subclass(torch.Tensor).to(network_device(network))
            self.register_buffer(f"other_{index}", kept, persistent=False)

    def forward(self, image: torch.Tensor) -> Any:
        """The network's output for images of shape (B, C, *spatial)."""
        others = [getattr(self, f"other_{index}") for index in range(self.n_others)]
        return self.network(image, *(other.expand(image.shape[0], *other.shape[1:]) for other in others))


def further_inputs(network: nn.Module, item: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """What a network takes of a case besides its image, as ``others`` of :func:`agezoo.explain.attribution.explain`.

    Parameters
    ----------
    network
        One whose class (of an ensemble: its members' class) says ``uses_sex`` gets the sex; any other nothing.
    item
        Of :class:`agezoo.engines.CohortDataset`; its ``sex`` has shape (2,): female, male.
    """
    if not getattr(first_member(network), "uses_sex", False) or item.get("sex") is None:
        return ()
    return (torch.as_tensor(item["sex"], dtype=torch.float32).reshape(1, 2),)


def first_member(network: nn.Module) -> nn.Module:
    """First network of an ensemble; any other network itself."""
    return network.members[0] if isinstance(network, AgeEnsemble) else network
