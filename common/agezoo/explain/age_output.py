"""One tensor of ages from whatever a network puts out, which is what saliency methods can differentiate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.conditioning import Conditioned, first_member

AgeFunction = Callable[[Any], torch.Tensor]


def mean_age(output: Any) -> torch.Tensor:
    """Predicted mean age in years, shape (B,), of a network output in any of the zoo's point or Gaussian forms.

    Parameters
    ----------
    output
        Tensor of shape (B,) or (B, 1): the age in years; (B, 2): mean age in years and log of its SD;
        (B, M, 1) or (B, M, 2): the same of an ensemble of M members, whose means are averaged. A tuple or list counts
        by its first entry, a dictionary by its entry ``age_years``, ``mean``, ``mean_years`` or ``pred``.

    Raises
    ------
    InputError
        For any other form. A distribution over ages needs a function that knows its ages: the network's own
        ``age_years``, see :func:`as_age_output`, or :func:`expected_age`.
    """
    if isinstance(output, Mapping):
        for key in ("age_years", "mean_years", "mean", "pred"):
            if key in output:
                return mean_age(output[key])
        raise InputError(
            "the network's output has no entry with an age",
            found=f"a dictionary with {', '.join(map(str, output))}",
            expected="age_years, mean_years, mean or pred",
            remedy="pass to_age=, a function from the output to ages in years of shape (B,)",
        )
    if isinstance(output, (tuple, list)) and output:
        return mean_age(output[0])
    if isinstance(output, torch.Tensor):
        if output.ndim == 1:
            return output
        if output.ndim == 2 and output.shape[1] in (1, 2):
            return output[:, 0]
        if output.ndim == 3 and output.shape[2] in (1, 2):
            return output[:, :, 0].mean(dim=1)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    raise InputError(
        "cannot tell the age from the network's output",
        found=f"shape {shape}" if isinstance(shape, tuple) else shape,
        expected="(B,), (B, 1), (B, 2), (B, members, 1) or (B, members, 2)",
        remedy="pass to_age=, a function from the output to ages in years of shape (B,)",
    )


def expected_age(ages_years: torch.Tensor) -> AgeFunction:
    """Function from logits over the given ages, shape (B, n), to the expected age in years, shape (B,).

    Parameters
    ----------
    ages_years
        The age that each class stands for, shape (n,).
    """

    def to_age(output: Any) -> torch.Tensor:
        logits = output[0] if isinstance(output, (tuple, list)) else output
        return torch.softmax(logits, dim=1) @ ages_years.to(logits)

    return to_age


class AgeOutput(nn.Module):
    """A network whose output is the mean age in years alone, shape (B,).

    Captum and MONAI's CAM classes fail on tuples and dictionaries, and a saliency of "mean plus log SD" means
    nothing; so every method here sees the network through this wrapper.

    Parameters
    ----------
    network
        The network to explain; not copied.
    to_age
        From the network's output to ages in years, shape (B,).
    others
        What the network takes besides the image, of one case, see :class:`agezoo.explain.conditioning.Conditioned`.

    Attributes
    ----------
    of_image
        The network as a function of the image alone, before its output is turned into ages.
    """

    def __init__(self, network: nn.Module, to_age: AgeFunction = mean_age, others: Sequence[torch.Tensor] = ()) -> None:
        super().__init__()
        self.network = network
        self.to_age = to_age
        self.of_image = Conditioned(network, others)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Ages in years, shape (B,), of images of shape (B, C, *spatial)."""
        return self.to_age(self.of_image(image))


def as_age_output(
    network: nn.Module, to_age: AgeFunction | None = None, others: Sequence[torch.Tensor] = ()
) -> AgeOutput:
    """Wrap the network, unless it is wrapped already and no other function is asked for.

    Parameters
    ----------
    network
        If it has a method ``age_years`` (of an ensemble: if its first member has), that one turns its output into ages
        unless another function is given.
    to_age
        From the network's output to ages in years, shape (B,); None takes the network's own, else :func:`mean_age`.
    others
        What the network takes besides the image; a wrapped network keeps its own.
    """
    if isinstance(network, AgeOutput):
        if to_age is None:
            return network
        wrapped = AgeOutput(network.network, to_age)
        wrapped.of_image = network.of_image
        return wrapped
    own = getattr(first_member(network), "age_years", None)
    return AgeOutput(network, to_age or own or mean_age, others)
