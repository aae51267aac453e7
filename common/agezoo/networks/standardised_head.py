"""Training a years-valued Gaussian head as if ages were standardised, without changing the network that is saved."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class StandardisedHead(nn.Module):
    """A network whose last layer works in units of the training ages' SD while it is trained.

    The published layout emits years straight from the last linear layer. Starting from small random weights, an
    optimiser with steps of a usual size needs thousands of steps until such a layer spans a cohort's ages; networks on
    small cohorts never leave the mean. Here the layer's output is scaled by the ages' SD and shifted by their mean
    (the log SD by the log of that SD), which makes the first steps count. Scale and shift are linear, so
    :meth:`folded_state_dict` puts them into the layer: what is saved has the published names and meaning.

    Wrapping changes nothing that the network computes: the layer is divided by the same numbers first.

    Parameters
    ----------
    network
        Emits (B, 2): mean in years and log of the SD in years.
    ages_years
        Training ages.
    head
        Name of the last linear layer of `network`.

    Raises
    ------
    ValueError
        If an age is not known, or `head` is no linear layer with two outputs.
    """

    mean_years: Tensor
    sd_years: Tensor

    def __init__(self, network: nn.Module, ages_years: Sequence[float], head: str = "fc") -> None:
        super().__init__()
        self.network = network
        self.head = head
        ages = torch.as_tensor([float(a) for a in ages_years], dtype=torch.float64)
        if not ages.isfinite().all():
            raise ValueError("every training age must be known")
        # A cohort of one age has no spread to scale by.
        sd = max(float(ages.std(correction=0)), 1.0) if len(ages) else 1.0
        self.register_buffer("mean_years", torch.tensor(float(ages.mean()) if len(ages) else 0.0))
        self.register_buffer("sd_years", torch.tensor(sd))
        layer = network.get_submodule(head)
        if not isinstance(layer, nn.Linear) or layer.bias is None or layer.out_features != 2:
            raise ValueError(f"the head {head!r} must be a linear layer with two outputs and a bias")
        scale, shift = self._affine()
        with torch.no_grad():
            layer.weight.div_(scale[:, None])
            layer.bias.sub_(shift).div_(scale)

    def forward(self, image: Tensor) -> Tensor:
        scale, shift = self._affine()
        return self.network(image) * scale + shift

    def _affine(self) -> tuple[Tensor, Tensor]:
        one = torch.ones_like(self.sd_years)
        return torch.stack([self.sd_years, one]), torch.stack([self.mean_years, self.sd_years.log()])

    def folded_state_dict(self) -> dict[str, Tensor]:
        """State dict of the bare network that computes the same ages, in the network's own names."""
        state = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        scale, shift = (value.to(state[f"{self.head}.bias"]) for value in self._affine())
        state[f"{self.head}.weight"].mul_(scale[:, None])
        state[f"{self.head}.bias"].mul_(scale).add_(shift)
        return state


def deployed_state_dict(network: nn.Module) -> dict[str, Tensor]:
    """What to save of a network that was trained: folded where it has a standardised head, else as it is."""
    if isinstance(network, StandardisedHead):
        return network.folded_state_dict()
    return dict(network.state_dict())
