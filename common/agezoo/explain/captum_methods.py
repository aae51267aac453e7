"""Captum's pixel-wise gradient and occlusion methods, asked for the sign that tells older from younger."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from torch import nn

from agezoo.errors import MissingExtraError
from agezoo.explain.age_output import AgeFunction, AgeOutput, as_age_output
from agezoo.explain.blank_image import as_blank
from agezoo.explain.effort import occlusion_windows
from agezoo.explain.gradient_cams import gradient_cam
from agezoo.explain.network_state import evaluation_mode, one_image, open_to_gradients, without_inplace


@dataclass(frozen=True)
class _Request:
    """What a captum method needs to know."""

    ages: AgeOutput
    image: torch.Tensor
    layer: str | nn.Module | None
    blank: torch.Tensor
    steps: int
    batch_size: int
    seed: int


def _integrated_gradients(attr: ModuleType, request: _Request) -> torch.Tensor:
    return attr.IntegratedGradients(request.ages).attribute(
        request.image,
        baselines=request.blank.expand_as(request.image),
        n_steps=request.steps,
        internal_batch_size=request.batch_size,
    )


def _saliency(attr: ModuleType, request: _Request) -> torch.Tensor:
    return attr.Saliency(request.ages).attribute(request.image, abs=True)


def _smooth_grad(attr: ModuleType, request: _Request) -> torch.Tensor:
    noise_sd = 0.1 * float(np.ptp(request.image.detach().cpu().numpy()))
    device = [request.image.device] if request.image.device.type != "cpu" else []
    with torch.random.fork_rng(devices=device):
        torch.manual_seed(request.seed)
        return attr.NoiseTunnel(attr.Saliency(request.ages)).attribute(
            request.image,
            nt_type="smoothgrad",
            nt_samples=request.steps,
            nt_samples_batch_size=request.batch_size,
            stdevs=noise_sd,
            abs=True,
        )


def _input_x_gradient(attr: ModuleType, request: _Request) -> torch.Tensor:
    return attr.InputXGradient(request.ages).attribute(request.image)


def _guided_backprop(attr: ModuleType, request: _Request) -> torch.Tensor:
    # It lets only rising paths through, so that a network whose signal makes younger would show nothing: the paths
    # on which the age falls are followed on their own and subtracted.
    falling = as_age_output(request.ages, lambda output: -request.ages.to_age(output))
    with warnings.catch_warnings():
        # Captum announces that it sets hooks and removes them.
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        return attr.GuidedBackprop(request.ages).attribute(request.image) - attr.GuidedBackprop(falling).attribute(
            request.image
        )


def _guided_grad_cam(attr: ModuleType, request: _Request) -> torch.Tensor:
    # The magnitude of Grad-CAM, because a product of two signs would tell neither older nor younger.
    grad_cam = gradient_cam("grad_cam", request.ages, request.image, request.layer)
    return _guided_backprop(attr, request) * torch.from_numpy(np.abs(grad_cam)).to(request.image)


def _occlusion(attr: ModuleType, request: _Request) -> torch.Tensor:
    shape = request.image.shape
    window, stride = occlusion_windows(tuple(shape[2:]))
    return attr.Occlusion(request.ages).attribute(
        request.image,
        sliding_window_shapes=(shape[1], *window),
        strides=(shape[1], *stride),
        baselines=request.blank.expand_as(request.image),
        perturbations_per_eval=request.batch_size,
    )


@dataclass(frozen=True)
class CaptumMethod:
    """How a method is run, whether its map has a sign, and whether it looks at one layer."""

    run: Callable[[ModuleType, _Request], torch.Tensor]
    signed: bool
    needs_layer: bool = False


CAPTUM_METHODS = {
    "integrated_gradients": CaptumMethod(_integrated_gradients, signed=True),
    "input_x_gradient": CaptumMethod(_input_x_gradient, signed=True),
    "saliency": CaptumMethod(_saliency, signed=False),
    "smooth_grad": CaptumMethod(_smooth_grad, signed=False),
    "guided_backprop": CaptumMethod(_guided_backprop, signed=True),
    "guided_grad_cam": CaptumMethod(_guided_grad_cam, signed=True, needs_layer=True),
    "occlusion": CaptumMethod(_occlusion, signed=True),
}
"""The methods by name."""


def captum_map(
    name: str,
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    layer: str | nn.Module | None,
    *,
    blank_value: float | np.ndarray | torch.Tensor,
    steps: int,
    batch_size: int,
    seed: int,
    to_age: AgeFunction | None,
) -> np.ndarray:
    """Unscaled map of one of :data:`CAPTUM_METHODS`, float64 of the image's spatial shape, channels summed.

    The parameters are those of :func:`agezoo.explain.attribution.explain`.

    Raises
    ------
    InputError
        For an unknown layer or more than one image.
    MissingExtraError
        If captum is not installed.
    """
    try:
        from captum import attr
    except ImportError as error:
        raise MissingExtraError("captum", "explain", f"the saliency method {name}") from error
    method = CAPTUM_METHODS[name]
    ages = as_age_output(network, to_age)
    # Evaluators call this without gradients; these methods need them.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        evaluation_mode(network),
        open_to_gradients(network),
        without_inplace(network),
    ):
        batch = one_image(image, network).clone().requires_grad_(True)
        request = _Request(ages, batch, layer, as_blank(blank_value, batch.detach()), steps, batch_size, seed)
        found = method.run(attr, request).detach()
    return found.sum(dim=1)[0].double().cpu().numpy()
