"""Grad-CAM, Grad-CAM++ and HiResCAM for age regression: one look at a layer's maps and at how the age hangs on them.

Grad-CAM: Selvaraju et al., ICCV 2017, arXiv 1610.02391. Grad-CAM++: Chattopadhay et al., WACV 2018, arXiv 1710.11063.
HiResCAM: Draelos and Carin, arXiv 2011.08891.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from agezoo.explain.age_output import AgeFunction, as_age_output
from agezoo.explain.layer_view import LayerView, layer_views
from agezoo.explain.network_state import evaluation_mode, find_layers, one_image, open_to_gradients


def _grad_cam(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    # Without the ReLU of the original: the sign tells older from younger.
    mean = gradients.mean(dim=tuple(range(2, gradients.ndim)), keepdim=True)
    return (mean * maps).sum(dim=1, keepdim=True)


def _grad_cam_plus_plus(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Grad-CAM++ of the two questions "what makes older" and "what makes younger", the second subtracted.

    The paper weights the gradient g of each cell by g^2 / (2 g^2 + g^3 * sum(A)), A being the feature map, keeps what
    is positive, and derives this for a score Y = exp(S). Here S is the age in years for the first question and minus
    the age for the second. Cells of positive g count for the first, the others with -g for the second, so that the
    difference weights every cell by g / (2 + |g| * sum(A)): the sign stays, and the divisor cannot vanish, as it does
    in the published form where g is negative. The sum is of magnitudes, which is the same behind a ReLU.
    """
    axes = tuple(range(2, gradients.ndim))
    years = gradients.abs() * maps.abs().sum(dim=axes, keepdim=True)
    weights = (gradients / (2 + years)).sum(dim=axes, keepdim=True)
    return (weights * maps).sum(dim=1, keepdim=True)


def _hires_cam(maps: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    return (gradients * maps).sum(dim=1, keepdim=True)


GRADIENT_CAMS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "grad_cam": _grad_cam,
    "grad_cam_plus_plus": _grad_cam_plus_plus,
    "hires_cam": _hires_cam,
}
"""The methods by name: from feature maps and gradients (1, K, *cells) to a map (1, 1, *cells), both with a sign."""


def gradient_cam(
    name: str,
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    layer: str | nn.Module | None = None,
    *,
    to_age: AgeFunction | None = None,
) -> np.ndarray:
    """Unscaled map of one of :data:`GRADIENT_CAMS`, float64 of the image's spatial shape.

    Positive where the layer's content makes the patient older. Grad-CAM weights each feature map by the mean of its
    gradient over the image, Grad-CAM++ by a mean in which cells of maps that move the age by many years count less, so
    that small places are seen beside large ones, HiResCAM every cell by its own, which keeps the map faithful to what
    the network reads there. The cells are spread over the image from where they lie, see
    :mod:`agezoo.explain.cell_grid`.

    Parameters
    ----------
    name
        ``"grad_cam"``, ``"grad_cam_plus_plus"`` or ``"hires_cam"``.
    network
        Any 2D or 3D network; its mode, weights and hooks are left as they were.
    image
        One image, shape (C, *spatial) or (1, C, *spatial), as the network takes it.
    layer
        See :func:`agezoo.explain.network_state.find_layers`: of a cascade whose layer is not named, the maps of both
        stages are added. Both are in years, so that each weighs as much as its stage moves the age. In a small cascade
        trained on a planted signal the second stage's map was a sixth to a quarter as strong as the first's, and
        pointed to the signal as often in the sum (8 of 12 cases) as in the first stage alone (8 of 12); what the
        second stage alone finds is only in the sum.
    to_age
        From the network's output to ages in years, shape (B,).

    Raises
    ------
    InputError
        For an unknown layer, one without feature maps, or more than one image.
    """
    ages = as_age_output(network, to_age)
    targets = find_layers(ages.network, layer)
    # Evaluators call this without gradients; the method needs them.
    with torch.inference_mode(False), evaluation_mode(network), open_to_gradients(network):
        views = layer_views(ages, targets, one_image(image, network).clone(), gradients=True)
    return np.sum([_spread(name, view) for view in views], axis=0)


def _spread(name: str, view: LayerView) -> np.ndarray:
    assert view.gradients is not None
    cells = GRADIENT_CAMS[name](view.maps.double(), view.gradients.double())
    return view.grid.spread(cells)[0, 0].cpu().numpy()
