"""What one layer makes of an image: its feature maps, where their cells lie, and how the age hangs on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from agezoo.errors import InputError
from agezoo.explain.age_output import AgeOutput, as_age_output
from agezoo.explain.cell_grid import CellGrid, follow_cells
from agezoo.explain.conditioning import first_member
from agezoo.explain.network_state import evaluation_mode, find_layer, one_image


@dataclass(frozen=True)
class LayerView:
    """One layer's answer to one image.

    Attributes
    ----------
    maps
        Feature maps, shape (1, K, *cells).
    grid
        Where their cells lie in the image.
    gradients
        Derivative of the age by each cell in years per unit, shape of the maps; None unless asked for.
    """

    maps: torch.Tensor
    grid: CellGrid
    gradients: torch.Tensor | None = None


def layer_view(ages: AgeOutput, layer: nn.Module, image: torch.Tensor, *, gradients: bool = False) -> LayerView:
    """Ask a network once and look at one layer; its hooks are removed in every case.

    Only what comes after the layer is remembered for the gradient, so that it costs hardly more time and memory than a
    prediction.

    Parameters
    ----------
    ages
        In evaluation mode.
    layer
        Part of the network.
    image
        Shape (1, C, *spatial).
    gradients
        Ask for the derivative too; not possible inside ``torch.inference_mode``.

    Raises
    ------
    InputError
        If the layer was not used, was used more than once, or has no feature maps of the image's dimensionality.
    """
    seen: list[torch.Tensor] = []
    grids: list[CellGrid] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> torch.Tensor | None:
        if not isinstance(output, torch.Tensor) or seen:
            seen.append(output)
            return None
        # Cloned because a following in-place activation would otherwise overwrite what is kept.
        kept = output.detach().clone()
        if kept.ndim == image.ndim:
            grids.append(grid_of(output))
        seen.append(kept)
        if not gradients:
            return None
        kept.requires_grad_()
        torch.set_grad_enabled(True)
        return kept.clone()

    with torch.no_grad(), follow_cells(ages, image) as grid_of:
        # After the hooks that follow the cells, so that the layer's own output has been noted.
        handle = layer.register_forward_hook(keep)
        try:
            age_years = ages(image)
        finally:
            handle.remove()
    if len(seen) != 1:
        raise InputError("the layer must be used exactly once per image", found=f"used {len(seen)} times")
    if not grids:
        found = tuple(seen[0].shape) if isinstance(seen[0], torch.Tensor) else type(seen[0]).__name__
        raise InputError(
            "the layer does not put out feature maps",
            found=found,
            expected=f"(B, maps, {image.ndim - 2} spatial axes)",
            remedy="choose a convolutional layer before the pooling",
        )
    if not gradients:
        return LayerView(seen[0], grids[0])
    slope = None
    if age_years.requires_grad:
        (slope,) = torch.autograd.grad(age_years.sum(), seen[0], allow_unused=True)
    maps = seen[0].detach()
    return LayerView(maps, grids[0], torch.zeros_like(maps) if slope is None else slope)


def cam_grid(
    network: nn.Module,
    image: torch.Tensor | np.ndarray,
    layer: str | nn.Module | None = None,
    *,
    others: Sequence[torch.Tensor] = (),
) -> CellGrid:
    """Where the cells of a class-activation map lie: its grid is how coarse such a map is.

    The parameters are those of :func:`agezoo.explain.attribution.explain`; of an ensemble, its first member is asked.
    """
    ages = as_age_output(first_member(network), None, others)
    with evaluation_mode(ages):
        return layer_view(ages, find_layer(ages.network, layer), one_image(image, ages.network)).grid
